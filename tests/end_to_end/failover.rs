//! The leader dies, and nothing that was accepted is lost.

use anyhow::Result;
use caprock_proto::mesos::v1::TaskState;
use caprock_tests::{Cluster, Framework};
use rustix::process::Signal;

#[tokio::test]
async fn tasks_go_on_and_new_ones_start_after_the_leader_is_killed() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "survivor").await?;
    let id = framework.id();
    framework.launch("before", "sleep 1000").await?;
    framework.wait_for("before", TaskState::TaskRunning).await?;
    for round in 0..3 {
        let killed = cluster.kill_leader().await;
        let task = format!("after-{round}");
        framework.launch(&task, "exit 0").await?;
        framework.wait_for(&task, TaskState::TaskFinished).await?;
        let status = framework.reconcile("before").await?;
        assert_eq!(
            status.state(),
            TaskState::TaskRunning,
            "{}",
            status.message()
        );
        cluster.masters[killed].start_again()?;
        cluster.assert_members_agree().await;
    }
    assert_eq!(framework.id(), id, "it is still the same framework");
    assert_eq!(
        framework.states("before"),
        [TaskState::TaskStarting, TaskState::TaskRunning]
    );
    framework.scheduler().kill("before", None).await?;
    framework.wait_for("before", TaskState::TaskKilled).await?;
    Ok(())
}

#[tokio::test]
async fn the_new_leader_answers_reconciliation_before_any_agent_is_back() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "truth").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    // The agent cannot speak to the new leader, which must know the task by itself.
    cluster.agents[0].signal(Signal::STOP);
    cluster.kill_leader().await;
    framework.disconnect();
    framework.connect().await?;
    let status = framework.reconcile("t").await?;
    assert_eq!(
        status.state(),
        TaskState::TaskRunning,
        "{}",
        status.message()
    );
    cluster.agents[0].signal(Signal::CONT);
    Ok(())
}

#[tokio::test]
async fn a_stopped_leader_hands_over_first() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let leader = cluster.leader().await;
    let status = cluster.masters[leader].stop().await;
    assert!(status.success(), "{status}");
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    cluster.wait_for_agents(1).await;
    Ok(())
}

#[tokio::test]
async fn a_paused_leader_does_no_harm_when_it_comes_back() -> Result<()> {
    let cluster = Cluster::start(3, 1).await?;
    let leader = cluster.leader().await;
    cluster.pause(leader);
    let others: Vec<String> = (0..3)
        .filter(|i| *i != leader)
        .map(|i| cluster.masters[i].address())
        .collect();
    let mut framework = Framework::subscribe(others.join(",").parse()?, "paused").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    cluster.resume(leader);
    cluster.assert_members_agree().await;
    assert_eq!(
        framework.reconcile("t").await?.state(),
        TaskState::TaskRunning
    );
    Ok(())
}
