//! Refused resources: who said no to what, and until when (Mesos: RefusedOfferFilter in
//! src/master/allocator/mesos/hierarchical.cpp).

use std::collections::{BTreeMap, BTreeSet};

use caprock_model::{AgentId, DurationMs, FrameworkId, Millis, Resources, Role};
use caprock_proto::mesos::v1;

use crate::input::TimerKey;
use crate::office::Office;
use crate::turn::Turn;

/// The default of `Filters.refuse_seconds`.
const DEFAULT_REFUSAL: DurationMs = DurationMs(5_000);
const MAX_REFUSAL: DurationMs = DurationMs(365 * 24 * 3_600 * 1_000);

/// One refusal.
#[derive(Debug)]
struct Filter {
    refused: Resources,
    until: Millis,
}

/// All refusals, by framework, role and agent.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    by_framework: BTreeMap<FrameworkId, BTreeMap<Role, BTreeMap<AgentId, Vec<Filter>>>>,
    /// When filters end, whether they still are there or not.
    ends: BTreeSet<(Millis, FrameworkId, Role, AgentId)>,
    /// When the earliest of them ends, as far as a wake was asked for.
    wake_at: Option<Millis>,
}

/// How long an answer keeps resources away; none means not at all.
pub(crate) fn refusal(
    filters: Option<&v1::Filters>,
    allocation_interval: DurationMs,
) -> Option<DurationMs> {
    let asked = match filters.and_then(|filters| filters.refuse_seconds) {
        None => DEFAULT_REFUSAL,
        Some(0.0) => return None,
        Some(seconds) if seconds.is_nan() || seconds < 0.0 => DEFAULT_REFUSAL,
        Some(seconds) if seconds > MAX_REFUSAL.seconds_f64() => MAX_REFUSAL,
        Some(seconds) => DurationMs::from_seconds_f64(seconds).unwrap_or(DEFAULT_REFUSAL),
    };
    // Shorter ones would end before the next allocation could take them into account.
    Some(asked.max(allocation_interval))
}

impl Filters {
    /// Whether an offer of these resources, in unallocated form, was refused: it is if it
    /// holds nothing more.
    pub fn refuses(
        &self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        offered: &Resources,
        now: Millis,
    ) -> bool {
        let filters = self
            .by_framework
            .get(framework)
            .and_then(|roles| roles.get(role))
            .and_then(|agents| agents.get(agent));
        filters.is_some_and(|filters| {
            filters
                .iter()
                .any(|filter| filter.until > now && filter.refused.contains(offered))
        })
    }

    fn add(&mut self, key: (&FrameworkId, &Role, &AgentId), refused: Resources, until: Millis) {
        let (framework, role, agent) = key;
        self.ends
            .insert((until, framework.clone(), role.clone(), agent.clone()));
        let roles = self.by_framework.entry(framework.clone()).or_default();
        let agents = roles.entry(role.clone()).or_default();
        agents
            .entry(agent.clone())
            .or_default()
            .push(Filter { refused, until });
    }

    pub fn forget_framework(&mut self, framework: &FrameworkId) {
        self.by_framework.remove(framework);
    }

    pub fn forget_role(&mut self, framework: &FrameworkId, role: &Role) {
        if let Some(roles) = self.by_framework.get_mut(framework) {
            roles.remove(role);
        }
    }

    pub fn forget_agent(&mut self, agent: &AgentId) {
        for roles in self.by_framework.values_mut() {
            for agents in roles.values_mut() {
                agents.remove(agent);
            }
        }
    }

    /// Drops what has ended; the agents that may be offered again, and the next end.
    fn expire(&mut self, now: Millis) -> (Vec<AgentId>, Option<Millis>) {
        let mut freed = Vec::new();
        while self.ends.first().is_some_and(|(until, ..)| *until <= now) {
            let Some((_, framework, role, agent)) = self.ends.pop_first() else {
                break;
            };
            self.drop_ended(now, &framework, &role, &agent);
            freed.push(agent);
        }
        (freed, self.ends.first().map(|(until, ..)| *until))
    }

    fn drop_ended(&mut self, now: Millis, framework: &FrameworkId, role: &Role, agent: &AgentId) {
        let Some(roles) = self.by_framework.get_mut(framework) else {
            return;
        };
        let Some(agents) = roles.get_mut(role) else {
            return;
        };
        let Some(filters) = agents.get_mut(agent) else {
            return;
        };
        filters.retain(|filter| filter.until > now);
        if filters.is_empty() {
            agents.remove(agent);
        }
        if agents.is_empty() {
            roles.remove(role);
        }
        if roles.is_empty() {
            self.by_framework.remove(framework);
        }
    }
}

impl Office {
    /// Keeps refused resources away from a framework for the time that it asked for.
    pub(crate) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        key: (&FrameworkId, &Role, &AgentId),
        refused: &Resources,
        filters: Option<&v1::Filters>,
    ) {
        let Some(length) = refusal(filters, self.config.allocation_interval) else {
            return;
        };
        if refused.is_empty() {
            return;
        }
        let until = turn.now + length;
        self.filters.add(key, refused.unallocated(), until);
        self.wake_for_filters(turn, until);
    }

    fn wake_for_filters(&mut self, turn: &mut Turn<'_>, until: Millis) {
        if self.filters.wake_at.is_none_or(|at| until < at) {
            self.filters.wake_at = Some(until);
            turn.wake(until, TimerKey::ExpireFilters);
        }
    }

    pub(crate) fn expire_filters(&mut self, turn: &mut Turn<'_>) {
        let (freed, next) = self.filters.expire(turn.now);
        self.filters.wake_at = None;
        if let Some(next) = next {
            self.wake_for_filters(turn, next);
        }
        for agent in freed {
            self.mark_dirty(turn, &agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: DurationMs = DurationMs(1_000);

    fn seconds(seconds: f64) -> Option<DurationMs> {
        refusal(
            Some(&v1::Filters {
                refuse_seconds: Some(seconds),
            }),
            INTERVAL,
        )
    }

    #[test]
    fn refusal_times_are_clamped() {
        assert_eq!(refusal(None, INTERVAL), Some(DEFAULT_REFUSAL));
        assert_eq!(
            refusal(Some(&v1::Filters::default()), INTERVAL),
            Some(DEFAULT_REFUSAL)
        );
        assert_eq!(seconds(0.0), None);
        assert_eq!(seconds(0.1), Some(INTERVAL));
        assert_eq!(seconds(-1.0), Some(DEFAULT_REFUSAL));
        assert_eq!(seconds(f64::NAN), Some(DEFAULT_REFUSAL));
        assert_eq!(seconds(1e300), Some(MAX_REFUSAL));
        assert_eq!(seconds(120.5), Some(DurationMs(120_500)));
    }

    #[test]
    fn a_larger_offer_passes_and_a_smaller_one_does_not() {
        let (framework, role, agent) = ("f".into(), "r".into(), "a".into());
        let resources = |text| Resources::parse(text, "*").unwrap();
        let mut filters = Filters::default();
        filters.add(
            (&framework, &role, &agent),
            resources("cpus:4;mem:8192"),
            Millis(10),
        );
        let refused =
            |text, now| filters.refuses(&framework, &role, &agent, &resources(text), Millis(now));
        assert!(refused("cpus:4;mem:4096", 9));
        assert!(!refused("cpus:5;mem:1024", 9));
        assert!(!refused("cpus:4;mem:8192;ports:[1-2]", 9));
        assert!(!refused("cpus:4;mem:4096", 10));
    }

    #[test]
    fn expiry_tells_whom_it_concerns() {
        let (framework, role) = ("f".into(), "r".into());
        let mut filters = Filters::default();
        for (agent, until) in [("a", 10), ("b", 20)] {
            let refused = Resources::parse("cpus:1", "*").unwrap();
            filters.add((&framework, &role, &agent.into()), refused, Millis(until));
        }
        assert_eq!(
            filters.expire(Millis(10)),
            (vec!["a".into()], Some(Millis(20)))
        );
        assert_eq!(filters.expire(Millis(20)), (vec!["b".into()], None));
        assert!(filters.by_framework.is_empty());
    }
}
