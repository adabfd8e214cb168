//! Warm sessions to every master. Each is greeted with Hello and answers with its standing;
//! the agent attaches through the link of the leader.

use caprock_proto::caprock::session::{FromMaster, Hello, Ping, Pong, Standing};
use caprock_proto::caprock::session::{from_agent, from_master};

use crate::agent::Agent;
use crate::effect::Effect;
use crate::input::LinkId;

/// An open session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    /// The term in which the master at the other end claims to lead.
    pub leader_term: Option<u64>,
}

impl Agent {
    pub(crate) fn link_up(&mut self, link: LinkId) {
        if self
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.link == link)
        {
            self.detach();
        }
        self.links.insert(link, Link::default());
        let hello = Hello {
            agent_id: self.identity.agent_id.clone(),
            hostname: self.config.info.hostname.clone(),
            highest_term: self.fence.highest_term,
            cluster_id: self.identity.cluster_id.clone(),
        };
        self.emit(Effect::ToMaster {
            link,
            message: from_agent::Message::Hello(hello),
        });
    }

    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.links.remove(&link);
        if self
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.link == link)
        {
            self.detach();
            self.try_attach();
        }
    }

    pub(crate) fn master_message(&mut self, link: LinkId, message: FromMaster) {
        if !self.links.contains_key(&link) {
            return;
        }
        let term = message.term;
        match message.message {
            Some(from_master::Message::Standing(standing)) => self.standing(link, term, &standing),
            Some(from_master::Message::Attached(attached)) => {
                if self.admit_term(link, term) {
                    self.attached(link, term, attached);
                }
            }
            Some(from_master::Message::Refused(refused)) => {
                if self.admit_term(link, term) {
                    self.refused(link, &refused);
                }
            }
            Some(from_master::Message::Order(order)) => {
                if self.admit_term(link, term) {
                    self.heard_from(link);
                    self.order(order);
                }
            }
            Some(from_master::Message::Ping(ping)) => self.ping(link, term, ping),
            None => self.warn("a master sent a message of an unknown kind"),
        }
    }

    fn standing(&mut self, link: LinkId, term: u64, standing: &Standing) {
        let ours = &self.identity.cluster_id;
        if !ours.is_empty() && !standing.cluster_id.is_empty() && *ours != standing.cluster_id {
            let text = format!(
                "a master belongs to cluster {}, this agent to {ours}: it is not obeyed",
                standing.cluster_id
            );
            self.set_leader_term(link, None);
            self.warn(text);
            return;
        }
        let leads = standing.is_leader && self.admit_term(link, term);
        self.set_leader_term(link, leads.then_some(term));
        let here = self
            .attachment
            .as_ref()
            .filter(|attachment| attachment.link == link);
        if here.is_some_and(|attachment| !leads || attachment.term != term) {
            self.detach();
        }
        self.try_attach();
    }

    fn set_leader_term(&mut self, link: LinkId, term: Option<u64>) {
        if let Some(found) = self.links.get_mut(&link) {
            found.leader_term = term;
        }
    }

    /// Pings are answered in every phase of the agent's life: they only ask whether it lives.
    fn ping(&mut self, link: LinkId, term: u64, ping: Ping) {
        let pong = Pong {
            sequence: ping.sequence,
        };
        self.emit(Effect::ToMaster {
            link,
            message: from_agent::Message::Pong(pong),
        });
        if term < self.fence.highest_term {
            return;
        }
        self.heard_from(link);
        let attached_here = self
            .attachment
            .as_ref()
            .is_some_and(|attachment| attachment.link == link && attachment.is_established());
        if attached_here && !ping.attached {
            self.warn("the leader does not count this agent as attached: attaching again");
            self.detach();
            self.try_attach();
        }
    }
}
