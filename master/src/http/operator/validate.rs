//! Whether a call has the part that its type needs (Mesos: src/master/validation.cpp
//! `master::call::validate`).

use caprock_proto::mesos::v1::master::{Call, call};

/// Checks a call; the error is Mesos' text without its prefix.
pub fn call(call: &Call) -> Result<(), String> {
    if call.r#type.is_none() {
        return Err(missing("type"));
    }
    let (name, present) = match call.r#type() {
        call::Type::GetMetrics => ("get_metrics", call.get_metrics.is_some()),
        call::Type::SetLoggingLevel => ("set_logging_level", call.set_logging_level.is_some()),
        call::Type::ListFiles => ("list_files", call.list_files.is_some()),
        call::Type::ReadFile => ("read_file", call.read_file.is_some()),
        call::Type::UpdateWeights => ("update_weights", call.update_weights.is_some()),
        call::Type::ReserveResources => ("reserve_resources", call.reserve_resources.is_some()),
        call::Type::UnreserveResources => {
            ("unreserve_resources", call.unreserve_resources.is_some())
        }
        call::Type::CreateVolumes => ("create_volumes", call.create_volumes.is_some()),
        call::Type::DestroyVolumes => ("destroy_volumes", call.destroy_volumes.is_some()),
        call::Type::GrowVolume => ("grow_volume", call.grow_volume.is_some()),
        call::Type::ShrinkVolume => ("shrink_volume", call.shrink_volume.is_some()),
        call::Type::UpdateMaintenanceSchedule => (
            "update_maintenance_schedule",
            call.update_maintenance_schedule.is_some(),
        ),
        call::Type::StartMaintenance => ("start_maintenance", call.start_maintenance.is_some()),
        call::Type::StopMaintenance => ("stop_maintenance", call.stop_maintenance.is_some()),
        call::Type::DrainAgent => ("drain_agent", call.drain_agent.is_some()),
        call::Type::DeactivateAgent => ("deactivate_agent", call.deactivate_agent.is_some()),
        call::Type::ReactivateAgent => ("reactivate_agent", call.reactivate_agent.is_some()),
        call::Type::UpdateQuota => ("update_quota", call.update_quota.is_some()),
        call::Type::SetQuota => ("set_quota", call.set_quota.is_some()),
        call::Type::RemoveQuota => ("remove_quota", call.remove_quota.is_some()),
        call::Type::Teardown => ("teardown", call.teardown.is_some()),
        call::Type::MarkAgentGone => ("mark_agent_gone", call.mark_agent_gone.is_some()),
        call::Type::Unknown
        | call::Type::GetHealth
        | call::Type::GetFlags
        | call::Type::GetVersion
        | call::Type::GetLoggingLevel
        | call::Type::GetState
        | call::Type::GetAgents
        | call::Type::GetFrameworks
        | call::Type::GetExecutors
        | call::Type::GetOperations
        | call::Type::GetTasks
        | call::Type::GetRoles
        | call::Type::GetWeights
        | call::Type::GetMaster
        | call::Type::Subscribe
        | call::Type::GetMaintenanceStatus
        | call::Type::GetMaintenanceSchedule
        | call::Type::GetQuota => return Ok(()),
    };
    if present { Ok(()) } else { Err(missing(name)) }
}

fn missing(field: &str) -> String {
    format!("Expecting '{field}' to be present")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_the_type_names_is_needed() {
        assert_eq!(super::call(&Call::default()), Err(missing("type")));
        let of = |kind: call::Type| Call {
            r#type: Some(kind as i32),
            ..Call::default()
        };
        assert_eq!(
            super::call(&of(call::Type::GetMetrics)),
            Err(missing("get_metrics"))
        );
        assert_eq!(
            super::call(&of(call::Type::Teardown)),
            Err(missing("teardown"))
        );
        assert_eq!(super::call(&of(call::Type::GetHealth)), Ok(()));
    }
}
