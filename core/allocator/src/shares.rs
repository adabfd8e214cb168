//! Dominant shares, on dense vectors: one number per scalar name that was ever met.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use caprock_model::{Name, Quantities, Resource};

/// The scalar names, each with the total of the cluster. Names are never dropped: vectors
/// keep their meaning, and those that are shorter hold nothing of the later names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dimensions {
    names: Vec<Name>,
    /// Zero for names that do not count in shares.
    totals: Vec<i64>,
    /// Grows when a total changes, for then all shares change.
    version: u64,
}

impl Dimensions {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    pub(crate) fn set_totals(&mut self, total: &Quantities, excluded: &BTreeSet<String>) {
        let mut totals = vec![0; self.names.len()];
        for (name, amount) in total.iter() {
            let at = self.intern(name);
            totals.resize(self.names.len(), 0);
            if !excluded.contains(name.as_str()) {
                totals[at] = amount.0;
            }
        }
        if totals != self.totals {
            self.totals = totals;
            self.version += 1;
        }
    }

    /// The place of a name, which it gets if it has none.
    pub(crate) fn intern(&mut self, name: &Name) -> usize {
        self.place(name).unwrap_or_else(|| {
            self.names.push(name.clone());
            self.totals.push(0);
            self.names.len() - 1
        })
    }

    pub(crate) fn place(&self, name: &Name) -> Option<usize> {
        self.names.iter().position(|present| present == name)
    }

    /// The same amounts as a vector.
    pub(crate) fn vector(&mut self, amounts: &Quantities) -> Vec<i64> {
        let mut vector = Vec::new();
        self.add_quantities(&mut vector, amounts);
        vector
    }

    pub(crate) fn add_quantities(&mut self, vector: &mut Vec<i64>, amounts: &Quantities) {
        for (name, amount) in amounts.iter() {
            let at = self.intern(name);
            let sum = slot(vector, at);
            *sum = sum.saturating_add(amount.0);
        }
    }

    /// Adds the scalar amount of an entry, if it is one.
    pub(crate) fn add_entry(&mut self, vector: &mut Vec<i64>, entry: &Resource) {
        if let Some(scalar) = entry.scalar() {
            let at = self.intern(entry.name());
            let amount = slot(vector, at);
            *amount = amount.saturating_add(scalar.0);
        }
    }

    pub(crate) fn dominant(&self, amounts: &[i64]) -> f64 {
        let mut largest: f64 = 0.0;
        for (amount, total) in amounts.iter().zip(&self.totals) {
            if *total > 0 {
                largest = largest.max(*amount as f64 / *total as f64);
            }
        }
        largest
    }
}

/// The element of a vector that is long enough afterwards.
fn slot(vector: &mut Vec<i64>, at: usize) -> &mut i64 {
    if vector.len() <= at {
        vector.resize(at + 1, 0);
    }
    &mut vector[at]
}

/// Adds one vector to another.
pub(crate) fn accumulate(vector: &mut Vec<i64>, more: &[i64]) {
    if vector.len() < more.len() {
        vector.resize(more.len(), 0);
    }
    for (amount, more) in vector.iter_mut().zip(more) {
        *amount = amount.saturating_add(*more);
    }
}

/// What has to be added to `old` to make it `new`.
pub(crate) fn difference(new: &[i64], old: &[i64]) -> Vec<i64> {
    let at = |vector: &[i64], place: usize| vector.get(place).copied().unwrap_or(0);
    (0..new.len().max(old.len()))
        .map(|place| at(new, place).saturating_sub(at(old, place)))
        .collect()
}

/// What has to be added to `present` to take `part` away; it stops at zero.
pub(crate) fn removal(present: &[i64], part: &[i64]) -> Vec<i64> {
    let limited = |(present, part): (&i64, &i64)| -(*part.min(present)).max(0);
    present.iter().zip(part).map(limited).collect()
}

/// What somebody has, and how that compares.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    amounts: Vec<i64>,
    weight: f64,
    share: f64,
    grants: i64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            amounts: Vec::new(),
            weight: 1.0,
            share: 0.0,
            grants: 0,
        }
    }
}

impl Standing {
    pub(crate) fn amounts(&self) -> &[i64] {
        &self.amounts
    }

    pub(crate) fn grants(&self) -> i64 {
        self.grants
    }

    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }

    /// The dominant share, divided by the weight.
    pub(crate) fn share(&self) -> f64 {
        self.share
    }

    /// Sets the weight. What is not a positive number would reverse the order: it is 1.
    pub(crate) fn set_weight(&mut self, dimensions: &Dimensions, weight: f64) {
        self.weight = if weight.is_finite() && weight > 0.0 {
            weight
        } else {
            1.0
        };
        self.rescore(dimensions);
    }

    /// Counts more, or less, and so many grants.
    pub(crate) fn adjust(&mut self, dimensions: &Dimensions, change: &[i64], grants: i64) {
        accumulate(&mut self.amounts, change);
        self.grants = self.grants.saturating_add(grants);
        self.rescore(dimensions);
    }

    /// Computes the share anew, when totals have changed.
    pub(crate) fn rescore(&mut self, dimensions: &Dimensions) {
        self.share = dimensions.dominant(&self.amounts) / self.weight;
    }

    /// Who comes first: the smaller share, then the one that was granted less often.
    pub(crate) fn compare(&self, other: &Standing) -> Ordering {
        self.share
            .total_cmp(&other.share)
            .then(self.grants.cmp(&other.grants))
    }
}

/// Moves the element at `place`, which has changed, to where it belongs. The rest is in order.
pub(crate) fn reposition(
    order: &mut [u32],
    place: usize,
    mut compare: impl FnMut(u32, u32) -> Ordering,
) {
    let changed = order[place];
    let (before, behind) = (&order[..place], &order[place + 1..]);
    let overtaken = behind.partition_point(|&other| compare(other, changed) == Ordering::Less);
    if overtaken > 0 {
        order[place..=place + overtaken].rotate_left(1);
        return;
    }
    let smaller = before.partition_point(|&other| compare(other, changed) == Ordering::Less);
    order[smaller..=place].rotate_right(1);
}

#[cfg(test)]
mod tests {
    use caprock_model::Resources;

    use super::*;

    fn dimensions(total: &str, excluded: &[&str]) -> Dimensions {
        let mut dimensions = Dimensions::default();
        let excluded = excluded.iter().map(|name| (*name).to_owned()).collect();
        dimensions.set_totals(&Quantities::parse(total).unwrap(), &excluded);
        dimensions
    }

    #[test]
    fn the_largest_share_dominates() {
        let mut dimensions = dimensions("cpus:10;mem:100;gpus:1", &["gpus"]);
        let mut standing = Standing::default();
        let start = Quantities::parse("cpus:1;mem:50;gpus:1;x:5").unwrap();
        let start = dimensions.vector(&start);
        standing.adjust(&dimensions, &start, 3);
        assert_eq!((standing.share, standing.grants), (0.5, 3));
        let mut granted = Vec::new();
        for entry in &Resources::parse("cpus:7;ports:[1-9]", "*").unwrap() {
            dimensions.add_entry(&mut granted, entry);
        }
        standing.adjust(&dimensions, &granted, 1);
        assert_eq!((standing.share, standing.grants), (0.8, 4));
    }

    #[test]
    fn a_weight_divides_the_share() {
        let mut dimensions = dimensions("cpus:10", &[]);
        let half = dimensions.vector(&Quantities::parse("cpus:5").unwrap());
        for (weight, share) in [
            (2.0, 0.25),
            (0.5, 1.0),
            (-1.0, 0.5),
            (0.0, 0.5),
            (f64::NAN, 0.5),
        ] {
            let mut standing = Standing::default();
            standing.set_weight(&dimensions, weight);
            standing.adjust(&dimensions, &half, 0);
            assert_eq!(standing.share, share, "{weight}");
        }
    }

    #[test]
    fn a_new_total_is_noticed() {
        let mut dimensions = dimensions("cpus:10", &[]);
        let before = dimensions.version();
        dimensions.set_totals(&Quantities::parse("cpus:10").unwrap(), &BTreeSet::new());
        assert_eq!(dimensions.version(), before);
        dimensions.set_totals(&Quantities::parse("cpus:9").unwrap(), &BTreeSet::new());
        assert_ne!(dimensions.version(), before);
    }

    #[test]
    fn vectors_of_different_lengths() {
        assert_eq!(difference(&[1, 2], &[3]), [-2, 2]);
        assert_eq!(difference(&[1], &[3, 4]), [-2, -4]);
        assert_eq!(removal(&[5, 1], &[2, 3, 4]), [-2, -1]);
    }

    #[test]
    fn repositioning_keeps_the_order() {
        let mut keys = [1, 3, 5, 7];
        let mut order = [0, 1, 2, 3];
        for (place, key, expected) in [
            (0, 6, [1, 2, 0, 3]),
            (3, 8, [1, 2, 0, 3]),
            (3, 0, [3, 1, 2, 0]),
            (2, 4, [3, 1, 2, 0]),
            (2, 2, [3, 2, 1, 0]),
        ] {
            keys[order[place] as usize] = key;
            reposition(&mut order, place, |a, b| {
                keys[a as usize].cmp(&keys[b as usize])
            });
            assert_eq!(order, expected);
        }
    }
}
