//! The engine's own test suite for storage.

use std::sync::Arc;

use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::db::Db;
use crate::identity::Identity;
use crate::log::LogStore;
use crate::machine::Erased;
use crate::snapshot::SnapshotStore;
use crate::state::StateStore;
use crate::testing::Lines;
use crate::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateStore, TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(TempDir, LogStore, StateStore), openraft::StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let db = Arc::new(Db::open(dir.path()).unwrap().0);
        let identity = Arc::new(Identity::open(db.clone(), 1).unwrap());
        let log = LogStore::open(db.clone()).unwrap();
        let snapshots = Arc::new(SnapshotStore::open(db).unwrap());
        let machine = Box::new(Erased(Lines::default()));
        Ok((dir, log, StateStore::new(machine, snapshots, identity)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_suite_of_the_engine_passes() {
    Suite::test_all(Builder).await.unwrap();
}
