//! Persistent volumes as folders: `volumes/roles/<role>/<id>` below the work dir or below the
//! root of a disk (Mesos: src/slave/paths.cpp). A volume outlives tasks and agents and goes
//! only when it is destroyed; containers see it through a link in their sandbox.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use caprock_agent_core::{Volume, VolumeMount, VolumePlace};

use crate::containerizer::account::Account;
use crate::containerizer::sandbox::{own, unique_sibling};

/// Where volumes wait to be deleted, beside those that live.
const DOOMED: &str = ".destroyed";

/// The folder of a volume.
pub fn path_of(work_dir: &Path, volume: &Volume) -> io::Result<PathBuf> {
    let below = |root: &Path| -> io::Result<PathBuf> {
        // A role is a path, but not one of folders.
        let role = volume.role.replace('/', " ");
        let roles = root.join("volumes").join("roles");
        Ok(roles.join(component(&role)?).join(component(&volume.id)?))
    };
    match &volume.place {
        VolumePlace::WorkDir => below(work_dir),
        VolumePlace::Path(root) => below(&work_dir.join(root)),
        VolumePlace::Mount(root) => Ok(work_dir.join(root)),
    }
}

fn component(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        let text = format!("'{name}' cannot be part of the path of a volume");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(name)
}

/// Makes the folders that are missing; on disk when this returns.
pub fn make(work_dir: &Path, volumes: &[Volume]) -> io::Result<()> {
    for volume in volumes {
        let path = path_of(work_dir, volume)?;
        if path.is_dir() {
            continue;
        }
        fs::create_dir_all(&path)?;
        sync_parent(&path)?;
    }
    Ok(())
}

/// Takes the folders away. Their content goes later, as it may be large; what is on a disk
/// of its own goes at once.
pub fn delete(work_dir: &Path, volumes: &[Volume]) -> io::Result<()> {
    for volume in volumes {
        let path = path_of(work_dir, volume)?;
        if let VolumePlace::Mount(_) = volume.place {
            empty(&path)?;
            continue;
        }
        let Some(volumes_dir) = path.ancestors().nth(3) else {
            continue;
        };
        let doomed = volumes_dir.join(DOOMED);
        fs::create_dir_all(&doomed)?;
        let aside = unique_sibling(&doomed.join(component(&volume.id)?));
        match fs::rename(&path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        }
        sync_parent(&path)?;
        clear_away(doomed);
    }
    Ok(())
}

/// Deletes what an agent that went down had no time for.
pub fn clear_leftovers(work_dir: &Path) {
    clear_away(work_dir.join("volumes").join(DOOMED));
}

fn clear_away(doomed: PathBuf) {
    if !doomed.exists() {
        return;
    }
    let cleared = std::thread::Builder::new()
        .name("volume-deleter".into())
        .spawn(move || {
            if let Err(error) = empty(&doomed) {
                tracing::warn!("cannot delete all of {}: {error}", doomed.display());
            }
        });
    if let Err(error) = cleared {
        tracing::warn!("destroyed volumes are not deleted yet: {error}");
    }
}

/// Deletes everything in a folder. Links are deleted, not followed.
fn empty(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        match removed {
            // Another thread was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Puts links to the volumes into a sandbox, and gives volumes of a single user to the
/// account (Mesos: src/slave/containerizer/mesos/isolators/filesystem/posix.cpp).
pub fn link(
    work_dir: &Path,
    sandbox: &Path,
    mounts: &[VolumeMount],
    account: Option<&Account>,
) -> Result<(), String> {
    for mount in mounts {
        let failed = |error: io::Error| {
            format!(
                "Failed to mount persistent volume '{}' at '{}': {error}",
                mount.volume.id, mount.container_path
            )
        };
        let target = path_of(work_dir, &mount.volume).map_err(failed)?;
        if !target.is_dir() {
            return Err(failed(io::Error::other("it is not on this agent")));
        }
        if !mount.shared {
            own(&target, account).map_err(failed)?;
        }
        link_one(sandbox, &mount.container_path, &target, account).map_err(failed)?;
    }
    Ok(())
}

fn link_one(
    sandbox: &Path,
    container_path: &str,
    target: &Path,
    account: Option<&Account>,
) -> io::Result<()> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    let mut names = Vec::new();
    for part in Path::new(container_path).components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => {
                return Err(invalid("absolute paths need a container of their own"));
            }
            Component::ParentDir => return Err(invalid("the path leads out of the sandbox")),
        }
    }
    let Some(last) = names.pop() else {
        return Err(invalid("the path is empty"));
    };
    let mut folder = sandbox.to_path_buf();
    for name in names {
        folder.push(name);
        let known = fs::symlink_metadata(&folder);
        if known.as_ref().is_ok_and(|known| known.is_dir()) {
            continue;
        }
        fs::create_dir(&folder)?;
        own(&folder, account)?;
    }
    let link = folder.join(last);
    if fs::read_link(&link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    symlink(target, &link)?;
    own(&link, account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(role: &str, id: &str) -> Volume {
        Volume {
            role: role.into(),
            id: id.into(),
            place: VolumePlace::WorkDir,
        }
    }

    fn mount(id: &str, container_path: &str) -> VolumeMount {
        VolumeMount {
            volume: volume("eng/web", id),
            container_path: container_path.into(),
            read_only: false,
            shared: false,
        }
    }

    #[test]
    fn a_volume_outlives_its_links_and_goes_when_deleted() {
        let work = tempfile::tempdir().unwrap();
        let of = [volume("eng/web", "v1")];
        make(work.path(), &of).unwrap();
        let path = work.path().join("volumes/roles/eng web/v1");
        assert_eq!(path_of(work.path(), &of[0]).unwrap(), path);
        let sandbox = work.path().join("sandbox");
        fs::create_dir(&sandbox).unwrap();
        let mounts = [mount("v1", "data/db")];
        link(work.path(), &sandbox, &mounts, None).unwrap();
        link(work.path(), &sandbox, &mounts, None).unwrap();
        fs::write(sandbox.join("data/db/file"), "kept").unwrap();
        fs::remove_dir_all(&sandbox).unwrap();
        make(work.path(), &of).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "kept");
        delete(work.path(), &of).unwrap();
        assert!(!path.exists());
        delete(work.path(), &of).unwrap();
        make(work.path(), &of).unwrap();
        assert!(!path.join("file").exists());
    }

    #[test]
    fn links_do_not_lead_out_of_the_sandbox() {
        let work = tempfile::tempdir().unwrap();
        make(work.path(), &[volume("eng/web", "v1")]).unwrap();
        let sandbox = work.path().join("sandbox");
        fs::create_dir(&sandbox).unwrap();
        symlink("/tmp", sandbox.join("out")).unwrap();
        for bad in ["", ".", "/data", "../data", "a/../../b", "out/data"] {
            let mounts = [mount("v1", bad)];
            assert!(link(work.path(), &sandbox, &mounts, None).is_err(), "{bad}");
        }
        let absent = [mount("v2", "data")];
        let error = link(work.path(), &sandbox, &absent, None).unwrap_err();
        assert!(error.contains("not on this agent"), "{error}");
    }

    #[test]
    fn a_disk_of_its_own_is_emptied() {
        let work = tempfile::tempdir().unwrap();
        let disk = work.path().join("disk");
        fs::create_dir_all(disk.join("some/folder")).unwrap();
        let of = [Volume {
            place: VolumePlace::Mount(disk.to_str().unwrap().into()),
            ..volume("eng", "v1")
        }];
        delete(work.path(), &of).unwrap();
        assert_eq!(fs::read_dir(&disk).unwrap().count(), 0);
    }

    #[test]
    fn names_are_single_components() {
        for (role, id) in [("eng", ".."), ("eng", "a/b"), ("..", "v"), ("eng", "")] {
            assert!(path_of(Path::new("/w"), &volume(role, id)).is_err());
        }
    }
}
