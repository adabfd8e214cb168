//! Who this master says it is: `MasterInfo`, pid and version.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use caprock_proto::mesos::v1::{Address, MasterInfo, master_info};

use crate::config::{MasterConfig, MemberId};
use crate::hostname;
use crate::standing::Leader;

/// The level of the Mesos API that is kept. Clients parse it as three numbers.
pub const MESOS_VERSION: &str = "1.11.0";
/// Caprock's own version.
pub const CAPROCK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The address and names of this member; fixed while the process runs.
#[derive(Debug, Clone)]
pub struct Identity {
    pub member_id: MemberId,
    /// host:port under which other members and agents reach this one.
    pub address: String,
    pub ip: IpAddr,
    pub port: u16,
    pub hostname: String,
}

impl Identity {
    /// Works out the identity of a member that listens on `bound`.
    pub fn new(config: &MasterConfig, bound: SocketAddr) -> Self {
        let address = config.advertised_address();
        let resolved = address
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next());
        let known = resolved.unwrap_or(bound);
        let ip = match (known.ip().is_unspecified(), bound.ip().is_unspecified()) {
            (false, _) => known.ip(),
            (true, false) => bound.ip(),
            (true, true) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let hostname = config.hostname.clone().unwrap_or_else(|| {
            let named = hostname::named_address(&address);
            named
                .rsplit_once(':')
                .map_or(named.clone(), |(host, _)| host.to_owned())
        });
        Self {
            member_id: config.id,
            address,
            ip,
            port: known.port(),
            hostname,
        }
    }

    /// `master@ip:port`, libprocess' name for a master.
    pub fn pid(&self) -> String {
        format!("master@{}:{}", self.ip, self.port)
    }

    /// This member as the leader that others may be sent to.
    pub fn as_leader(&self) -> Leader {
        Leader {
            member_id: self.member_id,
            address: self.address.clone(),
        }
    }

    /// `MasterInfo` with a fresh id: ids made under one leadership never recur in another.
    pub fn master_info(&self) -> MasterInfo {
        let capability = |kind: master_info::capability::Type| master_info::Capability {
            r#type: Some(kind as i32),
        };
        MasterInfo {
            id: uuid::Uuid::new_v4().to_string(),
            ip: ip_number(self.ip),
            port: u32::from(self.port),
            pid: Some(self.pid()),
            hostname: Some(self.hostname.clone()),
            version: Some(MESOS_VERSION.to_owned()),
            address: Some(Address {
                hostname: Some(self.hostname.clone()),
                ip: Some(self.ip.to_string()),
                port: i32::from(self.port),
            }),
            domain: None,
            // Only what old clients know: the JSON codec of mesos-go refuses names that are
            // newer than itself, such as QUOTA_V2.
            capabilities: vec![capability(master_info::capability::Type::AgentUpdate)],
        }
    }
}

/// The address as Mesos stores it: network byte order read as a native integer of a
/// little-endian machine (Mesos: src/master/master.cpp, constructor). IPv6 has none.
fn ip_number(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ip_number_is_in_network_order() {
        assert_eq!(
            ip_number(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5))),
            83_886_090
        );
    }

    #[test]
    fn every_leadership_has_its_own_id() {
        let config = MasterConfig::default();
        let identity = Identity::new(&config, config.listen);
        let (first, second) = (identity.master_info(), identity.master_info());
        assert_ne!(first.id, second.id);
        assert_eq!(first.pid.as_deref(), Some("master@127.0.0.1:5050"));
        assert_eq!(first.hostname.as_deref(), Some("localhost"));
    }
}
