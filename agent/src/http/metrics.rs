//! `/metrics/snapshot`: one flat object of numbers.

use std::collections::BTreeMap;

use caprock_agent_core::view::AgentView;
use caprock_http::{Reply, reply};
use caprock_model::parse_duration;
use http::HeaderMap;
use serde_json::Value;

use super::{Context, Refusal};
use crate::clock;

/// The endpoint.
pub async fn snapshot(
    context: &Context,
    headers: &HeaderMap,
    query: &BTreeMap<String, String>,
) -> Result<Reply, Refusal> {
    if let Some(timeout) = query.get("timeout") {
        parse_duration(timeout).map_err(|error| {
            reply::bad_request(format!("Invalid timeout '{timeout}': {error}."))
        })?;
    }
    let view = context.view().await?;
    let values: BTreeMap<String, Value> = of(&view)
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    let text = serde_json::to_string(&values).expect("a map of numbers is JSON");
    Ok(reply::json(
        headers,
        query.get("jsonp").map(String::as_str),
        text,
    ))
}

/// Everything that is measured, by name.
pub fn of(view: &AgentView) -> BTreeMap<String, f64> {
    let mut metrics: BTreeMap<String, f64> = view
        .metrics
        .iter()
        .map(|(name, value)| ((*name).to_string(), *value))
        .collect();
    let uptime = (clock::now() - view.started_at).seconds_f64();
    metrics.insert("slave/uptime_secs".into(), uptime);
    metrics.extend(system());
    metrics
}

/// The machine, as libprocess reports it.
fn system() -> impl Iterator<Item = (String, f64)> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mut load = load.split_whitespace().map(|word| word.parse().ok());
    let mut averages = || load.next().flatten();
    let bytes = |name: &str| {
        let line = memory
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024.0)
    };
    let cpus = std::thread::available_parallelism()
        .ok()
        .map(|count| count.get() as f64);
    let found = [
        ("system/load_1min", averages()),
        ("system/load_5min", averages()),
        ("system/load_15min", averages()),
        ("system/cpus_total", cpus),
        ("system/mem_total_bytes", bytes("MemTotal")),
        ("system/mem_free_bytes", bytes("MemFree")),
    ];
    found
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_string(), value?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_measured() {
        let system: BTreeMap<String, f64> = system().collect();
        assert!(system["system/mem_total_bytes"] > system["system/mem_free_bytes"]);
        assert!(system["system/cpus_total"] >= 1.0);
        assert_eq!(system.len(), 6);
    }
}
