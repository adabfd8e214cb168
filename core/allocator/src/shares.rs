//! Dominant shares, on dense vectors: one number per scalar name that the cluster has.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use caprock_model::{Name, Quantities, Resources};

/// The scalar names that count, each with the total of the cluster.
#[derive(Debug)]
pub(crate) struct Dimensions<'a> {
    totals: Vec<(&'a Name, i64)>,
}

impl<'a> Dimensions<'a> {
    pub(crate) fn new(total: &'a Quantities, excluded: &BTreeSet<String>) -> Self {
        let counts = |name: &Name| !excluded.contains(name.as_str());
        let totals = total.iter().filter(|(name, _)| counts(name));
        Self {
            totals: totals.map(|(name, amount)| (name, amount.0)).collect(),
        }
    }

    /// A vector of nothing.
    pub(crate) fn zero(&self) -> Box<[i64]> {
        vec![0; self.totals.len()].into()
    }

    fn place(&self, name: &Name) -> Option<usize> {
        self.totals.iter().position(|(present, _)| *present == name)
    }

    pub(crate) fn add_quantities(&self, amounts: &mut [i64], more: &Quantities) {
        for (name, scalar) in more.iter() {
            if let Some(at) = self.place(name) {
                amounts[at] = amounts[at].saturating_add(scalar.0);
            }
        }
    }

    pub(crate) fn add_resources(&self, amounts: &mut [i64], more: &Resources) {
        for entry in more {
            if let (Some(scalar), Some(at)) = (entry.scalar(), self.place(entry.name())) {
                amounts[at] = amounts[at].saturating_add(scalar.0);
            }
        }
    }

    fn dominant(&self, amounts: &[i64]) -> f64 {
        let share = |(amount, (_, total)): (&i64, &(&Name, i64))| *amount as f64 / *total as f64;
        amounts
            .iter()
            .zip(&self.totals)
            .map(share)
            .fold(0.0, f64::max)
    }
}

/// What somebody has, and how that compares.
#[derive(Debug)]
pub(crate) struct Standing {
    amounts: Box<[i64]>,
    weight: f64,
    share: f64,
    grants: u64,
}

impl Standing {
    pub(crate) fn new(dimensions: &Dimensions<'_>) -> Self {
        Self {
            amounts: dimensions.zero(),
            weight: 1.0,
            share: 0.0,
            grants: 0,
        }
    }

    /// Sets the weight. What is not a positive number would reverse the order: it is 1.
    pub(crate) fn set_weight(&mut self, weight: f64) {
        self.weight = if weight.is_finite() && weight > 0.0 {
            weight
        } else {
            1.0
        };
    }

    /// Counts what somebody has from before the cycle.
    pub(crate) fn start_with(
        &mut self,
        dimensions: &Dimensions<'_>,
        allocated: &Quantities,
        grants: u64,
    ) {
        dimensions.add_quantities(&mut self.amounts, allocated);
        self.grants = self.grants.saturating_add(grants);
        self.share = dimensions.dominant(&self.amounts) / self.weight;
    }

    /// Counts one more grant.
    pub(crate) fn grant(&mut self, dimensions: &Dimensions<'_>, granted: &[i64]) {
        for (amount, more) in self.amounts.iter_mut().zip(granted) {
            *amount = amount.saturating_add(*more);
        }
        self.grants = self.grants.saturating_add(1);
        self.share = dimensions.dominant(&self.amounts) / self.weight;
    }

    /// Who comes first: the smaller share, then the one that was granted less often.
    pub(crate) fn compare(&self, other: &Standing) -> Ordering {
        self.share
            .total_cmp(&other.share)
            .then(self.grants.cmp(&other.grants))
    }
}

/// Moves the element at `place`, which has just grown, behind all that are now smaller. The
/// rest is in order.
pub(crate) fn sink(order: &mut [u32], place: usize, mut compare: impl FnMut(u32, u32) -> Ordering) {
    let grown = order[place];
    let behind = &order[place + 1..];
    let overtaken = behind.partition_point(|&other| compare(other, grown) == Ordering::Less);
    order[place..=place + overtaken].rotate_left(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_share_dominates() {
        let total = Quantities::parse("cpus:10;mem:100;gpus:1").unwrap();
        let dimensions = Dimensions::new(&total, &BTreeSet::from(["gpus".to_owned()]));
        let mut standing = Standing::new(&dimensions);
        let start = Quantities::parse("cpus:1;mem:50;gpus:1;x:5").unwrap();
        standing.start_with(&dimensions, &start, 3);
        assert_eq!((standing.share, standing.grants), (0.5, 3));
        let mut granted = dimensions.zero();
        let resources = Resources::parse("cpus:7;ports:[1-9]", "*").unwrap();
        dimensions.add_resources(&mut granted, &resources);
        standing.grant(&dimensions, &granted);
        assert_eq!((standing.share, standing.grants), (0.8, 4));
    }

    #[test]
    fn a_weight_divides_the_share() {
        let total = Quantities::parse("cpus:10").unwrap();
        let dimensions = Dimensions::new(&total, &BTreeSet::new());
        for (weight, share) in [
            (2.0, 0.25),
            (0.5, 1.0),
            (-1.0, 0.5),
            (0.0, 0.5),
            (f64::NAN, 0.5),
        ] {
            let mut standing = Standing::new(&dimensions);
            standing.set_weight(weight);
            standing.start_with(&dimensions, &Quantities::parse("cpus:5").unwrap(), 0);
            assert_eq!(standing.share, share, "{weight}");
        }
    }

    #[test]
    fn sinking_keeps_the_order() {
        let mut keys = [1, 3, 5, 7];
        let mut order = [0, 1, 2, 3];
        keys[0] = 6;
        sink(&mut order, 0, |a, b| {
            keys[a as usize].cmp(&keys[b as usize])
        });
        assert_eq!(order, [1, 2, 0, 3]);
        sink(&mut order, 3, |a, b| {
            keys[a as usize].cmp(&keys[b as usize])
        });
        assert_eq!(order, [1, 2, 0, 3]);
    }
}
