//! How clusters form, and who is refused.

use crate::testing::{Cluster, Member, has_stopped};
use crate::{OpenError, Options};

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_form_a_cluster_and_the_late_one_joins() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let mut cluster = Cluster::new(3).await;
        cluster.start(order[0]).await;
        assert_eq!(cluster.members[&order[0]].store.cluster_id(), None);
        cluster.start(order[1]).await;
        cluster.propose("a").await;
        cluster.start(order[2]).await;
        cluster.all_have(&["a".to_owned()]).await;
        let late = &cluster.members[&order[2]];
        let status = late
            .wait("the cluster's id", |status| !status.cluster_id.is_empty())
            .await;
        let first = cluster.members[&order[0]].store.cluster_id();
        assert_eq!(Some(status.cluster_id), first);
        cluster.stop_all().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_member_is_refused_and_harms_nobody() {
    let mut cluster = Cluster::started(3, |_| ()).await;
    cluster.propose("a").await;
    cluster.all_have(&["a".to_owned()]).await;
    let leader = cluster.leader().await;
    let victim = cluster
        .members
        .keys()
        .copied()
        .find(|id| *id != leader)
        .unwrap();
    // Bound, that is.
    let id_known = |status: &crate::Status| !status.cluster_id.is_empty();
    cluster.members[&victim].wait("the id", id_known).await;
    wait_until_bound(&cluster, victim).await;
    cluster.stop(victim).await;
    cluster.dirs.insert(victim, tempfile::tempdir().unwrap());
    let error = Member::start(cluster.options(victim))
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, OpenError::WipedMember { .. }), "{error}");
    cluster.propose("b").await;
    cluster.stop_all().await;

    // Nobody is there who could warn: it waits, and is refused when the others are back.
    let wiped = Member::start(cluster.options(victim)).await.unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != victim).collect();
    cluster.start(others[0]).await;
    cluster.start(others[1]).await;
    let status = wiped.wait("the refusal", has_stopped).await;
    assert!(status.failure.unwrap().contains("new id"));
    wiped.stop().await;
    cluster.propose("c").await;
    cluster
        .all_have(&["a".to_owned(), "b".to_owned(), "c".to_owned()])
        .await;
    cluster.stop_all().await;
}

async fn wait_until_bound(cluster: &Cluster, id: u64) {
    let leader = cluster.leader().await;
    let mut known = cluster.members[&leader].store.watch_cluster();
    let bound = known.wait_for(|cluster| cluster.disks.contains_key(&id));
    tokio::time::timeout(crate::testing::DEADLINE, bound)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_another_cluster_is_refused() {
    let mut one = Cluster::started(1, |_| ()).await;
    one.propose("a").await;
    let mut other = Cluster::started(3, |_| ()).await;
    other.propose("b").await;
    other.all_have(&["b".to_owned()]).await;
    one.stop(1).await;
    other.stop(1).await;
    let strayed = Options {
        data_dir: one.dirs[&1].path().to_owned(),
        ..other.options(1)
    };
    let error = Member::start(strayed).await.map(drop).unwrap_err();
    assert!(matches!(error, OpenError::OtherCluster { .. }), "{error}");
    other.start(1).await;
    other.propose("c").await;
    other.all_have(&["b".to_owned(), "c".to_owned()]).await;
    other.stop_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_disagree_about_the_quorum_form_no_cluster() {
    let cluster = Cluster::new(3).await;
    let first = Member::start(cluster.options(1)).await.unwrap();
    let mut differs = cluster.options(2);
    differs.members.remove(&3);
    let second = Member::start(differs).await.unwrap();
    // The one with a quorum of two needs both, the one with a quorum of three needs two.
    let formed = futures::future::select(
        Box::pin(first.wait("never", |status| !status.cluster_id.is_empty())),
        Box::pin(second.wait("never", |status| !status.cluster_id.is_empty())),
    );
    let limit = std::time::Duration::from_secs(2);
    assert!(tokio::time::timeout(limit, formed).await.is_err());
    first.stop().await;
    second.stop().await;
}
