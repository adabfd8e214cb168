//! Resources from and to the wire, in all reservation formats
//! (Mesos: src/common/resources_utils.cpp).

use std::sync::Arc;

use caprock_proto::mesos::v1::{self, resource, value};
use resource::reservation_info::Type;

use super::{
    Amount, Items, Ranges, Reservation, ReservationKind, Resource, ResourceError, Resources, Scalar,
};
use crate::role;
use crate::validate;

impl Resources {
    /// Takes messages in the old or the new reservation format, after validating each.
    pub fn from_protos(protos: &[v1::Resource]) -> Result<Resources, ResourceError> {
        let mut result = Resources::new();
        for proto in protos {
            result.insert(&Resource::from_proto(proto)?);
        }
        Ok(result)
    }

    /// The messages in the new format: `reservations[]`, and neither `role` nor
    /// `reservation`. A shared resource comes once per copy.
    pub fn to_protos(&self) -> Vec<v1::Resource> {
        self.to_protos_for(true, true)
    }

    /// The messages for one framework. Without `refinement` they are in the old format, and
    /// what it cannot express is left out; without `show_allocation` they do not say whom
    /// they are offered to.
    pub fn to_protos_for(&self, refinement: bool, show_allocation: bool) -> Vec<v1::Resource> {
        let format = if refinement { Format::New } else { Format::Old };
        self.write(format, show_allocation)
    }

    /// The messages for operators: in both formats at once as far as that is possible.
    pub fn to_protos_for_endpoints(&self) -> Vec<v1::Resource> {
        self.write(Format::Both, true)
    }

    fn write(&self, format: Format, show_allocation: bool) -> Vec<v1::Resource> {
        let mut protos = Vec::with_capacity(self.len());
        for entry in self {
            if let Some(proto) = entry.write(format, show_allocation) {
                protos.extend(std::iter::repeat_n(proto, entry.copies as usize));
            }
        }
        protos
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    New,
    Old,
    Both,
}

impl Resource {
    /// Takes a message in the old or the new reservation format, after validating it.
    pub fn from_proto(proto: &v1::Resource) -> Result<Resource, ResourceError> {
        validate::resources::resource(proto).map_err(ResourceError)?;
        let amount = match (&proto.scalar, &proto.ranges, &proto.set) {
            (Some(scalar), _, _) => Amount::Scalar(Scalar::from_f64(scalar.value)),
            (_, Some(ranges), _) => Amount::Ranges(Ranges::from(ranges)),
            (_, _, Some(set)) => Amount::Set(Items::from(set)),
            (None, None, None) => return Err(ResourceError("Invalid resource type".to_owned())),
        };
        let allocation = proto
            .allocation_info
            .as_ref()
            .and_then(|info| info.role.as_deref());
        let reservations = reservations_of(proto);
        Ok(Self {
            name: proto.name.as_str().into(),
            amount,
            allocation: allocation.map(Into::into),
            reservations: (!reservations.is_empty()).then(|| reservations.into()),
            disk: proto.disk.clone().map(Arc::new),
            provider: proto
                .provider_id
                .as_ref()
                .map(|id| id.value.as_str().into()),
            revocable: proto.revocable.is_some(),
            shared: proto.shared.is_some(),
            copies: 1,
        })
    }

    /// The message in the new format; of a shared resource, one copy.
    pub fn to_proto(&self) -> v1::Resource {
        let mut proto = self.write_unreserved(true);
        proto.reservations = self
            .reservations()
            .iter()
            .map(Reservation::to_proto)
            .collect();
        proto
    }

    fn write_unreserved(&self, show_allocation: bool) -> v1::Resource {
        let shown = self.allocation.as_ref().filter(|_| show_allocation);
        let mut proto = v1::Resource {
            name: self.name.as_str().to_owned(),
            r#type: self.amount.kind() as i32,
            provider_id: self.provider.as_deref().map(|id| v1::ResourceProviderId {
                value: id.to_owned(),
            }),
            allocation_info: shown.map(|role| resource::AllocationInfo {
                role: Some(role.as_str().to_owned()),
            }),
            disk: self.disk.as_deref().cloned(),
            revocable: self.revocable.then(resource::RevocableInfo::default),
            shared: self.shared.then(resource::SharedInfo::default),
            ..Default::default()
        };
        match &self.amount {
            Amount::Scalar(scalar) => {
                proto.scalar = Some(value::Scalar {
                    value: scalar.to_f64(),
                });
            }
            Amount::Ranges(ranges) => proto.ranges = Some(ranges.to_proto()),
            Amount::Set(items) => proto.set = Some(items.to_proto()),
        }
        proto
    }

    /// None if the old format cannot express it.
    fn write(&self, format: Format, show_allocation: bool) -> Option<v1::Resource> {
        if format == Format::Old && self.is_refined() {
            return None;
        }
        let mut proto = self.write_unreserved(show_allocation);
        if format != Format::Old {
            proto.reservations = self
                .reservations()
                .iter()
                .map(Reservation::to_proto)
                .collect();
        }
        if format != Format::New && !self.is_refined() {
            write_old_format(&mut proto, self.reservations().last());
        }
        Some(proto)
    }
}

fn write_old_format(proto: &mut v1::Resource, last: Option<&Reservation>) {
    let role = last.map_or(role::ANY, |reservation| reservation.role.as_str());
    proto.role = Some(role.to_owned());
    proto.reservation = last
        .filter(|reservation| reservation.kind == ReservationKind::Dynamic)
        .map(Reservation::to_old_proto);
}

/// The stack of a valid message.
fn reservations_of(proto: &v1::Resource) -> Vec<Reservation> {
    if !proto.reservations.is_empty() {
        let element = |info: &resource::ReservationInfo| {
            let kind = match info.r#type() {
                Type::Static => ReservationKind::Static,
                Type::Dynamic | Type::Unknown => ReservationKind::Dynamic,
            };
            Reservation::from_parts(info.role(), kind, info)
        };
        return proto.reservations.iter().map(element).collect();
    }
    let role = proto.role();
    match &proto.reservation {
        Some(info) => vec![Reservation::from_parts(
            role,
            ReservationKind::Dynamic,
            info,
        )],
        None if role != role::ANY => vec![Reservation::fixed(role)],
        None => Vec::new(),
    }
}
