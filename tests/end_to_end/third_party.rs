//! Clients that nobody here wrote.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use caprock_tests::{Cluster, eventually};

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

fn start(python: &str, dir: &Path, master: &str, tasks: usize) -> Result<Scheduler> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/pymesos_scheduler.py");
    let log = std::fs::File::create(dir.join("pymesos.log"))?;
    let child = Command::new(python)
        .arg(script)
        .args([master, &tasks.to_string()])
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
        let mut scheduler = start(&python, cluster.dir.path(), &master.address(), 3)?;
        finished(&mut scheduler, cluster.dir.path()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pymesos_behind_a_follower_outlives_the_leader() -> Result<()> {
    let Some(python) = python() else {
        return Ok(());
    };
    let mut cluster = Cluster::start(3, 1).await?;
    let follower = cluster.follower().await;
    let address = cluster.masters[follower].address();
    let mut scheduler = start(&python, cluster.dir.path(), &address, 40)?;
    let log = cluster.dir.path().join("pymesos.log");
    for wanted in [5, 15] {
        eventually(&format!("{wanted} finished tasks"), async || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let done = text.matches("TASK_FINISHED").count();
            if done >= wanted { Ok(()) } else { Err(done) }
        })
        .await;
        let leader = cluster.leader().await;
        if leader == follower {
            break; // its own address died with it; that is another test
        }
        cluster.masters[leader].kill();
        cluster.masters[leader].start_again()?;
    }
    finished(&mut scheduler, cluster.dir.path()).await
}
