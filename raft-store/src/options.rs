//! What a member is started with: who it is, where its data is, who forms the quorum, timing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{MemberId, OpenError};

/// Settings of one member. `Options::default()` has sound timing; `member_id`, `address` and
/// `data_dir` must be given.
#[derive(Clone, Debug)]
pub struct Options {
    /// This member's id; never 0, and never used again once the member was removed.
    pub member_id: MemberId,
    /// The `host:port` at which the other members reach this one.
    pub address: String,
    /// The member's own folder; the store keeps everything in `raft` below it.
    pub data_dir: PathBuf,
    /// The members that form the first quorum, this one included. Empty or only this one: a
    /// cluster of one. Of no meaning once the cluster is formed.
    pub members: BTreeMap<MemberId, String>,
    /// How often a leader shows that it is alive.
    pub heartbeat_ms: u64,
    /// A follower waits the upper bound (the leader's lease) plus a random time between the two
    /// bounds before it stands for election.
    pub election_timeout_ms: (u64, u64),
    /// A snapshot is taken after so many entries.
    pub snapshot_every_entries: u64,
    /// So many entries stay in the log after a snapshot, for members that lag a little.
    pub keep_entries_after_snapshot: u64,
    /// Proposals beyond this number are refused with `Overloaded`.
    pub max_in_flight_proposals: usize,
    /// A proposal that is not applied by then is reported as unknown.
    pub propose_timeout_ms: u64,
    /// Larger commands are refused.
    pub max_command_bytes: usize,
    /// How long the transfer of one snapshot may take.
    pub install_snapshot_timeout_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            member_id: 0,
            address: String::new(),
            data_dir: PathBuf::new(),
            members: BTreeMap::new(),
            heartbeat_ms: 50,
            election_timeout_ms: (150, 300),
            snapshot_every_entries: 20_000,
            keep_entries_after_snapshot: 5_000,
            max_in_flight_proposals: 1024,
            propose_timeout_ms: 5_000,
            max_command_bytes: 4 * 1024 * 1024,
            install_snapshot_timeout_ms: 120_000,
        }
    }
}

impl Options {
    /// The members of the first quorum: `members`, or this one alone.
    pub(crate) fn first_quorum(&self) -> BTreeMap<MemberId, String> {
        if self.members.is_empty() {
            BTreeMap::from([(self.member_id, self.address.clone())])
        } else {
            self.members.clone()
        }
    }

    /// The longest time for which a follower keeps faith in a silent leader.
    pub(crate) fn lease_ms(&self) -> u64 {
        self.election_timeout_ms.1
    }

    pub(crate) fn validate(&self) -> Result<(), OpenError> {
        let wrong = |reason: String| Err(OpenError::Options { reason });
        if self.member_id == 0 {
            return wrong("the member id must be 1 or more".to_owned());
        }
        if self.data_dir.as_os_str().is_empty() {
            return wrong("no data directory is given".to_owned());
        }
        if !self.members.is_empty() && !self.members.contains_key(&self.member_id) {
            return wrong(format!(
                "member {} is not in the quorum it was given ({}); add it there, or start it \
                 with the id it has there",
                self.member_id,
                describe_members(&self.members)
            ));
        }
        for (id, address) in self.first_quorum() {
            if id == 0 {
                return wrong("a member id in the quorum is 0; ids start at 1".to_owned());
            }
            if !is_host_and_port(&address) {
                return wrong(format!(
                    "the address '{address}' of member {id} is not host:port"
                ));
            }
        }
        let (low, high) = self.election_timeout_ms;
        if self.heartbeat_ms == 0 || low <= self.heartbeat_ms || high <= low {
            return wrong(format!(
                "the timing must be heartbeat < lower < upper election timeout, not {} < {low} < \
                 {high} (milliseconds)",
                self.heartbeat_ms
            ));
        }
        if self.snapshot_every_entries == 0 || self.max_in_flight_proposals == 0 {
            return wrong(
                "snapshot_every_entries and max_in_flight_proposals must be 1 or more".to_owned(),
            );
        }
        Ok(())
    }
}

/// `1=host:port,2=host:port`, as on the command line.
pub(crate) fn describe_members(members: &BTreeMap<MemberId, String>) -> String {
    let parts: Vec<String> = members
        .iter()
        .map(|(id, address)| format!("{id}={address}"))
        .collect();
    parts.join(",")
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let host_fits = !host.is_empty() && !host.contains(['/', '@', ' ']);
    host_fits && port.parse::<u16>().is_ok_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            member_id: 1,
            address: "127.0.0.1:5050".to_owned(),
            data_dir: PathBuf::from("data"),
            ..Options::default()
        }
    }

    #[test]
    fn sound_options_pass() {
        options().validate().unwrap();
    }

    #[test]
    fn each_mistake_is_named() {
        let told = |change: &dyn Fn(&mut Options)| {
            let mut changed = options();
            change(&mut changed);
            changed.validate().unwrap_err().to_string()
        };
        assert!(told(&|o| o.member_id = 0).contains("member id"));
        assert!(told(&|o| o.data_dir = PathBuf::new()).contains("data directory"));
        assert!(told(&|o| o.address = "here".to_owned()).contains("host:port"));
        assert!(told(&|o| o.address = "http://a:1".to_owned()).contains("host:port"));
        assert!(told(&|o| o.heartbeat_ms = 200).contains("timing"));
        assert!(told(&|o| o.election_timeout_ms = (300, 300)).contains("timing"));
        let others = BTreeMap::from([(2, "127.0.0.1:5150".to_owned())]);
        assert!(told(&|o| o.members = others.clone()).contains("not in the quorum"));
    }

    #[test]
    fn an_ipv6_address_is_accepted() {
        let changed = Options {
            address: "[::1]:5050".to_owned(),
            ..options()
        };
        changed.validate().unwrap();
    }
}
