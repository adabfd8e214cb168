//! Removes sandboxes of finished containers after a delay that shrinks as the disk fills:
//! `gc_delay * max(0, 1 - headroom - usage)` (Mesos: src/slave/gc.cpp, src/slave/slave.cpp
//! `Slave::age`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caprock_model::{ContainerId, DurationMs, Millis};
use tokio::sync::mpsc;

use super::Settings;
use super::run_dir::RunDir;
use crate::clock;

/// When sandboxes go.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// `--gc_delay`
    pub delay: DurationMs,
    /// `--disk_watch_interval`
    pub disk_watch_interval: DurationMs,
    /// `--gc_disk_headroom`
    pub disk_headroom: f64,
}

/// A handle on the task that removes.
#[derive(Debug)]
pub(super) struct Collector {
    sender: mpsc::UnboundedSender<(ContainerId, RunDir)>,
}

impl Collector {
    /// Starts the task; it ends when the handle is dropped.
    pub fn start(settings: &Settings) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queue = Queue {
            containers_dir: settings.containers_dir(),
            work_dir: settings.work_dir.clone(),
            policy: settings.collection,
            ended: BTreeMap::new(),
        };
        tokio::spawn(queue.run(receiver));
        Self { sender }
    }

    /// The container is over; its sandbox is kept for the delay.
    pub fn collect(&self, container: ContainerId, run: RunDir) {
        // The task ends only after this handle.
        let _ = self.sender.send((container, run));
    }
}

struct Queue {
    containers_dir: PathBuf,
    work_dir: PathBuf,
    policy: Policy,
    /// By the time they ended.
    ended: BTreeMap<(Millis, ContainerId), ()>,
}

impl Queue {
    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<(ContainerId, RunDir)>) {
        self.resume();
        let pause = self
            .policy
            .disk_watch_interval
            .0
            .min(self.policy.delay.0)
            .max(100);
        let pause = Duration::from_millis(u64::try_from(pause).unwrap_or(60_000));
        let mut tick = tokio::time::interval(pause);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                next = receiver.recv() => match next {
                    Some((container, run)) => self.add(container, &run),
                    None => return,
                },
                _ = tick.tick() => self.remove_old().await,
            }
        }
    }

    /// Takes up what an earlier life of the agent had left to remove.
    fn resume(&mut self) {
        for container in RunDir::list(&self.containers_dir).unwrap_or_default() {
            let run = RunDir::new(&self.containers_dir, &container);
            if let Some(ended) = run.collect_after() {
                self.ended.insert((ended, container), ());
            }
        }
    }

    fn add(&mut self, container: ContainerId, run: &RunDir) {
        let now = clock::now();
        match run.record_end(now) {
            Ok(true) => drop(self.ended.insert((now, container), ())),
            // No sandbox of its own: nothing to keep.
            Ok(false) => {}
            Err(error) => tracing::warn!(%container, "cannot mark a finished container: {error}"),
        }
    }

    async fn remove_old(&mut self) {
        let limit = clock::now() - self.age_limit();
        let mut old = Vec::new();
        while let Some(((ended, _), ())) = self.ended.first_key_value()
            && *ended <= limit
        {
            old.extend(self.ended.pop_first().map(|((_, container), ())| container));
        }
        let (containers_dir, work_dir) = (self.containers_dir.clone(), self.work_dir.clone());
        let removed = tokio::task::spawn_blocking(move || {
            for container in old {
                let run = RunDir::new(&containers_dir, &container);
                if let Err(error) = remove(&run, &work_dir) {
                    tracing::warn!(%container, "cannot collect a sandbox: {error}");
                }
            }
        });
        // Joining fails only if the runtime is going down.
        let _ = removed.await;
    }

    fn age_limit(&self) -> DurationMs {
        let usage = disk_usage(&self.work_dir).unwrap_or(0.0);
        let factor = (1.0 - self.policy.disk_headroom - usage).max(0.0);
        DurationMs((self.policy.delay.0 as f64 * factor) as i64)
    }
}

/// The used part of the file system that the path is on.
fn disk_usage(path: &Path) -> io::Result<f64> {
    let stat = rustix::fs::statvfs(path)?;
    if stat.f_blocks == 0 {
        return Ok(0.0);
    }
    Ok(1.0 - stat.f_bavail as f64 / stat.f_blocks as f64)
}

fn remove(run: &RunDir, work_dir: &Path) -> io::Result<()> {
    if let Some(sandbox) = run.sandbox()
        && sandbox.starts_with(work_dir.join("slaves"))
    {
        remove_tree(&sandbox)?;
        if let Some(runs) = sandbox.parent() {
            remove_if_idle(runs);
        }
    }
    run.remove()
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the folders of an executor and a framework that have no run left.
fn remove_if_idle(runs: &Path) {
    let latest = runs.join("latest");
    if fs::symlink_metadata(&latest).is_ok() && !latest.exists() {
        // A folder that is in use again by now fails to be removed below.
        let _ = fs::remove_file(&latest);
    }
    // runs, executor, executors, framework: each goes only if it is empty.
    for folder in runs.ancestors().take(4) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerizer::sandbox::Sandbox;
    use crate::containerizer::test_support::launch_spec;

    fn finished(work: &Path, container: &str) -> (RunDir, PathBuf) {
        let spec = launch_spec(container);
        let sandbox = Sandbox::of(work, &spec).unwrap();
        sandbox.create(&spec, None).unwrap();
        sandbox.open_outputs(None).unwrap();
        let run = RunDir::new(&work.join("containers"), &spec.container);
        run.record_sandbox(&sandbox.path).unwrap();
        assert!(run.record_end(Millis(5)).unwrap());
        assert_eq!(run.collect_after(), Some(Millis(5)));
        (run, sandbox.path)
    }

    #[test]
    fn a_collected_sandbox_takes_its_empty_folders_along() {
        let work = tempfile::tempdir().unwrap();
        let (first, first_sandbox) = finished(work.path(), "c1");
        let (second, second_sandbox) = finished(work.path(), "c2");
        remove(&first, work.path()).unwrap();
        assert!(!first_sandbox.exists() && second_sandbox.join("stdout").exists());
        assert!(second_sandbox.with_file_name("latest").exists());
        remove(&second, work.path()).unwrap();
        remove(&second, work.path()).unwrap();
        assert!(!work.path().join("slaves/S0/frameworks/F0").exists());
        assert!(
            RunDir::list(&work.path().join("containers"))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn only_sandboxes_are_removed() {
        let work = tempfile::tempdir().unwrap();
        let run = RunDir::new(&work.path().join("containers"), &ContainerId::from("c1"));
        let precious = work.path().join("precious");
        fs::create_dir(&precious).unwrap();
        run.record_sandbox(&precious).unwrap();
        remove(&run, work.path()).unwrap();
        assert!(precious.exists());
    }

    #[test]
    fn a_container_without_sandbox_leaves_nothing() {
        let work = tempfile::tempdir().unwrap();
        let run = RunDir::new(work.path(), &ContainerId::from("c1"));
        run.record_processes(1, 2).unwrap_err();
        assert!(!run.record_end(Millis(5)).unwrap());
        assert_eq!(run.collect_after(), None);
    }
}
