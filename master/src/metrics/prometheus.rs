//! The metrics for Prometheus: `master/cpus_total` is `caprock_master_cpus_total`.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Values;
use crate::context::Master;

/// All metrics of this member as text.
pub fn prometheus(master: &Master) -> Result<String, std::fmt::Error> {
    encode(&super::counters(master), &super::gauges(master))
}

fn encode(counters: &Values, gauges: &Values) -> Result<String, std::fmt::Error> {
    // A registry per answer: the values are computed for it, and nothing is global.
    let mut registry = Registry::with_prefix("caprock");
    for (name, value) in counters {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(*value);
        registry.register(metric_name(name), format!("Counter {name}"), counter);
    }
    for (name, value) in gauges {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(*value);
        registry.register(metric_name(name), format!("Gauge {name}"), gauge);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Names may have letters, digits and underscores.
fn metric_name(name: &str) -> String {
    let own = name.strip_prefix("caprock/").unwrap_or(name);
    own.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        let counters = Values::from([("master/tasks_finished".to_owned(), 3.0)]);
        let gauges = Values::from([("caprock/log/term".to_owned(), 7.0)]);
        let text = encode(&counters, &gauges).unwrap();
        assert!(
            text.contains("caprock_master_tasks_finished_total 3.0\n"),
            "{text}"
        );
        assert!(text.contains("caprock_log_term 7.0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
