//! Sets of named items, such as disks: sorted and without duplicates.

use std::fmt;
use std::sync::Arc;

use caprock_proto::mesos::v1::value;

/// A set of texts. Unlike Mesos' own comparison, the order of items never matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Items(Arc<[Arc<str>]>);

impl Items {
    /// Sorts, and drops duplicates.
    pub fn new(items: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut sorted: Vec<_> = items.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self(sorted.into())
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|item| &**item)
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, item: &Arc<str>) -> bool {
        self.0.binary_search(item).is_ok()
    }

    /// Whether every item of `other` is in it.
    pub fn contains(&self, other: &Items) -> bool {
        other.0.iter().all(|item| self.has(item))
    }

    /// The items of either.
    pub fn union(&self, other: &Items) -> Items {
        Self::new(self.0.iter().chain(other.0.iter()).cloned())
    }

    /// The items that are not in `other`.
    pub fn minus(&self, other: &Items) -> Items {
        Self(
            self.0
                .iter()
                .filter(|item| !other.has(item))
                .cloned()
                .collect(),
        )
    }

    /// The items as the wire message.
    pub fn to_proto(&self) -> value::Set {
        value::Set {
            item: self.iter().map(str::to_owned).collect(),
        }
    }
}

impl From<&value::Set> for Items {
    fn from(set: &value::Set) -> Self {
        Self::new(set.item.iter().map(|item| item.as_str().into()))
    }
}

impl fmt::Display for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, item) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(of: &[&str]) -> Items {
        Items::new(of.iter().map(|&item| item.into()))
    }

    #[test]
    fn order_and_duplicates_do_not_matter() {
        assert_eq!(items(&["b", "a", "b"]), items(&["a", "b"]));
        assert_eq!(items(&["b", "a"]).to_string(), "{a, b}");
    }

    #[test]
    fn arithmetic() {
        let (left, right) = (items(&["a", "b"]), items(&["b", "c"]));
        assert_eq!(left.union(&right), items(&["a", "b", "c"]));
        assert_eq!(left.minus(&right), items(&["a"]));
        assert!(left.contains(&items(&["b"])));
        assert!(!left.contains(&right));
    }
}
