//! Whether messages are resources (Mesos: Resources::validate in src/common/resources.cpp
//! and the namespace `resource` of src/master/validation.cpp).

use std::collections::BTreeSet;

use caprock_proto::mesos::v1::{self, Resource, resource, value};
use resource::disk_info::source;
use resource::reservation_info::Type;

use super::{Prefixed, Validity, ensure, id};
use crate::resources::{Resources, Scalar};
use crate::role;

/// Everything that tasks, executors and operations demand of their resources.
pub fn resources(protos: &[Resource]) -> Validity {
    for proto in protos {
        resource(proto).map_err(|error| {
            format!(
                "Invalid resources: Resource '{}' is invalid: {error}",
                brief(proto)
            )
        })?;
    }
    protos
        .iter()
        .try_for_each(disk_use)
        .prefixed("Invalid DiskInfo: ")?;
    protos
        .iter()
        .try_for_each(dynamic_reservation)
        .prefixed("Invalid ReservationInfo: ")
}

/// Name and value of a message that may be invalid.
fn brief(proto: &Resource) -> String {
    match &proto.scalar {
        Some(scalar) => format!("{}:{}", proto.name, scalar.value),
        None => proto.name.clone(),
    }
}

/// Whether one message is a resource, in the old or the new reservation format.
pub fn resource(proto: &Resource) -> Validity {
    ensure(!proto.name.is_empty(), "Empty resource name")?;
    amount(proto)?;
    if let Some(disk) = &proto.disk {
        let name = &proto.name;
        ensure(
            name == "disk",
            format!("DiskInfo should not be set for {name} resource"),
        )?;
        if let Some(source) = &disk.source {
            let known = source.r#type() != source::Type::Unknown;
            ensure(known, "Unsupported 'DiskInfo.Source.Type'")?;
        }
    }
    reservations(proto)?;
    if proto.shared.is_some() {
        let name = &proto.name;
        ensure(name == "disk", format!("Resource {name} cannot be shared"))?;
        ensure(
            persistence(proto).is_some(),
            "Only persistent volumes can be shared",
        )?;
    }
    Ok(())
}

fn amount(proto: &Resource) -> Validity {
    match (
        value::Type::try_from(proto.r#type),
        &proto.scalar,
        &proto.ranges,
        &proto.set,
    ) {
        (Ok(value::Type::Scalar), Some(value), None, None) => scalar(&proto.name, value.value),
        (Ok(value::Type::Scalar), ..) => Err("Invalid scalar resource".to_owned()),
        (Ok(value::Type::Ranges), None, Some(value), None) => ranges(value),
        (Ok(value::Type::Ranges), ..) => Err("Invalid ranges resource".to_owned()),
        (Ok(value::Type::Set), None, None, Some(value)) => set(value),
        (Ok(value::Type::Set), ..) => Err("Invalid set resource".to_owned()),
        (Ok(value::Type::Text), ..) => Err("Unsupported resource type".to_owned()),
        (Err(_), ..) => Err("Invalid resource type".to_owned()),
    }
}

/// Whether a number may be the amount of this resource. Zero may: it vanishes.
pub fn scalar(name: &str, value: f64) -> Validity {
    ensure(
        value.is_finite(),
        "Invalid scalar resource: value is not finite",
    )?;
    // What 64 bits of thousandths cannot hold would be clamped silently.
    let fits = value.abs() < i64::MAX as f64 / 1000.0;
    ensure(fits, "Invalid scalar resource: value is too large")?;
    let positive = value == 0.0 || Scalar::from_f64(value) > Scalar::ZERO;
    ensure(positive, "Invalid scalar resource: value <= 0")?;
    let whole = name != "gpus" || value.fract() == 0.0;
    ensure(whole, "The 'gpus' resource must be an unsigned integer")
}

/// Whether ranges are ordered and apart; they need not be sorted or coalesced.
pub fn ranges(ranges: &value::Ranges) -> Validity {
    let mut sorted: Vec<_> = ranges
        .range
        .iter()
        .map(|range| (range.begin, range.end))
        .collect();
    let ordered = sorted.iter().all(|(begin, end)| begin <= end);
    ensure(ordered, "Invalid ranges resource: begin > end")?;
    sorted.sort_unstable();
    let apart = sorted.windows(2).all(|pair| pair[0].1 < pair[1].0);
    ensure(apart, "Invalid ranges resource: overlapping ranges")
}

/// Whether no item comes twice.
pub fn set(set: &value::Set) -> Validity {
    let distinct: BTreeSet<_> = set.item.iter().collect();
    ensure(
        distinct.len() == set.item.len(),
        "Invalid set resource: duplicated elements",
    )
}

fn reservations(proto: &Resource) -> Validity {
    if proto.reservations.is_empty() {
        old_format(proto)
    } else {
        new_format(proto)
    }
}

fn old_format(proto: &Resource) -> Validity {
    role::validate(proto.role())?;
    let Some(reservation) = &proto.reservation else {
        return Ok(());
    };
    ensure(
        reservation.r#type.is_none(),
        "'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field",
    )?;
    ensure(
        reservation.role.is_none(),
        "'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field",
    )?;
    ensure(
        proto.role() != role::ANY,
        "Invalid reservation: role \"*\" cannot be dynamically reserved",
    )
}

fn new_format(proto: &Resource) -> Validity {
    let mut above: Option<&str> = None;
    for reservation in &proto.reservations {
        ensure(
            reservation.r#type.is_some(),
            "'Resource.ReservationInfo.type' field must be set",
        )?;
        ensure(
            reservation.r#type() != Type::Unknown,
            "Unsupported 'Resource.ReservationInfo.type'",
        )?;
        let role = reservation.role.as_deref();
        let role = role.ok_or("'Resource.ReservationInfo.role' field must be set")?;
        role::validate(role)?;
        ensure(
            role != role::ANY,
            "Invalid reservation: role \"*\" cannot be reserved",
        )?;
        if let Some(above) = above {
            ensure(
                reservation.r#type() == Type::Dynamic,
                "A refined reservation cannot be STATIC",
            )?;
            ensure(
                role::is_strict_subrole(role, above),
                format!("Role '{role}' is not a refinement of '{above}'"),
            )?;
        }
        above = Some(role);
    }
    both_formats(proto)
}

/// A message may carry the old format as well if there is one reservation and they agree.
fn both_formats(proto: &Resource) -> Validity {
    let [single] = &proto.reservations[..] else {
        return ensure(
            proto.role.is_none() && proto.reservation.is_none(),
            "Invalid resource format: 'Resource.role' and 'Resource.reservation' must not be set \
             if there is more than one reservation in 'Resource.reservations'",
        );
    };
    if let Some(role) = &proto.role {
        ensure(
            role == single.role(),
            format!(
                "Invalid resource format: 'Resource.role' field with '{role}' does not match the \
                 role '{}' in 'Resource.reservations'",
                single.role()
            ),
        )?;
    }
    if single.r#type() == Type::Static {
        return ensure(
            proto.reservation.is_none(),
            "Invalid resource format: 'Resource.reservation' must not be set if the single \
             reservation in 'Resource.reservations' is STATIC",
        );
    }
    ensure(
        proto.role.is_some() == proto.reservation.is_some(),
        "Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both \
         set or both not set if the single reservation in 'Resource.reservations' is DYNAMIC",
    )?;
    let Some(old) = &proto.reservation else {
        return Ok(());
    };
    ensure(
        old.principal == single.principal && old.labels == single.labels,
        "Invalid resource format: 'Resource.reservation' does not match the single reservation \
         in 'Resource.reservations'",
    )
}

fn is_reserved(proto: &Resource) -> bool {
    let role = proto.role();
    !proto.reservations.is_empty() || role != role::ANY
}

fn is_dynamically_reserved(proto: &Resource) -> bool {
    match proto.reservations.last() {
        Some(last) => last.r#type() == Type::Dynamic,
        None => proto.reservation.is_some(),
    }
}

fn persistence(proto: &Resource) -> Option<&resource::disk_info::Persistence> {
    proto.disk.as_ref()?.persistence.as_ref()
}

/// Whether the DiskInfo says a volume or a disk, and only what the resource allows.
fn disk_use(proto: &Resource) -> Validity {
    let Some(disk) = &proto.disk else {
        return Ok(());
    };
    let Some(persistence) = &disk.persistence else {
        ensure(disk.volume.is_none(), "Non-persistent volume not supported")?;
        return ensure(disk.source.is_some(), "DiskInfo is set but empty");
    };
    ensure(
        proto.revocable.is_none(),
        "Persistent volumes cannot be created from revocable resources",
    )?;
    ensure(
        is_reserved(proto),
        "Persistent volumes cannot be created from unreserved resources",
    )?;
    let volume = disk.volume.as_ref();
    let volume = volume.ok_or("Expecting 'volume' to be set for persistent volume")?;
    ensure(
        volume.host_path.is_none(),
        "Expecting 'host_path' to be unset for persistent volume",
    )?;
    id::id(&persistence.id)
}

fn dynamic_reservation(proto: &Resource) -> Validity {
    ensure(
        !(is_dynamically_reserved(proto) && proto.revocable.is_some()),
        format!(
            "Dynamically reserved resource {} cannot be created from revocable resources",
            brief(proto)
        ),
    )
}

/// Whether no two volumes of a role have one id.
pub fn unique_persistence_ids(resources: &Resources) -> Validity {
    let mut seen = BTreeSet::new();
    for volume in resources {
        let Some(id) = volume.persistence_id() else {
            continue;
        };
        let new = seen.insert((volume.reservation_role(), id));
        ensure(new, format!("Persistence ID '{id}' is not unique"))?;
    }
    Ok(())
}

/// Whether everything is allocated to one role.
pub fn one_allocation_role(resources: &Resources) -> Validity {
    let mut first = None;
    for entry in resources {
        let role = entry
            .allocation()
            .ok_or("The resources are not allocated to a role")?;
        let first = first.get_or_insert(role);
        ensure(
            *first == role,
            format!(
                "The resources have multiple allocation roles ('{role}' and '{first}') but only \
                 one allocation role is allowed"
            ),
        )?;
    }
    Ok(())
}

/// Whether no name is used both revocably and not.
pub fn no_mixed_revocables(resources: &Resources) -> Validity {
    for name in resources.names() {
        let mut kinds = resources.iter().filter(|entry| *entry.name() == name);
        let Some(first) = kinds.next() else { continue };
        ensure(
            kinds.all(|entry| entry.is_revocable() == first.is_revocable()),
            format!("Cannot use both revocable and non-revocable '{name}' at the same time"),
        )?;
    }
    Ok(())
}

/// Takes valid messages as resources; the error text is that of the first invalid one.
pub(super) fn taken(protos: &[v1::Resource]) -> Result<Resources, String> {
    Resources::from_protos(protos).map_err(|error| error.0)
}
