//! A framework runs tasks.

use anyhow::Result;
use caprock_proto::mesos::v1::TaskState;
use caprock_tests::framework::scalar;
use caprock_tests::{Cluster, Framework};

#[tokio::test]
async fn a_command_runs_and_its_resources_come_back() -> Result<()> {
    let cluster = Cluster::start(1, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "launch").await?;
    let whole = framework.offer(8.0).await?;
    let task = caprock_tests::framework::command_task("t", "exit 0", &whole);
    framework.accept(&whole, vec![task]).await?;
    framework.wait_for("t", TaskState::TaskFinished).await?;
    assert_eq!(
        framework.states("t"),
        [
            TaskState::TaskStarting,
            TaskState::TaskRunning,
            TaskState::TaskFinished
        ]
    );
    // What the task used is offered again, so that the pieces add up to the whole.
    let mut cpus = framework.offer(0.1).await?;
    while scalar(&cpus.resources, "cpus") < 8.0 {
        framework
            .scheduler()
            .decline(vec![cpus.id], Some(0.0))
            .await?;
        cpus = framework.offer(0.1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_command_fails_and_a_killed_one_is_killed() -> Result<()> {
    let cluster = Cluster::start(1, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "ends").await?;
    framework.launch("fails", "exit 3").await?;
    let status = framework.wait_for("fails", TaskState::TaskFailed).await?;
    assert!(
        status.message().contains("status 3"),
        "{}",
        status.message()
    );
    framework
        .launch("killed", "trap '' TERM; while true; do sleep 0.1; done")
        .await?;
    framework.wait_for("killed", TaskState::TaskRunning).await?;
    framework.scheduler().kill("killed", None).await?;
    framework.wait_for("killed", TaskState::TaskKilled).await?;
    Ok(())
}

#[tokio::test]
async fn offers_of_two_frameworks_never_overlap() -> Result<()> {
    let cluster = Cluster::start(1, 1).await?;
    let mut first = Framework::subscribe(cluster.target(), "first").await?;
    let all = first.offer(8.0).await?;
    let mut second = Framework::subscribe(cluster.target(), "second").await?;
    assert!(second.offers.is_empty());
    // Only what the first framework gives back can be offered to the second.
    first.scheduler().decline(vec![all.id], Some(60.0)).await?;
    let offered = second.offer(8.0).await?;
    assert_eq!(scalar(&offered.resources, "cpus"), 8.0);
    Ok(())
}
