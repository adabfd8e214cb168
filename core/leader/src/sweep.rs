//! Now and then soft state and registry are compared: an answer of unknown fate may have
//! left them apart, and only the registry is right.

use caprock_model::FrameworkId;
use caprock_registry::Outcome;

use crate::departure::{Cause, PendingDeparture};
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn sweep(&mut self, turn: &mut Turn<'_>) {
        self.probe_doubts(turn);
        self.sweep_exits(turn);
        self.sweep_streams(turn);
        self.sweep_subscriptions(turn);
        self.sweep_agents(turn);
        self.look_at_machines(turn);
        self.advance_drains(turn);
        self.make_inverse_offers(turn);
    }

    /// Streams of frameworks that were removed.
    fn sweep_streams(&mut self, turn: &mut Turn<'_>) {
        let removed: Vec<FrameworkId> = self
            .sessions
            .frameworks()
            .map(|(id, _)| id)
            .filter(|id| turn.registry.framework(id).is_none())
            .cloned()
            .collect();
        for id in removed {
            self.framework_removed(turn, &id, &Outcome::Applied);
        }
    }

    /// Subscriptions without a stream.
    fn sweep_subscriptions(&mut self, turn: &mut Turn<'_>) {
        let registry = turn.registry;
        for framework in registry
            .frameworks()
            .filter(|framework| framework.subscribed)
        {
            let id = &framework.id;
            let expected = self.sessions.is_connected(id)
                || self.sessions.is_opening(id)
                || self.disconnecting.contains(id);
            if !expected {
                self.framework_away(turn, id);
            }
        }
    }

    /// Attached agents that are not, or not reachable, in the log.
    fn sweep_agents(&mut self, turn: &mut Turn<'_>) {
        let gone: Vec<_> = self
            .agents
            .peers()
            .filter(|(_, peer)| !peer.departing && peer.attachments == 0)
            .map(|(id, _)| id)
            .filter(|id| {
                turn.registry
                    .agent(id)
                    .is_none_or(|agent| !agent.is_reachable())
            })
            .cloned()
            .collect();
        for agent in gone {
            let cause = Cause::Unreachable("health check timed out".to_owned());
            let pending = PendingDeparture::told_late(turn, &agent, cause);
            self.departed_before(turn, &pending);
        }
    }
}
