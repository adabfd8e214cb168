//! Counters of what the leader did, by the names that Mesos' metrics have.

use crate::view::Metrics;

/// Counts events since the election.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counters {
    values: Metrics,
}

impl Counters {
    pub fn count(&mut self, name: &'static str) {
        self.add(name, 1.0);
    }

    pub fn add(&mut self, name: &'static str, amount: f64) {
        let value = self.values.get(&name).copied().unwrap_or(0.0) + amount;
        self.values.insert_mut(name, value);
    }

    pub fn values(&self) -> &Metrics {
        &self.values
    }
}

pub(crate) const FRAMEWORKS_DISCONNECTED: &str = "caprock/framework_disconnections";
pub(crate) const ALLOCATION_RUNS: &str = "allocator/mesos/allocation_runs";
pub(crate) const OFFERS_MADE: &str = "caprock/offers_made";
pub(crate) const OFFERS_RESCINDED: &str = "caprock/offers_rescinded";
/// Calls of gateways that were meant for another term.
pub(crate) const FENCED_CALLS: &str = "caprock/fenced_calls";
/// Calls that had been sent before.
pub(crate) const REPEATED_CALLS: &str = "caprock/repeated_calls";
/// Offers of former leaders that gateways vouched for.
pub(crate) const VOUCHED_OFFERS: &str = "caprock/vouched_offers";
pub(crate) const PROPOSALS: &str = "caprock/proposals";
pub(crate) const PROPOSALS_FAILED: &str = "caprock/proposals_failed";
pub(crate) const TASKS_LAUNCHED: &str = "caprock/tasks_launched";
pub(crate) const VALID_UPDATES: &str = "master/valid_status_updates";
pub(crate) const INVALID_UPDATES: &str = "master/invalid_status_updates";
pub(crate) const VALID_ACKNOWLEDGEMENTS: &str = "master/valid_status_update_acknowledgements";
pub(crate) const INVALID_ACKNOWLEDGEMENTS: &str = "master/invalid_status_update_acknowledgements";
pub(crate) const AGENT_REGISTRATIONS: &str = "master/slave_registrations";
pub(crate) const AGENT_REREGISTRATIONS: &str = "master/slave_reregistrations";
pub(crate) const AGENT_REMOVALS: &str = "master/slave_removals";
pub(crate) const REMOVALS_UNHEALTHY: &str = "master/slave_removals/reason_unhealthy";
pub(crate) const REMOVALS_UNREGISTERED: &str = "master/slave_removals/reason_unregistered";
pub(crate) const REMOVALS_REGISTERED: &str = "master/slave_removals/reason_registered";
pub(crate) const REMOVALS_GONE: &str = "caprock/agents_marked_gone";
pub(crate) const UNREACHABLE_SCHEDULED: &str = "master/slave_unreachable_scheduled";
pub(crate) const UNREACHABLE_CANCELED: &str = "master/slave_unreachable_canceled";
pub(crate) const AGENTS_UNREACHABLE: &str = "master/slave_unreachable_completed";
pub(crate) const OPERATION_UPDATES: &str = "master/messages_operation_status_update";
pub(crate) const DROPPED_MESSAGES: &str = "master/dropped_messages";
pub(crate) const TASKS_FINISHED: &str = "master/tasks_finished";
pub(crate) const TASKS_FAILED: &str = "master/tasks_failed";
pub(crate) const TASKS_KILLED: &str = "master/tasks_killed";
pub(crate) const TASKS_ERROR: &str = "master/tasks_error";
pub(crate) const TASKS_LOST: &str = "master/tasks_lost";
pub(crate) const TASKS_DROPPED: &str = "master/tasks_dropped";
pub(crate) const TASKS_GONE: &str = "master/tasks_gone";
