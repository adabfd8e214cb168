//! Reading `/proc`: who is whose child, and what a process tree has used. Linux has no call
//! that signals a whole tree, so the tree is walked, as Mesos does (stout/os/killtree.hpp).

use std::collections::BTreeMap;
use std::fs;

/// One line of `/proc/<pid>/stat`, as far as it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
    pub threads: u32,
    /// Clock ticks in user and in system mode, with those of children that were waited for.
    pub user_ticks: u64,
    pub system_ticks: u64,
    pub resident_pages: u64,
    /// It has ended, and its parent has not taken note of it.
    pub zombie: bool,
}

/// Every process that this one can see, by pid.
pub fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, process(pid)?)))
        .collect()
}

/// One process, if it is there.
pub fn process(pid: u32) -> Option<Process> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether the environment that a process was started with has this text.
pub fn environment_has(pid: u32, text: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    !text.is_empty() && environment.windows(text.len()).any(|window| window == text)
}

/// The processes below `root` (which is not among them), parents before children.
pub fn descendants(processes: &BTreeMap<u32, Process>, root: u32) -> Vec<Process> {
    let mut children: BTreeMap<u32, Vec<&Process>> = BTreeMap::new();
    for process in processes.values() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        // A pid leads to its children once: /proc is read without a lock, so a loop of
        // parents is possible in theory.
        for child in children.remove(&parent).unwrap_or_default() {
            found.push(*child);
            next.push(child.pid);
        }
    }
    found
}

/// The command name is in parentheses and may itself hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Process> {
    let (head, tail) = text.rsplit_once(')')?;
    let pid = head.split_whitespace().next()?.parse().ok()?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    // Field 3 of proc(5) is the first one after the name.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let small = |field: usize| number(field).and_then(|value| u32::try_from(value).ok());
    Some(Process {
        pid,
        parent: small(4)?,
        group: small(5)?,
        session: small(6)?,
        threads: small(20)?,
        user_ticks: number(14)? + number(16)?,
        system_ticks: number(15)? + number(17)?,
        resident_pages: number(24)?,
        zombie: matches!(fields.first(), Some(&"Z" | &"X")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 0 0 0 11 22 1 2 20 0 3 0 1234 99 5 1\n";
        let process = parse_stat(text).unwrap();
        assert_eq!((process.pid, process.parent, process.group), (42, 7, 42));
        assert_eq!((process.user_ticks, process.system_ticks), (12, 24));
        assert_eq!(
            (process.threads, process.resident_pages, process.zombie),
            (3, 5, false)
        );
        assert!(parse_stat("").is_none());
        assert!(parse_stat("1 (x) S 1").is_none());
    }

    #[test]
    fn this_process_is_found() {
        let me = std::process::id();
        let all = processes();
        assert_eq!(all[&me].pid, me);
        assert!(
            descendants(&all, all[&me].parent)
                .iter()
                .any(|process| process.pid == me)
        );
        assert!(
            !descendants(&all, me)
                .iter()
                .any(|process| process.pid == me)
        );
    }

    #[test]
    fn descendants_of_descendants() {
        let process = |pid, parent| Process {
            pid,
            parent,
            group: pid,
            session: pid,
            threads: 1,
            user_ticks: 0,
            system_ticks: 0,
            resident_pages: 0,
            zombie: false,
        };
        let all: BTreeMap<u32, Process> = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)]
            .map(|(pid, parent)| (pid, process(pid, parent)))
            .into();
        let mut below: Vec<u32> = descendants(&all, 2).iter().map(|found| found.pid).collect();
        below.sort_unstable();
        assert_eq!(below, [3, 4]);
        assert_eq!(descendants(&all, 6).len(), 2);
    }
}
