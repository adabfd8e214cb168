//! The frameworks of one role, in the order of their turns.

use std::cmp::Ordering;

use caprock_model::{FrameworkId, Role};

use crate::allocation::Tally;
use crate::request::{FrameworkDemand, RoleDemand};
use crate::shares::{Dimensions, Standing, sink};

/// One framework that wants offers.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    pub(crate) id: &'a FrameworkId,
    pub(crate) demand: &'a FrameworkDemand,
    pub(crate) tally: Tally,
    standing: Standing,
}

/// One role with its frameworks.
#[derive(Debug)]
pub(crate) struct Clients<'a> {
    pub(crate) role: &'a Role,
    /// Agents on which nothing was for this role.
    pub(crate) reserved_to_others: u32,
    /// By id, so that a smaller index is a smaller id.
    clients: Vec<Client<'a>>,
    order: Vec<u32>,
}

impl<'a> Clients<'a> {
    pub(crate) fn new(role: &'a Role, demand: &'a RoleDemand, dimensions: &Dimensions<'_>) -> Self {
        let client = |(id, demand): (&'a FrameworkId, &'a FrameworkDemand)| {
            let mut standing = Standing::new(dimensions);
            standing.start_with(dimensions, &demand.allocated, demand.grants);
            Client {
                id,
                demand,
                tally: Tally::default(),
                standing,
            }
        };
        let clients: Vec<_> = demand.frameworks.iter().map(client).collect();
        let mut order: Vec<u32> = (0..clients.len() as u32).collect();
        order.sort_by(|a, b| compare(&clients, *a, *b));
        Self {
            role,
            reserved_to_others: 0,
            clients,
            order,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whose turn is at this place.
    pub(crate) fn at(&self, place: usize) -> u32 {
        self.order[place]
    }

    pub(crate) fn client(&self, index: u32) -> &Client<'a> {
        &self.clients[index as usize]
    }

    pub(crate) fn client_mut(&mut self, index: u32) -> &mut Client<'a> {
        &mut self.clients[index as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Client<'a>> {
        self.clients.iter()
    }

    /// Counts a grant: the framework's next turn is later.
    pub(crate) fn grant(&mut self, index: u32, dimensions: &Dimensions<'_>, granted: &[i64]) {
        let place = self
            .order
            .binary_search_by(|&other| compare(&self.clients, other, index))
            .expect("the order holds every framework of the role, and is sorted");
        self.clients[index as usize]
            .standing
            .grant(dimensions, granted);
        let clients = &self.clients;
        sink(&mut self.order, place, |a, b| compare(clients, a, b));
    }
}

fn compare(clients: &[Client<'_>], a: u32, b: u32) -> Ordering {
    let standing = |index: u32| &clients[index as usize].standing;
    standing(a).compare(standing(b)).then(a.cmp(&b))
}
