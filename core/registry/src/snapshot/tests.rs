//! Snapshots are restored as they were, or not at all.

use caprock_proto::caprock::registry::remove_agent::Removal;

use super::*;
use crate::testing::{
    Cluster, FAILED, FINISHED, admit, framework, kill, remove_agent, remove_framework, subscribe,
    task, task_with_executor, unreachable,
};
use crate::{Limits, Unsupported};

/// A registry with at least one record of each kind.
fn full() -> Registry {
    let mut cluster = Cluster::with_running_task();
    cluster.done(kill("f1", "t1"));
    cluster.launch(
        "f1",
        "a1",
        vec![task_with_executor("t2", "cpus:1;ports:[1-2]", "e1")],
    );
    cluster.launch("f1", "a1", vec![task("t3", "cpus:1")]);
    cluster.update("t3", FAILED, "", FAILED);
    cluster.update("t2", FINISHED, "u2", FINISHED);
    cluster.done(admit("a2"));
    cluster.launch("f1", "a2", vec![task("t4", "cpus:1")]);
    cluster.apply(unreachable("a2"));
    cluster.done(subscribe(framework("f2", &[])));
    cluster.launch("f2", "a1", vec![task("t1", "cpus:1")]);
    cluster.apply(remove_framework("f2", None));
    cluster.done(admit("a3"));
    cluster.apply(remove_agent("a3", Removal::Gone));
    let mut keyed = crate::entry(cluster.now(), admit("a1"));
    keyed.idempotency_key = "k".to_owned();
    cluster.registry.apply(99, &keyed).unwrap();
    cluster.registry.cluster_id = Some("c1".into());
    cluster.registry
}

fn chunks_of(registry: &Registry) -> Vec<SnapshotChunk> {
    registry.chunks().collect()
}

#[test]
fn a_restored_registry_is_the_same() {
    let registry = full();
    let chunks = chunks_of(&registry);
    let mut kinds: Vec<_> = chunks
        .iter()
        .map(|chunk| std::mem::discriminant(chunk.chunk.as_ref().unwrap()))
        .collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 11, "every kind of chunk, each in one run");

    let restored = Registry::restore(chunks.clone()).unwrap();
    assert_eq!(restored.diff(&registry), [""; 0]);
    assert_eq!(restored.digest(), registry.digest());
    assert_eq!(restored.check_invariants(), Ok(()));
    assert_eq!(
        (restored.applied(), restored.cluster_id()),
        (99, Some("c1"))
    );
    assert_eq!(chunks_of(&restored), chunks);
}

#[test]
fn an_empty_registry_has_a_snapshot() {
    let empty = Registry::new(Limits::default());
    let chunks = chunks_of(&empty);
    assert_eq!(chunks.len(), 2);
    assert_eq!(Registry::restore(chunks).unwrap().digest(), empty.digest());
}

#[test]
fn a_snapshot_without_any_one_chunk_is_refused() {
    let chunks = chunks_of(&full());
    for missing in 0..chunks.len() {
        let mut damaged = chunks.clone();
        damaged.remove(missing);
        assert!(
            Registry::restore(damaged).is_err(),
            "without {:?}",
            chunks[missing]
        );
    }
    assert_eq!(
        Registry::restore(Vec::new()).unwrap_err(),
        RestoreError::NoHeader
    );
}

#[test]
fn a_snapshot_that_is_cut_off_or_goes_on_is_refused() {
    let chunks = chunks_of(&full());
    let found = chunks.len() as u64 - 1;
    let cut = chunks[..chunks.len() - 1].to_vec();
    assert_eq!(
        Registry::restore(cut).unwrap_err(),
        RestoreError::Truncated { found }
    );
    let mut longer = chunks.clone();
    longer.push(chunks[1].clone());
    assert_eq!(
        Registry::restore(longer).unwrap_err(),
        RestoreError::Disordered
    );
    let mut twice = chunks.clone();
    twice.insert(1, chunks[0].clone());
    assert_eq!(
        Registry::restore(twice).unwrap_err(),
        RestoreError::Disordered
    );
    let mut unknown = chunks;
    unknown[3].chunk = None;
    assert_eq!(
        Registry::restore(unknown).unwrap_err(),
        RestoreError::UnknownChunk
    );
}

#[test]
fn a_changed_record_does_not_fit_the_digest() {
    let mut chunks = chunks_of(&full());
    let task = chunks.iter_mut().find_map(|chunk| match &mut chunk.chunk {
        Some(Chunk::Task(task)) => Some(task),
        _ => None,
    });
    task.unwrap().launched_ms += 1;
    assert!(matches!(
        Registry::restore(chunks),
        Err(RestoreError::DigestMismatch { .. })
    ));
}

#[test]
fn a_newer_format_is_refused() {
    let mut chunks = chunks_of(&full());
    if let Some(Chunk::Header(header)) = &mut chunks[0].chunk {
        header.format = FORMAT + 1;
    }
    let newer = RestoreError::Unsupported(Unsupported::Newer { found: FORMAT + 1 });
    assert_eq!(Registry::restore(chunks).unwrap_err(), newer);
}

#[test]
fn records_that_refer_to_nothing_are_refused() {
    let chunks = chunks_of(&full());
    let without = |unwanted: fn(&Chunk) -> bool| -> Vec<SnapshotChunk> {
        let kept = |chunk: &&SnapshotChunk| !unwanted(chunk.chunk.as_ref().unwrap());
        chunks.iter().filter(kept).cloned().collect()
    };
    let no_agents = without(|chunk| matches!(chunk, Chunk::Agent(_)));
    assert!(matches!(
        Registry::restore(no_agents),
        Err(RestoreError::Broken(_))
    ));
    let no_frameworks = without(|chunk| matches!(chunk, Chunk::Framework(_)));
    assert!(matches!(
        Registry::restore(no_frameworks),
        Err(RestoreError::Broken(_))
    ));
}
