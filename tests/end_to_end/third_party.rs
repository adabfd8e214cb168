//! Clients that nobody here wrote.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use caprock_tests::{Cluster, eventually};

use crate::gateway::kills;

/// A Python with pymesos; `script/test` makes one and names it.
fn python() -> Option<String> {
    let python = std::env::var("CAPROCK_TEST_PYTHON").ok();
    if python.is_none() {
        eprintln!("skipped: CAPROCK_TEST_PYTHON names no Python with pymesos (see script/test)");
    }
    python
}

struct Scheduler(Child);

impl Drop for Scheduler {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        drop(ended);
    }
}

fn start(
    python: &str,
    dir: &Path,
    master: &str,
    flags: &[&str],
    tasks: usize,
) -> Result<Scheduler> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/pymesos_scheduler.py");
    let log = std::fs::File::create(dir.join("pymesos.log"))?;
    let child = Command::new(python)
        .arg(script)
        .args([master, &tasks.to_string()])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("python cannot be started")?;
    Ok(Scheduler(child))
}

async fn finished(scheduler: &mut Scheduler, dir: &Path) -> Result<()> {
    let status = eventually("the end of the scheduler", async || {
        let log = std::fs::read_to_string(dir.join("pymesos.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        scheduler
            .0
            .try_wait()
            .map_err(|e| e.to_string())?
            .ok_or_else(|| last.join(" | "))
    })
    .await;
    let log = std::fs::read_to_string(dir.join("pymesos.log"))?;
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains("Traceback"), "{log}");
    Ok(())
}

#[tokio::test]
async fn pymesos_runs_tasks_through_each_of_three_masters() -> Result<()> {
    let Some(python) = python() else {
        return Ok(());
    };
    let cluster = Cluster::start(3, 1).await?;
    for master in &cluster.masters {
        let mut scheduler = start(&python, cluster.dir.path(), &master.address(), &[], 3)?;
        finished(&mut scheduler, cluster.dir.path()).await?;
    }
    Ok(())
}

/// Kills leaders while an unmodified scheduler launches all the while.
async fn outlives_leaders(
    mut cluster: Cluster,
    home: Option<usize>,
    address: &str,
    python: &str,
) -> Result<()> {
    let tasks = kills() * 8;
    let mut scheduler = start(python, cluster.dir.path(), address, &["--strict"], tasks)?;
    let log = cluster.dir.path().join("pymesos.log");
    for kill in 0..kills() {
        let wanted = (kill + 1) * 6;
        eventually(&format!("{wanted} finished tasks"), async || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(!text.contains("PROBLEM"), "{text}");
            let done = text.matches("TASK_FINISHED").count();
            if done >= wanted { Ok(()) } else { Err(done) }
        })
        .await;
        if home == Some(cluster.leader().await) {
            cluster.admin().transfer_leader(None).await?;
        }
        let killed = cluster.kill_leader().await;
        assert_ne!(home, Some(killed), "the scheduler's own master was killed");
        cluster.masters[killed].start_again()?;
        cluster.wait_until_caught_up(killed).await;
    }
    finished(&mut scheduler, cluster.dir.path()).await
}

#[tokio::test]
async fn pymesos_behind_a_follower_outlives_the_leader() -> Result<()> {
    let Some(python) = python() else {
        return Ok(());
    };
    let cluster = Cluster::start(3, 1).await?;
    let follower = cluster.follower().await;
    let address = cluster.masters[follower].address();
    outlives_leaders(cluster, Some(follower), &address, &python).await
}

#[tokio::test]
async fn pymesos_behind_a_gateway_outlives_the_leader() -> Result<()> {
    let Some(python) = python() else {
        return Ok(());
    };
    let cluster = Cluster::start(3, 1).await?;
    let gateway = cluster.start_gateway(&[]).await?;
    outlives_leaders(cluster, None, &gateway.address(), &python).await
}
