//! One entry of a collection: an amount of one name, with everything that keeps it from
//! merging with other amounts of that name.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use caprock_proto::mesos::v1::{self, resource::disk_info::source};

use super::reservation::sorted_labels;
use super::{Amount, Name, Reservation, ReservationKind, Scalar};
use crate::role::{Role, is_strict_subrole};

/// One entry. Names, roles and stacks are shared, so that a copy costs a few counters.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(super) name: Name,
    pub(super) amount: Amount,
    pub(super) allocation: Option<Role>,
    /// None is the empty stack.
    pub(super) reservations: Option<Arc<[Reservation]>>,
    pub(super) disk: Option<Arc<v1::resource::DiskInfo>>,
    pub(super) provider: Option<Arc<str>>,
    pub(super) revocable: bool,
    pub(super) shared: bool,
    /// How many copies of a shared resource; 1 otherwise.
    pub(super) copies: u32,
}

impl Resource {
    /// An unreserved, unallocated amount.
    pub fn plain(name: impl Into<Name>, amount: Amount) -> Self {
        Self {
            name: name.into(),
            amount,
            allocation: None,
            reservations: None,
            disk: None,
            provider: None,
            revocable: false,
            shared: false,
            copies: 1,
        }
    }

    /// What it is of.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How much.
    pub fn amount(&self) -> &Amount {
        &self.amount
    }

    /// The scalar amount, if it is one.
    pub fn scalar(&self) -> Option<Scalar> {
        match self.amount {
            Amount::Scalar(scalar) => Some(scalar),
            Amount::Ranges(_) | Amount::Set(_) => None,
        }
    }

    /// The role that it is offered or allocated to.
    pub fn allocation(&self) -> Option<&Role> {
        self.allocation.as_ref()
    }

    /// The stack of reservations; empty if unreserved.
    pub fn reservations(&self) -> &[Reservation] {
        self.reservations.as_deref().unwrap_or_default()
    }

    /// The role that it is reserved to.
    pub fn reservation_role(&self) -> Option<&Role> {
        self.reservations()
            .last()
            .map(|reservation| &reservation.role)
    }

    /// Whether it is reserved to nobody.
    pub fn is_unreserved(&self) -> bool {
        self.reservations.is_none()
    }

    /// Whether the last reservation was made at run time.
    pub fn is_dynamically_reserved(&self) -> bool {
        let last = self.reservations().last();
        last.is_some_and(|reservation| reservation.kind == ReservationKind::Dynamic)
    }

    /// Whether there is more than one reservation.
    pub fn is_refined(&self) -> bool {
        self.reservations().len() > 1
    }

    /// Whether frameworks of this role may be offered it: it is unreserved, or reserved to
    /// the role or to one above it.
    pub fn is_available_to(&self, role: &str) -> bool {
        self.reservation_role()
            .is_none_or(|reserved| *reserved == *role || is_strict_subrole(role, reserved))
    }

    /// The disk that it is, or the volume on it.
    pub fn disk(&self) -> Option<&v1::resource::DiskInfo> {
        self.disk.as_deref()
    }

    /// The id of the persistent volume that it is.
    pub fn persistence_id(&self) -> Option<&str> {
        let persistence = self.disk.as_ref()?.persistence.as_ref()?;
        Some(&persistence.id)
    }

    /// Whether it is a persistent volume.
    pub fn is_persistent_volume(&self) -> bool {
        self.persistence_id().is_some()
    }

    /// Whether it may be taken back at any time.
    pub fn is_revocable(&self) -> bool {
        self.revocable
    }

    /// Whether several tasks may use it at once.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// How many copies of a shared resource there are; 1 for all others.
    pub fn copies(&self) -> u32 {
        self.copies
    }

    /// The resource provider that it comes from, if not from the agent itself.
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Whether it can only be used as a whole: volumes, and disks that are devices.
    pub fn is_indivisible(&self) -> bool {
        let Some(disk) = &self.disk else { return false };
        let Some(source) = &disk.source else {
            return disk.persistence.is_some();
        };
        disk.persistence.is_some()
            || match source.r#type() {
                source::Type::Mount | source::Type::Block => true,
                source::Type::Raw => source.id.is_some(),
                source::Type::Path | source::Type::Unknown => false,
            }
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.copies == 0 || self.amount.is_empty()
    }

    /// The same with another amount.
    pub fn with_amount(&self, amount: Amount) -> Self {
        Self {
            amount,
            ..self.clone()
        }
    }

    /// The same, offered or allocated to a role.
    pub fn with_allocation(&self, role: Option<&Role>) -> Self {
        Self {
            allocation: role.cloned(),
            ..self.clone()
        }
    }

    /// The same with another stack of reservations.
    pub fn with_reservations(&self, reservations: &[Reservation]) -> Self {
        let reservations = (!reservations.is_empty()).then(|| reservations.into());
        Self {
            reservations,
            ..self.clone()
        }
    }

    /// Orders entries by what keeps them apart. Equal entries merge, or are two of a kind
    /// if they are indivisible.
    pub(super) fn compare_slot(&self, other: &Self) -> Ordering {
        self.name
            .cmp(&other.name)
            .then_with(|| self.amount.compare_kinds(&other.amount))
            .then_with(|| self.compare_stacks(other))
            .then_with(|| self.allocation.cmp(&other.allocation))
            .then_with(|| self.revocable.cmp(&other.revocable))
            .then_with(|| self.provider.cmp(&other.provider))
            .then_with(|| self.shared.cmp(&other.shared))
            .then_with(|| self.compare_disks(other))
            .then_with(|| {
                if self.shared || self.is_indivisible() {
                    self.amount.cmp(&other.amount)
                } else {
                    Ordering::Equal
                }
            })
    }

    fn compare_stacks(&self, other: &Self) -> Ordering {
        match (&self.reservations, &other.reservations) {
            (Some(left), Some(right)) if Arc::ptr_eq(left, right) => Ordering::Equal,
            (left, right) => left.cmp(right),
        }
    }

    /// The `volume` says how a disk is used, not which one it is: it does not count.
    fn compare_disks(&self, other: &Self) -> Ordering {
        match (&self.disk, &other.disk) {
            (None, None) => Ordering::Equal,
            (Some(left), Some(right)) if Arc::ptr_eq(left, right) => Ordering::Equal,
            (left, right) => left
                .as_deref()
                .map(DiskKey::of)
                .cmp(&right.as_deref().map(DiskKey::of)),
        }
    }

    /// Whether an equal entry is added to this one instead of standing beside it.
    pub(super) fn merges(&self) -> bool {
        self.shared || !self.is_indivisible()
    }
}

/// What tells disks apart.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct DiskKey<'a> {
    persistence_id: Option<&'a str>,
    source: Option<SourceKey<'a>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SourceKey<'a> {
    kind: i32,
    path: Option<Option<&'a str>>,
    mount: Option<Option<&'a str>>,
    vendor: Option<&'a str>,
    id: Option<&'a str>,
    metadata: Vec<(String, Option<String>)>,
    profile: Option<&'a str>,
}

impl<'a> DiskKey<'a> {
    fn of(disk: &'a v1::resource::DiskInfo) -> Self {
        let source = disk.source.as_ref().map(|source| SourceKey {
            kind: source.r#type,
            path: source.path.as_ref().map(|path| path.root.as_deref()),
            mount: source.mount.as_ref().map(|mount| mount.root.as_deref()),
            vendor: source.vendor.as_deref(),
            id: source.id.as_deref(),
            metadata: sorted_labels(source.metadata.as_ref()),
            profile: source.profile.as_deref(),
        });
        let persistence = disk.persistence.as_ref();
        Self {
            persistence_id: persistence.map(|persistence| persistence.id.as_str()),
            source,
        }
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.compare_slot(other) == Ordering::Equal
            && self.amount == other.amount
            && self.copies == other.copies
    }
}

impl Eq for Resource {}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(role) = &self.allocation {
            write!(f, "(allocated: {role})")?;
        }
        if !self.is_unreserved() {
            let stack: Vec<_> = self
                .reservations()
                .iter()
                .map(ToString::to_string)
                .collect();
            write!(f, "(reservations: [{}])", stack.join(","))?;
        }
        if let Some(disk) = &self.disk {
            write!(f, "[{}]", DiskText(disk))?;
        }
        if self.revocable {
            f.write_str("{REV}")?;
        }
        if self.shared {
            f.write_str("<SHARED>")?;
        }
        write!(f, ":{}", self.amount)?;
        if self.shared {
            write!(f, "<{}>", self.copies)?;
        }
        Ok(())
    }
}

struct DiskText<'a>(&'a v1::resource::DiskInfo);

impl fmt::Display for DiskText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.0.source {
            let root = match source.r#type() {
                source::Type::Path => source.path.as_ref().and_then(|path| path.root.as_deref()),
                source::Type::Mount => source
                    .mount
                    .as_ref()
                    .and_then(|mount| mount.root.as_deref()),
                source::Type::Block | source::Type::Raw | source::Type::Unknown => None,
            };
            f.write_str(source.r#type().as_str_name())?;
            if let Some(root) = root {
                write!(f, ":{root}")?;
            }
        }
        if let Some(persistence) = &self.0.persistence {
            let comma = if self.0.source.is_some() { "," } else { "" };
            write!(f, "{comma}{}", persistence.id)?;
        }
        if let Some(volume) = &self.0.volume {
            f.write_str(":")?;
            if let Some(host_path) = &volume.host_path {
                write!(f, "{host_path}:")?;
            }
            f.write_str(&volume.container_path)?;
        }
        Ok(())
    }
}
