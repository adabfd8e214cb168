//! Wall-clock time, read only in the shell: the brain gets it as an input.

use std::time::{SystemTime, UNIX_EPOCH};

use caprock_model::Millis;

/// Milliseconds since 1970.
pub fn now() -> Millis {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// A clock that never runs backwards, whatever happens to the system's.
#[derive(Debug, Default)]
pub struct SteadyClock {
    last: Option<Millis>,
}

impl SteadyClock {
    /// The time now, or the last time given out if the system's clock was set back.
    pub fn now(&mut self) -> Millis {
        let now = now();
        let steady = self.last.map_or(now, |last| last.max(now));
        self.last = Some(steady);
        steady
    }
}
