//! The tree of roles, in the order of their turns: `a/x` and `a/y` share what `a` gets, and
//! `a` competes with its siblings only (Mesos: src/master/allocator/mesos/sorter/drf). It is
//! kept between cycles: a change moves the nodes on one path, nothing else.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::policy::Sorter;
use crate::shares::{Dimensions, Standing, reposition};
use crate::shuffle::Random;

const ROOT: u32 = 0;
const NOBODY: u32 = u32::MAX;

/// The name of the hidden child that stands for the direct use of a role.
const DIRECT: &str = ".";

#[derive(Debug, Clone)]
struct Node {
    /// The last component of the path.
    name: Box<str>,
    parent: u32,
    /// The first node on the way down to it: quota is set there.
    top: u32,
    /// Of everything in and below it.
    standing: Standing,
    children: BTreeMap<Box<str>, u32>,
    /// Children under which some framework wants offers, in the order of their turns.
    order: Vec<u32>,
    /// The role whose frameworks get their turns here.
    role: u32,
    /// Whether it is in the order of its parent.
    is_active: bool,
}

impl Node {
    fn new(name: &str, parent: u32) -> Self {
        Self {
            name: name.into(),
            parent,
            top: NOBODY,
            standing: Standing::default(),
            children: BTreeMap::new(),
            order: Vec::new(),
            role: NOBODY,
            is_active: false,
        }
    }
}

/// All roles.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    vacant: Vec<u32>,
    sorter: Sorter,
    /// Whether all orders are in order. Not before the first cycle, and never if the order
    /// is random.
    is_sorted: bool,
    /// The totals that the shares are of.
    version: u64,
    /// How many weights are not 1.
    weights: u32,
    /// Room to draw in.
    times: Vec<(f64, u32)>,
}

/// A walk over the roles in the order of their turns.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The nodes on the way down, each with the place of the child to visit next.
    path: Vec<(u32, usize)>,
}

impl Walk {
    /// Begins again at the first role.
    pub(crate) fn restart(&mut self) {
        self.path.clear();
        self.path.push((ROOT, 0));
    }
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![Node::new("", ROOT)],
            vacant: Vec::new(),
            sorter: Sorter::Drf,
            is_sorted: false,
            version: 0,
            weights: 0,
            times: Vec::new(),
        }
    }

    pub(crate) fn set_sorter(&mut self, sorter: Sorter) {
        self.is_sorted &= sorter == self.sorter;
        self.sorter = sorter;
    }

    /// Makes a place for a role that is new; answers the leaf that stands for it.
    pub(crate) fn insert(&mut self, path: &str, role: u32) -> u32 {
        let mut at = ROOT;
        for name in path.split('/').chain([DIRECT]) {
            at = match self.nodes[at as usize].children.get(name) {
                Some(child) => *child,
                None => self.create(name, at),
            };
        }
        self.nodes[at as usize].role = role;
        at
    }

    fn create(&mut self, name: &str, parent: u32) -> u32 {
        let mut node = Node::new(name, parent);
        let at = self.vacant.pop().unwrap_or(self.nodes.len() as u32);
        node.top = if parent == ROOT {
            at
        } else {
            self.nodes[parent as usize].top
        };
        if at as usize == self.nodes.len() {
            self.nodes.push(node);
        } else {
            self.nodes[at as usize] = node;
        }
        let siblings = &mut self.nodes[parent as usize].children;
        siblings.insert(name.into(), at);
        at
    }

    /// Gives up the place of a role that has nothing and wants nothing.
    pub(crate) fn remove(&mut self, leaf: u32) {
        debug_assert!(!self.nodes[leaf as usize].is_active);
        let mut at = leaf;
        while at != ROOT && self.nodes[at as usize].children.is_empty() {
            let node = std::mem::replace(&mut self.nodes[at as usize], Node::new("", ROOT));
            self.vacant.push(at);
            at = node.parent;
            self.nodes[at as usize].children.remove(&node.name);
        }
    }

    /// Whether some role still needs this first component of its path.
    pub(crate) fn exists(&self, top: u32) -> bool {
        !self.nodes[top as usize].children.is_empty()
    }

    /// The place that stands for the whole first component of the path.
    pub(crate) fn top(&self, leaf: u32) -> u32 {
        self.nodes[leaf as usize].top
    }

    /// What was counted for a role itself.
    pub(crate) fn standing(&self, leaf: u32) -> &Standing {
        &self.nodes[leaf as usize].standing
    }

    /// The share of a role with all below it, divided by its weight.
    pub(crate) fn share(&self, leaf: u32) -> f64 {
        let parent = self.nodes[leaf as usize].parent;
        self.nodes[parent as usize].standing.share()
    }

    pub(crate) fn weight(&self, leaf: u32) -> f64 {
        let parent = self.nodes[leaf as usize].parent;
        self.nodes[parent as usize].standing.weight()
    }

    pub(crate) fn set_weight(&mut self, leaf: u32, dimensions: &Dimensions, weight: f64) {
        let node = self.nodes[leaf as usize].parent;
        let is_set = |tree: &Self| u32::from(tree.weight(leaf) != 1.0);
        self.weights -= is_set(self);
        self.change(node, |standing| standing.set_weight(dimensions, weight));
        self.weights += is_set(self);
    }

    /// Counts more or less for a role, and for all above it.
    pub(crate) fn adjust(
        &mut self,
        leaf: u32,
        dimensions: &Dimensions,
        change: &[i64],
        grants: i64,
    ) {
        let mut at = leaf;
        while at != ROOT {
            self.change(at, |standing| standing.adjust(dimensions, change, grants));
            at = self.nodes[at as usize].parent;
        }
    }

    fn change(&mut self, at: u32, change: impl FnOnce(&mut Standing)) {
        if !(self.is_sorted && self.nodes[at as usize].is_active) {
            change(&mut self.nodes[at as usize].standing);
            return;
        }
        let parent = self.nodes[at as usize].parent as usize;
        let mut order = std::mem::take(&mut self.nodes[parent].order);
        let place = order
            .binary_search_by(|&other| compare(&self.nodes, other, at))
            .expect("the order holds every active child, and is sorted");
        change(&mut self.nodes[at as usize].standing);
        reposition(&mut order, place, |a, b| compare(&self.nodes, a, b));
        self.nodes[parent].order = order;
    }

    /// Says whether some framework wants offers in the role.
    pub(crate) fn set_active(&mut self, leaf: u32, is_active: bool) {
        let mut at = leaf;
        while at != ROOT && self.nodes[at as usize].is_active != is_active {
            let parent = self.nodes[at as usize].parent;
            let mut order = std::mem::take(&mut self.nodes[parent as usize].order);
            let place = if self.is_sorted {
                order.binary_search_by(|&other| compare(&self.nodes, other, at))
            } else {
                let found = order.iter().position(|&other| other == at);
                found.ok_or(order.len())
            };
            match place {
                Ok(place) => drop(order.remove(place)),
                Err(place) => order.insert(place, at),
            }
            let is_only = order.len() <= usize::from(is_active);
            self.nodes[at as usize].is_active = is_active;
            self.nodes[parent as usize].order = order;
            if !is_only {
                return;
            }
            at = parent;
        }
    }

    /// Brings everything into order before a cycle, if it is not.
    pub(crate) fn prepare(&mut self, dimensions: &Dimensions) {
        if self.version != dimensions.version() {
            self.version = dimensions.version();
            self.is_sorted = false;
            for node in &mut self.nodes {
                node.standing.rescore(dimensions);
            }
        }
        if self.is_sorted {
            return;
        }
        for at in 0..self.nodes.len() {
            let mut order = std::mem::take(&mut self.nodes[at].order);
            match self.sorter {
                Sorter::Drf => order.sort_unstable_by(|a, b| compare(&self.nodes, *a, *b)),
                Sorter::Random => order.sort_unstable_by(|a, b| {
                    let name = |at: u32| &self.nodes[at as usize].name;
                    name(*a).cmp(name(*b))
                }),
            }
            self.nodes[at].order = order;
        }
        self.is_sorted = self.sorter == Sorter::Drf;
    }

    /// The next role of a walk. Shares must not change while it lasts.
    pub(crate) fn next_role(&mut self, walk: &mut Walk, random: &mut Random) -> Option<u32> {
        while let Some((at, place)) = walk.path.last_mut() {
            let Some(child) = self.turn(*at, *place, random) else {
                walk.path.pop();
                continue;
            };
            *place += 1;
            match self.nodes[child as usize].role {
                NOBODY => walk.path.push((child, 0)),
                role => return Some(role),
            }
        }
        None
    }

    /// The first component of a path whose turn is at this place.
    pub(crate) fn next_top(&mut self, place: usize, random: &mut Random) -> Option<u32> {
        self.turn(ROOT, place, random)
    }

    /// The role that is this first component itself, if frameworks want offers in it.
    pub(crate) fn role_of_top(&self, top: u32) -> Option<u32> {
        let direct = *self.nodes[top as usize].children.get(DIRECT)?;
        let direct = &self.nodes[direct as usize];
        direct.is_active.then_some(direct.role)
    }

    fn turn(&mut self, at: u32, place: usize, random: &mut Random) -> Option<u32> {
        if place >= self.nodes[at as usize].order.len() {
            return None;
        }
        if self.sorter == Sorter::Random {
            self.draw(at, place, random);
        }
        Some(self.nodes[at as usize].order[place])
    }

    /// Draws one of the children that had no turn yet: the chance is its weight over the sum
    /// of theirs (Mesos: src/master/allocator/mesos/sorter/random). With weights, all are
    /// drawn at the first turn: the times of a race are exponential with the weights as rates.
    fn draw(&mut self, at: u32, place: usize, random: &mut Random) {
        let order = &mut self.nodes[at as usize].order;
        if self.weights == 0 {
            let drawn = place + random.below((order.len() - place) as u64) as usize;
            order.swap(place, drawn);
            return;
        }
        if place > 0 {
            return;
        }
        let mut order = std::mem::take(order);
        let weight = |at: u32| self.nodes[at as usize].standing.weight();
        let time = |at: &u32| (-(1.0 - random.fraction()).ln() / weight(*at), *at);
        self.times.clear();
        self.times.extend(order.iter().map(time));
        self.times.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (slot, (_, child)) in order.iter_mut().zip(&self.times) {
            *slot = *child;
        }
        self.nodes[at as usize].order = order;
    }
}

/// Siblings by standing, then by name.
fn compare(nodes: &[Node], a: u32, b: u32) -> Ordering {
    let (left, right) = (&nodes[a as usize], &nodes[b as usize]);
    left.standing
        .compare(&right.standing)
        .then_with(|| left.name.cmp(&right.name))
}
