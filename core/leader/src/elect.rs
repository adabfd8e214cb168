//! The first step of a leadership: the log tells everything that matters.

use caprock_model::FrameworkId;

use crate::input::TimerKey;
use crate::office::Office;
use crate::removal::failover_timeout;
use crate::turn::Turn;

impl Office {
    pub(crate) fn elected(&mut self, turn: &mut Turn<'_>) {
        turn.info(format!(
            "Leading since term {} as master {}",
            self.term, self.master.id
        ));
        self.agents.recover(turn.registry);
        self.arm_reregistration(turn);
        self.drains.recover(turn.registry);
        self.windows.clear_machines();
        self.look_at_machines(turn);
        self.inherit_frameworks(turn);
        turn.wake(
            turn.now + self.config.allocation_interval,
            TimerKey::AllocateAll,
        );
        turn.wake(
            turn.now + self.config.agent_ping_timeout,
            TimerKey::PingAgents,
        );
    }

    /// The streams of the former leader are gone, so every framework counts as
    /// disconnected from now on; it gets at least the grace of an election, even if its
    /// `failover_timeout` is zero: it was not the framework that failed.
    fn inherit_frameworks(&mut self, turn: &mut Turn<'_>) {
        let registry = turn.registry;
        let grace = self.config.election_grace;
        for framework in registry.frameworks() {
            let id: &FrameworkId = &framework.id;
            self.inherited.insert(id.clone());
            if framework.subscribed {
                let patience = failover_timeout(framework).max(grace);
                self.propose_disconnect(turn, id, turn.now + patience);
            } else if let Some(deadline) = framework.deadline {
                let at = self.patience_until(id, deadline);
                turn.wake(at, TimerKey::FrameworkDeadline(id.to_string()));
            }
        }
    }
}
