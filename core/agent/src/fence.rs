//! The fence: no leader of a lower term than the highest one seen is obeyed. The term is on
//! disk before anything that its leader orders is done (changed records go first in a step).

use caprock_proto::caprock::checkpoint;
use caprock_proto::caprock::session::{Fenced, from_agent};

use crate::agent::Agent;
use crate::checkpoint::Key;
use crate::effect::Effect;
use crate::input::LinkId;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fence {
    pub highest_term: u64,
}

impl Fence {
    pub fn to_record(self) -> checkpoint::Fence {
        checkpoint::Fence {
            highest_term: self.highest_term,
        }
    }
}

impl Agent {
    /// Whether what a leader of this term says counts. A higher term raises the fence; a lower
    /// one is told that it is fenced off, so that it can step down.
    pub(crate) fn admit_term(&mut self, link: LinkId, term: u64) -> bool {
        let highest_term = self.fence.highest_term;
        if term < highest_term {
            self.counters.fenced_messages += 1;
            let fenced = Fenced {
                order_term: term,
                highest_term,
            };
            self.emit(Effect::ToMaster {
                link,
                message: from_agent::Message::Fenced(fenced),
            });
            return false;
        }
        if term > highest_term {
            self.fence.highest_term = term;
            self.mark(Key::Fence);
            if self
                .attachment
                .as_ref()
                .is_some_and(|attachment| attachment.term < term)
            {
                self.detach();
            }
        }
        true
    }
}
