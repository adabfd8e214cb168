//! What a FrameworkInfo says about roles.

use std::collections::BTreeSet;

use caprock_proto::mesos::v1::FrameworkInfo;

use crate::capabilities::Capabilities;
use crate::role::Role;

/// The roles of a framework: `roles` with MULTI_ROLE, else the single `role`.
pub fn roles_of(info: &FrameworkInfo) -> BTreeSet<Role> {
    if Capabilities::from(info).multi_role {
        info.roles.iter().map(Role::from).collect()
    } else {
        let role = info.role();
        BTreeSet::from([Role::from(role)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_and_multi_role() {
        let mut info = FrameworkInfo::default();
        assert_eq!(roles_of(&info), BTreeSet::from([Role::from("*")]));
        info.role = Some("eng".into());
        assert_eq!(roles_of(&info), BTreeSet::from([Role::from("eng")]));

        let multi = caprock_proto::mesos::v1::framework_info::Capability { r#type: Some(6) };
        let info = FrameworkInfo {
            capabilities: vec![multi],
            roles: vec!["b".into(), "a".into()],
            ..Default::default()
        };
        assert_eq!(
            roles_of(&info),
            BTreeSet::from([Role::from("a"), Role::from("b")])
        );
    }
}
