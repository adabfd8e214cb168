//! An agent that is being emptied (Mesos: DRAIN_AGENT, `DrainInfo`).

use caprock_model::{DurationMs, Millis};
use caprock_proto::caprock::registry::DrainRecord;
use caprock_proto::mesos::v1::{DrainConfig, DrainInfo, DrainState};

/// A drain that goes on, or is finished until the agent is reactivated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drain {
    pub config: DrainConfig,
    pub started_at: Millis,
    /// The agent has no task any more.
    pub finished: bool,
}

impl Drain {
    /// Longest time from SIGTERM to SIGKILL, if it is bounded.
    pub fn max_grace_period(&self) -> Option<DurationMs> {
        self.config.max_grace_period.as_ref().map(DurationMs::from)
    }

    /// Whether the agent is marked gone at the end.
    pub fn marks_gone(&self) -> bool {
        self.config.mark_gone()
    }

    /// As operators see it.
    pub fn to_info(&self) -> DrainInfo {
        let state = match self.finished {
            true => DrainState::Drained,
            false => DrainState::Draining,
        };
        DrainInfo {
            state: state as i32,
            config: self.config,
        }
    }

    pub(crate) fn to_record(self) -> DrainRecord {
        DrainRecord {
            config: Some(self.config),
            started_ms: self.started_at.0,
            finished: self.finished,
        }
    }

    pub(crate) fn from_record(record: &DrainRecord) -> Self {
        Self {
            config: record.config.unwrap_or_default(),
            started_at: Millis(record.started_ms),
            finished: record.finished,
        }
    }
}
