//! From a command to the change that it makes: one file per family of commands. Each first
//! checks what makes the state consistent, since other proposals may have been applied
//! meanwhile, and changes nothing if it rejects.

mod agent;
mod attach;
mod cluster;
mod drain;
mod executor;
mod framework;
mod launch;
mod loss;
mod maintenance;
mod operation;
mod quota;
mod task;

use caprock_model::Millis;
use caprock_proto::caprock::registry::entry::Command;

use crate::outcome::Outcome;
use crate::{LogIndex, Registry};

/// When the entry happens: its place in the log and the proposer's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub index: LogIndex,
    pub now: Millis,
}

/// Applies one command.
pub(crate) fn command(registry: &mut Registry, moment: Moment, command: &Command) -> Outcome {
    let now = moment.now;
    let result = match command {
        Command::CreateCluster(create) => cluster::create(registry, create),
        Command::AdmitAgent(admit) => agent::admit(registry, now, admit),
        Command::AttachAgent(attach) => attach::attach(registry, now, attach),
        Command::MarkAgentUnreachable(mark) => agent::mark_unreachable(registry, now, mark),
        Command::RemoveAgent(remove) => agent::remove(registry, now, remove),
        Command::SubscribeFramework(call) => framework::subscribe(registry, now, call),
        Command::UpdateFramework(update) => framework::update(registry, update),
        Command::DisconnectFramework(call) => framework::disconnect(registry, call),
        Command::RemoveFramework(remove) => framework::remove(registry, now, remove),
        Command::SuppressRoles(suppress) => framework::suppress(registry, suppress),
        Command::ReviveRoles(revive) => framework::revive(registry, revive),
        Command::Launch(launch) => launch::launch(registry, moment, launch),
        Command::RecordUpdates(record) => task::record_updates(registry, record),
        Command::AcknowledgeTask(call) => task::acknowledge(registry, call),
        Command::RequestKill(request) => task::request_kill(registry, request),
        Command::ForgetExecutor(forget) => executor::forget(registry, forget),
        Command::Accept(accept) => operation::accept(registry, moment, accept),
        Command::ApplyOperation(apply) => operation::apply_operation(registry, moment, apply),
        Command::RecordOperation(record) => operation::record(registry, record),
        Command::AcknowledgeOperation(call) => operation::acknowledge(registry, call),
        Command::DrainAgent(call) => drain::drain(registry, now, call),
        Command::FinishDrain(call) => drain::finish(registry, call),
        Command::DeactivateAgent(call) => drain::deactivate(registry, call),
        Command::ReactivateAgent(call) => drain::reactivate(registry, call),
        Command::UpdateMaintenanceSchedule(call) => maintenance::update(registry, call),
        Command::StartMaintenance(call) => maintenance::start(registry, call),
        Command::StopMaintenance(call) => maintenance::stop(registry, call),
        Command::UpdateQuotas(update) => quota::update_quotas(registry, update),
        Command::UpdateWeights(update) => quota::update_weights(registry, update),
    };
    Outcome::from(result)
}
