//! `/state`: the master and everything it knows.

use serde_json::{Value, json};

use super::{frameworks, slaves};
use crate::context::Master;
use crate::identity::Identity;
use crate::reads::Snapshot;
use crate::standing::Standing;
use crate::version;

/// The whole state.
pub fn state(master: &Master, snapshot: &Snapshot) -> Value {
    let mut fields = version::fields();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let identity = &master.identity;
    let view = &snapshot.view;
    put("start_time", master.started_at.seconds_f64().into());
    if let Standing::Leading { .. } = master.published.standing() {
        put("elected_time", view.elected_at.seconds_f64().into());
        put("id", view.master.id.as_str().into());
        put("leader", identity.pid().into());
        put("leader_info", leader_info(identity, &view.master.id));
    } else {
        put("id", "".into());
    }
    put("pid", identity.pid().into());
    put("hostname", identity.hostname.as_str().into());
    let capabilities = &view.master.capabilities;
    let capabilities: Vec<&str> = capabilities
        .iter()
        .map(|capability| capability.r#type().as_str_name())
        .collect();
    put("capabilities", capabilities.into());
    let (active, inactive, unreachable) = counts(snapshot);
    put("activated_slaves", active.into());
    put("deactivated_slaves", inactive.into());
    put("unreachable_slaves", unreachable.into());
    if let Some(cluster) = &master.config.cluster {
        put("cluster", cluster.as_str().into());
    }
    if let Some(cluster_id) = snapshot.registry.cluster_id() {
        put("cluster_id", cluster_id.into());
    }
    put("flags", json!(master.config.flags()));
    let agents = snapshot.reachable_agents();
    let agents = agents.map(|agent| Value::Object(slaves::fields(snapshot, agent)));
    put("slaves", agents.collect::<Vec<_>>().into());
    put("recovered_slaves", json!([]));
    let registry = &snapshot.registry;
    let live = registry
        .frameworks()
        .map(|framework| frameworks::full(snapshot, framework));
    put("frameworks", live.collect::<Vec<_>>().into());
    let completed = snapshot
        .completed_frameworks()
        .map(|f| frameworks::full(snapshot, f));
    put("completed_frameworks", completed.collect::<Vec<_>>().into());
    put("orphan_tasks", json!([]));
    put("unregistered_frameworks", json!([]));
    Value::Object(fields)
}

fn leader_info(identity: &Identity, id: &str) -> Value {
    json!({
        "id": id,
        "pid": identity.pid(),
        "port": identity.port,
        "hostname": identity.hostname,
    })
}

/// Agents that are active, inactive, unreachable.
fn counts(snapshot: &Snapshot) -> (usize, usize, usize) {
    let active = snapshot
        .reachable_agents()
        .filter(|agent| snapshot.is_active(agent))
        .count();
    let reachable = snapshot.reachable_agents().count();
    (
        active,
        reachable - active,
        snapshot.registry.agents().len() - reachable,
    )
}
