//! Opening files of sandboxes for readers outside, and no others. Tasks own their sandboxes
//! and may put links into them; the kernel is asked to resolve paths beneath the sandbox, so
//! that no link leads out, not even one that is changed at the right moment.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// Components of a sandbox's path below the work dir: `slaves/A/frameworks/F/executors/E/runs/R`.
const SANDBOX_DEPTH: usize = 8;
/// What stands at these places.
const FIXED: [(usize, &str); 4] = [
    (0, "slaves"),
    (2, "frameworks"),
    (4, "executors"),
    (6, "runs"),
];

/// A path inside of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxFile {
    /// The sandbox; its last component may be the link `latest`.
    root: PathBuf,
    inner: PathBuf,
}

impl SandboxFile {
    /// Understands the sandbox's real path, and the virtual one that starts with
    /// `/frameworks` and leaves the agent out. `None` if the path is neither.
    pub fn parse(work_dir: &Path, agent_id: Option<&str>, path: &str) -> Option<Self> {
        let path = Path::new(path);
        let below = match path.strip_prefix(work_dir) {
            Ok(below) => below.to_path_buf(),
            Err(_) => {
                let below = path.strip_prefix("/").ok()?;
                below.starts_with("frameworks").then_some(())?;
                Path::new("slaves").join(agent_id?).join(below)
            }
        };
        let parts: Vec<&std::ffi::OsStr> = below
            .components()
            .map(|part| match part {
                Component::Normal(part) => Some(part),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let fits = |(index, name): &(usize, &str)| parts.get(*index).is_some_and(|p| p == name);
        if parts.len() < SANDBOX_DEPTH || !FIXED.iter().all(fits) {
            return None;
        }
        let root = work_dir.join(parts[..SANDBOX_DEPTH].iter().collect::<PathBuf>());
        let inner: PathBuf = parts[SANDBOX_DEPTH..].iter().collect();
        let inner = if inner.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            inner
        };
        Some(Self { root, inner })
    }

    /// Opens the file or folder for reading.
    pub fn open(&self) -> io::Result<File> {
        // The link `latest` is the agent's own; what is below belongs to the task.
        let root = rustix::fs::open(
            &self.root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let file = rustix::fs::openat2(
            root,
            &self.inner,
            // A pipe without a writer must not hold up the reader.
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        )
        .map_err(|error| match error {
            // A path that leads out is no path.
            rustix::io::Errno::XDEV | rustix::io::Errno::LOOP => {
                io::Error::from(io::ErrorKind::NotFound)
            }
            other => other.into(),
        })?;
        Ok(file.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    const RUN: &str = "slaves/S0/frameworks/F/executors/E/runs";

    #[test]
    fn only_sandboxes_have_paths() {
        let parse = |path: &str| SandboxFile::parse(Path::new("/w"), Some("S0"), path);
        let real = parse(&format!("/w/{RUN}/c1/a/b")).unwrap();
        assert_eq!(real.root, Path::new("/w").join(RUN).join("c1"));
        assert_eq!(real.inner, Path::new("a/b"));
        let virtual_path = parse("/frameworks/F/executors/E/runs/latest").unwrap();
        assert_eq!(virtual_path.root, Path::new("/w").join(RUN).join("latest"));
        for bad in [
            "/etc/passwd",
            "/w/meta/CURRENT",
            "/w/slaves/S0/frameworks/F/executors/E/runs",
            "/w/slaves/S0/frameworks/F/executors/E/runs/../../../../../../meta",
            "/w/slaves/S0/frameworks/F/executors/E/runs/c1/../../x",
            "/w/slaves/S0/other/F/executors/E/runs/c1/x",
            "relative",
            "",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(
            SandboxFile::parse(Path::new("/w"), None, "/frameworks/F/executors/E/runs/x"),
            None
        );
    }

    #[test]
    fn links_do_not_lead_out() {
        let work = tempfile::tempdir().unwrap();
        let run = work.path().join(RUN).join("c1");
        fs::create_dir_all(run.join("dir")).unwrap();
        fs::write(run.join("dir/file"), "inside").unwrap();
        fs::write(work.path().join("secret"), "outside").unwrap();
        symlink("c1", work.path().join(RUN).join("latest")).unwrap();
        symlink("dir/file", run.join("fine")).unwrap();
        symlink(work.path().join("secret"), run.join("absolute")).unwrap();
        symlink("../../../../../../../../secret", run.join("relative")).unwrap();
        symlink(work.path(), run.join("door")).unwrap();
        let open = |inner: &str| {
            let path = format!("{}/{RUN}/latest/{inner}", work.path().display());
            let mut text = String::new();
            SandboxFile::parse(work.path(), Some("S0"), &path)
                .unwrap()
                .open()
                .and_then(|mut file| file.read_to_string(&mut text))
                .map(|_| text)
        };
        assert_eq!(open("dir/file").unwrap(), "inside");
        assert_eq!(open("fine").unwrap(), "inside");
        for bad in ["absolute", "relative", "door/secret", "missing"] {
            assert_eq!(
                open(bad).unwrap_err().kind(),
                io::ErrorKind::NotFound,
                "{bad}"
            );
        }
    }
}
