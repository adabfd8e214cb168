//! What of an agent's free resources a framework may be offered in a role: what it
//! understands, cut to what quota allows (Mesos: shrinkResources in
//! src/common/resources_utils.cpp). Most frameworks of a role may have the same: each portion
//! is made once, in room that is used again.

use caprock_model::{Amount, Capabilities, Quantities, Resource, Resources, Scalar};

use crate::allocation::Reason;
use crate::entitlement::{is_allocatable, is_enough};
use crate::ledger::{Allowance, Pass};
use crate::shares::Dimensions;
use crate::shuffle::Random;

/// Whether quota counts it: plain scalars do.
pub(crate) fn is_charged(entry: &Resource) -> bool {
    entry.is_unreserved() && !entry.is_revocable() && entry.scalar().is_some()
}

/// What frameworks with the same capabilities may be offered.
#[derive(Debug, Default)]
struct Portion {
    is_made: bool,
    /// What they understand.
    whole: Resources,
    /// How much quota leaves of each entry, if it leaves not everything.
    kept: Vec<Scalar>,
    /// Why it left not everything.
    cut: Option<Reason>,
    /// Whether it is enough for an offer by the general minimum.
    is_enough: bool,
    /// Whether it brings a guarantee forward.
    meets_guarantee: bool,
    /// What quota leaves, once somebody asked for it.
    rest: Option<Resources>,
}

impl Portion {
    fn amounts(&self) -> impl Iterator<Item = (&Resource, Scalar)> + Clone {
        self.whole.iter().zip(self.kept.iter().copied())
    }

    fn is_enough(&self, minimum: &[Quantities]) -> bool {
        match self.cut {
            None => is_allocatable(&self.whole, minimum),
            Some(_) => is_enough(&self.amounts(), minimum),
        }
    }

    fn resources(&mut self) -> Resources {
        if self.cut.is_none() {
            return self.whole.clone();
        }
        if let Some(rest) = &self.rest {
            return rest.clone();
        }
        let part = |(entry, kept): (&Resource, Scalar)| match entry.scalar() {
            Some(amount) if amount != kept => entry.with_amount(Amount::Scalar(kept)),
            _ => entry.clone(),
        };
        let kept = self.amounts().filter(|(_, amount)| !amount.is_zero());
        let rest: Resources = kept.map(part).collect();
        self.rest.insert(rest).clone()
    }
}

/// The circumstances under which portions are made.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) pass: Pass,
    pub(crate) min_allocatable: &'a [Quantities],
    pub(crate) dimensions: &'a Dimensions,
}

/// The portions of one agent for one role.
#[derive(Debug, Default)]
pub(crate) struct Portions {
    free: Resources,
    portions: [Portion; 8],
    pub(crate) allowance: Allowance,
    /// Room to count what is left of the allowance.
    left: Vec<i64>,
}

impl Portions {
    /// Begins anew with what is free for the role. The allowance has to be set, too.
    pub(crate) fn restart(&mut self, free: Resources) {
        self.free = free;
        for portion in &mut self.portions {
            portion.is_made = false;
        }
    }

    /// What a framework with these capabilities and this minimum may be offered.
    pub(crate) fn offer(
        &mut self,
        capabilities: Capabilities,
        minimum: Option<&[Quantities]>,
        terms: &Terms<'_>,
        random: &mut Random,
    ) -> Result<Resources, Reason> {
        let number = usize::from(capabilities.shared_resources)
            | usize::from(capabilities.revocable_resources) << 1
            | usize::from(capabilities.reservation_refinement) << 2;
        if !self.portions[number].is_made {
            self.make(number, capabilities, terms, random);
        }
        let portion = &mut self.portions[number];
        if portion.whole.is_empty() {
            return Err(Reason::NotUnderstood);
        }
        let is_enough = match minimum {
            None => portion.is_enough,
            Some(minimum) => portion.is_enough(minimum),
        };
        if !is_enough || (terms.pass == Pass::Guarantees && !portion.meets_guarantee) {
            let minimum = minimum.unwrap_or(terms.min_allocatable);
            let cut = portion.cut;
            let cut = cut.filter(|_| is_allocatable(&portion.whole, minimum));
            return Err(cut.unwrap_or(Reason::BelowMinimum));
        }
        Ok(portion.resources())
    }

    fn make(
        &mut self,
        number: usize,
        capabilities: Capabilities,
        terms: &Terms<'_>,
        random: &mut Random,
    ) {
        let understands = |entry: &Resource| {
            (!entry.is_shared() || capabilities.shared_resources)
                && (!entry.is_revocable() || capabilities.revocable_resources)
                && (!entry.is_refined() || capabilities.reservation_refinement)
        };
        let portion = &mut self.portions[number];
        portion.is_made = true;
        portion.whole = self.free.filter(understands);
        portion.cut = None;
        portion.rest = None;
        portion.meets_guarantee = false;
        if self.allowance.is_engaged {
            cut(portion, &self.allowance, &mut self.left, terms, random);
        }
        portion.is_enough = portion.is_enough(terms.min_allocatable);
    }
}

/// Keeps of each name no more than is allowed. Indivisible entries are kept whole or not at
/// all. If entries of a name compete, which comes first is random.
fn cut(
    portion: &mut Portion,
    allowance: &Allowance,
    left: &mut Vec<i64>,
    terms: &Terms<'_>,
    random: &mut Random,
) {
    let entries = portion.whole.entries();
    portion.kept.clear();
    portion
        .kept
        .extend(entries.iter().map(|entry| entry.amount().count()));
    left.clear();
    left.extend_from_slice(&allowance.amounts);
    let count = entries.len();
    let start = if count > 1 && exceeds(entries, left, terms.dimensions) {
        random.below(count as u64) as usize
    } else {
        0
    };
    left.clear();
    left.extend_from_slice(&allowance.amounts);
    for at in (start..count).chain(0..start) {
        let entry = &entries[at];
        let Some((amount, place)) = charged(entry, terms.dimensions) else {
            continue;
        };
        let mut kept = amount.min(left[place]);
        if kept < amount && entry.is_indivisible() {
            kept = 0;
        }
        if left[place] != i64::MAX {
            left[place] -= kept;
        }
        portion.kept[at] = Scalar(kept);
        if kept < amount {
            portion.cut = Some(allowance.reason(place));
        }
        portion.meets_guarantee |= kept > 0 && allowance.missing[place] > 0;
    }
}

fn charged(entry: &Resource, dimensions: &Dimensions) -> Option<(i64, usize)> {
    if !is_charged(entry) {
        return None;
    }
    Some((entry.scalar()?.0, dimensions.place(entry.name())?))
}

/// Whether there is more than is left. Uses up `left`.
fn exceeds(entries: &[Resource], left: &mut [i64], dimensions: &Dimensions) -> bool {
    let charged = entries
        .iter()
        .filter_map(|entry| charged(entry, dimensions));
    let mut exceeds = false;
    for (amount, place) in charged {
        left[place] = left[place].saturating_sub(amount);
        exceeds |= left[place] < 0;
    }
    exceeds
}
