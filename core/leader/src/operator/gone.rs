//! MARK_AGENT_GONE: the agent will never come back (Mesos: src/master/http.cpp
//! `_markAgentGone`).

use caprock_model::AgentId;
use caprock_proto::caprock::registry::remove_agent::Removal;

use crate::departure::{Cause, GONE};
use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(super) fn mark_agent_gone(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        id: &AgentId,
    ) {
        let removed = turn.registry.removed_agent(id);
        if removed.is_some_and(|removed| removed.removal == Removal::Gone) {
            return turn.reply(request, Reply::Ok);
        }
        if turn.registry.agent(id).is_none() {
            let text = format!("Agent {id} is unknown");
            return turn.reply(request, Reply::NotFound(text));
        }
        if self.agents.peer(id).is_some_and(|peer| peer.departing) {
            let text = format!("Agent {id} is about to leave the cluster");
            return turn.reply(request, Reply::Unavailable(text));
        }
        let cause = Cause::Removed {
            removal: Removal::Gone,
            text: GONE,
        };
        self.propose_departure(turn, id, cause, Some((request, principal)));
    }
}
