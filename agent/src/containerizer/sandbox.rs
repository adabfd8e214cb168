//! Where a container's files are. Schedulers, the CLI and log shippers know this layout, so it
//! is Mesos' own: `slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>`
//! below the work dir (Mesos: src/slave/paths.hpp).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use caprock_agent_core::LaunchSpec;
use caprock_model::ContainerId;

use super::account::Account;

/// The sandbox of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub path: PathBuf,
    /// For a task of a pod: the sandbox of the pod.
    pub pod: Option<PathBuf>,
}

impl Sandbox {
    /// The sandbox of a container that is to be launched. Ids become path components, so
    /// those that would lead elsewhere are refused, whoever let them through.
    pub fn of(work_dir: &Path, spec: &LaunchSpec) -> io::Result<Self> {
        let top = spec.parent.as_ref().unwrap_or(&spec.container);
        let run = runs_dir(
            work_dir,
            &spec.agent_id,
            &spec.framework_id,
            &spec.executor_id,
        )?
        .join(component(top.as_str())?);
        let Some(_) = &spec.parent else {
            return Ok(Self {
                path: run,
                pod: None,
            });
        };
        let path = run
            .join("containers")
            .join(component(spec.container.as_str())?);
        Ok(Self {
            path,
            pod: Some(run),
        })
    }

    /// Makes the folders and links, owned by the account if there is one.
    pub fn create(&self, spec: &LaunchSpec, account: Option<&Account>) -> io::Result<()> {
        let run = self.pod.as_deref().unwrap_or(&self.path);
        make_owned(run, account)?;
        if let Some(runs) = run.parent()
            && let Some(name) = run.file_name()
        {
            replace_link(Path::new(name), &runs.join("latest"))?;
        }
        let Some(pod) = &self.pod else { return Ok(()) };
        make_owned(&self.path, account)?;
        if let Some(task) = &spec.task_id {
            let tasks = pod.join("tasks");
            make_owned(&tasks, account)?;
            let target = Path::new("../containers").join(component(spec.container.as_str())?);
            replace_link(&target, &tasks.join(component(task)?))?;
        }
        Ok(())
    }

    /// Opens `stdout` and `stderr` for the container to append to.
    pub fn open_outputs(&self, account: Option<&Account>) -> io::Result<(File, File)> {
        let open = |name: &str| {
            let path = self.path.join(name);
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o644)
                .open(&path)?;
            own(&path, account)?;
            Ok::<_, io::Error>(file)
        };
        Ok((open("stdout")?, open("stderr")?))
    }
}

/// The folder that holds all runs of an executor.
pub fn runs_dir(
    work_dir: &Path,
    agent: &str,
    framework: &str,
    executor: &str,
) -> io::Result<PathBuf> {
    Ok(work_dir
        .join("slaves")
        .join(component(agent)?)
        .join("frameworks")
        .join(component(framework)?)
        .join("executors")
        .join(component(executor)?)
        .join("runs"))
}

/// The sandbox of a top-level container.
pub fn run_path(
    work_dir: &Path,
    agent: &str,
    framework: &str,
    executor: &str,
    container: &ContainerId,
) -> io::Result<PathBuf> {
    Ok(runs_dir(work_dir, agent, framework, executor)?.join(component(container.as_str())?))
}

fn component(id: &str) -> io::Result<&str> {
    if id.is_empty() || id == "." || id == ".." || id.contains(['/', '\0']) {
        let message = format!("'{id}' cannot be part of a path");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(id)
}

fn make_owned(path: &Path, account: Option<&Account>) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o750))?;
    own(path, account)
}

/// Gives a path (never what a link there points to) to the account.
pub fn own(path: &Path, account: Option<&Account>) -> io::Result<()> {
    match account {
        Some(account) => std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid)),
        None => Ok(()),
    }
}

/// A name beside a path that nobody else uses: the tasks of a pod are launched at once.
pub fn unique_sibling(path: &Path) -> PathBuf {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{number}", std::process::id()))
}

/// Points a link elsewhere without a moment in which it is missing.
fn replace_link(target: &Path, link: &Path) -> io::Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let temporary = unique_sibling(link);
    symlink(target, &temporary)?;
    fs::rename(&temporary, link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containerizer::run_dir::RunDir;
    use crate::containerizer::test_support::launch_spec;

    #[test]
    fn layout_of_a_task_and_its_latest_link() {
        let work = tempfile::tempdir().unwrap();
        for container in ["c1", "c2"] {
            let spec = launch_spec(container);
            let sandbox = Sandbox::of(work.path(), &spec).unwrap();
            let runs = work
                .path()
                .join("slaves/S0/frameworks/F0/executors/e1/runs");
            assert_eq!(sandbox.path, runs.join(container));
            sandbox.create(&spec, None).unwrap();
            sandbox.create(&spec, None).unwrap();
            assert_eq!(
                fs::read_link(runs.join("latest")).unwrap(),
                Path::new(container)
            );
            sandbox.open_outputs(None).unwrap();
            assert!(runs.join("latest/stdout").is_file());
        }
    }

    #[test]
    fn layout_of_a_pod() {
        let work = tempfile::tempdir().unwrap();
        let mut spec = launch_spec("c2");
        spec.parent = Some(ContainerId::from("pod"));
        spec.task_id = Some("web".into());
        let sandbox = Sandbox::of(work.path(), &spec).unwrap();
        sandbox.create(&spec, None).unwrap();
        let pod = work
            .path()
            .join("slaves/S0/frameworks/F0/executors/e1/runs/pod");
        assert_eq!(sandbox.pod.as_deref(), Some(pod.as_path()));
        assert_eq!(sandbox.path, pod.join("containers/c2"));
        assert_eq!(
            fs::canonicalize(pod.join("tasks/web")).unwrap(),
            sandbox.path
        );
    }

    #[test]
    fn the_tasks_of_a_pod_do_not_disturb_each_other() {
        let work = tempfile::tempdir().unwrap();
        let create = |number: usize| {
            let mut spec = launch_spec(&format!("c{number}"));
            spec.parent = Some(ContainerId::from("pod"));
            spec.task_id = Some(format!("t{number}"));
            let run = RunDir::new(work.path(), &ContainerId::from("pod"));
            let sandbox = Sandbox::of(work.path(), &spec).unwrap();
            run.record_sandbox(sandbox.pod.as_ref().unwrap()).unwrap();
            sandbox.create(&spec, None).unwrap();
        };
        std::thread::scope(|scope| {
            for number in 0..16 {
                scope.spawn(move || create(number));
            }
        });
    }

    #[test]
    fn ids_do_not_lead_out_of_the_work_dir() {
        for bad in ["", ".", "..", "a/b", "../../etc", "a\0b"] {
            let mut spec = launch_spec("c1");
            spec.executor_id = bad.into();
            assert!(Sandbox::of(Path::new("/w"), &spec).is_err(), "{bad:?}");
        }
    }
}
