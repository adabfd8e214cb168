//! SIGKILL while proposals run: what was acknowledged is there afterwards. The process that is
//! killed is this test binary, told by a variable to propose instead of to test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use bytes::Bytes;

use crate::testing::{free_address, options, single};

const DIR: &str = "CAPROCK_TEST_CRASH_DIR";
const ADDRESS: &str = "CAPROCK_TEST_CRASH_ADDRESS";
const ACKNOWLEDGED: &str = "acknowledged ";

/// Not a test of its own: the child's part, which never ends.
#[tokio::test(flavor = "multi_thread")]
async fn child_proposes_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let address = std::env::var(ADDRESS).unwrap();
    let mut options = options(1, &address, dir.as_ref());
    options.snapshot_every_entries = 300;
    options.keep_entries_after_snapshot = 20;
    let member = single(options).await;
    let workers = (0..8).map(|worker| {
        let store = member.store.clone();
        async move {
            for number in 0u64.. {
                let line = format!("{worker}-{number}-{}", std::process::id());
                store.propose(Bytes::from(line.clone())).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "{ACKNOWLEDGED}{line}").unwrap();
                out.flush().unwrap();
            }
        }
    });
    futures::future::join_all(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address().await;
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "tests::crash::child_proposes_until_it_is_killed",
                "--exact",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .env(ADDRESS, &address)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut seen = 0;
        for line in output.lines() {
            let line = line.unwrap();
            // The test harness may print its own text in front of the first.
            if let Some((_, command)) = line.split_once(ACKNOWLEDGED) {
                acknowledged.push(command.to_owned());
                seen += 1;
            }
            if seen == 400 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(
            seen >= 400 * round,
            "the child ended by itself after {seen}"
        );
    }
    let member = single(options(1, &address, dir.path())).await;
    let lines: std::collections::BTreeSet<String> = member.lines().into_iter().collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|line| !lines.contains(*line))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert_eq!(
        lines.len(),
        member.lines().len(),
        "something was applied twice"
    );
    member.stop().await;
}
