//! What the machine is: its resources where the operator did not say, its name and address.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use caprock_model::{ResourceError, Resources};

const GIB: u64 = 1 << 30;

/// The given resources; of cpus, mem, disk and ports, those that are not given are detected
/// (Mesos: src/slave/containerizer/containerizer.cpp `Containerizer::resources`).
pub fn resources(
    given: Option<&str>,
    default_role: &str,
    work_dir: &Path,
) -> Result<Resources, ResourceError> {
    let mut total = Resources::parse(given.unwrap_or_default(), default_role)?;
    let names: Vec<String> = total
        .names()
        .iter()
        .map(|name| name.as_str().to_string())
        .collect();
    let detected = [
        ("cpus", format!("cpus:{}", cpus())),
        ("mem", format!("mem:{}", mem_mib())),
        ("disk", format!("disk:{}", disk_mib(work_dir))),
        ("ports", "ports:[31000-32000]".to_string()),
    ];
    for (name, text) in detected {
        if !names.iter().any(|known| known == name) {
            total += &Resources::parse(&text, default_role)?;
        }
    }
    Ok(total)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Memory without what is left to the host: 1 GiB, or half of it on a small machine.
fn mem_mib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| {
        let value = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        value.trim().parse::<u64>().ok()
    });
    total.map_or(1024, |kib| left_for_tasks(kib * 1024, GIB) >> 20)
}

/// Disk without what is left to the host: 5 GiB, or half of it on a small one.
fn disk_mib(work_dir: &Path) -> u64 {
    match rustix::fs::statvfs(work_dir) {
        Ok(stat) => left_for_tasks(stat.f_blocks * stat.f_frsize, 5 * GIB) >> 20,
        Err(_) => 10 * 1024,
    }
}

fn left_for_tasks(total: u64, for_host: u64) -> u64 {
    if total >= 2 * for_host {
        total - for_host
    } else {
        total / 2
    }
}

/// The name of this machine.
pub fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_string(),
        name => name.to_string(),
    }
}

/// Identifies the boot of the machine.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_string()
}

/// The address that others reach: the one that is listened on or, if that is any, the one
/// that packets to the first master leave from.
pub fn reachable_ip(listen: SocketAddr, masters: &[String]) -> IpAddr {
    if !listen.ip().is_unspecified() {
        return listen.ip();
    }
    let routed = masters.iter().find_map(|master| {
        let socket = UdpSocket::bind((listen.ip(), 0)).ok()?;
        // Sends nothing: it only asks the routing table.
        socket.connect(master.as_str()).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    routed.unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_not_detected() {
        let total = resources(Some("cpus:4;ports:[1-2]"), "*", Path::new("/")).unwrap();
        assert_eq!(total.cpus().to_f64(), 4.0);
        assert_eq!(total.ports().iter().collect::<Vec<_>>(), [(1, 2)]);
        assert!(total.mem().to_f64() > 0.0 && total.disk().to_f64() > 0.0);
    }

    #[test]
    fn everything_is_detected() {
        let total = resources(None, "*", Path::new("/")).unwrap();
        assert!(total.cpus().to_f64() >= 1.0);
        assert_eq!(total.ports().iter().collect::<Vec<_>>(), [(31000, 32000)]);
        assert!(resources(Some("cpus"), "*", Path::new("/")).is_err());
    }

    #[test]
    fn the_host_keeps_its_part() {
        assert_eq!(left_for_tasks(8 * GIB, GIB), 7 * GIB);
        assert_eq!(left_for_tasks(GIB, GIB), GIB / 2);
    }

    #[test]
    fn the_address_is_one_that_others_reach() {
        let listen: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert_eq!(reachable_ip(listen, &[]), listen.ip());
        let any: SocketAddr = "0.0.0.0:1".parse().unwrap();
        let masters = ["127.0.0.1:9".to_string()];
        assert_eq!(reachable_ip(any, &masters), IpAddr::from([127, 0, 0, 1]));
        assert!(!boot_id().is_empty() && !hostname().is_empty());
    }
}
