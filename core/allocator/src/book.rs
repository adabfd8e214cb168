//! Who has what: the roles with their frameworks, in order, and the accounts of quota. It is
//! kept between cycles; notices change what they are about, and nothing else.

use std::collections::BTreeMap;

use caprock_model::{FrameworkId, Quantities, Resources, Role};

use crate::allocation::Tally;
use crate::clients::Clients;
use crate::ledger::Ledger;
use crate::portions::is_charged;
use crate::request::{FrameworkDemand, Options, Quota, RoleDemand};
use crate::shares::{Dimensions, accumulate, difference, removal};
use crate::tree::Tree;

/// One role.
#[derive(Debug, Clone)]
pub(crate) struct RoleState {
    pub(crate) role: Role,
    /// Its places in the tree: its own, and that of the role without a parent above it.
    pub(crate) leaf: u32,
    pub(crate) top: u32,
    pub(crate) is_nested: bool,
    /// What it has itself against its quota.
    charged: Vec<i64>,
    pub(crate) clients: Clients,
}

/// Everything about roles and frameworks.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(crate) dimensions: Dimensions,
    pub(crate) tree: Tree,
    pub(crate) ledger: Ledger,
    /// Those that were removed keep their slots until others come.
    pub(crate) roles: Vec<RoleState>,
    vacant: Vec<u32>,
    by_name: BTreeMap<Role, u32>,
    /// The number of the last cycle, and of the agents that had something free in it.
    pub(crate) cycle: u64,
    pub(crate) agents: u32,
}

impl Book {
    pub(crate) fn new(options: &Options) -> Self {
        let mut tree = Tree::new();
        tree.set_sorter(options.role_sorter);
        Self {
            dimensions: Dimensions::default(),
            tree,
            ledger: Ledger::default(),
            roles: Vec::new(),
            vacant: Vec::new(),
            by_name: BTreeMap::new(),
            cycle: 0,
            agents: 0,
        }
    }

    pub(crate) fn find(&self, role: &Role) -> Option<u32> {
        self.by_name.get(role).copied()
    }

    /// The role's number; it is taken in if it is new.
    fn require(&mut self, role: &Role) -> u32 {
        if let Some(number) = self.by_name.get(role) {
            return *number;
        }
        let number = self.vacant.pop().unwrap_or(self.roles.len() as u32);
        let leaf = self.tree.insert(role, number);
        let state = RoleState {
            role: role.clone(),
            leaf,
            top: self.tree.top(leaf),
            is_nested: role.contains('/'),
            charged: Vec::new(),
            clients: Clients::default(),
        };
        if number as usize == self.roles.len() {
            self.roles.push(state);
        } else {
            self.roles[number as usize] = state;
        }
        self.by_name.insert(role.clone(), number);
        number
    }

    /// Takes a role in, or what has become of it, with all its frameworks.
    pub(crate) fn set_role(&mut self, role: &Role, demand: &RoleDemand) {
        self.set_weight(role, demand.weight);
        self.set_usage(role, &demand.allocated, demand.grants, &demand.charged);
        self.set_quota(role, demand.quota.as_ref());
        let number = self.require(role);
        let clients = &self.roles[number as usize].clients;
        let is_gone = |id: &&FrameworkId| !demand.frameworks.contains_key(*id);
        let gone: Vec<FrameworkId> = clients.ids().filter(is_gone).cloned().collect();
        for (id, demand) in &demand.frameworks {
            self.set_framework(role, id, demand);
        }
        for id in &gone {
            self.remove_framework(role, id);
        }
    }

    pub(crate) fn set_weight(&mut self, role: &Role, weight: f64) {
        let number = self.require(role);
        let leaf = self.roles[number as usize].leaf;
        if self.tree.weight(leaf) != weight {
            self.tree.set_weight(leaf, &self.dimensions, weight);
        }
    }

    pub(crate) fn set_usage(
        &mut self,
        role: &Role,
        allocated: &Quantities,
        grants: u64,
        charged: &Quantities,
    ) {
        let number = self.require(role);
        let state = &mut self.roles[number as usize];
        let amounts = self.dimensions.vector(allocated);
        let standing = self.tree.standing(state.leaf);
        let change = difference(&amounts, standing.amounts());
        let grants = i64::try_from(grants).unwrap_or(i64::MAX);
        let grants = grants.saturating_sub(standing.grants());
        self.tree
            .adjust(state.leaf, &self.dimensions, &change, grants);
        let charged = self.dimensions.vector(charged);
        let change = difference(&charged, &state.charged);
        self.ledger.consume(state.top, &change);
        state.charged = charged;
    }

    pub(crate) fn set_quota(&mut self, role: &Role, quota: Option<&Quota>) {
        let number = self.require(role);
        let state = &self.roles[number as usize];
        if !state.is_nested {
            self.ledger
                .set_quota(state.top, quota, &mut self.dimensions);
        }
    }

    pub(crate) fn set_framework(
        &mut self,
        role: &Role,
        id: &FrameworkId,
        demand: &FrameworkDemand,
    ) {
        let number = self.require(role);
        let state = &mut self.roles[number as usize];
        state.clients.set(id, demand, &mut self.dimensions);
        self.tree.set_active(state.leaf, true);
    }

    pub(crate) fn remove_framework(&mut self, role: &Role, id: &FrameworkId) {
        let Some(number) = self.find(role) else {
            return;
        };
        let state = &mut self.roles[number as usize];
        state.clients.remove(id);
        if state.clients.is_empty() {
            self.tree.set_active(state.leaf, false);
        }
    }

    pub(crate) fn remove_role(&mut self, role: &Role) {
        if self.find(role).is_none() {
            return;
        }
        self.set_role(role, &RoleDemand::default());
        let Some(number) = self.by_name.remove(role) else {
            return;
        };
        let state = &mut self.roles[number as usize];
        state.clients = Clients::default();
        self.vacant.push(number);
        let (leaf, top) = (state.leaf, state.top);
        self.tree.remove(leaf);
        if !self.tree.exists(top) {
            self.ledger.forget(top);
        }
    }

    /// Counts what a framework took outside of a cycle, or gave back. A framework that wants
    /// no offers counts for its role alone.
    pub(crate) fn record(
        &mut self,
        role: &Role,
        framework: &FrameworkId,
        resources: &Resources,
        is_taken: bool,
    ) {
        let number = self.require(role);
        let (mut amounts, mut charged) = (Vec::new(), Vec::new());
        for entry in resources {
            self.dimensions.add_entry(&mut amounts, entry);
            if is_charged(entry) {
                self.dimensions.add_entry(&mut charged, entry);
            }
        }
        let state = &mut self.roles[number as usize];
        let change = |present: &[i64], part: &[i64]| {
            if is_taken {
                part.to_vec()
            } else {
                removal(present, part)
            }
        };
        let standing = self.tree.standing(state.leaf);
        let by_role = change(standing.amounts(), &amounts);
        self.tree.adjust(state.leaf, &self.dimensions, &by_role, 0);
        if let Some(index) = state.clients.find(framework) {
            let by_framework = change(state.clients.amounts(index), &amounts);
            let dimensions = &self.dimensions;
            state.clients.adjust(index, dimensions, &by_framework, 0);
        }
        let by_quota = change(&state.charged, &charged);
        accumulate(&mut state.charged, &by_quota);
        self.ledger.consume(state.top, &by_quota);
    }

    /// Counts a grant that has been charged already, for the order of turns.
    pub(crate) fn settle(&mut self, role: u32, client: u32, amounts: &[i64]) {
        let state = &mut self.roles[role as usize];
        state.clients.adjust(client, &self.dimensions, amounts, 1);
        self.tree.adjust(state.leaf, &self.dimensions, amounts, 1);
    }

    /// Charges a grant to the role's quota.
    pub(crate) fn charge(&mut self, role: u32, charged: &[i64]) {
        let state = &mut self.roles[role as usize];
        accumulate(&mut state.charged, charged);
        self.ledger.grant(state.top, charged);
    }

    /// How the turns of the last cycle ended.
    pub(crate) fn tally(&self, role: &Role, framework: &FrameworkId) -> Option<Tally> {
        let clients = &self.roles[self.find(role)? as usize].clients;
        Some(clients.tally(clients.find(framework)?, self.cycle, self.agents))
    }

    /// How all turns of the last cycle ended.
    pub(crate) fn tallies(&self) -> BTreeMap<(Role, FrameworkId), Tally> {
        let mut tallies = BTreeMap::new();
        for (role, number) in &self.by_name {
            let clients = &self.roles[*number as usize].clients;
            for id in clients.ids() {
                if let Some(tally) = self.tally(role, id) {
                    tallies.insert((role.clone(), id.clone()), tally);
                }
            }
        }
        tallies
    }
}
