//! Figures of the machine, read from /proc; zero where it does not say.

use std::fs;

/// Memory of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    pub total_bytes: u64,
    pub free_bytes: u64,
}

/// Load averages over 1, 5 and 15 minutes.
pub fn load() -> [f64; 3] {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut words = text
        .split_whitespace()
        .map(|word| word.parse().unwrap_or(0.0));
    [0; 3].map(|_| words.next().unwrap_or(0.0))
}

/// Total and free memory.
pub fn memory() -> Memory {
    parse_memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

/// Number of processors that this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn parse_memory(text: &str) -> Memory {
    let of = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or(0) * 1024
    };
    Memory {
        total_bytes: of("MemTotal"),
        free_bytes: of("MemFree"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_in_kilobytes() {
        let memory = parse_memory("MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable: 9 kB\n");
        assert_eq!(
            memory,
            Memory {
                total_bytes: 2_097_152,
                free_bytes: 1_024
            }
        );
    }
}
