//! The verbosity that operators can raise for a while (SET_LOGGING_LEVEL, /logging/toggle):
//! from level 1 on every request is logged. It reverts by itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Verbosity without an operator's wish.
const DEFAULT_LEVEL: u32 = 0;

/// The current verbosity.
#[derive(Debug, Default)]
pub struct LoggingLevel {
    raised: Mutex<Option<(u32, Instant)>>,
}

impl LoggingLevel {
    /// The level now.
    pub fn get(&self) -> u32 {
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        match *raised {
            Some((level, until)) if Instant::now() < until => level,
            _ => {
                *raised = None;
                DEFAULT_LEVEL
            }
        }
    }

    /// Sets a level that lasts for this long.
    pub fn set(&self, level: u32, lasting: Duration) {
        let until = Instant::now().checked_add(lasting);
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        *raised = until.map(|until| (level, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_reverts() {
        let level = LoggingLevel::default();
        assert_eq!(level.get(), 0);
        level.set(2, Duration::from_secs(3600));
        assert_eq!(level.get(), 2);
        level.set(3, Duration::ZERO);
        assert_eq!(level.get(), 0);
    }
}
