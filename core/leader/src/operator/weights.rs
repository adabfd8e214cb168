//! UPDATE_WEIGHTS (Mesos: src/master/weights_handler.cpp). The allocator reads weights from
//! the registry.

use caprock_model::{OfferId, Role, validate::quota::weights};
use caprock_proto::caprock::registry::{UpdateWeights, entry::Command};
use caprock_proto::mesos::v1::WeightInfo;

use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// An update of weights on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingWeights {
    pub request: RequestId,
    roles: Vec<Role>,
}

impl Office {
    pub(super) fn update_weights(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        principal: Option<String>,
        mut infos: Vec<WeightInfo>,
    ) {
        if let Err(text) = weights(&infos, |role| self.config.allows_role(role)) {
            return turn.reply(request, Reply::BadRequest(text));
        }
        if infos.is_empty() {
            return turn.reply(request, Reply::Ok);
        }
        for info in &mut infos {
            info.role = Some(info.role().trim().to_owned());
        }
        let pending = PendingWeights {
            request,
            roles: infos.iter().map(|info| Role::from(info.role())).collect(),
        };
        let command = Command::UpdateWeights(UpdateWeights {
            weight_infos: infos,
        });
        let principal = principal.unwrap_or_default();
        self.propose_for(turn, principal, command, Pending::Weights(pending));
    }

    pub(crate) fn weights_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: &PendingWeights,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(..) => {
                turn.reply(pending.request, Reply::Ok);
                let matters = turn
                    .registry
                    .frameworks()
                    .any(|framework| pending.roles.iter().any(|r| framework.roles.contains(r)));
                if matters {
                    self.rescind_all_offers(turn);
                    self.request_allocation(turn);
                }
            }
            Verdict::Rejected(rejection) => {
                turn.reply(pending.request, Reply::BadRequest(rejection.to_string()));
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(pending.request),
        }
    }

    /// So that everything is shared out anew.
    fn rescind_all_offers(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<OfferId> = self.offers.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.rescind_offer(turn, &id);
        }
    }
}
