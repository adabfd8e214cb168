//! A framework behind a gateway does not notice that leaders come and go.

use anyhow::Result;
use caprock_proto::mesos::v1::FrameworkInfo;
use caprock_tests::{Cluster, Steady, framework};

/// How many leaders die in a test; `CAPROCK_TEST_KILLS` says otherwise.
pub fn kills() -> usize {
    let kills = std::env::var("CAPROCK_TEST_KILLS").ok();
    kills.and_then(|kills| kills.parse().ok()).unwrap_or(10)
}

/// Kills the leader that is not `home` while tasks are launched, again and again.
async fn kill_leaders(cluster: &mut Cluster, home: Option<usize>, steady: &Steady) -> Result<()> {
    for _ in 0..kills() {
        steady.goes_on(5).await;
        if home == Some(cluster.leader().await) {
            cluster.admin().transfer_leader(None).await?;
        }
        let killed = cluster.kill_leader().await;
        assert_ne!(home, Some(killed), "the framework's own master was killed");
        steady.goes_on(1).await;
        cluster.masters[killed].start_again()?;
        cluster.wait_until_caught_up(killed).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_framework_behind_a_follower_outlives_leader_after_leader() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let home = cluster.follower().await;
    let file = cluster.dir.path().join("runs");
    let steady = Steady::start(&cluster.masters[home].address(), "follower", file).await?;
    kill_leaders(&mut cluster, Some(home), &steady).await?;
    let tasks = steady.stop().await?;
    cluster.assert_members_agree().await;
    assert!(tasks >= kills() * 6, "only {tasks} tasks");
    Ok(())
}

#[tokio::test]
async fn a_framework_behind_a_gateway_outlives_leader_after_leader() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let gateway = cluster.start_gateway(&[]).await?;
    let file = cluster.dir.path().join("runs");
    let steady = Steady::start(&gateway.address(), "gateway", file).await?;
    kill_leaders(&mut cluster, None, &steady).await?;
    let tasks = steady.stop().await?;
    cluster.assert_members_agree().await;
    assert!(tasks >= kills() * 6, "only {tasks} tasks");
    Ok(())
}

#[tokio::test]
async fn frameworks_that_may_not_be_away_stay_through_leader_changes() -> Result<()> {
    let mut cluster = Cluster::start(3, 2).await?;
    let gateway = cluster.start_gateway(&[]).await?;
    let mut frameworks = Vec::new();
    for number in 0..3 {
        let name = format!("impatient-{number}");
        let file = cluster.dir.path().join(&name);
        let info = FrameworkInfo {
            failover_timeout: None,
            ..framework::info(&name)
        };
        frameworks.push(Steady::start_as(&gateway.address(), info, file).await?);
    }
    for round in 0..4 {
        for framework in &frameworks {
            framework.goes_on(2).await;
        }
        let leader = cluster.leader().await;
        if round % 2 == 0 {
            assert!(cluster.masters[leader].stop().await.success());
        } else {
            cluster.masters[leader].kill();
        }
        cluster.masters[leader].start_again()?;
    }
    for framework in frameworks {
        framework.goes_on(2).await;
        framework.stop().await?;
    }
    Ok(())
}
