//! Collections of resources and their arithmetic (Mesos: src/common/resources.cpp).
//!
//! Entries are merged, kept in one order and shared between copies until one is changed, so
//! that a copy costs one counter and equality is equality of lists.

mod convert;
mod name;
mod parse;
mod quantities;
mod ranges;
mod reservation;
mod resource;
mod scalar;
mod select;
mod set;
#[cfg(test)]
mod tests;
mod value;

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::sync::Arc;

pub use name::Name;
pub use parse::parse_value;
pub use quantities::Quantities;
pub use ranges::Ranges;
pub use reservation::{Reservation, ReservationKind};
pub use resource::Resource;
pub use scalar::Scalar;
pub use set::Items;
pub use value::Amount;

/// Text or messages that are no resources; the text is Mesos'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ResourceError(pub String);

/// A collection of resources. No entry is empty, no two entries could be one.
#[derive(Clone, Default)]
pub struct Resources {
    /// None is empty, so that nothing costs nothing.
    entries: Option<Arc<Vec<Resource>>>,
}

impl Resources {
    /// Nothing.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Resource] {
        self.entries.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.entries().iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Takes entries that are in order and apart already.
    fn from_ordered(entries: Vec<Resource>) -> Self {
        debug_assert!(entries.iter().all(|entry| !entry.is_empty()));
        debug_assert!(
            entries
                .windows(2)
                .all(|pair| pair[0].compare_slot(&pair[1]) != Ordering::Greater)
        );
        Self {
            entries: (!entries.is_empty()).then(|| Arc::new(entries)),
        }
    }

    fn entries_mut(&mut self) -> &mut Vec<Resource> {
        Arc::make_mut(self.entries.get_or_insert_default())
    }

    fn find(&self, entry: &Resource) -> Result<usize, usize> {
        self.entries()
            .binary_search_by(|present| present.compare_slot(entry))
    }

    /// Adds one entry. Nothing is added for an empty one.
    pub fn insert(&mut self, entry: &Resource) {
        if entry.is_empty() {
            return;
        }
        match self.find(entry) {
            Ok(at) if entry.merges() => {
                let present = &mut self.entries_mut()[at];
                if entry.shared {
                    present.copies = present.copies.saturating_add(entry.copies);
                } else {
                    present.amount.add(&entry.amount);
                }
            }
            Ok(at) | Err(at) => self.entries_mut().insert(at, entry.clone()),
        }
    }

    /// Takes one entry away. What is not there is ignored; if more is taken than is there,
    /// nothing remains of the entry.
    pub fn remove(&mut self, entry: &Resource) {
        if entry.is_empty() {
            return;
        }
        let Ok(at) = self.find(entry) else { return };
        let entries = self.entries_mut();
        let present = &mut entries[at];
        if entry.shared {
            present.copies = present.copies.saturating_sub(entry.copies);
        } else {
            present.amount.subtract(&entry.amount);
        }
        if present.is_empty() {
            entries.remove(at);
        }
        if entries.is_empty() {
            self.entries = None;
        }
    }

    /// Whether everything of `other` is in it: each entry within a single entry.
    pub fn contains(&self, other: &Resources) -> bool {
        if let (Some(left), Some(right)) = (&self.entries, &other.entries)
            && Arc::ptr_eq(left, right)
        {
            return true;
        }
        let wanted = other.entries();
        wanted.iter().enumerate().all(|(at, entry)| {
            let Ok(found) = self.find(entry) else {
                return false;
            };
            if entry.shared {
                return self.entries()[found].copies >= entry.copies;
            }
            if entry.merges() {
                return self.entries()[found].amount.contains(&entry.amount);
            }
            // Indivisible ones of a kind stand side by side: compare how many.
            let same = |present: &&Resource| present.compare_slot(entry) == Ordering::Equal;
            let before = wanted[..at].iter().rev().take_while(same).count();
            self.iter().filter(same).count() > before
        })
    }

    /// What remains when `other` is taken, if all of it is there.
    pub fn checked_sub(&self, other: &Resources) -> Option<Resources> {
        self.contains(other).then(|| self - other)
    }
}

impl PartialEq for Resources {
    fn eq(&self, other: &Self) -> bool {
        match (&self.entries, &other.entries) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right) || left == right,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Eq for Resources {}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        for entry in other {
            self.insert(entry);
        }
    }
}

impl SubAssign<&Resources> for Resources {
    fn sub_assign(&mut self, other: &Resources) {
        for entry in other {
            self.remove(entry);
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        *self += &other;
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Resources) {
        *self -= &other;
    }
}

impl Add for &Resources {
    type Output = Resources;

    fn add(self, other: &Resources) -> Resources {
        let mut sum = self.clone();
        sum += other;
        sum
    }
}

impl Add<&Resources> for Resources {
    type Output = Resources;

    fn add(mut self, other: &Resources) -> Resources {
        self += other;
        self
    }
}

impl Sub for &Resources {
    type Output = Resources;

    fn sub(self, other: &Resources) -> Resources {
        let mut rest = self.clone();
        rest -= other;
        rest
    }
}

impl Sub<&Resources> for Resources {
    type Output = Resources;

    fn sub(mut self, other: &Resources) -> Resources {
        self -= other;
        self
    }
}

impl<'a> std::iter::Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(all: I) -> Resources {
        all.fold(Resources::new(), |sum, next| sum + next)
    }
}

impl FromIterator<Resource> for Resources {
    fn from_iter<I: IntoIterator<Item = Resource>>(entries: I) -> Self {
        let mut result = Self::new();
        for entry in entries {
            result.insert(&entry);
        }
        result
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (at, entry) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{entry}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resources({self})")
    }
}
