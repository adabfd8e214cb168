//! Connections to the other members: made when first used, kept, and found dead by keepalive.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use caprock_proto::caprock::raft::raft_client::RaftClient;
use tonic::transport::{Channel, Endpoint};

use super::MESSAGE_BYTES_MAX;

/// What travels on a connection. Heartbeats and votes must not queue behind entries, entries not
/// behind a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Control,
    Entries,
    Snapshot,
}

#[derive(Debug)]
pub(crate) struct Channels {
    open: Mutex<BTreeMap<(String, Lane), Channel>>,
    lease: Duration,
}

impl Channels {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            open: Mutex::new(BTreeMap::new()),
            lease,
        }
    }

    /// A client of the member at `host:port`. It connects when it is used; after a failure each
    /// further use tries again, so that a member that comes back is reached at once.
    pub(crate) fn client(
        &self,
        address: &str,
        lane: Lane,
    ) -> Result<RaftClient<Channel>, tonic::transport::Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.to_owned(), lane);
        let channel = match open.get(&key) {
            Some(channel) => channel.clone(),
            None => {
                let channel = self.endpoint(address)?.connect_lazy();
                open.insert(key, channel.clone());
                channel
            }
        };
        Ok(RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Gives a connection up, so that the next use makes a new one.
    pub(crate) fn forget(&self, address: &str, lane: Lane) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&(address.to_owned(), lane));
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(self.lease)
            .tcp_nodelay(true)
            // A stream of responses has no deadline of its own: without this, a connection that
            // a dead host or a firewall half closed would hold up replication for ever.
            .http2_keep_alive_interval(self.lease)
            .keep_alive_timeout(self.lease * 2)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 * 1024 * 1024)
            .initial_connection_window_size(8 * 1024 * 1024);
        Ok(endpoint)
    }
}
