//! ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS.

use caprock_proto::mesos::v1::allocator::inverse_offer_status::Status;
use caprock_proto::mesos::v1::scheduler::call::{AcceptInverseOffers, DeclineInverseOffers};

use crate::call::Admitted;
use crate::office::Office;
use crate::turn::Turn;

impl Office {
    pub(crate) fn accept_inverse_offers(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        accept: &AcceptInverseOffers,
    ) {
        turn.accepted(admitted.request);
        let (framework, filters) = (&admitted.framework.id, accept.filters.as_ref());
        let ids = &accept.inverse_offer_ids;
        self.answer_inverse_offers(turn, framework, ids, Status::Accept, filters);
    }

    pub(crate) fn decline_inverse_offers(
        &mut self,
        turn: &mut Turn<'_>,
        admitted: &Admitted<'_>,
        decline: &DeclineInverseOffers,
    ) {
        turn.accepted(admitted.request);
        let (framework, filters) = (&admitted.framework.id, decline.filters.as_ref());
        let ids = &decline.inverse_offer_ids;
        self.answer_inverse_offers(turn, framework, ids, Status::Decline, filters);
    }
}
