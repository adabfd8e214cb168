//! Outcomes of entries that carried an idempotency key, so that a retried call applies once.

use std::sync::Arc;

use caprock_model::{DurationMs, Millis, TaskId};
use caprock_proto::caprock::registry::{IdempotentOutcome, RejectedTask};

use crate::outcome::Outcome;
use crate::{LogIndex, Map};

/// The outcome of an entry, as far as a retry needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub key: Arc<str>,
    /// Where the entry was applied.
    pub index: LogIndex,
    pub at: Millis,
    /// Why it was rejected, if it was.
    pub rejection: Option<Arc<str>>,
    /// The tasks of an otherwise applied launch that were rejected.
    pub rejected_tasks: Vec<(TaskId, Arc<str>)>,
}

/// The remembered outcomes: bounded in number, and in age by the times of the entries.
#[derive(Clone, Debug)]
pub(crate) struct Idempotency {
    by_key: Map<Arc<str>, Arc<Remembered>>,
    order: Map<LogIndex, Arc<str>>,
}

impl Idempotency {
    pub fn new() -> Self {
        Self {
            by_key: Map::new_sync(),
            order: Map::new_sync(),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Arc<Remembered>> {
        self.by_key.get(key)
    }

    /// In the order of the log.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Remembered>> {
        self.order.values().filter_map(|key| self.by_key.get(key))
    }

    pub fn insert(&mut self, remembered: Remembered, max: usize) {
        self.order
            .insert_mut(remembered.index, remembered.key.clone());
        self.by_key
            .insert_mut(remembered.key.clone(), Arc::new(remembered));
        while self.order.size() > max {
            self.forget_oldest();
        }
    }

    /// Forgets what is older than `window`. Proposers' clocks differ, so an entry with an
    /// early time may stay behind one with a later time for a while.
    pub fn expire(&mut self, now: Millis, window: DurationMs) {
        while self
            .iter()
            .next()
            .is_some_and(|oldest| oldest.at + window < now)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((index, key)) = self.order.first().map(|(i, key)| (*i, key.clone())) {
            self.order.remove_mut(&index);
            self.by_key.remove_mut(&key);
        }
    }

    /// What is wrong with the two maps, if anything.
    pub fn check(&self, max: usize) -> Option<String> {
        let matching = |(index, key): (&LogIndex, &Arc<str>)| {
            self.by_key
                .get(key)
                .is_some_and(|found| found.index == *index && found.key == *key)
        };
        let sound = self.order.iter().all(matching)
            && self.order.size() == self.by_key.size()
            && self.order.size() <= max;
        (!sound).then(|| "idempotency keys: index and order do not fit together".to_owned())
    }
}

impl Remembered {
    pub(crate) fn new(key: &str, index: LogIndex, at: Millis, outcome: &Outcome) -> Self {
        let steps = match outcome {
            Outcome::Steps(steps) => &steps[..],
            one => std::slice::from_ref(one),
        };
        let rejected = steps.iter().flat_map(|step| match step {
            Outcome::Launched { rejected } => &rejected[..],
            _ => &[],
        });
        let rejected_tasks = rejected
            .map(|(task, rejection)| (task.clone(), rejection.to_string().into()))
            .collect();
        let rejection = outcome.rejection().map(Arc::from);
        Self {
            key: key.into(),
            index,
            at,
            rejection,
            rejected_tasks,
        }
    }

    /// The answer to a retry.
    pub(crate) fn replay(&self) -> Outcome {
        Outcome::Duplicate {
            first: self.index,
            rejection: self.rejection.clone(),
            rejected_tasks: self.rejected_tasks.clone(),
        }
    }

    pub(crate) fn to_record(&self) -> IdempotentOutcome {
        let rejected_task = |(task, rejection): &(TaskId, Arc<str>)| RejectedTask {
            task_id: task.to_string(),
            rejection: rejection.to_string(),
        };
        IdempotentOutcome {
            key: self.key.to_string(),
            index: self.index,
            time_ms: self.at.0,
            rejection: self.rejection.as_deref().unwrap_or_default().to_owned(),
            rejected_tasks: self.rejected_tasks.iter().map(rejected_task).collect(),
        }
    }

    pub(crate) fn from_record(record: &IdempotentOutcome) -> Self {
        let rejected_task =
            |task: &RejectedTask| (task.task_id.as_str().into(), task.rejection.as_str().into());
        Self {
            key: record.key.as_str().into(),
            index: record.index,
            at: Millis(record.time_ms),
            rejection: (!record.rejection.is_empty()).then(|| record.rejection.as_str().into()),
            rejected_tasks: record.rejected_tasks.iter().map(rejected_task).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::caprock::registry::Entry;

    use super::*;
    use crate::testing::{admit, framework, launch, subscribe, task};
    use crate::{Limits, Registry, entry};

    fn keyed(key: &str, at_ms: i64, entry_without_key: Entry) -> Entry {
        Entry {
            idempotency_key: key.to_owned(),
            time_ms: at_ms,
            ..entry_without_key
        }
    }

    fn limits() -> Limits {
        Limits {
            idempotency_keys: 2,
            idempotency_window: DurationMs::from_secs(10),
            ..Limits::default()
        }
    }

    fn admit_with_key(registry: &mut Registry, at: LogIndex, key: &str, at_ms: i64) -> Outcome {
        let entry = keyed(key, at_ms, entry(Millis(0), admit(&format!("a{at}"))));
        registry.apply(at, &entry).unwrap()
    }

    #[test]
    fn a_repeated_key_applies_once_and_tells_the_first_outcome() {
        let mut registry = Registry::new(Limits::default());
        let launches = |at: LogIndex, registry: &mut Registry| {
            let tasks = vec![task("t1", "cpus:1"), task("t2", "cpus:9")];
            let launch = entry(Millis(5), launch("f1", "a1", tasks));
            registry.apply(at, &keyed("k", 5, launch)).unwrap()
        };
        registry.apply(1, &entry(Millis(1), admit("a1"))).unwrap();
        registry
            .apply(2, &entry(Millis(2), subscribe(framework("f1", &[]))))
            .unwrap();
        assert!(matches!(
            launches(3, &mut registry),
            Outcome::Launched { .. }
        ));
        let before = registry.digest();
        let Outcome::Duplicate {
            first,
            rejection,
            rejected_tasks,
        } = launches(4, &mut registry)
        else {
            panic!("applied twice");
        };
        assert_eq!((first, rejection), (3, None));
        assert_eq!(rejected_tasks.len(), 1);
        assert_eq!(rejected_tasks[0].0, "t2");
        assert_eq!((registry.digest(), registry.applied()), (before, 4));
    }

    #[test]
    fn a_rejection_is_replayed() {
        let mut registry = Registry::new(Limits::default());
        let lost = || keyed("k", 1, entry(Millis(1), launch("f1", "a1", Vec::new())));
        assert!(matches!(
            registry.apply(1, &lost()).unwrap(),
            Outcome::Rejected(_)
        ));
        let again = registry.apply(2, &lost()).unwrap();
        assert_eq!(
            again.rejection().as_deref(),
            Some("Framework f1 is unknown")
        );
        assert!(matches!(again, Outcome::Duplicate { first: 1, .. }));
        assert_eq!(registry.remembered("k").unwrap().index, 1);
    }

    #[test]
    fn keys_are_forgotten_by_number_and_by_age() {
        let mut registry = Registry::new(limits());
        for (at, key) in [(1, "k1"), (2, "k2"), (3, "k3")] {
            admit_with_key(&mut registry, at, key, 1_000);
        }
        assert!(registry.remembered("k1").is_none());
        assert!(registry.remembered("k2").is_some());

        let young = admit_with_key(&mut registry, 4, "k3", 11_000);
        assert!(matches!(young, Outcome::Duplicate { first: 3, .. }));
        let old = admit_with_key(&mut registry, 5, "k3", 11_001);
        assert!(matches!(old, Outcome::Applied), "{old:?}");
        assert!(registry.remembered("k2").is_none());
        assert_eq!(registry.check_invariants(), Ok(()));
    }
}
