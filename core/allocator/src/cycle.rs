//! The cycle: each agent in random order, each role by share, each framework by share. Quota's
//! guarantees are a pass of its own before this one, once there are any.

use std::collections::BTreeMap;

use caprock_model::Resources;

use crate::allocation::{Allocation, Grant, Reason};
use crate::clients::{Client, Clients};
use crate::entitlement::{Portions, is_allocatable, receivable};
use crate::request::{AgentSupply, Gate, Request};
use crate::shares::Dimensions;
use crate::shuffle::Random;
use crate::tree::{Tree, Walk};

/// Runs one cycle. Equal requests, and equal answers of the gate, give equal allocations.
pub fn allocate(request: &Request<'_>, gate: &dyn Gate) -> Allocation {
    let mut cycle = Cycle::new(request, gate);
    cycle.share_out();
    cycle.finish()
}

struct Cycle<'a> {
    request: &'a Request<'a>,
    gate: &'a dyn Gate,
    dimensions: Dimensions<'a>,
    tree: Tree<'a>,
    roles: Vec<Clients<'a>>,
    walk: Walk,
    agents: u32,
    grants: Vec<Grant>,
    /// Role and framework of each grant of the present agent.
    unsettled: Vec<(u32, u32)>,
    /// What was granted, as a vector; here so that it is allocated once.
    granted: Box<[i64]>,
}

impl<'a> Cycle<'a> {
    fn new(request: &'a Request<'a>, gate: &'a dyn Gate) -> Self {
        let dimensions = Dimensions::new(request.total, &request.options.excluded_from_shares);
        let clients = |(role, demand)| Clients::new(role, demand, &dimensions);
        Self {
            request,
            gate,
            tree: Tree::new(request.roles, &dimensions),
            roles: request.roles.iter().map(clients).collect(),
            walk: Walk::default(),
            agents: 0,
            grants: Vec::new(),
            unsettled: Vec::new(),
            granted: dimensions.zero(),
            dimensions,
        }
    }

    /// Shares out all agents fairly.
    fn share_out(&mut self) {
        let agents = self.request.agents;
        for at in Random::new(self.request.options.seed).permutation(agents.len()) {
            if !agents[at].available.is_empty() {
                self.agents += 1;
                self.share_out_agent(&agents[at]);
                self.settle();
            }
        }
    }

    /// Offers one agent to everybody in turn, until nothing is left of it. The order is that
    /// of the beginning: shares change when the agent is done.
    fn share_out_agent(&mut self, agent: &AgentSupply) {
        let mut rest = agent.available.clone();
        self.walk.restart();
        while !rest.is_empty()
            && let Some(role) = self.tree.next_role(&mut self.walk)
        {
            self.offer_to_role(role, agent, &mut rest);
        }
    }

    fn offer_to_role(&mut self, role: u32, agent: &AgentSupply, rest: &mut Resources) {
        let clients = &mut self.roles[role as usize];
        let free = rest.available_to(clients.role);
        if free.is_empty() {
            clients.reserved_to_others += 1;
            return;
        }
        let mut portions = Portions::new(free);
        for place in 0..clients.len() {
            let index = clients.at(place);
            let client = clients.client(index);
            let outcome = judge(
                self.request,
                self.gate,
                clients,
                client,
                agent,
                &mut portions,
            );
            let resources = match outcome {
                Ok(resources) => resources,
                Err(reason) => {
                    clients.client_mut(index).tally.count(reason);
                    continue;
                }
            };
            take(rest, &resources);
            self.unsettled.push((role, index));
            self.grants.push(Grant {
                framework: client.id.clone(),
                role: clients.role.clone(),
                agent: agent.id.clone(),
                resources: resources.with_allocation(Some(clients.role)),
            });
            clients.client_mut(index).tally.granted += 1;
            let free = rest.available_to(clients.role);
            if free.is_empty() {
                return;
            }
            portions = Portions::new(free);
        }
    }

    /// Counts the grants of the agent that is done, for the order on the next one.
    fn settle(&mut self) {
        let first = self.grants.len() - self.unsettled.len();
        for ((role, client), grant) in self.unsettled.drain(..).zip(&self.grants[first..]) {
            self.granted.fill(0);
            self.dimensions
                .add_resources(&mut self.granted, &grant.resources);
            self.roles[role as usize].grant(client, &self.dimensions, &self.granted);
            self.tree.grant(role, &self.dimensions, &self.granted);
        }
    }

    fn finish(self) -> Allocation {
        let mut tallies = BTreeMap::new();
        for clients in &self.roles {
            for client in clients.iter() {
                let mut tally = client.tally;
                tally.settle(self.agents, clients.reserved_to_others);
                tallies.insert((clients.role.clone(), client.id.clone()), tally);
            }
        }
        Allocation {
            grants: self.grants,
            tallies,
            agents: self.agents,
        }
    }
}

/// What the framework is granted of the agent, or why it is granted nothing.
fn judge(
    request: &Request<'_>,
    gate: &dyn Gate,
    clients: &Clients<'_>,
    client: &Client<'_>,
    agent: &AgentSupply,
    portions: &mut Portions,
) -> Result<Resources, Reason> {
    let options = request.options;
    receivable(agent, clients.role, client.demand.capabilities, options)?;
    let offered = portions.understood(client.demand.capabilities);
    if offered.is_empty() {
        return Err(Reason::NotUnderstood);
    }
    let minimum = client.demand.min_allocatable.as_deref();
    if !is_allocatable(offered, minimum.unwrap_or(&options.min_allocatable)) {
        return Err(Reason::BelowMinimum);
    }
    match gate.blocks(client.id, clients.role, &agent.id, offered) {
        Some(reason) => Err(reason),
        None => Ok(offered.clone()),
    }
}

/// Takes a part that is in it; the usual part is everything.
fn take(rest: &mut Resources, part: &Resources) {
    if rest.len() == part.len() {
        *rest = Resources::new();
    } else {
        *rest -= part;
    }
}
