//! The agent's checkpoints in a RocksDB of its own, `<work_dir>/meta`. It is small: the buffers
//! are sized for an agent that should not be noticed beside its tasks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use caprock_agent_core::checkpoint::Write;
use rocksdb::{BlockBasedOptions, Cache, DB, IteratorMode, Options, WriteBatch, WriteOptions};

/// Version of the store's own layout; records have one too.
const FORMAT: &str = "1";

/// Keys of this file start with zero; the typed ones never do.
const OWN: u8 = 0;
const FORMAT_KEY: &[u8] = b"\0caprock-agent-format";
const BOOT_KEY: &[u8] = b"\0boot-id";

const MIB: usize = 1024 * 1024;

/// Why the store cannot be used. Each text is one line for an operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("the work dir {} is in use by another agent", .0.display())]
    InUse(PathBuf),
    /// The folder has been made by something else.
    #[error("{} was not written by a Caprock agent", .0.display())]
    Foreign(PathBuf),
    /// A later version of Caprock wrote it.
    #[error("{} has format {found}; this version reads format {FORMAT}", .path.display())]
    Newer { path: PathBuf, found: String },
    /// The folder cannot be read or written.
    #[error("cannot use {}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
    /// The database failed.
    #[error("the checkpoint store failed: {0}")]
    Database(#[from] rocksdb::Error),
}

/// The open store. While it is open no other process can open it.
#[derive(Debug)]
pub struct CheckpointStore {
    db: DB,
    sync: bool,
}

impl CheckpointStore {
    /// Opens or makes the store of a work dir.
    pub fn open(work_dir: &Path) -> Result<Self, StoreError> {
        let path = work_dir.join("meta");
        refuse_foreign_folder(&path)?;
        let db = DB::open(&options(), &path).map_err(|error| {
            // RocksDB names the lock file in its message and has no code for this case.
            if error.as_ref().contains("lock") {
                StoreError::InUse(work_dir.to_path_buf())
            } else {
                StoreError::Database(error)
            }
        })?;
        let store = Self { db, sync: true };
        store.check_format(&path)?;
        Ok(store)
    }

    fn check_format(&self, path: &Path) -> Result<(), StoreError> {
        match self.db.get(FORMAT_KEY)? {
            Some(found) if found == FORMAT.as_bytes() => Ok(()),
            Some(found) => {
                let found = String::from_utf8_lossy(&found).into_owned();
                Err(StoreError::Newer {
                    path: path.to_path_buf(),
                    found,
                })
            }
            None if self.db.iterator(IteratorMode::Start).next().is_some() => {
                Err(StoreError::Foreign(path.to_path_buf()))
            }
            None => Ok(self.db.put_opt(FORMAT_KEY, FORMAT, &self.write_options())?),
        }
    }

    /// All records in order of their keys.
    pub fn records(&self) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let start = IteratorMode::From(&[OWN + 1], rocksdb::Direction::Forward);
        let mut records = Vec::new();
        for entry in self.db.iterator(start) {
            let (key, value) = entry?;
            records.push((Bytes::from(key), Bytes::from(value)));
        }
        Ok(records)
    }

    /// Makes the changes durable, all or none, in order.
    pub fn write(&self, changes: &[Write]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for change in changes {
            let key = change.key.encode();
            match &change.value {
                Some(value) => batch.put(&key, value),
                None => batch.delete(&key),
            }
        }
        Ok(self.db.write_opt(batch, &self.write_options())?)
    }

    /// Whether the machine was booted since this was last asked; remembers the boot.
    pub fn note_boot(&self, boot_id: &str) -> Result<bool, StoreError> {
        let known = self.db.get(BOOT_KEY)?;
        if known.as_deref() == Some(boot_id.as_bytes()) {
            return Ok(false);
        }
        self.db.put_opt(BOOT_KEY, boot_id, &self.write_options())?;
        Ok(known.is_some())
    }

    fn write_options(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.set_sync(self.sync);
        options
    }
}

/// Mesos keeps files of its own under the same name; they are not to be mixed.
fn refuse_foreign_folder(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Io {
        path: path.to_path_buf(),
        error,
    };
    let mut entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    let is_empty = entries.next().is_none();
    if is_empty || path.join("CURRENT").exists() || path.join("LOCK").exists() {
        return Ok(());
    }
    Err(StoreError::Foreign(path.to_path_buf()))
}

fn options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(MIB));
    table.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(MIB);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(4 * MIB as u64);
    options.set_target_file_size_base(4 * MIB as u64);
    options.set_max_open_files(64);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(MIB);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options
}

#[cfg(test)]
mod tests {
    use caprock_agent_core::checkpoint::Key;
    use caprock_model::FrameworkId;

    use super::*;

    fn put(key: Key, value: &'static str) -> Write {
        Write {
            key,
            value: Some(Bytes::from(value)),
        }
    }

    fn framework(id: &str) -> Key {
        Key::Framework(FrameworkId::from(id))
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let work = tempfile::tempdir().unwrap();
        {
            let store = CheckpointStore::open(work.path()).unwrap();
            assert_eq!(store.records().unwrap(), []);
            store
                .write(&[put(framework("b"), "2"), put(Key::Fence, "1")])
                .unwrap();
            let delete = Write {
                key: framework("b"),
                value: None,
            };
            store
                .write(&[put(framework("c"), "3"), delete, put(framework("a"), "0")])
                .unwrap();
        }
        let store = CheckpointStore::open(work.path()).unwrap();
        let expected: Vec<(Bytes, Bytes)> = [
            (Key::Fence.encode(), "1"),
            (framework("a").encode(), "0"),
            (framework("c").encode(), "3"),
        ]
        .map(|(key, value)| (key, Bytes::from(value)))
        .into();
        assert_eq!(store.records().unwrap(), expected);
    }

    #[test]
    fn two_agents_do_not_share_a_work_dir() {
        let work = tempfile::tempdir().unwrap();
        let _first = CheckpointStore::open(work.path()).unwrap();
        let second = CheckpointStore::open(work.path());
        assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
    }

    #[test]
    fn foreign_and_newer_stores_are_left_alone() {
        let work = tempfile::tempdir().unwrap();
        fs::create_dir_all(work.path().join("meta/slaves")).unwrap();
        let opened = CheckpointStore::open(work.path());
        assert!(matches!(opened, Err(StoreError::Foreign(_))), "{opened:?}");

        let work = tempfile::tempdir().unwrap();
        DB::open(&options(), work.path().join("meta"))
            .unwrap()
            .put(b"x", b"y")
            .unwrap();
        let opened = CheckpointStore::open(work.path());
        assert!(matches!(opened, Err(StoreError::Foreign(_))), "{opened:?}");

        let work = tempfile::tempdir().unwrap();
        DB::open(&options(), work.path().join("meta"))
            .unwrap()
            .put(FORMAT_KEY, "2")
            .unwrap();
        let opened = CheckpointStore::open(work.path());
        assert!(
            matches!(opened, Err(StoreError::Newer { .. })),
            "{opened:?}"
        );
    }

    #[test]
    fn a_reboot_is_noticed_once() {
        let work = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(work.path()).unwrap();
        assert!(
            !store.note_boot("one").unwrap(),
            "the first start is no reboot"
        );
        assert!(!store.note_boot("one").unwrap());
        assert!(store.note_boot("two").unwrap());
        assert!(!store.note_boot("two").unwrap());
        assert_eq!(store.records().unwrap(), []);
    }
}
