//! Puts proposals into the log in the order in which the leader made them, without waiting
//! for one before the next, and brings their ends back in the same order.

use caprock_leader::{Applied, ProposalFailure, ProposalId, Term};
use caprock_proto::caprock::registry::Entry;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use prost::Message;
use tokio::sync::mpsc;

use crate::machine::RegistryStore;

/// Counts leaderships of this process, so that ends of an older one are recognised.
pub type Epoch = u64;

/// The leadership that a proposal belongs to: it is logged in that term or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub epoch: Epoch,
    pub term: Term,
}

/// How a proposal ended.
#[derive(Debug)]
pub struct Ended {
    pub epoch: Epoch,
    pub proposal: ProposalId,
    pub result: Result<Applied, ProposalFailure>,
}

enum Job {
    Propose {
        place: Place,
        proposal: ProposalId,
        entry: Box<Entry>,
    },
    Forget,
}

/// The driver's end of the proposer.
#[derive(Debug)]
pub struct Proposer {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Proposer {
    /// Starts the task; ended proposals come out of the returned channel.
    pub fn start(store: RegistryStore) -> (Self, mpsc::UnboundedReceiver<Ended>) {
        // Unbounded, because the leader bounds what it has in flight and the store refuses
        // what is too much.
        let (jobs, queue) = mpsc::unbounded_channel();
        let (ended, results) = mpsc::unbounded_channel();
        tokio::spawn(run(store, queue, ended));
        (Self { jobs }, results)
    }

    /// Proposes an entry. If the task has ended the process is going down, and so is the
    /// leadership that the proposal belongs to.
    pub fn propose(&self, place: Place, proposal: ProposalId, entry: Entry) {
        let entry = Box::new(entry);
        if self
            .jobs
            .send(Job::Propose {
                place,
                proposal,
                entry,
            })
            .is_err()
        {
            tracing::debug!(?proposal, "proposal after the end of the proposer");
        }
    }

    /// Gives up waiting for the ends of what was proposed so far.
    pub fn forget_all(&self) {
        if self.jobs.send(Job::Forget).is_err() {
            tracing::debug!("the proposer has ended");
        }
    }
}

async fn run(
    store: RegistryStore,
    mut queue: mpsc::UnboundedReceiver<Job>,
    ended: mpsc::UnboundedSender<Ended>,
) {
    let mut in_flight: FuturesOrdered<BoxFuture<'static, Ended>> = FuturesOrdered::new();
    loop {
        tokio::select! {
            job = queue.recv() => match job {
                Some(Job::Propose { place, proposal, entry }) => {
                    in_flight.push_back(Box::pin(propose(store.clone(), place, proposal, entry)));
                }
                Some(Job::Forget) => in_flight = FuturesOrdered::new(),
                None => return,
            },
            Some(end) = in_flight.next(), if !in_flight.is_empty() => {
                if ended.send(end).is_err() {
                    return;
                }
            }
        }
    }
}

async fn propose(
    store: RegistryStore,
    place: Place,
    proposal: ProposalId,
    entry: Box<Entry>,
) -> Ended {
    use caprock_raft_store::ProposeError;

    let result = match store
        .propose_in_term(place.term, entry.encode_to_vec().into())
        .await
    {
        Ok(proposed) => Ok(Applied {
            index: proposed.index.0,
            outcome: proposed.outcome,
        }),
        Err(ProposeError::Unknown { reason }) => {
            tracing::warn!(?proposal, %reason, "the outcome of a proposal is unknown");
            Err(ProposalFailure::Unknown)
        }
        Err(
            error @ (ProposeError::NotLeader { .. }
            | ProposeError::Overloaded
            | ProposeError::TooLarge { .. }
            | ProposeError::Stopped),
        ) => {
            tracing::info!(?proposal, %error, "a proposal was refused");
            Err(ProposalFailure::Refused)
        }
    };
    Ended {
        epoch: place.epoch,
        proposal,
        result,
    }
}
