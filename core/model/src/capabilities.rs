//! What a framework or an agent says that it understands.

use caprock_proto::mesos::v1::{AgentInfo, FrameworkInfo, agent_info, framework_info};

/// The capabilities of a framework. Unknown ones are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Has a list of roles; sees `allocation_info`.
    pub multi_role: bool,
    /// Understands `reservations[]`, and refined reservations.
    pub reservation_refinement: bool,
    /// Wants the exact state instead of LOST.
    pub partition_aware: bool,
    /// Wants KILLING before the end.
    pub task_killing_state: bool,
    /// Is offered agents with GPUs.
    pub gpu_resources: bool,
    /// Is offered shared volumes.
    pub shared_resources: bool,
    /// Is offered oversubscribed resources.
    pub revocable_resources: bool,
    /// Is offered agents of other regions.
    pub region_aware: bool,
}

impl From<&FrameworkInfo> for Capabilities {
    fn from(info: &FrameworkInfo) -> Self {
        use framework_info::capability::Type;

        let mut found = Self::default();
        for capability in &info.capabilities {
            match capability.r#type() {
                Type::Unknown => {}
                Type::RevocableResources => found.revocable_resources = true,
                Type::TaskKillingState => found.task_killing_state = true,
                Type::GpuResources => found.gpu_resources = true,
                Type::SharedResources => found.shared_resources = true,
                Type::PartitionAware => found.partition_aware = true,
                Type::MultiRole => found.multi_role = true,
                Type::ReservationRefinement => found.reservation_refinement = true,
                Type::RegionAware => found.region_aware = true,
            }
        }
        found
    }
}

/// The capabilities of an agent. Unknown ones are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCapabilities {
    /// Can run frameworks that have several roles.
    pub multi_role: bool,
    /// Can run frameworks of roles that contain `/`.
    pub hierarchical_role: bool,
    /// Understands refined reservations.
    pub reservation_refinement: bool,
    /// Has resource providers.
    pub resource_provider: bool,
    /// Can grow and shrink volumes.
    pub resize_volume: bool,
    /// Reports on operations on its own resources.
    pub agent_operation_feedback: bool,
    /// Can be drained.
    pub agent_draining: bool,
    /// Understands limits of tasks above their requests.
    pub task_resource_limits: bool,
}

impl AgentCapabilities {
    /// What an agent of this build can do.
    pub const ALL: Self = Self {
        multi_role: true,
        hierarchical_role: true,
        reservation_refinement: true,
        resource_provider: true,
        resize_volume: true,
        agent_operation_feedback: true,
        agent_draining: true,
        task_resource_limits: true,
    };

    /// The capabilities as wire messages.
    pub fn to_protos(self) -> Vec<agent_info::Capability> {
        use agent_info::capability::Type;

        [
            (self.multi_role, Type::MultiRole),
            (self.hierarchical_role, Type::HierarchicalRole),
            (self.reservation_refinement, Type::ReservationRefinement),
            (self.resource_provider, Type::ResourceProvider),
            (self.resize_volume, Type::ResizeVolume),
            (self.agent_operation_feedback, Type::AgentOperationFeedback),
            (self.agent_draining, Type::AgentDraining),
            (self.task_resource_limits, Type::TaskResourceLimits),
        ]
        .into_iter()
        .filter(|(present, _)| *present)
        .map(|(_, kind)| agent_info::Capability {
            r#type: Some(kind as i32),
        })
        .collect()
    }
}

impl From<&[agent_info::Capability]> for AgentCapabilities {
    fn from(capabilities: &[agent_info::Capability]) -> Self {
        use agent_info::capability::Type;

        let mut found = Self::default();
        for capability in capabilities {
            match capability.r#type() {
                Type::Unknown => {}
                Type::MultiRole => found.multi_role = true,
                Type::HierarchicalRole => found.hierarchical_role = true,
                Type::ReservationRefinement => found.reservation_refinement = true,
                Type::ResourceProvider => found.resource_provider = true,
                Type::ResizeVolume => found.resize_volume = true,
                Type::AgentOperationFeedback => found.agent_operation_feedback = true,
                Type::AgentDraining => found.agent_draining = true,
                Type::TaskResourceLimits => found.task_resource_limits = true,
            }
        }
        found
    }
}

/// The region of an agent, if its domain names one.
pub fn region_of(info: &AgentInfo) -> Option<&str> {
    let fault_domain = info.domain.as_ref()?.fault_domain.as_ref()?;
    Some(&fault_domain.region.name)
}

/// The zone of an agent, if its domain names one.
pub fn zone_of(info: &AgentInfo) -> Option<&str> {
    let fault_domain = info.domain.as_ref()?.fault_domain.as_ref()?;
    Some(&fault_domain.zone.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framework_capabilities_with_an_unknown_number() {
        let capability = |number| framework_info::Capability {
            r#type: Some(number),
        };
        let info = FrameworkInfo {
            capabilities: vec![capability(6), capability(5), capability(99)],
            ..Default::default()
        };
        let expected = Capabilities {
            multi_role: true,
            partition_aware: true,
            ..Default::default()
        };
        assert_eq!(Capabilities::from(&info), expected);
    }

    #[test]
    fn agent_capabilities_survive_the_wire() {
        let protos = AgentCapabilities::ALL.to_protos();
        assert_eq!(protos.len(), 8);
        assert_eq!(AgentCapabilities::from(&protos[..]), AgentCapabilities::ALL);
        assert_eq!(
            AgentCapabilities::from(&protos[..0]),
            AgentCapabilities::default()
        );
    }
}
