//! What a container uses, summed over its processes (Mesos: the posix/cpu and posix/mem
//! isolators, src/slave/containerizer/mesos/isolators/posix.hpp).

use caprock_model::Millis;
use caprock_proto::mesos::v1::ResourceStatistics;

use super::run_dir::Processes;
use crate::procfs::{self, Process};

/// Measures containers now, as one.
pub fn measure(containers: &[Processes], now: Millis) -> ResourceStatistics {
    let all = procfs::processes();
    let mut below: Vec<Process> = Vec::new();
    let mut ticks = (0, 0);
    for container in containers {
        let found = procfs::descendants(&all, container.shim);
        // The shim itself uses next to nothing, but has waited for what is over.
        for process in found.iter().chain(all.get(&container.shim)) {
            ticks.0 += process.user_ticks;
            ticks.1 += process.system_ticks;
        }
        below.extend(found.into_iter().filter(|process| !process.zombie));
    }
    let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    let pages: u64 = below.iter().map(|process| process.resident_pages).sum();
    ResourceStatistics {
        timestamp: now.seconds_f64(),
        processes: u32::try_from(below.len()).ok(),
        threads: Some(below.iter().map(|process| process.threads).sum()),
        cpus_user_time_secs: Some(seconds(ticks.0)),
        cpus_system_time_secs: Some(seconds(ticks.1)),
        mem_rss_bytes: Some(pages * rustix::param::page_size() as u64),
        ..ResourceStatistics::default()
    }
}
