//! Closed ranges of whole numbers, such as ports: sorted, apart, and not touching.

use std::fmt;
use std::sync::Arc;

use caprock_proto::mesos::v1::value;

/// A set of numbers as few closed ranges `(first, last)` as possible.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Arc<[(u64, u64)]>);

impl Ranges {
    /// Sorts and merges; ranges that end before they begin hold nothing.
    pub fn new(ranges: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|(a, b)| a <= b).collect();
        sorted.sort_unstable();
        sorted.dedup_by(|next, kept| {
            // u64::MAX has no successor: everything after it begins within it.
            let touches = kept.1.checked_add(1).is_none_or(|after| next.0 <= after);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        Self(sorted.into())
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is no number in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.iter().fold(0, |sum, (a, b)| {
            sum.saturating_add((b - a).saturating_add(1))
        })
    }

    /// Whether every number of `other` is in it.
    pub fn contains(&self, other: &Ranges) -> bool {
        other.iter().all(|(first, last)| {
            let at = self.0.partition_point(|range| range.1 < first);
            self.0
                .get(at)
                .is_some_and(|range| range.0 <= first && last <= range.1)
        })
    }

    /// Whether some number is in both.
    pub fn overlaps(&self, other: &Ranges) -> bool {
        other.iter().any(|(first, last)| {
            let at = self.0.partition_point(|range| range.1 < first);
            self.0.get(at).is_some_and(|range| range.0 <= last)
        })
    }

    /// The numbers of either.
    pub fn union(&self, other: &Ranges) -> Ranges {
        Self::new(self.iter().chain(other.iter()))
    }

    /// The numbers that are not in `other`.
    pub fn minus(&self, other: &Ranges) -> Ranges {
        let mut kept = Vec::with_capacity(self.0.len() + other.0.len());
        for (mut first, last) in self.iter() {
            let from = other.0.partition_point(|range| range.1 < first);
            let mut covered = false;
            for &(cut_first, cut_last) in &other.0[from..] {
                if cut_first > last {
                    break;
                }
                if first < cut_first {
                    kept.push((first, cut_first - 1));
                }
                if cut_last >= last {
                    covered = true;
                    break;
                }
                first = cut_last + 1;
            }
            if !covered {
                kept.push((first, last));
            }
        }
        Self(kept.into())
    }

    /// The ranges as the wire message.
    pub fn to_proto(&self) -> value::Ranges {
        let range = self
            .iter()
            .map(|(begin, end)| value::Range { begin, end })
            .collect();
        value::Ranges { range }
    }
}

impl From<&value::Ranges> for Ranges {
    fn from(ranges: &value::Ranges) -> Self {
        Self::new(ranges.range.iter().map(|range| (range.begin, range.end)))
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, (first, last)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{first}-{last}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;

    fn ranges(of: &[(u64, u64)]) -> Ranges {
        Ranges::new(of.iter().copied())
    }

    #[test]
    fn touching_ranges_merge() {
        assert_eq!(ranges(&[(4, 6), (1, 3)]), ranges(&[(1, 6)]));
        assert_eq!(ranges(&[(1, 9), (2, 3), (8, 12)]).to_string(), "[1-12]");
        assert_eq!(ranges(&[(1, 2), (4, 4)]).to_string(), "[1-2, 4-4]");
        assert_eq!(ranges(&[(5, u64::MAX), (7, 8)]).iter().count(), 1);
        assert!(ranges(&[(3, 2)]).is_empty());
    }

    #[test]
    fn the_last_number_is_cut_off() {
        let all = ranges(&[(0, u64::MAX)]);
        assert_eq!(
            all.minus(&ranges(&[(u64::MAX, u64::MAX)])),
            ranges(&[(0, u64::MAX - 1)])
        );
        assert_eq!(all.minus(&ranges(&[(0, 0)])), ranges(&[(1, u64::MAX)]));
        assert_eq!(all.count(), u64::MAX);
    }

    fn members() -> impl Strategy<Value = BTreeSet<u64>> {
        prop::collection::btree_set(0u64..40, 0..30)
    }

    fn of_members(members: &BTreeSet<u64>) -> Ranges {
        Ranges::new(members.iter().map(|&number| (number, number)))
    }

    proptest! {
        #[test]
        fn they_behave_as_sets_of_numbers(a in members(), b in members()) {
            let (left, right) = (of_members(&a), of_members(&b));
            prop_assert_eq!(left.count(), a.len() as u64);
            prop_assert_eq!(left.union(&right), of_members(&(&a | &b)));
            prop_assert_eq!(left.minus(&right), of_members(&(&a - &b)));
            prop_assert_eq!(left.contains(&right), a.is_superset(&b));
            prop_assert_eq!(left.overlaps(&right), !a.is_disjoint(&b));
        }

        #[test]
        fn they_are_normalised(raw in prop::collection::vec((0u64..99, 0u64..99), 0..9)) {
            let ranges = Ranges::new(raw);
            let all: Vec<_> = ranges.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert!(all.iter().all(|(first, last)| first <= last));
        }
    }
}
