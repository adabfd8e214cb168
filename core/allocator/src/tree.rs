//! The tree of roles, in the order of their turns: `a/x` and `a/y` share what `a` gets, and
//! `a` competes with its siblings only (Mesos: src/master/allocator/mesos/sorter/drf).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use caprock_model::Role;

use crate::request::RoleDemand;
use crate::shares::{Dimensions, Standing, sink};

const ROOT: u32 = 0;

/// The name of the hidden child that stands for the direct use of a role with children.
const DIRECT: &str = ".";

#[derive(Debug)]
struct Node<'a> {
    /// The last component of the path.
    name: &'a str,
    parent: u32,
    /// Of everything in and below it.
    standing: Standing,
    /// Children under which some framework wants offers, in the order of their turns.
    order: Vec<u32>,
    /// The role whose frameworks get their turns here, by its place among the roles.
    role: Option<u32>,
}

/// All roles. Nodes are created downwards: a parent comes before its children.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    /// By role, the node where its frameworks get their turns.
    leaves: Vec<Option<u32>>,
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

impl<'a> Tree<'a> {
    pub(crate) fn new(roles: &'a BTreeMap<Role, RoleDemand>, dimensions: &Dimensions<'_>) -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            leaves: vec![None; roles.len()],
        };
        tree.create(dimensions, "", ROOT);
        let places = tree.create_paths(roles, dimensions);
        let mut has_children = vec![false; tree.nodes.len()];
        for node in &tree.nodes[1..] {
            has_children[node.parent as usize] = true;
        }
        for (role, (demand, at)) in (0u32..).zip(roles.values().zip(places)) {
            tree.fill(at, demand, dimensions);
            if demand.frameworks.is_empty() {
                continue;
            }
            let mut leaf = at;
            if has_children[at as usize] {
                leaf = tree.create(dimensions, DIRECT, at);
                let standing = &mut tree.nodes[leaf as usize].standing;
                standing.start_with(dimensions, &demand.allocated, demand.grants);
            }
            tree.nodes[leaf as usize].role = Some(role);
            tree.leaves[role as usize] = Some(leaf);
        }
        tree.link();
        tree
    }

    fn create(&mut self, dimensions: &Dimensions<'_>, name: &'a str, parent: u32) -> u32 {
        let standing = Standing::new(dimensions);
        self.nodes.push(Node {
            name,
            parent,
            standing,
            order: Vec::new(),
            role: None,
        });
        self.nodes.len() as u32 - 1
    }

    /// Creates a node for each component of each role; answers the nodes of the roles.
    fn create_paths(
        &mut self,
        roles: &'a BTreeMap<Role, RoleDemand>,
        dimensions: &Dimensions<'_>,
    ) -> Vec<u32> {
        let mut known: BTreeMap<(u32, &str), u32> = BTreeMap::new();
        let mut places = Vec::with_capacity(roles.len());
        for (role, demand) in roles {
            let mut at = ROOT;
            for name in role.as_str().split('/') {
                at = *known
                    .entry((at, name))
                    .or_insert_with(|| self.create(dimensions, name, at));
            }
            self.nodes[at as usize].standing.set_weight(demand.weight);
            places.push(at);
        }
        places
    }

    /// Counts what a role has, for it and for all above it.
    fn fill(&mut self, at: u32, demand: &RoleDemand, dimensions: &Dimensions<'_>) {
        let mut at = at;
        while at != ROOT {
            let node = &mut self.nodes[at as usize];
            node.standing
                .start_with(dimensions, &demand.allocated, demand.grants);
            at = node.parent;
        }
    }

    /// Makes known to each node those children under which frameworks want offers.
    fn link(&mut self) {
        for at in (1..self.nodes.len()).rev() {
            let node = &self.nodes[at];
            if node.role.is_some() || !node.order.is_empty() {
                let parent = node.parent as usize;
                self.nodes[parent].order.push(at as u32);
            }
        }
        for at in 0..self.nodes.len() {
            let mut order = std::mem::take(&mut self.nodes[at].order);
            order.sort_by(|a, b| compare(&self.nodes, *a, *b));
            self.nodes[at].order = order;
        }
    }

    /// The next role of a walk. The tree must not change while it lasts.
    pub(crate) fn next_role(&self, walk: &mut Walk) -> Option<u32> {
        while let Some((at, place)) = walk.path.last_mut() {
            let node = &self.nodes[*at as usize];
            let Some(&child) = node.order.get(*place) else {
                walk.path.pop();
                continue;
            };
            *place += 1;
            match self.nodes[child as usize].role {
                Some(role) => return Some(role),
                None => walk.path.push((child, 0)),
            }
        }
        None
    }

    /// Counts a grant to a role: its next turn is later, and so are those of all above it.
    pub(crate) fn grant(&mut self, role: u32, dimensions: &Dimensions<'_>, granted: &[i64]) {
        let leaf = self.leaves[role as usize];
        let mut at = leaf.expect("a role with a turn has a place in the tree");
        while at != ROOT {
            let parent = self.nodes[at as usize].parent;
            let mut order = std::mem::take(&mut self.nodes[parent as usize].order);
            let place = order
                .binary_search_by(|&other| compare(&self.nodes, other, at))
                .expect("the order holds every child with turns, and is sorted");
            self.nodes[at as usize].standing.grant(dimensions, granted);
            sink(&mut order, place, |a, b| compare(&self.nodes, a, b));
            self.nodes[parent as usize].order = order;
            at = parent;
        }
    }
}

/// Siblings by standing, then by name.
fn compare(nodes: &[Node<'_>], a: u32, b: u32) -> Ordering {
    let (left, right) = (&nodes[a as usize], &nodes[b as usize]);
    left.standing
        .compare(&right.standing)
        .then_with(|| left.name.cmp(right.name))
}
