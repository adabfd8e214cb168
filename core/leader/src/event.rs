//! The events of a scheduler's stream.

use std::sync::Arc;

use caprock_model::{AgentId, ExecutorId, FrameworkId, OfferId};
use caprock_proto::mesos::v1::scheduler::{Event, event};
use caprock_proto::mesos::v1::{InverseOffer, MasterInfo, Offer, OperationStatus, TaskStatus};
use prost::bytes::Bytes;

fn of(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }
}

pub(crate) fn subscribed(
    framework_id: &FrameworkId,
    heartbeat_interval_seconds: f64,
    master: &MasterInfo,
) -> Arc<Event> {
    Arc::new(Event {
        subscribed: Some(event::Subscribed {
            framework_id: framework_id.to_proto(),
            heartbeat_interval_seconds: Some(heartbeat_interval_seconds),
            master_info: Some(master.clone()),
        }),
        ..of(event::Type::Subscribed)
    })
}

pub(crate) fn heartbeat() -> Arc<Event> {
    Arc::new(of(event::Type::Heartbeat))
}

pub(crate) fn offers(offers: Vec<Offer>) -> Arc<Event> {
    Arc::new(Event {
        offers: Some(event::Offers { offers }),
        ..of(event::Type::Offers)
    })
}

pub(crate) fn rescind(offer: &OfferId) -> Arc<Event> {
    let rescind = event::Rescind {
        offer_id: offer.to_proto(),
    };
    Arc::new(Event {
        rescind: Some(rescind),
        ..of(event::Type::Rescind)
    })
}

pub(crate) fn inverse_offers(inverse_offers: Vec<InverseOffer>) -> Arc<Event> {
    Arc::new(Event {
        inverse_offers: Some(event::InverseOffers { inverse_offers }),
        ..of(event::Type::InverseOffers)
    })
}

pub(crate) fn rescind_inverse(offer: &OfferId) -> Arc<Event> {
    let rescind = event::RescindInverseOffer {
        inverse_offer_id: offer.to_proto(),
    };
    Arc::new(Event {
        rescind_inverse_offer: Some(rescind),
        ..of(event::Type::RescindInverseOffer)
    })
}

pub(crate) fn update(status: TaskStatus) -> Arc<Event> {
    Arc::new(Event {
        update: Some(event::Update { status }),
        ..of(event::Type::Update)
    })
}

pub(crate) fn operation_status(status: OperationStatus) -> Arc<Event> {
    let update = event::UpdateOperationStatus { status };
    let kind = event::Type::UpdateOperationStatus;
    Arc::new(Event {
        update_operation_status: Some(update),
        ..of(kind)
    })
}

pub(crate) fn message(agent: &AgentId, executor: &ExecutorId, data: Bytes) -> Arc<Event> {
    let message = event::Message {
        agent_id: agent.to_proto(),
        executor_id: executor.to_proto(),
        data,
    };
    Arc::new(Event {
        message: Some(message),
        ..of(event::Type::Message)
    })
}

/// The agent is gone.
pub(crate) fn agent_failure(agent: &AgentId) -> Arc<Event> {
    let failure = event::Failure {
        agent_id: Some(agent.to_proto()),
        ..event::Failure::default()
    };
    Arc::new(Event {
        failure: Some(failure),
        ..of(event::Type::Failure)
    })
}

/// An executor ended, with its raw wait(2) word.
pub(crate) fn executor_failure(
    agent: &AgentId,
    executor: &ExecutorId,
    wait_status: i32,
) -> Arc<Event> {
    let failure = event::Failure {
        agent_id: Some(agent.to_proto()),
        executor_id: Some(executor.to_proto()),
        status: Some(wait_status),
    };
    Arc::new(Event {
        failure: Some(failure),
        ..of(event::Type::Failure)
    })
}

pub(crate) fn error(message: impl Into<String>) -> Arc<Event> {
    let error = event::Error {
        message: message.into(),
    };
    Arc::new(Event {
        error: Some(error),
        ..of(event::Type::Error)
    })
}
