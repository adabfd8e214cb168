//! The timers that the brain has asked for: one per key, the later request counts.

use std::collections::{BTreeMap, BTreeSet};

use caprock_agent_core::TimerKey;
use caprock_model::Millis;

/// Timers in order of their time.
#[derive(Debug, Default)]
pub struct Timers {
    by_key: BTreeMap<TimerKey, Millis>,
    by_time: BTreeSet<(Millis, TimerKey)>,
}

impl Timers {
    /// Sets or moves a timer.
    pub fn set(&mut self, key: TimerKey, at: Millis) {
        if let Some(earlier) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(earlier, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the next one out, if it is due.
    pub fn pop_due(&mut self, now: Millis) -> Option<TimerKey> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_request_moves_the_timer() {
        let mut timers = Timers::default();
        timers.set(TimerKey::Attach, Millis(10));
        timers.set(TimerKey::MasterSilence, Millis(20));
        timers.set(TimerKey::Attach, Millis(30));
        assert_eq!(timers.next(), Some(Millis(20)));
        assert_eq!(timers.pop_due(Millis(19)), None);
        assert_eq!(timers.pop_due(Millis(20)), Some(TimerKey::MasterSilence));
        assert_eq!(timers.pop_due(Millis(29)), None);
        assert_eq!(timers.pop_due(Millis(30)), Some(TimerKey::Attach));
        assert_eq!(timers.pop_due(Millis(99)), None);
        assert_eq!(timers.next(), None);
    }
}
