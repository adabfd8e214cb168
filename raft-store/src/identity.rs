//! Who this directory belongs to: format, member, disk and cluster. Checked before anything else
//! is read.

use std::sync::{Arc, Mutex, PoisonError};

use caprock_proto::caprock::raft::StoreIdentity;
use prost::Message;
use rocksdb::WriteBatch;

use crate::db::{Db, META};
use crate::{MemberId, OpenError};

/// The format that this version writes, and the newest one that it reads.
pub(crate) const FORMAT: u32 = 1;
const KEY: &[u8] = b"identity";

/// The identity on disk and its copy in memory.
#[derive(Debug)]
pub(crate) struct Identity {
    // Empty once the store is closed: the copy in memory is still read then.
    db: Mutex<Option<Arc<Db>>>,
    value: Mutex<StoreIdentity>,
}

impl Identity {
    /// Reads and checks the identity, or gives a fresh directory one.
    pub(crate) fn open(db: Arc<Db>, member_id: MemberId) -> Result<Self, OpenError> {
        let path = db.path().to_owned();
        let damaged = |reason: String| OpenError::Damaged {
            path: path.clone(),
            reason,
        };
        let stored = db.get(META, KEY).map_err(damaged)?;
        let value = match stored {
            Some(bytes) => StoreIdentity::decode(bytes.as_slice())
                .map_err(|error| damaged(format!("its identity cannot be read: {error}")))?,
            None => {
                if db.get(META, b"vote").map_err(damaged)?.is_some() {
                    return Err(OpenError::ForeignFormat {
                        path,
                        reason: "it has a vote but no identity".to_owned(),
                    });
                }
                create(&db, member_id).map_err(damaged)?
            }
        };
        if value.format > FORMAT {
            let (found, known) = (value.format, FORMAT);
            return Err(OpenError::NewerFormat { path, found, known });
        }
        if value.format == 0 || value.disk_id.is_empty() {
            let reason = "its identity is incomplete".to_owned();
            return Err(OpenError::ForeignFormat { path, reason });
        }
        if value.member_id != member_id {
            let (found, given) = (value.member_id, member_id);
            return Err(OpenError::OtherMember { path, found, given });
        }
        Ok(Self {
            db: Mutex::new(Some(db)),
            value: Mutex::new(value),
        })
    }

    pub(crate) fn member_id(&self) -> MemberId {
        self.get().member_id
    }

    pub(crate) fn disk_id(&self) -> String {
        self.get().disk_id
    }

    /// Empty until the cluster is formed and known here.
    pub(crate) fn cluster_id(&self) -> String {
        self.get().cluster_id
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.get().admitted
    }

    /// Notes the cluster's id for good. An id that differs from the one on disk is an error.
    pub(crate) fn set_cluster_id(&self, cluster_id: &str) -> Result<(), String> {
        let current = self.cluster_id();
        if !current.is_empty() && current != cluster_id {
            return Err(format!(
                "this directory belongs to cluster {current}, but the log it receives is that of \
                 cluster {cluster_id}; start this member with the right directory"
            ));
        }
        self.change(|value| value.cluster_id = cluster_id.to_owned())
    }

    /// Notes that this member may vote and acknowledge.
    pub(crate) fn set_admitted(&self) -> Result<(), String> {
        self.change(|value| value.admitted = true)
    }

    fn get(&self) -> StoreIdentity {
        self.value
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut StoreIdentity)) -> Result<(), String> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = value.clone();
        change(&mut changed);
        if changed != *value {
            let db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
            let db = db.as_ref().ok_or("the store is closed")?;
            store(db, &changed)?;
            *value = changed;
        }
        Ok(())
    }

    /// Lets go of the database.
    pub(crate) fn close(&self) {
        self.db
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

fn create(db: &Db, member_id: MemberId) -> Result<StoreIdentity, String> {
    let value = StoreIdentity {
        format: FORMAT,
        member_id,
        disk_id: random_id(),
        cluster_id: String::new(),
        admitted: false,
    };
    store(db, &value)?;
    Ok(value)
}

fn store(db: &Db, value: &StoreIdentity) -> Result<(), String> {
    let mut batch = WriteBatch::default();
    batch.put_cf(db.family(META), KEY, value.encode_to_vec());
    db.write(batch, true)
}

/// A new id for a disk or a cluster.
pub(crate) fn random_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &std::path::Path) -> Arc<Db> {
        Arc::new(Db::open(dir).unwrap().0)
    }

    #[test]
    fn an_identity_survives_and_is_bound_to_its_member() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(open(dir.path()), 1).unwrap();
        let disk_id = first.disk_id();
        first.set_cluster_id("c1").unwrap();
        first.set_admitted().unwrap();
        drop(first);

        let again = Identity::open(open(dir.path()), 1).unwrap();
        assert_eq!(
            (again.disk_id(), again.cluster_id()),
            (disk_id, "c1".to_owned())
        );
        assert!(again.is_admitted());
        drop(again);

        let error = Identity::open(open(dir.path()), 2).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::OtherMember {
                    found: 1,
                    given: 2,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn another_cluster_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::open(open(dir.path()), 1).unwrap();
        identity.set_cluster_id("c1").unwrap();
        identity.set_cluster_id("c1").unwrap();
        assert!(identity.set_cluster_id("c2").unwrap_err().contains("c2"));
        assert_eq!(identity.cluster_id(), "c1");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let newer = StoreIdentity {
            format: FORMAT + 1,
            ..create(&db, 1).expect("a fresh directory")
        };
        store(&db, &newer).unwrap();
        let error = Identity::open(db, 1).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }

    #[test]
    fn a_database_without_identity_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let mut batch = WriteBatch::default();
        batch.put_cf(db.family(META), b"vote", b"");
        db.write(batch, true).unwrap();
        let error = Identity::open(db, 1).unwrap_err();
        assert!(matches!(error, OpenError::ForeignFormat { .. }), "{error}");
    }
}
