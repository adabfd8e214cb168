//! The one RocksDB of a member: opening it with a clear answer, its families, its keys.

use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, WriteBatch};
use tokio::sync::watch;

use crate::OpenError;

pub(crate) const LOG: &str = "log";
pub(crate) const META: &str = "meta";
pub(crate) const SM: &str = "sm";
const FAMILIES: [&str; 3] = [LOG, META, SM];
/// RocksDB creates this one in every database; it stays empty.
const DEFAULT: &str = "default";

/// An open database. When the last handle goes, `closed` is told: only then can the folder be
/// opened again in this process.
pub(crate) struct Db {
    rocks: DB,
    path: PathBuf,
    // After `rocks`: fields are dropped in order.
    _closed: watch::Sender<()>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("path", &self.path).finish()
    }
}

impl Db {
    /// Opens or creates the database in `raft` below the data directory. The receiver ends when
    /// the database is closed.
    pub(crate) fn open(data_dir: &Path) -> Result<(Self, watch::Receiver<()>), OpenError> {
        let path = data_dir.join("raft");
        std::fs::create_dir_all(&path).map_err(|error| unreadable(&path, &error))?;
        check_contents(&path)?;
        let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, family_options(name)));
        let rocks = DB::open_cf_descriptors(&database_options(), &path, families)
            .map_err(|error| classify(&path, &error))?;
        let (closed, on_close) = watch::channel(());
        Ok((
            Self {
                rocks,
                path,
                _closed: closed,
            },
            on_close,
        ))
    }

    pub(crate) fn rocks(&self) -> &DB {
        &self.rocks
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn family(&self, name: &'static str) -> &ColumnFamily {
        self.rocks
            .cf_handle(name)
            .expect("every family was opened with the database")
    }

    pub(crate) fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.rocks
            .get_cf(self.family(family), key)
            .map_err(|error| error.to_string())
    }

    /// Writes a batch; with `sync`, it and everything written before is on disk on return.
    pub(crate) fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), String> {
        self.rocks.write(batch).map_err(|error| error.to_string())?;
        if sync {
            self.rocks
                .flush_wal(true)
                .map_err(|error| error.to_string())
        } else {
            Ok(())
        }
    }
}

fn database_options() -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // `meta` is written so seldom that it would keep every old write-ahead log alive.
    options.set_max_total_wal_size(64 * 1024 * 1024);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * 1024 * 1024);
    options.set_max_background_jobs(2);
    options
}

fn family_options(name: &str) -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    let buffer_bytes = if name == META {
        1024 * 1024
    } else {
        16 * 1024 * 1024
    };
    options.set_write_buffer_size(buffer_bytes);
    options.set_max_write_buffer_number(4);
    options
}

/// A folder that holds files but no database of ours is somebody else's.
fn check_contents(path: &Path) -> Result<(), OpenError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let entry = entry.map_err(|error| unreadable(path, &error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    if names.is_empty() {
        return Ok(());
    }
    let foreign = |reason: String| {
        Err(OpenError::ForeignFormat {
            path: path.to_owned(),
            reason,
        })
    };
    if !names.iter().any(|name| name == "CURRENT") {
        // Only such files are left by a process that died while it created the database.
        let starts = ["LOCK", "LOG", "IDENTITY", "MANIFEST-", "OPTIONS-"];
        let ends = [".dbtmp", ".log"];
        let ours = |name: &String| {
            starts.iter().any(|start| name.starts_with(start))
                || ends.iter().any(|end| name.ends_with(end))
        };
        if names.iter().all(ours) {
            return Ok(());
        }
        names.retain(|name| !ours(name));
        names.sort();
        return foreign(format!("it has the file '{}'", names[0]));
    }
    let families =
        DB::list_cf(&rocksdb::Options::default(), path).map_err(|error| classify(path, &error))?;
    match families
        .iter()
        .find(|name| *name != DEFAULT && !FAMILIES.contains(&name.as_str()))
    {
        Some(unknown) => foreign(format!("it has the column family '{unknown}'")),
        None => Ok(()),
    }
}

fn classify(path: &Path, error: &rocksdb::Error) -> OpenError {
    let text = error.to_string();
    let path = path.to_owned();
    if text.contains("lock") && (text.contains("LOCK") || text.contains("No locks available")) {
        return OpenError::Locked { path };
    }
    match error.kind() {
        rocksdb::ErrorKind::Corruption => OpenError::Damaged { path, reason: text },
        rocksdb::ErrorKind::InvalidArgument | rocksdb::ErrorKind::NotSupported => {
            OpenError::ForeignFormat { path, reason: text }
        }
        _ => OpenError::Unreadable { path, reason: text },
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_other_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("raft")).unwrap();
        std::fs::write(dir.path().join("raft").join("holiday.jpg"), b"x").unwrap();
        let error = Db::open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::ForeignFormat { .. }), "{error}");
        assert!(error.to_string().contains("holiday.jpg"));
    }

    #[test]
    fn a_foreign_database_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raft");
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        let mut other = DB::open(&options, &path).unwrap();
        other.create_cf("photos", &options).unwrap();
        drop(other);
        let error = Db::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("photos"), "{error}");
    }

    #[test]
    fn a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (open, _closed) = Db::open(dir.path()).unwrap();
        let error = Db::open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
        drop(open);
        Db::open(dir.path()).unwrap();
    }

    #[test]
    fn a_path_that_is_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let error = Db::open(&file).unwrap_err();
        assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
    }
}
