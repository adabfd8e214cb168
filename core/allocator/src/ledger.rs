//! Quota: what roles without a parent have of it, what has to stay free for guarantees, and
//! how much of an agent a role may therefore take (Mesos: src/master/allocator/mesos).

use std::collections::BTreeSet;

use crate::allocation::Reason;
use crate::request::Quota;
use crate::shares::{Dimensions, accumulate};

const UNLIMITED: i64 = i64::MAX;

/// One role without a parent, with all below it.
#[derive(Debug, Clone, Default)]
struct Account {
    guarantee: Vec<i64>,
    /// Names beyond its end are unlimited.
    limit: Vec<i64>,
    consumed: Vec<i64>,
}

impl Account {
    fn missing(&self, at: usize) -> i64 {
        let guarantee = amount(&self.guarantee, at);
        guarantee.saturating_sub(amount(&self.consumed, at)).max(0)
    }

    fn below_limit(&self, at: usize) -> i64 {
        match self.limit.get(at) {
            None | Some(&UNLIMITED) => UNLIMITED,
            Some(limit) => limit.saturating_sub(amount(&self.consumed, at)).max(0),
        }
    }
}

fn amount(vector: &[i64], at: usize) -> i64 {
    vector.get(at).copied().unwrap_or(0)
}

/// All accounts, by place in the tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    accounts: Vec<Account>,
    guaranteed: BTreeSet<u32>,
    limited: BTreeSet<u32>,
    /// What is free, unreserved and not revocable on all agents.
    free: Vec<i64>,
    /// What of it has to stay free for guarantees. Of the present cycle.
    required: Vec<i64>,
}

/// The pass of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Guarantees are met.
    Guarantees,
    /// The rest is shared out.
    Fair,
}

/// How much of each name a role may take, as far as quota goes.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// By limits and headroom.
    pub(crate) amounts: Vec<i64>,
    /// By limits alone.
    by_limits: Vec<i64>,
    /// What is missing of the role's own guarantee.
    pub(crate) missing: Vec<i64>,
    /// Whether it can keep anything back.
    pub(crate) is_engaged: bool,
}

impl Allowance {
    /// What keeps this name back.
    pub(crate) fn reason(&self, at: usize) -> Reason {
        if self.by_limits[at] <= self.amounts[at] {
            Reason::QuotaLimit
        } else {
            Reason::QuotaHeadroom
        }
    }
}

impl Ledger {
    fn account(&mut self, top: u32) -> &mut Account {
        let at = top as usize;
        if self.accounts.len() <= at {
            self.accounts.resize_with(at + 1, Account::default);
        }
        &mut self.accounts[at]
    }

    pub(crate) fn set_quota(
        &mut self,
        top: u32,
        quota: Option<&Quota>,
        dimensions: &mut Dimensions,
    ) {
        self.guaranteed.remove(&top);
        self.limited.remove(&top);
        let mut guarantee = Vec::new();
        let mut limit = Vec::new();
        if let Some(quota) = quota {
            guarantee = dimensions.vector(&quota.guarantees);
            for (name, most) in &quota.limits {
                let at = dimensions.intern(name);
                if limit.len() <= at {
                    limit.resize(at + 1, UNLIMITED);
                }
                limit[at] = most.0.max(0);
            }
        }
        if !guarantee.is_empty() {
            self.guaranteed.insert(top);
        }
        if !limit.is_empty() {
            self.limited.insert(top);
        }
        let account = self.account(top);
        account.guarantee = guarantee;
        account.limit = limit;
    }

    /// Counts more or less against a quota, outside of a cycle.
    pub(crate) fn consume(&mut self, top: u32, change: &[i64]) {
        accumulate(&mut self.account(top).consumed, change);
    }

    /// Forgets a role.
    pub(crate) fn forget(&mut self, top: u32) {
        self.guaranteed.remove(&top);
        self.limited.remove(&top);
        *self.account(top) = Account::default();
    }

    /// Counts more or less that is free.
    pub(crate) fn change_free(&mut self, change: &[i64]) {
        accumulate(&mut self.free, change);
    }

    /// Whether what is free on agents matters.
    pub(crate) fn has_guarantees(&self) -> bool {
        !self.guaranteed.is_empty()
    }

    /// Begins a cycle.
    pub(crate) fn prepare(&mut self, dimensions: &Dimensions) {
        self.required.clear();
        self.required.resize(dimensions.len(), 0);
        for top in &self.guaranteed {
            let account = &self.accounts[*top as usize];
            for (at, required) in self.required.iter_mut().enumerate() {
                *required = required.saturating_add(account.missing(at));
            }
        }
    }

    /// Whether some guarantee is not met.
    pub(crate) fn is_anything_missing(&self) -> bool {
        self.required.iter().any(|required| *required > 0)
    }

    /// Whether the guarantee of this role is not met.
    pub(crate) fn is_missing(&self, top: u32) -> bool {
        self.guaranteed.contains(&top) && {
            let account = &self.accounts[top as usize];
            (0..account.guarantee.len()).any(|at| account.missing(at) > 0)
        }
    }

    /// Counts a grant: of what is free that much is in use.
    pub(crate) fn grant(&mut self, top: u32, granted: &[i64]) {
        let is_guaranteed = self.guaranteed.contains(&top);
        if is_guaranteed {
            let account = &self.accounts[top as usize];
            for (at, granted) in granted.iter().enumerate() {
                if let Some(required) = self.required.get_mut(at) {
                    *required -= account.missing(at).min(*granted);
                }
            }
        }
        self.consume(top, granted);
        for (free, granted) in self.free.iter_mut().zip(granted) {
            *free = free.saturating_sub(*granted);
        }
    }

    /// How much the frameworks of a role may take now. `own` is the role whose guarantee is
    /// for them, `limits` the one whose limits hold.
    pub(crate) fn allow(
        &self,
        own: Option<u32>,
        limits: Option<u32>,
        dimensions: &Dimensions,
        allowance: &mut Allowance,
    ) {
        let limits = limits.filter(|top| self.limited.contains(top));
        allowance.is_engaged = limits.is_some() || self.is_anything_missing();
        if !allowance.is_engaged {
            return;
        }
        let own = own.filter(|top| self.guaranteed.contains(top));
        let own = own.map(|top| &self.accounts[top as usize]);
        let limits = limits.map(|top| &self.accounts[top as usize]);
        allowance.amounts.clear();
        allowance.by_limits.clear();
        allowance.missing.clear();
        for at in 0..dimensions.len() {
            let missing = own.map_or(0, |account| account.missing(at));
            let below_limit = limits.map_or(UNLIMITED, |account| account.below_limit(at));
            let required = amount(&self.required, at);
            let by_headroom = if required > 0 {
                // What the role itself lacks is kept free for nobody else.
                let surplus = amount(&self.free, at).saturating_sub(required).max(0);
                surplus.saturating_add(missing)
            } else {
                UNLIMITED
            };
            allowance.amounts.push(below_limit.min(by_headroom));
            allowance.by_limits.push(below_limit);
            allowance.missing.push(missing);
        }
    }

    /// What a role without a parent has consumed, lacks and may still take: per name.
    pub(crate) fn balance(&self, top: u32, at: usize) -> (i64, i64, Option<i64>) {
        let Some(account) = self.accounts.get(top as usize) else {
            return (0, 0, None);
        };
        let below = account.below_limit(at);
        let below = (below != UNLIMITED).then_some(below);
        (amount(&account.consumed, at), account.missing(at), below)
    }
}
