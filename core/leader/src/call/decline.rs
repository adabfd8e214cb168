//! DECLINE: offers come back, and are kept away from the framework for a while.

use caprock_model::OfferId;
use caprock_proto::mesos::v1::scheduler::call::Decline;

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn decline(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        decline: &Decline,
    ) {
        turn.accepted(admitted.request);
        let framework = &admitted.framework.id;
        for id in decline.offer_ids.iter().map(OfferId::from) {
            // Unknown offers, and those of others, are none of this framework's business.
            if self
                .offers
                .get(&id)
                .is_none_or(|offer| offer.framework != *framework)
            {
                continue;
            }
            let Some(offer) = self.offers.remove(&id) else {
                continue;
            };
            let key = (framework, &offer.role, &offer.agent);
            self.refuse(turn, key, &offer.resources, decline.filters.as_ref());
            self.mark_returned(turn, &offer.agent);
        }
    }
}
