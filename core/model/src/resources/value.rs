//! The amount of one resource: a scalar, ranges or a set.

use std::cmp::Ordering;
use std::fmt;

use caprock_proto::mesos::v1::value;

use super::{Items, Ranges, Scalar};

/// An amount. Amounts of different types never mix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Amount {
    /// So much.
    Scalar(Scalar),
    /// These numbers.
    Ranges(Ranges),
    /// These items.
    Set(Items),
}

impl Amount {
    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Amount::Scalar(scalar) => scalar.0 <= 0,
            Amount::Ranges(ranges) => ranges.is_empty(),
            Amount::Set(items) => items.is_empty(),
        }
    }

    /// How many there are in it: units of a scalar, members of ranges and sets.
    pub fn count(&self) -> Scalar {
        match self {
            Amount::Scalar(scalar) => *scalar,
            Amount::Ranges(ranges) => {
                Scalar::from_units(i64::try_from(ranges.count()).unwrap_or(i64::MAX))
            }
            Amount::Set(items) => {
                Scalar::from_units(i64::try_from(items.len()).unwrap_or(i64::MAX))
            }
        }
    }

    /// The type on the wire.
    pub fn kind(&self) -> value::Type {
        match self {
            Amount::Scalar(_) => value::Type::Scalar,
            Amount::Ranges(_) => value::Type::Ranges,
            Amount::Set(_) => value::Type::Set,
        }
    }

    /// Orders by type only.
    pub(super) fn compare_kinds(&self, other: &Amount) -> Ordering {
        (self.kind() as i32).cmp(&(other.kind() as i32))
    }

    /// Whether at least the other amount is in this one.
    pub fn contains(&self, other: &Amount) -> bool {
        match (self, other) {
            (Amount::Scalar(left), Amount::Scalar(right)) => left >= right,
            (Amount::Ranges(left), Amount::Ranges(right)) => left.contains(right),
            (Amount::Set(left), Amount::Set(right)) => left.contains(right),
            _ => false,
        }
    }

    /// Adds an amount of the same type; of another type nothing is added.
    pub(super) fn add(&mut self, other: &Amount) {
        match (self, other) {
            (Amount::Scalar(left), Amount::Scalar(right)) => *left += *right,
            (Amount::Ranges(left), Amount::Ranges(right)) => *left = left.union(right),
            (Amount::Set(left), Amount::Set(right)) => *left = left.union(right),
            _ => {}
        }
    }

    /// Takes away an amount of the same type; of another type nothing is taken.
    pub(super) fn subtract(&mut self, other: &Amount) {
        match (self, other) {
            (Amount::Scalar(left), Amount::Scalar(right)) => *left -= *right,
            (Amount::Ranges(left), Amount::Ranges(right)) => *left = left.minus(right),
            (Amount::Set(left), Amount::Set(right)) => *left = left.minus(right),
            _ => {}
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Scalar(scalar) => scalar.fmt(f),
            Amount::Ranges(ranges) => ranges.fmt(f),
            Amount::Set(items) => items.fmt(f),
        }
    }
}
