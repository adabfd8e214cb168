//! Operations besides launches (Mesos: the namespace `operation` of
//! src/master/validation.cpp). What they need of an offer is for the caller to check.

use std::collections::BTreeSet;

use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::offer::operation::{self, Type};
use caprock_proto::mesos::v1::resource::{AllocationInfo, disk_info::source};
use caprock_proto::mesos::v1::{self, FrameworkInfo, volume};

use super::resources::{one_allocation_role, resource, resources, unique_persistence_ids};
use super::{Prefixed, Validity, braced, ensure, id};
use crate::capabilities::{AgentCapabilities, Capabilities};
use crate::framework::roles_of;
use crate::operation::strip_volume;
use crate::resources::{Resource, Resources, Scalar};

/// Who asks for an operation, and where.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// None for an operator.
    pub framework: Option<&'a FrameworkInfo>,
    pub principal: Option<&'a str>,
    pub agent: AgentCapabilities,
    /// All that the agent has, and what is used of it, in unallocated form.
    pub total: &'a Resources,
    pub used: &'a Resources,
}

/// Whether an operation is valid. Launches are for [`super::task`].
pub fn operation(operation: &Operation, asker: &Asker<'_>) -> Validity {
    match operation.r#type() {
        Type::Reserve => {
            let reserve = operation.reserve.as_ref();
            self::reserve(reserve.ok_or(absent("reserve"))?, asker)
        }
        Type::Unreserve => {
            let unreserve = operation.unreserve.as_ref();
            self::unreserve(&unreserve.ok_or(absent("unreserve"))?.resources)
        }
        Type::Create => {
            let create = operation.create.as_ref();
            self::create(&create.ok_or(absent("create"))?.volumes, asker)
        }
        Type::Destroy => {
            let destroy = operation.destroy.as_ref();
            self::destroy(&destroy.ok_or(absent("destroy"))?.volumes, asker)
        }
        Type::GrowVolume => {
            let grow = operation.grow_volume.as_ref();
            self::grow(grow.ok_or(absent("grow_volume"))?, asker)
        }
        Type::ShrinkVolume => {
            let shrink = operation.shrink_volume.as_ref();
            self::shrink(shrink.ok_or(absent("shrink_volume"))?, asker)
        }
        // No agent has resource providers.
        Type::CreateDisk | Type::DestroyDisk => {
            Err("'source' is not managed by a resource provider".to_owned())
        }
        Type::Unknown | Type::Launch | Type::LaunchGroup => {
            Err("Unknown offer operation".to_owned())
        }
    }
}

fn absent(field: &str) -> String {
    format!("Expecting '{field}' to be present")
}

/// What all lists of resources need; the entries, which are not empty.
fn listed(protos: &[v1::Resource]) -> Result<Vec<Resource>, String> {
    const INVALID: &str = "Invalid resources: ";
    resources(protos).prefixed(INVALID)?;
    single_provider(protos).prefixed(INVALID)?;
    let parsed = protos.iter().map(Resource::from_proto);
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn single_provider(protos: &[v1::Resource]) -> Validity {
    let providers: BTreeSet<Option<&str>> = protos
        .iter()
        .map(|proto| proto.provider_id.as_ref().map(|id| id.value.as_str()))
        .collect();
    if providers.len() == 1 {
        return Ok(());
    }
    ensure(
        !providers.contains(&None),
        "Some resources have a resource provider and some do not",
    )?;
    let names: Vec<&str> = providers.into_iter().flatten().collect();
    Err(format!(
        "The resources have multiple resource providers: {}",
        names.join(", ")
    ))
}

fn collected(entries: &[Resource]) -> Resources {
    entries.iter().cloned().collect()
}

fn reserve(reserve: &operation::Reserve, asker: &Asker<'_>) -> Validity {
    let entries = listed(&reserve.resources)?;
    if !reserve.source.is_empty() {
        moved(&reserve.source, &entries)?;
    }
    for entry in &entries {
        ensure(
            entry.is_dynamically_reserved(),
            format!("Resource {entry} is not dynamically reserved"),
        )?;
        ensure(
            reserve.source.is_empty() || !entry.is_persistent_volume(),
            format!("A persistent volume {entry} cannot be reserved again"),
        )?;
        let reserved = "reserved";
        capable("Resource", entry, reserved, asker)?;
        reserver(entry, asker)?;
        match asker.framework {
            Some(framework) => reserved_by(framework, entry)?,
            None => ensure(
                entry.allocation().is_none(),
                "A reserve operation was attempted with an allocated resource, but the operator \
                 API only allows reservations to be made to unallocated resources",
            )?,
        }
    }
    if asker.framework.is_none() {
        return Ok(());
    }
    one_allocation_role(&collected(&entries)).prefixed("Invalid reservation resources: ")
}

/// A reservation that takes the place of another: the amounts have to be the same.
fn moved(source: &[v1::Resource], target: &[Resource]) -> Validity {
    let source = listed(source).map_err(|error| format!("Invalid source: {error}"))?;
    let plain = |entries: &[Resource]| -> Resources {
        let bare = entries.iter().map(|entry| entry.with_reservations(&[]));
        bare.collect()
    };
    for entries in [&source[..], target] {
        let first = entries.first().map(Resource::reservations);
        ensure(
            entries
                .iter()
                .all(|entry| Some(entry.reservations()) == first),
            format!("Mixed reservations are not supported{}", collected(entries)),
        )?;
    }
    let (from, to) = (plain(&source), plain(target));
    ensure(
        from == to,
        format!(
            "Source and target resources should refer to identical resource quantities: {from} \
             vs. {to}"
        ),
    )
}

/// Old agents know neither roles with a path nor stacks of reservations.
fn capable(noun: &str, entry: &Resource, done: &str, asker: &Asker<'_>) -> Validity {
    let role = entry.reservation_role().map_or("*", |role| role.as_str());
    ensure(
        asker.agent.hierarchical_role || !role.contains('/'),
        format!(
            "{noun} {entry} with reservation for hierarchical role '{role}' cannot be {done} on \
             an agent without HIERARCHICAL_ROLE capability"
        ),
    )?;
    ensure(
        asker.agent.reservation_refinement || !entry.is_refined(),
        format!(
            "{noun} {entry} with reservation refinement cannot be {done} on an agent without \
             RESERVATION_REFINEMENT capability"
        ),
    )
}

fn reserver(entry: &Resource, asker: &Asker<'_>) -> Validity {
    let Some(principal) = asker.principal else {
        return Ok(());
    };
    let named = entry
        .reservations()
        .last()
        .and_then(|last| last.principal.as_deref());
    let Some(named) = named else {
        return Err(format!(
            "A reserve operation was attempted by principal '{principal}', but there is a \
             reserved resource in the request with no principal set"
        ));
    };
    ensure(
        named == principal,
        format!(
            "A reserve operation was attempted by authenticated principal '{principal}', which \
             does not match a reserved resource in the request with principal '{named}'"
        ),
    )
}

fn reserved_by(framework: &FrameworkInfo, entry: &Resource) -> Validity {
    let Some(allocation) = entry.allocation() else {
        return Err(format!(
            "A reserve operation was attempted on unallocated resource {entry}, but frameworks \
             can only perform reservations on allocated resources"
        ));
    };
    let role = entry.reservation_role().map_or("*", |role| role.as_str());
    ensure(
        *allocation == *role,
        format!(
            "A reserve operation was attempted for a resource with role '{role}', but the \
             resource was allocated to role '{allocation}'"
        ),
    )?;
    let roles = roles_of(framework);
    ensure(
        roles.contains(allocation),
        format!(
            "A reserve operation was attempted for a resource allocated to role '{allocation}', \
             but the framework only has roles '{}'",
            braced(roles.iter().map(|role| role.as_str()))
        ),
    )
}

fn unreserve(protos: &[v1::Resource]) -> Validity {
    for entry in listed(protos)? {
        ensure(
            entry.is_dynamically_reserved(),
            format!("Resource {entry} is not dynamically reserved"),
        )?;
        ensure(
            !entry.is_persistent_volume(),
            format!(
                "A dynamically reserved persistent volume {entry} cannot be unreserved directly. \
                 Please destroy the persistent volume first then unreserve the resource"
            ),
        )?;
    }
    Ok(())
}

fn create(volumes: &[v1::Resource], asker: &Asker<'_>) -> Validity {
    let entries = listed(volumes)?;
    volumes
        .iter()
        .try_for_each(persistent_volume)
        .prefixed("Not a persistent volume: ")?;
    let added = collected(&entries).unallocated();
    unique_persistence_ids(&(asker.total + &added))?;
    for (entry, proto) in entries.iter().zip(volumes) {
        if let Some(framework) = asker.framework {
            let id = framework.id.as_ref().map_or("", |id| id.value.as_str());
            ensure(
                !entry.is_shared() || Capabilities::from(framework).shared_resources,
                format!(
                    "Create volume operation for '{entry}' has been attempted by framework \
                     '{id}' with no SHARED_RESOURCES capability"
                ),
            )?;
        }
        capable("Volume", entry, "created", asker)?;
        creator(proto, asker)?;
    }
    if asker.framework.is_none() {
        return Ok(());
    }
    one_allocation_role(&collected(&entries)).prefixed("Invalid volume resources: ")
}

fn creator(volume: &v1::Resource, asker: &Asker<'_>) -> Validity {
    let Some(principal) = asker.principal else {
        return Ok(());
    };
    let persistence = volume
        .disk
        .as_ref()
        .and_then(|disk| disk.persistence.as_ref());
    let Some(named) = persistence.and_then(|persistence| persistence.principal.as_deref()) else {
        return Err(format!(
            "Create volume operation attempted by principal '{principal}', but there is a volume \
             in the operation with no principal set in 'disk.persistence'"
        ));
    };
    ensure(
        named == principal,
        format!(
            "Create volume operation attempted by authenticated principal '{principal}', which \
             does not match a volume in the operation with principal '{named}' set in \
             'disk.persistence'"
        ),
    )
}

fn persistent_volume(proto: &v1::Resource) -> Validity {
    let Some(disk) = &proto.disk else {
        return Err(format!("Resource {} does not have DiskInfo", proto.name));
    };
    let persistence = disk.persistence.as_ref();
    let persistence = persistence.ok_or("'persistence' is not set in DiskInfo")?;
    let volume = disk.volume.as_ref();
    let volume = volume.ok_or("Expecting 'volume' to be set for persistent volume")?;
    ensure(
        volume.mode() != volume::Mode::Ro,
        "Read-only persistent volume not supported",
    )?;
    ensure(
        volume.host_path.is_none(),
        "Expecting 'host_path' to be unset for persistent volume",
    )?;
    id::id(&persistence.id)
}

fn destroy(volumes: &[v1::Resource], asker: &Asker<'_>) -> Validity {
    let entries = listed(volumes)?;
    volumes
        .iter()
        .try_for_each(persistent_volume)
        .prefixed("Not a persistent volume: ")?;
    let volumes = collected(&entries).unallocated();
    ensure(
        asker.total.contains(&volumes),
        "Persistent volumes not found",
    )?;
    let used = volumes.iter().any(|volume| {
        let one: Resources = std::iter::once(volume.clone()).collect();
        asker.used.contains(&one)
    });
    ensure(!used, "Persistent volumes in use")
}

fn grow(grow: &operation::GrowVolume, asker: &Asker<'_>) -> Validity {
    let volume = &grow.volume;
    resource(volume).prefixed("Invalid resource in the 'GrowVolume.volume' field: ")?;
    resource(&grow.addition).prefixed("Invalid resource in the 'GrowVolume.addition' field: ")?;
    ensure(
        amount(&grow.addition) > Scalar::ZERO,
        "The size of 'GrowVolume.addition' field must be greater than zero",
    )?;
    ensure(
        volume.provider_id.is_none(),
        "Growing a volume from a resource provider is not supported",
    )?;
    persistent_volume(volume)
        .prefixed("Invalid persistent volume in the 'GrowVolume.volume' field: ")?;
    ensure(
        volume.shared.is_none(),
        "Growing a shared persistent volume is not supported",
    )?;
    let mut disk = volume.clone();
    strip_volume(&mut disk);
    let both = Resources::from_protos(&[disk, grow.addition.clone()]);
    ensure(
        both.is_ok_and(|both| both.len() == 1),
        "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields",
    )?;
    resizable(volume, "grown", asker)
}

fn shrink(shrink: &operation::ShrinkVolume, asker: &Asker<'_>) -> Validity {
    let volume = &shrink.volume;
    resource(volume).prefixed("Invalid resource in the 'ShrinkVolume.volume' field: ")?;
    let subtract = Scalar::from_f64(shrink.subtract.value);
    ensure(
        subtract > Scalar::ZERO,
        "Value of 'ShrinkVolume.subtract' must be greater than zero",
    )?;
    ensure(
        amount(volume) > subtract,
        "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'",
    )?;
    ensure(
        volume.provider_id.is_none(),
        "Shrinking a volume from a resource provider is not supported",
    )?;
    let source = volume.disk.as_ref().and_then(|disk| disk.source.as_ref());
    ensure(
        source.is_none_or(|source| source.r#type() != source::Type::Mount),
        "Shrinking a volume on a MOUNT disk is not supported",
    )?;
    persistent_volume(volume)
        .prefixed("Invalid persistent volume in the 'ShrinkVolume.volume' field: ")?;
    ensure(
        volume.shared.is_none(),
        "Shrinking a shared persistent volume is not supported",
    )?;
    resizable(volume, "shrunk", asker)
}

fn resizable(volume: &v1::Resource, done: &str, asker: &Asker<'_>) -> Validity {
    let shown = Resource::from_proto(volume).map_err(|error| error.to_string())?;
    ensure(
        asker.agent.resize_volume,
        format!("Volume {shown} cannot be {done} on an agent without RESIZE_VOLUME capability"),
    )
}

fn amount(proto: &v1::Resource) -> Scalar {
    let value = proto.scalar.map_or(0.0, |scalar| scalar.value);
    if value.is_finite() {
        Scalar::from_f64(value)
    } else {
        Scalar::ZERO
    }
}

/// Writes what an operation names in the format that is used inside: with `reservations[]`,
/// and, of a framework, with the role that was offered where none is given.
pub fn normalize_operation(operation: &mut Operation, role: Option<&str>) -> Validity {
    let allocate = |resource: &mut v1::Resource| {
        if let Some(role) = role
            && resource.allocation_info.is_none()
        {
            let role = Some(role.to_owned());
            resource.allocation_info = Some(AllocationInfo { role });
        }
    };
    for list in crate::operation::resources_mut(operation) {
        for resource in list {
            allocate(resource);
            upgrade(resource)?;
        }
    }
    for resource in crate::operation::resource_mut(operation) {
        allocate(resource);
        upgrade(resource)?;
    }
    Ok(())
}

/// An invalid number or an unknown type is an error; nothing is said of its use.
fn upgrade(proto: &mut v1::Resource) -> Validity {
    *proto = Resource::from_proto(proto)
        .map_err(|error| error.to_string())?
        .to_proto();
    Ok(())
}

#[cfg(test)]
mod tests;
