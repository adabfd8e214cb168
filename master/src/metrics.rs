//! Metrics under Mesos' names (Mesos: src/master/metrics.cpp, docs/monitoring.md), and the
//! same in the text format of Prometheus. Exporters and dashboards know the names.

mod cluster;
mod prometheus;
mod quota;

use std::collections::BTreeMap;

use crate::context::Master;
use crate::reads::Snapshot;
use crate::{clock, host};

pub use prometheus::prometheus;

/// Metrics by name.
pub type Values = BTreeMap<String, f64>;

/// Counters of the leader and of this process that exist from the start, at zero.
const COUNTERS: &[&str] = &[
    "allocator/mesos/allocation_runs",
    "master/dropped_messages",
    "master/http_cache_hits",
    "master/invalid_executor_to_framework_messages",
    "master/invalid_framework_to_executor_messages",
    "master/invalid_status_update_acknowledgements",
    "master/invalid_status_updates",
    "master/messages_decline_offers",
    "master/messages_executor_to_framework",
    "master/messages_exited_executor",
    "master/messages_framework_to_executor",
    "master/messages_kill_task",
    "master/messages_launch_tasks",
    "master/messages_operation_status_update",
    "master/messages_operation_status_update_acknowledgement",
    "master/messages_reconcile_operations",
    "master/messages_reconcile_tasks",
    "master/messages_register_framework",
    "master/messages_register_slave",
    "master/messages_reregister_framework",
    "master/messages_reregister_slave",
    "master/messages_resource_request",
    "master/messages_revive_offers",
    "master/messages_status_update",
    "master/messages_status_update_acknowledgement",
    "master/messages_suppress_offers",
    "master/messages_unregister_framework",
    "master/messages_unregister_slave",
    "master/recovery_slave_removals",
    "master/slave_registrations",
    "master/slave_removals",
    "master/slave_removals/reason_registered",
    "master/slave_removals/reason_unhealthy",
    "master/slave_removals/reason_unregistered",
    "master/slave_reregistrations",
    "master/slave_unreachable_canceled",
    "master/slave_unreachable_completed",
    "master/slave_unreachable_scheduled",
    "master/tasks_dropped",
    "master/tasks_error",
    "master/tasks_failed",
    "master/tasks_finished",
    "master/tasks_gone",
    "master/tasks_gone_by_operator",
    "master/tasks_killed",
    "master/tasks_lost",
    "master/valid_executor_to_framework_messages",
    "master/valid_framework_to_executor_messages",
    "master/valid_status_update_acknowledgements",
    "master/valid_status_updates",
];

/// All metrics of this member. Those of the cluster are zero where it does not lead, so that
/// a sum over all masters is right.
pub fn snapshot(master: &Master) -> Values {
    let mut values = counters(master);
    values.extend(gauges(master));
    values
}

/// What only grows while this member leads.
pub fn counters(master: &Master) -> Values {
    let mut values: Values = COUNTERS
        .iter()
        .map(|name| ((*name).to_owned(), 0.0))
        .collect();
    if master.published.standing().leading_term().is_some() {
        for (name, value) in &master.published.view().metrics {
            values.insert((*name).to_owned(), *value);
        }
    }
    for (name, count) in master.requests.messages() {
        values.insert(name.to_owned(), count as f64);
    }
    for (class, count) in master.requests.by_class() {
        values.insert(format!("caprock/http/responses_{class}xx"), count as f64);
    }
    values
}

/// What goes up and down.
pub fn gauges(master: &Master) -> Values {
    let mut values = Values::new();
    process(master, &mut values);
    log(master, &mut values);
    system(&mut values);
    let leads = master.published.standing().leading_term().is_some();
    let snapshot = leads.then(|| Snapshot::take(&master.published));
    cluster::gauges(snapshot.as_ref(), &mut values);
    if let Some(snapshot) = &snapshot {
        quota::gauges(snapshot, &mut values);
    }
    values
}

fn put(values: &mut Values, name: &str, value: f64) {
    values.insert(name.to_owned(), value);
}

fn process(master: &Master, values: &mut Values) {
    let open = master.published.open();
    let uptime = clock::now().since(master.started_at);
    put(values, "master/uptime_secs", uptime.0 as f64 / 1_000.0);
    put(
        values,
        "master/elected",
        f64::from(u8::from(master.is_serving())),
    );
    put(values, "master/event_queue_messages", 0.0);
    put(
        values,
        "master/event_queue_dispatches",
        master.driver.queue_length() as f64,
    );
    put(
        values,
        "master/event_queue_http_requests",
        master.requests.in_flight() as f64,
    );
    let subscribers = master.published.change_watchers() as f64;
    put(
        values,
        "master/operator_event_stream_subscribers",
        subscribers,
    );
    put(values, "allocator/mesos/event_queue_dispatches", 0.0);
    put(values, "allocator/event_queue_dispatches", 0.0);
    put(
        values,
        "caprock/scheduler_streams",
        open.scheduler_streams as f64,
    );
    put(values, "caprock/agent_streams", open.agent_streams as f64);
    put(
        values,
        "caprock/gateway_streams",
        master.gateway.session_count() as f64,
    );
    put(values, "caprock/timers", open.timers as f64);
}

fn log(master: &Master, values: &mut Values) {
    let status = master.store.status();
    put(
        values,
        "registrar/state_fetch_ms",
        master.published.state_fetch_ms(),
    );
    let queued = status
        .last_log_index
        .0
        .saturating_sub(status.applied_index.0);
    put(values, "registrar/queued_operations", queued as f64);
    put(
        values,
        "registrar/log/recovered",
        f64::from(u8::from(status.leader.is_some())),
    );
    put(
        values,
        "registrar/log/ensemble_size",
        status.members.len() as f64,
    );
    put(values, "caprock/log/term", status.term as f64);
    put(
        values,
        "caprock/log/last_index",
        status.last_log_index.0 as f64,
    );
    put(
        values,
        "caprock/log/committed_index",
        status.committed_index.0 as f64,
    );
    put(
        values,
        "caprock/log/applied_index",
        status.applied_index.0 as f64,
    );
    put(
        values,
        "caprock/log/snapshot_index",
        status.snapshot_index.0 as f64,
    );
    put(
        values,
        "caprock/log/has_quorum_lease",
        f64::from(u8::from(status.has_quorum_lease)),
    );
}

fn system(values: &mut Values) {
    let (load, memory) = (host::load(), host::memory());
    put(values, "system/load_1min", load[0]);
    put(values, "system/load_5min", load[1]);
    put(values, "system/load_15min", load[2]);
    put(values, "system/cpus_total", host::cpus() as f64);
    put(values, "system/mem_total_bytes", memory.total_bytes as f64);
    put(values, "system/mem_free_bytes", memory.free_bytes as f64);
}
