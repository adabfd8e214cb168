//! Who may reserve whose resources, and make or destroy volumes.

use caprock_proto::mesos::v1::Resource;
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::offer::operation::Type;
use serde::Deserialize;

use super::{Acls, Entity, OfRoles};

/// The lists of this family.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lists {
    reserve_resources: Vec<OfRoles>,
    unreserve_resources: Vec<Unreserve>,
    create_volumes: Vec<OfRoles>,
    destroy_volumes: Vec<Destroy>,
    resize_volumes: Vec<OfRoles>,
}

#[derive(Debug, Deserialize)]
struct Unreserve {
    principals: Entity,
    reserver_principals: Entity,
}

#[derive(Debug, Deserialize)]
struct Destroy {
    principals: Entity,
    creator_principals: Entity,
}

/// What one principal may do.
#[derive(Debug, Clone, Copy)]
pub struct Operations<'a> {
    acls: &'a Acls,
    principal: Option<&'a str>,
}

impl Acls {
    /// What this principal may do to resources.
    pub fn operations<'a>(&'a self, principal: Option<&'a str>) -> Operations<'a> {
        let acls = self;
        Operations { acls, principal }
    }
}

/// The role that a resource is reserved to, in either format.
fn role_of(resource: &Resource) -> &str {
    match resource.reservations.last() {
        Some(last) => last.role(),
        None => resource.role(),
    }
}

fn reserver_of(resource: &Resource) -> Option<&str> {
    let last = resource
        .reservations
        .last()
        .or(resource.reservation.as_ref());
    last.and_then(|info| info.principal.as_deref())
}

fn creator_of(resource: &Resource) -> Option<&str> {
    let disk = resource.disk.as_ref()?;
    disk.persistence.as_ref()?.principal.as_deref()
}

impl Operations<'_> {
    fn lists(&self) -> &Lists {
        &self.acls.operations
    }

    /// Whether all of these may be reserved, to the roles that they name.
    pub fn may_reserve(&self, resources: &[Resource]) -> bool {
        let acls = &self.lists().reserve_resources;
        let may = |role: &str| self.acls.decide_role(acls, self.principal, role);
        resources.iter().all(|resource| may(role_of(resource)))
    }

    /// Whether the reservations of all of these may be undone.
    pub fn may_unreserve(&self, resources: &[Resource]) -> bool {
        resources.iter().all(|resource| {
            let acls = self.lists().unreserve_resources.iter();
            let pairs = acls.map(|acl| (&acl.principals, &acl.reserver_principals));
            self.acls
                .decide(pairs, self.principal, reserver_of(resource))
        })
    }

    /// Whether all of these volumes may be made.
    pub fn may_create(&self, volumes: &[Resource]) -> bool {
        let acls = &self.lists().create_volumes;
        let may = |role: &str| self.acls.decide_role(acls, self.principal, role);
        volumes.iter().all(|volume| may(role_of(volume)))
    }

    /// Whether all of these volumes may be destroyed.
    pub fn may_destroy(&self, volumes: &[Resource]) -> bool {
        volumes.iter().all(|volume| {
            let acls = self.lists().destroy_volumes.iter();
            let pairs = acls.map(|acl| (&acl.principals, &acl.creator_principals));
            self.acls.decide(pairs, self.principal, creator_of(volume))
        })
    }

    /// Whether the volume may become larger or smaller.
    pub fn may_resize(&self, volume: &Resource) -> bool {
        let acls = &self.lists().resize_volumes;
        self.acls.decide_role(acls, self.principal, role_of(volume))
    }

    /// Why the operation of an ACCEPT is not allowed, if so. Launches are not judged here.
    pub fn refusal(&self, operation: &Operation) -> Option<String> {
        let (allowed, what) = match operation.r#type() {
            Type::Reserve => {
                let reserve = operation.reserve.as_ref();
                let allowed = reserve.is_none_or(|reserve| self.may_reserve(&reserve.resources));
                (allowed, "reserve resources")
            }
            Type::Unreserve => {
                let unreserve = operation.unreserve.as_ref();
                let may = unreserve.is_none_or(|one| self.may_unreserve(&one.resources));
                (may, "unreserve resources")
            }
            Type::Create => {
                let create = operation.create.as_ref();
                let allowed = create.is_none_or(|create| self.may_create(&create.volumes));
                (allowed, "create persistent volumes")
            }
            Type::Destroy => {
                let destroy = operation.destroy.as_ref();
                let allowed = destroy.is_none_or(|destroy| self.may_destroy(&destroy.volumes));
                (allowed, "destroy persistent volumes")
            }
            Type::GrowVolume => {
                let grow = operation.grow_volume.as_ref();
                let allowed = grow.is_none_or(|grow| self.may_resize(&grow.volume));
                (allowed, "grow a volume")
            }
            Type::ShrinkVolume => {
                let shrink = operation.shrink_volume.as_ref();
                let allowed = shrink.is_none_or(|shrink| self.may_resize(&shrink.volume));
                (allowed, "shrink a volume")
            }
            Type::Unknown
            | Type::Launch
            | Type::LaunchGroup
            | Type::CreateDisk
            | Type::DestroyDisk => (true, ""),
        };
        let principal = self.principal.unwrap_or("ANY");
        (!allowed).then(|| format!("Not authorized to {what} as '{principal}'"))
    }
}

#[cfg(test)]
mod tests {
    use caprock_model::Resources;
    use caprock_proto::mesos::v1::resource::ReservationInfo;

    use super::*;

    fn reserved(role: &str, principal: &str) -> Vec<Resource> {
        let mut resources = Resources::parse("cpus:1", "*").unwrap().to_protos();
        resources[0].reservations = vec![ReservationInfo {
            role: Some(role.into()),
            principal: Some(principal.into()),
            ..ReservationInfo::default()
        }];
        resources
    }

    #[test]
    fn roles_and_principals_are_matched() {
        let acls: Acls = serde_json::from_str(
            r#"{"reserve_resources": [
                {"principals": {"values": ["alice"]}, "roles": {"values": ["eng"]}},
                {"principals": {"type": "ANY"}, "roles": {"type": "NONE"}}],
               "unreserve_resources": [
                {"principals": {"values": ["alice"]}, "reserver_principals": {"values": ["bob"]}},
                {"principals": {"type": "ANY"}, "reserver_principals": {"type": "NONE"}}]}"#,
        )
        .unwrap();
        let alice = acls.operations(Some("alice"));
        assert!(alice.may_reserve(&reserved("eng", "alice")));
        assert!(!alice.may_reserve(&reserved("ops", "alice")));
        assert!(alice.may_unreserve(&reserved("ops", "bob")));
        assert!(!alice.may_unreserve(&reserved("ops", "alice")));
        assert!(
            !acls
                .operations(Some("bob"))
                .may_reserve(&reserved("eng", "bob"))
        );
        assert!(alice.may_create(&reserved("ops", "alice")), "no list");
    }
}
