//! Parts and views of a collection: by role, by kind, by name, and as quantities.

use std::collections::BTreeMap;

use super::{Amount, Name, Quantities, Ranges, Resource, Resources, Scalar};
use crate::role::Role;

impl Resources {
    /// The entries for which the predicate holds. Nothing is copied if it holds for all.
    pub fn filter(&self, mut predicate: impl FnMut(&Resource) -> bool) -> Resources {
        let Some(first_out) = self.iter().position(|entry| !predicate(entry)) else {
            return self.clone();
        };
        let (kept, rest) = self.entries().split_at(first_out);
        let rest = rest[1..].iter().filter(|&entry| predicate(entry));
        Self::from_ordered(kept.iter().chain(rest).cloned().collect())
    }

    /// Both parts: the entries for which the predicate holds, and the others.
    pub fn partition(&self, predicate: impl FnMut(&Resource) -> bool) -> (Resources, Resources) {
        let mut predicate = predicate;
        let (yes, no): (Vec<_>, Vec<_>) = self.iter().cloned().partition(|entry| predicate(entry));
        (Self::from_ordered(yes), Self::from_ordered(no))
    }

    /// The same, offered or allocated to one role.
    pub fn allocated_to(&self, role: &str) -> Resources {
        self.with_allocation(Some(&Role::from(role)))
    }

    /// The same, offered or allocated to nobody.
    pub fn unallocated(&self) -> Resources {
        self.with_allocation(None)
    }

    /// The same with this allocation everywhere.
    pub fn with_allocation(&self, role: Option<&Role>) -> Resources {
        let Some(first) = self.entries().first() else {
            return Resources::new();
        };
        let changed = self.iter().map(|entry| entry.with_allocation(role));
        let old = first.allocation.as_ref();
        if self.iter().all(|entry| entry.allocation.as_ref() == old) {
            if old == role {
                return self.clone();
            }
            // One allocation everywhere becomes another: neither order nor merging changes.
            return Self::from_ordered(changed.collect());
        }
        changed.collect()
    }

    /// The parts by the role that they are allocated to. Unallocated entries are left out.
    pub fn allocations(&self) -> BTreeMap<Role, Resources> {
        let mut parts: BTreeMap<Role, Vec<Resource>> = BTreeMap::new();
        for entry in self {
            if let Some(role) = &entry.allocation {
                parts.entry(role.clone()).or_default().push(entry.clone());
            }
        }
        parts
            .into_iter()
            .map(|(role, part)| (role, Self::from_ordered(part)))
            .collect()
    }

    /// The single role that everything is allocated to, if there is one.
    pub fn allocation_role(&self) -> Option<&Role> {
        let role = self.entries().first()?.allocation.as_ref()?;
        self.iter()
            .all(|entry| entry.allocation.as_ref() == Some(role))
            .then_some(role)
    }

    /// What is reserved to nobody.
    pub fn unreserved(&self) -> Resources {
        self.filter(Resource::is_unreserved)
    }

    /// What is reserved to somebody.
    pub fn reserved(&self) -> Resources {
        self.filter(|entry| !entry.is_unreserved())
    }

    /// What is reserved to exactly this role.
    pub fn reserved_to(&self, role: &str) -> Resources {
        self.filter(|entry| {
            entry
                .reservation_role()
                .is_some_and(|reserved| *reserved == *role)
        })
    }

    /// The reserved parts by role.
    pub fn reservations(&self) -> BTreeMap<Role, Resources> {
        let mut parts: BTreeMap<Role, Vec<Resource>> = BTreeMap::new();
        for entry in self {
            if let Some(role) = entry.reservation_role() {
                parts.entry(role.clone()).or_default().push(entry.clone());
            }
        }
        parts
            .into_iter()
            .map(|(role, part)| (role, Self::from_ordered(part)))
            .collect()
    }

    /// What frameworks of this role may be offered: unreserved, or reserved to the role or
    /// to one above it.
    pub fn available_to(&self, role: &str) -> Resources {
        self.filter(|entry| entry.is_available_to(role))
    }

    /// What may be taken back at any time.
    pub fn revocable(&self) -> Resources {
        self.filter(Resource::is_revocable)
    }

    /// What may not be taken back.
    pub fn non_revocable(&self) -> Resources {
        self.filter(|entry| !entry.is_revocable())
    }

    /// Shared volumes.
    pub fn shared(&self) -> Resources {
        self.filter(Resource::is_shared)
    }

    /// Everything but shared volumes.
    pub fn non_shared(&self) -> Resources {
        self.filter(|entry| !entry.is_shared())
    }

    /// The persistent volumes.
    pub fn persistent_volumes(&self) -> Resources {
        self.filter(Resource::is_persistent_volume)
    }

    /// The entries with scalar amounts.
    pub fn scalars(&self) -> Resources {
        self.filter(|entry| entry.scalar().is_some())
    }

    /// The sum of the scalar amounts of a name, whatever they are reserved for.
    pub fn scalar(&self, name: &str) -> Scalar {
        self.named(name).filter_map(Resource::scalar).sum()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Resource> {
        self.iter().filter(move |entry| entry.name.as_str() == name)
    }

    /// Processors.
    pub fn cpus(&self) -> Scalar {
        self.scalar("cpus")
    }

    /// Memory in MB.
    pub fn mem(&self) -> Scalar {
        self.scalar("mem")
    }

    /// Disk space in MB.
    pub fn disk(&self) -> Scalar {
        self.scalar("disk")
    }

    /// Whole graphics processors.
    pub fn gpus(&self) -> Scalar {
        self.scalar("gpus")
    }

    /// The ports, whatever they are reserved for.
    pub fn ports(&self) -> Ranges {
        self.ranges("ports")
    }

    /// The union of the ranges of a name.
    pub fn ranges(&self, name: &str) -> Ranges {
        let mut found = self.named(name).filter_map(|entry| match &entry.amount {
            Amount::Ranges(ranges) => Some(ranges),
            Amount::Scalar(_) | Amount::Set(_) => None,
        });
        let first = found.next().cloned().unwrap_or_default();
        found.fold(first, |union, next| union.union(next))
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self.iter().map(|entry| entry.name.clone()).collect();
        names.dedup();
        names
    }

    /// How much of each scalar. Several copies of a shared volume count once.
    pub fn quantities(&self) -> Quantities {
        let scalar = |entry: &Resource| Some((entry.name.clone(), entry.scalar()?));
        self.iter().filter_map(scalar).collect()
    }

    /// How many of everything: units of scalars, members of ranges and sets. This is what
    /// minimum amounts of offers are compared with.
    pub fn counts(&self) -> Quantities {
        self.iter()
            .map(|entry| (entry.name.clone(), entry.amount.count()))
            .collect()
    }
}
