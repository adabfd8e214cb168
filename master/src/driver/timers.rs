//! The wake-up times that the leader asked for.

use std::collections::BTreeMap;

use caprock_leader::TimerKey;
use caprock_model::Millis;

/// Pending timers, earliest first; those of the same time in the order of their making.
#[derive(Debug, Default)]
pub struct Timers {
    pending: BTreeMap<(Millis, u64), TimerKey>,
    made: u64,
}

impl Timers {
    /// Adds a timer; one of the same key that is pending stays.
    pub fn add(&mut self, at: Millis, key: TimerKey) {
        self.made += 1;
        self.pending.insert((at, self.made), key);
    }

    /// When the next one is due.
    pub fn next_at(&self) -> Option<Millis> {
        self.pending.keys().next().map(|(at, _)| *at)
    }

    /// Takes the earliest one that is due.
    pub fn pop_due(&mut self, now: Millis) -> Option<TimerKey> {
        let entry = self.pending.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// How many are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_in_order_and_later_ones_stay() {
        let mut timers = Timers::default();
        timers.add(Millis(30), TimerKey::PingAgents);
        timers.add(Millis(10), TimerKey::Allocate);
        timers.add(Millis(10), TimerKey::AllocateAll);
        assert_eq!(timers.next_at(), Some(Millis(10)));
        assert_eq!(timers.pop_due(Millis(9)), None);
        assert_eq!(timers.pop_due(Millis(20)), Some(TimerKey::Allocate));
        assert_eq!(timers.pop_due(Millis(20)), Some(TimerKey::AllocateAll));
        assert_eq!(timers.pop_due(Millis(20)), None);
        assert_eq!(timers.len(), 1);
    }
}
