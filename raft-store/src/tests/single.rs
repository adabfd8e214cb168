//! A cluster of one: open, propose, restart, snapshot, refusal.

use bytes::Bytes;

use crate::testing::{DEADLINE, Lines, free_address, has_stopped, options, single};
use crate::{OpenError, Options, ProposeError, Role, Store};

async fn setup() -> (tempfile::TempDir, Options) {
    let dir = tempfile::tempdir().unwrap();
    let options = options(1, &free_address().await, dir.path());
    (dir, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_restart() {
    let (_dir, options) = setup().await;
    let member = single(options.clone()).await;
    let first = member
        .store
        .propose(Bytes::from_static(b"a"))
        .await
        .unwrap();
    assert_eq!(first.outcome, 1);
    let second = member
        .store
        .propose(Bytes::from_static(b"b"))
        .await
        .unwrap();
    assert!(second.index > first.index);
    let cluster_id = member.store.cluster_id().unwrap();
    let term = member.store.status().term;
    member.stop().await;

    let member = single(options).await;
    assert_eq!(member.lines(), ["a", "b"]);
    assert_eq!(member.store.cluster_id().unwrap(), cluster_id);
    assert!(
        member.store.status().term > term,
        "each leadership is a new term"
    );
    assert!(member.store.has_quorum_lease());
    member.store.ensure_linearizable().await.unwrap();
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_and_log_together_restore_the_state() {
    let (_dir, mut options) = setup().await;
    options.snapshot_every_entries = 50;
    options.keep_entries_after_snapshot = 5;
    let member = single(options.clone()).await;
    let mut expected = Vec::new();
    for number in 0..230 {
        expected.push(format!("line {number}"));
        let command = Bytes::from(expected[number].clone());
        member.store.propose(command).await.unwrap();
    }
    let status = member
        .wait("snapshots", |status| status.snapshot_index.0 >= 190)
        .await;
    assert!(status.snapshot_index < status.last_log_index);
    member.stop().await;
    let member = single(options).await;
    assert_eq!(member.lines(), expected);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_applied_stops_the_member_for_good() {
    let (_dir, options) = setup().await;
    let member = single(options.clone()).await;
    member
        .store
        .propose(Bytes::from_static(b"a"))
        .await
        .unwrap();
    let error = member
        .store
        .propose(Bytes::from_static(b"poison"))
        .await
        .unwrap_err();
    assert!(matches!(error, ProposeError::Unknown { .. }), "{error}");
    let status = member.wait("the stop", has_stopped).await;
    assert!(status.failure.unwrap().contains("poison"));
    let error = member
        .store
        .propose(Bytes::from_static(b"b"))
        .await
        .unwrap_err();
    assert_eq!(error, ProposeError::Stopped);
    member.stop().await;

    // Not skipped at the next start either, at the latest when it leads.
    match crate::testing::Member::start(options).await {
        Err(error) => assert!(error.to_string().contains("poison"), "{error}"),
        Ok(member) => {
            let status = member.wait("the stop", has_stopped).await;
            assert!(status.failure.unwrap().contains("poison"));
            member.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_bounded_in_size_and_number() {
    let (_dir, mut options) = setup().await;
    options.max_command_bytes = 10;
    options.max_in_flight_proposals = 1;
    let member = single(options).await;
    let error = member
        .store
        .propose(Bytes::from_static(b"eleven bytes"))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        ProposeError::TooLarge {
            size: 12,
            limit: 10
        }
    );
    let both = futures::future::join(
        member.store.propose(Bytes::from_static(b"a")),
        member.store.propose(Bytes::from_static(b"b")),
    );
    let (first, second) = both.await;
    first.unwrap();
    assert_eq!(second.unwrap_err(), ProposeError::Overloaded);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_for_another_term_is_refused() {
    let (_dir, options) = setup().await;
    let member = single(options).await;
    let term = member.store.status().term;
    let command = Bytes::from_static(b"a");
    member
        .store
        .propose_in_term(term, command.clone())
        .await
        .unwrap();
    let error = member
        .store
        .propose_in_term(term - 1, command)
        .await
        .unwrap_err();
    assert!(matches!(error, ProposeError::NotLeader { .. }), "{error}");
    assert_eq!(member.lines(), ["a"]);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_another_member_or_process_is_refused() {
    let (_dir, options) = setup().await;
    let member = single(options.clone()).await;
    let error = Store::open(options.clone(), Lines::default())
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    member.stop().await;

    let other = Options {
        member_id: 2,
        ..options
    };
    let error = Store::open(other, Lines::default()).await.unwrap_err();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_shut_down_store_says_so() {
    let (_dir, options) = setup().await;
    let member = single(options).await;
    let handle = member.store.clone();
    let mut watch = handle.watch();
    member.shut_down().await;
    let status = watch.wait_for(|status| status.role == Role::Stopped);
    let status = tokio::time::timeout(DEADLINE, status)
        .await
        .unwrap()
        .unwrap()
        .clone();
    assert_eq!(status.failure, None);
    assert!(!handle.has_quorum_lease());
    let error = handle
        .propose(Bytes::from_static(b"late"))
        .await
        .unwrap_err();
    assert_eq!(error, ProposeError::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_proposals_at_once_are_all_applied_in_log_order() {
    let (_dir, options) = setup().await;
    let member = single(options).await;
    let proposals = (0..500).map(|number| {
        let store = member.store.clone();
        async move {
            store
                .propose(Bytes::from(number.to_string()))
                .await
                .unwrap()
        }
    });
    let mut proposed = futures::future::join_all(proposals).await;
    proposed.sort_by_key(|proposed| proposed.index);
    let outcomes: Vec<usize> = proposed.iter().map(|proposed| proposed.outcome).collect();
    assert_eq!(outcomes, (1..=500).collect::<Vec<_>>());
    member.stop().await;
}
