//! What was measured, as rows.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One measured number.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
}

/// The rows of one or several measurements.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a row.
    pub fn push(&mut self, what: impl Into<String>, value: f64, unit: &'static str) {
        self.0.push(Figure {
            what: what.into(),
            value,
            unit,
        });
    }

    /// Adds p50, p99 and the maximum of some times.
    pub fn push_times(&mut self, what: &str, times: &Times) {
        for (name, value) in [
            ("p50", times.at(0.5)),
            ("p99", times.at(0.99)),
            ("max", times.at(1.0)),
        ] {
            self.push(format!("{what}, {name}"), value, "ms");
        }
    }

    /// Adds the rows of another measurement.
    pub fn append(&mut self, mut other: Figures) {
        self.0.append(&mut other.0);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in &self.0 {
            writeln!(
                f,
                "| {} | {:.1} {} |",
                figure.what, figure.value, figure.unit
            )?;
        }
        Ok(())
    }
}

/// Longer times count as this: ten minutes.
const MAX_US: u64 = 600_000_000;

/// A distribution of times, in microseconds.
#[derive(Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Times(Histogram::new_with_max(MAX_US, 3).expect("the range and three digits are valid"))
    }
}

impl Times {
    /// Notes one time.
    pub fn record(&mut self, time: Duration) {
        self.0
            .saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// A quantile in milliseconds.
    fn at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}
