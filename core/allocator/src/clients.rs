//! The frameworks of one role, in the order of their turns, kept between cycles.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use caprock_model::{Capabilities, FrameworkId, Quantities};

use crate::allocation::{Reason, Tally};
use crate::policy::Sorter;
use crate::request::FrameworkDemand;
use crate::shares::{Dimensions, Standing, difference, reposition};
use crate::shuffle::Random;

/// One framework that wants offers.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) id: FrameworkId,
    pub(crate) capabilities: Capabilities,
    pub(crate) min_allocatable: Option<Vec<Quantities>>,
    standing: Standing,
    /// Of the cycle with the number `seen`.
    tally: Tally,
    seen: u64,
}

/// The frameworks of one role.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clients {
    /// Those that left keep their slots until others come.
    slots: Vec<Client>,
    vacant: Vec<u32>,
    by_id: BTreeMap<FrameworkId, u32>,
    order: Vec<u32>,
    is_sorted: bool,
    /// The totals that the shares are of.
    version: u64,
    /// Agents on which nothing was for this role, in the cycle with the number `seen`.
    reserved_to_others: u32,
    seen: u64,
}

impl Clients {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn find(&self, id: &FrameworkId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &FrameworkId> {
        self.by_id.keys()
    }

    pub(crate) fn client(&self, index: u32) -> &Client {
        &self.slots[index as usize]
    }

    /// The dominant share of a framework.
    pub(crate) fn share(&self, index: u32) -> f64 {
        self.client(index).standing.share()
    }

    pub(crate) fn amounts(&self, index: u32) -> &[i64] {
        self.client(index).standing.amounts()
    }

    /// Takes a framework in, or what has become of it.
    pub(crate) fn set(
        &mut self,
        id: &FrameworkId,
        demand: &FrameworkDemand,
        dimensions: &mut Dimensions,
    ) {
        let index = match self.by_id.get(id) {
            Some(index) => *index,
            None => self.create(id),
        };
        let client = &mut self.slots[index as usize];
        client.capabilities = demand.capabilities;
        client.min_allocatable.clone_from(&demand.min_allocatable);
        let amounts = dimensions.vector(&demand.allocated);
        let change = difference(&amounts, client.standing.amounts());
        let grants = i64::try_from(demand.grants).unwrap_or(i64::MAX);
        let grants = grants.saturating_sub(client.standing.grants());
        self.adjust(index, dimensions, &change, grants);
    }

    fn create(&mut self, id: &FrameworkId) -> u32 {
        let client = Client {
            id: id.clone(),
            capabilities: Capabilities::default(),
            min_allocatable: None,
            standing: Standing::default(),
            tally: Tally::default(),
            seen: 0,
        };
        let index = self.vacant.pop().unwrap_or(self.slots.len() as u32);
        if index as usize == self.slots.len() {
            self.slots.push(client);
        } else {
            self.slots[index as usize] = client;
        }
        self.by_id.insert(id.clone(), index);
        let place = if self.is_sorted {
            let compared = |other: &u32| compare(&self.slots, *other, index);
            self.order
                .partition_point(|o| compared(o) == Ordering::Less)
        } else {
            self.order.len()
        };
        self.order.insert(place, index);
        index
    }

    /// Drops a framework that wants no offers in the role any more.
    pub(crate) fn remove(&mut self, id: &FrameworkId) {
        let Some(index) = self.by_id.remove(id) else {
            return;
        };
        self.order.retain(|other| *other != index);
        self.vacant.push(index);
    }

    /// Counts more or less for a framework, and so many grants.
    pub(crate) fn adjust(
        &mut self,
        index: u32,
        dimensions: &Dimensions,
        change: &[i64],
        grants: i64,
    ) {
        if !self.is_sorted {
            let standing = &mut self.slots[index as usize].standing;
            standing.adjust(dimensions, change, grants);
            return;
        }
        let place = self
            .order
            .binary_search_by(|&other| compare(&self.slots, other, index))
            .expect("the order holds every framework of the role, and is sorted");
        let standing = &mut self.slots[index as usize].standing;
        standing.adjust(dimensions, change, grants);
        let slots = &self.slots;
        reposition(&mut self.order, place, |a, b| compare(slots, a, b));
    }

    /// Brings everything into order before the role's turn, if it is not.
    pub(crate) fn prepare(&mut self, cycle: u64, dimensions: &Dimensions, sorter: Sorter) {
        let is_first_turn = self.seen != cycle;
        if is_first_turn {
            self.seen = cycle;
            self.reserved_to_others = 0;
        }
        if self.version != dimensions.version() {
            self.version = dimensions.version();
            self.is_sorted = false;
            for client in &mut self.slots {
                client.standing.rescore(dimensions);
            }
        }
        let slots = &self.slots;
        if sorter == Sorter::Random {
            self.is_sorted = false;
            if is_first_turn {
                let id = |index: &u32| &slots[*index as usize].id;
                self.order.sort_unstable_by(|a, b| id(a).cmp(id(b)));
            }
        } else if !self.is_sorted {
            self.order.sort_unstable_by(|a, b| compare(slots, *a, *b));
            self.is_sorted = true;
        }
    }

    /// Whose turn is at this place; whoever had none yet, if the order is random.
    pub(crate) fn turn(&mut self, place: usize, sorter: Sorter, random: &mut Random) -> u32 {
        if sorter == Sorter::Random {
            let waiting = (self.order.len() - place) as u64;
            let drawn = place + random.below(waiting) as usize;
            self.order.swap(place, drawn);
        }
        self.order[place]
    }

    pub(crate) fn count_grant(&mut self, index: u32) {
        self.tally_mut(index).granted += 1;
    }

    pub(crate) fn count_refusal(&mut self, index: u32, reason: Reason) {
        self.tally_mut(index).count(reason);
    }

    pub(crate) fn count_reserved_to_others(&mut self) {
        self.reserved_to_others += 1;
    }

    fn tally_mut(&mut self, index: u32) -> &mut Tally {
        let client = &mut self.slots[index as usize];
        if client.seen != self.seen {
            client.seen = self.seen;
            client.tally = Tally::default();
        }
        &mut client.tally
    }

    /// How the framework's turns of a cycle with so many agents ended.
    pub(crate) fn tally(&self, index: u32, cycle: u64, agents: u32) -> Tally {
        let client = self.client(index);
        let mut tally = if client.seen == cycle {
            client.tally
        } else {
            Tally::default()
        };
        let reserved = if self.seen == cycle {
            self.reserved_to_others
        } else {
            0
        };
        tally.settle(agents, reserved);
        tally
    }
}

fn compare(slots: &[Client], a: u32, b: u32) -> Ordering {
    let (left, right) = (&slots[a as usize], &slots[b as usize]);
    left.standing
        .compare(&right.standing)
        .then_with(|| left.id.cmp(&right.id))
}
