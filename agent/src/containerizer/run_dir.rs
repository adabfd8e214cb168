//! The files that the agent and the shim of one container share, so that either may die:
//! `spec.json` (what to run; the shim holds its lock while it lives), `processes` (pids) and
//! `status` (the raw wait(2) word, once the command has ended).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use caprock_model::{ContainerId, Millis};
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::sandbox::unique_sibling;

const SPEC: &str = "spec.json";
const PROCESSES: &str = "processes";
const STATUS: &str = "status";
/// Path of the sandbox, of a container that has one of its own.
const SANDBOX: &str = "sandbox";
/// When the container was over, in milliseconds.
const ENDED: &str = "ended";

/// What the shim runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimSpec {
    pub program: String,
    /// `argv`, with the name of the program first.
    pub arguments: Vec<String>,
    /// In order; later entries override earlier ones.
    pub environment: Vec<(String, String)>,
    /// The sandbox.
    pub directory: PathBuf,
    /// None: as the agent's own user.
    pub account: Option<Account>,
    /// What this binary needs to be called with to be the shim again.
    pub shim_arguments: Vec<String>,
}

/// The pids of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processes {
    pub shim: u32,
    /// The command; also the id of its process group.
    pub command: u32,
}

/// What the files say about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The shim lives. It may not have started the command yet.
    Alive(Option<Processes>),
    /// The command has ended with this wait(2) word.
    Exited(i32),
    /// There is no process and nobody knows how it ended.
    Unknown,
}

/// The folder of one container's files.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// The folder of a container; it need not exist.
    pub fn new(containers_dir: &Path, container: &ContainerId) -> Self {
        Self {
            path: containers_dir.join(container.as_str()),
        }
    }

    /// The folder that a spec is in.
    pub fn of_spec(spec_path: &Path) -> Self {
        Self {
            path: spec_path.parent().unwrap_or(Path::new(".")).to_path_buf(),
        }
    }

    /// The containers that have a folder.
    pub fn list(containers_dir: &Path) -> io::Result<Vec<ContainerId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(containers_dir)? {
            if let Some(name) = entry?.file_name().to_str() {
                found.push(ContainerId::from(name));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Makes the folder and the spec, readable by the agent's user only: an environment may
    /// hold secrets.
    pub fn create(&self, spec: &ShimSpec) -> io::Result<PathBuf> {
        self.make()?;
        let text = serde_json::to_string(spec)?;
        self.write_atomically(SPEC, &text)?;
        Ok(self.path.join(SPEC))
    }

    /// Notes where the sandbox is, so that it can be collected by any later agent.
    pub fn record_sandbox(&self, path: &Path) -> io::Result<()> {
        if self.path.join(SANDBOX).exists() {
            return Ok(());
        }
        self.make()?;
        let text = path.to_str().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the work dir is not valid UTF-8",
            )
        })?;
        self.write_atomically(SANDBOX, text)
    }

    /// Where the sandbox is.
    pub fn sandbox(&self) -> Option<PathBuf> {
        fs::read_to_string(self.path.join(SANDBOX))
            .ok()
            .map(PathBuf::from)
    }

    /// The container is over: keeps what is needed to collect its sandbox, and says whether
    /// it has one.
    pub fn record_end(&self, now: Millis) -> io::Result<bool> {
        if !self.path.join(SANDBOX).exists() {
            self.remove()?;
            return Ok(false);
        }
        self.write_atomically(ENDED, &now.0.to_string())?;
        self.clear()?;
        Ok(true)
    }

    /// When the container was over, if it is.
    pub fn collect_after(&self) -> Option<Millis> {
        fs::read_to_string(self.path.join(ENDED))
            .ok()?
            .parse()
            .ok()
            .map(Millis)
    }

    /// Removes what the shim needs and leaves; the rest stays for the collector.
    pub fn clear(&self) -> io::Result<()> {
        for name in [SPEC, PROCESSES, STATUS] {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Forgets the container.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The spec alone.
    pub fn read_spec(&self) -> io::Result<ShimSpec> {
        Ok(serde_json::from_str(&fs::read_to_string(
            self.path.join(SPEC),
        )?)?)
    }

    /// The spec, and its lock for as long as the file is kept. Fails if an agent has given
    /// the container up in the meantime.
    pub fn open_locked(&self) -> io::Result<(ShimSpec, File)> {
        let file = File::open(self.path.join(SPEC))?;
        file.try_lock()?;
        if file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the container was given up",
            ));
        }
        let spec = serde_json::from_str(&io::read_to_string(&file)?)?;
        Ok((spec, file))
    }

    /// Says who runs.
    pub fn record_processes(&self, shim: u32, command: u32) -> io::Result<()> {
        self.write_atomically(PROCESSES, &format!("{shim} {command}\n"))
    }

    /// Says how it ended; on disk when this returns.
    pub fn record_status(&self, raw: i32) -> io::Result<()> {
        self.write_atomically(STATUS, &format!("{raw}\n"))
    }

    /// How the command ended, if that is known.
    pub fn status(&self) -> Option<i32> {
        fs::read_to_string(self.path.join(STATUS))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// The pids, if the command was started.
    pub fn processes(&self) -> Option<Processes> {
        let text = fs::read_to_string(self.path.join(PROCESSES)).ok()?;
        let (shim, command) = text.trim().split_once(' ')?;
        Some(Processes {
            shim: shim.parse().ok()?,
            command: command.parse().ok()?,
        })
    }

    /// Looks whether the container runs. If it does not, a shim that is late finds no spec.
    pub fn probe(&self) -> Found {
        let spec = self.path.join(SPEC);
        if let Ok(file) = File::open(&spec) {
            match file.try_lock() {
                Err(fs::TryLockError::WouldBlock) => return Found::Alive(self.processes()),
                // With the lock in hand: no shim lives, and none can start after this.
                Ok(()) | Err(fs::TryLockError::Error(_)) => {
                    if let Err(error) = fs::remove_file(&spec) {
                        tracing::warn!("cannot remove {}: {error}", spec.display());
                    }
                }
            }
        }
        self.status().map_or(Found::Unknown, Found::Exited)
    }

    fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
    }

    fn write_atomically(&self, name: &str, text: &str) -> io::Result<()> {
        let temporary = unique_sibling(&self.path.join(name));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        if name == STATUS {
            file.sync_data()?;
        }
        fs::rename(&temporary, self.path.join(name))?;
        if name == STATUS {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ShimSpec {
        ShimSpec {
            program: "/bin/true".into(),
            arguments: vec!["true".into()],
            environment: vec![("A".into(), "b".into())],
            directory: "/".into(),
            account: None,
            shim_arguments: vec![],
        }
    }

    #[test]
    fn a_held_lock_means_alive() {
        let temporary = tempfile::tempdir().unwrap();
        let run = RunDir::new(temporary.path(), &ContainerId::from("c1"));
        let path = run.create(&spec()).unwrap();
        assert_eq!(
            RunDir::list(temporary.path()).unwrap(),
            [ContainerId::from("c1")]
        );
        let (read, lock) = RunDir::of_spec(&path).open_locked().unwrap();
        assert_eq!(read, spec());
        assert_eq!(run.probe(), Found::Alive(None));
        run.record_processes(7, 8).unwrap();
        assert_eq!(
            run.probe(),
            Found::Alive(Some(Processes {
                shim: 7,
                command: 8
            }))
        );
        run.record_status(256).unwrap();
        assert!(
            matches!(run.probe(), Found::Alive(Some(_))),
            "it may still reap"
        );
        drop(lock);
        assert_eq!(run.probe(), Found::Exited(256));
        run.remove().unwrap();
        run.remove().unwrap();
        assert_eq!(run.probe(), Found::Unknown);
    }

    #[test]
    fn a_shim_that_comes_late_does_not_start() {
        let temporary = tempfile::tempdir().unwrap();
        let run = RunDir::new(temporary.path(), &ContainerId::from("c1"));
        run.create(&spec()).unwrap();
        assert_eq!(run.probe(), Found::Unknown);
        assert!(run.open_locked().is_err());
    }

    #[test]
    fn two_shims_do_not_run_one_container() {
        let temporary = tempfile::tempdir().unwrap();
        let run = RunDir::new(temporary.path(), &ContainerId::from("c1"));
        run.create(&spec()).unwrap();
        let _first = run.open_locked().unwrap();
        assert!(run.open_locked().is_err());
    }
}
