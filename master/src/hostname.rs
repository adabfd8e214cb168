//! Names for addresses: what Mesos asks the resolver for, read from the hosts file.

use std::net::IpAddr;

const HOSTS_FILE: &str = "/etc/hosts";

/// The name that the hosts file gives this address, else the address itself.
pub fn of_ip(ip: IpAddr) -> String {
    let hosts = std::fs::read_to_string(HOSTS_FILE).unwrap_or_default();
    name_in(&hosts, ip).unwrap_or_else(|| match ip {
        IpAddr::V4(ip) if ip.is_loopback() => "localhost".to_owned(),
        IpAddr::V6(ip) if ip.is_loopback() => "localhost".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(ip) => ip.to_string(),
    })
}

/// `host:port` with a numeric host replaced by its name.
pub fn named_address(address: &str) -> String {
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) => format!("{}:{}", of_ip(address.ip()), address.port()),
        Err(_) => address.to_owned(),
    }
}

/// The node name of this machine.
pub fn of_this_machine() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

fn name_in(hosts: &str, ip: IpAddr) -> Option<String> {
    hosts.lines().find_map(|line| {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        (address == ip)
            .then(|| words.next().map(str::to_owned))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_the_line_counts() {
        let hosts = "# c\n127.0.0.1 localhost other\n10.0.0.5\tm1 m1.example # x\n";
        assert_eq!(
            name_in(hosts, "10.0.0.5".parse().unwrap()),
            Some("m1".to_owned())
        );
        assert_eq!(
            name_in(hosts, "127.0.0.1".parse().unwrap()),
            Some("localhost".to_owned())
        );
        assert_eq!(name_in(hosts, "10.0.0.6".parse().unwrap()), None);
    }

    #[test]
    fn names_stay_and_numbers_get_a_name() {
        assert_eq!(named_address("m1:5050"), "m1:5050");
        assert_eq!(named_address("127.0.0.1:7"), "localhost:7");
    }
}
