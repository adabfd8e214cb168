//! Brings the URIs of a command into its sandbox. It runs as a process of its own, as the
//! task's user, so that nobody fetches with the rights of root, and so that a fetch that
//! hangs can be killed (Mesos: src/launcher/fetcher.cpp is a program for the same reasons).

mod archive;
mod download;
mod source;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use caprock_proto::mesos::v1::command_info::Uri;
use serde::{Deserialize, Serialize};

use crate::containerizer::account::Account;
use source::Source;

/// The work of one fetcher process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchSpec {
    /// The sandbox.
    pub directory: PathBuf,
    pub items: Vec<Item>,
    /// `--frameworks_home`: where relative paths start.
    pub frameworks_home: Option<PathBuf>,
    /// None: as the agent's own user.
    pub account: Option<Account>,
}

/// One URI. The fetcher cache is not kept, so `cache` has no meaning here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub uri: String,
    pub executable: bool,
    pub extract: bool,
    pub output_file: Option<String>,
}

impl From<&Uri> for Item {
    fn from(uri: &Uri) -> Self {
        Self {
            uri: uri.value.clone(),
            executable: uri.executable(),
            extract: uri.extract(),
            output_file: uri.output_file.clone().filter(|name| !name.is_empty()),
        }
    }
}

/// Fetches all items in order; stops at the first that fails and says why.
pub fn fetch(spec: &FetchSpec) -> Result<(), String> {
    for item in &spec.items {
        fetch_item(spec, item)
            .map_err(|cause| format!("Failed to fetch '{}': {cause}", item.uri))?;
    }
    Ok(())
}

fn fetch_item(spec: &FetchSpec, item: &Item) -> Result<(), String> {
    let source = Source::parse(&item.uri, spec.frameworks_home.as_deref())?;
    let target = spec.directory.join(output_name(item, &source)?);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(|error| cannot("create", folder, &error))?;
    }
    match &source {
        Source::Local(path) => copy(path, &target)?,
        Source::Http(url) => download::download(url, &target)?,
    }
    if item.executable {
        fs::set_permissions(&target, Permissions::from_mode(0o755))
            .map_err(|error| cannot("chmod", &target, &error))?;
    } else if item.extract {
        archive::extract(&target, &spec.directory)?;
    }
    Ok(())
}

/// Where the item goes, relative to the sandbox and never out of it.
fn output_name(item: &Item, source: &Source) -> Result<PathBuf, String> {
    let name = match &item.output_file {
        Some(name) => name.clone(),
        None => source.base_name()?,
    };
    let path = PathBuf::from(&name);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !inside {
        return Err(format!(
            "the output file '{name}' is not inside the sandbox"
        ));
    }
    Ok(path)
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    if !from.exists() {
        return Err(format!("Local URI '{}' does not exist", from.display()));
    }
    if from.is_dir() {
        return Err(format!("'{}' is a directory", from.display()));
    }
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| cannot("copy", from, &error))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}

#[cfg(test)]
#[path = "fetcher/tests.rs"]
mod tests;
