//! Counts of HTTP requests, scheduler calls and agent messages, for the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

/// Counters of this process.
#[derive(Debug, Default)]
pub struct Requests {
    in_flight: AtomicUsize,
    by_class: [AtomicU64; 6],
    messages: Mutex<BTreeMap<&'static str, u64>>,
}

/// Counts a request as in flight until it is dropped.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Requests);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Requests {
    /// A request has begun.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// A request was answered.
    pub fn answered(&self, status: StatusCode) {
        if let Some(count) = self.by_class.get(usize::from(status.as_u16() / 100)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call or message that has the metric of this name was received.
    pub fn received(&self, metric: &'static str) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        *messages.entry(metric).or_default() += 1;
    }

    /// How many of each were received, by the name of their metric.
    pub fn messages(&self) -> BTreeMap<&'static str, u64> {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Requests that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Answers per hundred of the status code: `(2, count of 2xx)` and so on.
    pub fn by_class(&self) -> impl Iterator<Item = (usize, u64)> {
        (1..self.by_class.len()).map(|class| (class, self.by_class[class].load(Ordering::Relaxed)))
    }
}
