//! Agents die and come back; their tasks go on.

use anyhow::Result;
use caprock_proto::mesos::v1::TaskState;
use caprock_proto::mesos::v1::master::call;
use caprock_tests::{Cluster, Framework, eventually};
use rustix::process::Signal;

#[tokio::test]
async fn a_task_survives_the_death_of_its_agent() -> Result<()> {
    let mut cluster = Cluster::start(1, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "agent-restart").await?;
    let gate = cluster.dir.path().join("gate");
    let wait = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exit 0",
        gate.display()
    );
    framework.launch("t", &wait).await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    cluster.agents[0].kill();
    cluster.agents[0].start_again()?;
    cluster.wait_for_agents(1).await;
    assert_eq!(
        framework.reconcile("t").await?.state(),
        TaskState::TaskRunning
    );
    std::fs::write(&gate, "")?;
    framework.wait_for("t", TaskState::TaskFinished).await?;
    assert_eq!(agents(&cluster).await?, 1, "it is the same agent");
    Ok(())
}

#[tokio::test]
async fn a_task_that_ends_while_its_agent_is_down_is_reported() -> Result<()> {
    let mut cluster = Cluster::start(1, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "agent-down").await?;
    let (gate, done) = (
        cluster.dir.path().join("gate"),
        cluster.dir.path().join("done"),
    );
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; touch {}; exit 7",
        gate.display(),
        done.display()
    );
    framework.launch("t", &script).await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    cluster.agents[0].kill();
    std::fs::write(&gate, "")?;
    eventually("the end of the command", async || {
        if done.exists() {
            Ok(())
        } else {
            Err("it runs")
        }
    })
    .await;
    cluster.agents[0].start_again()?;
    let status = framework.wait_for("t", TaskState::TaskFailed).await?;
    assert!(
        status.message().contains("status 7"),
        "{}",
        status.message()
    );
    Ok(())
}

#[tokio::test]
async fn a_retired_agent_takes_its_tasks_with_it() -> Result<()> {
    let mut cluster = Cluster::start(1, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "retired").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    cluster.agents[0].signal(Signal::USR1);
    let status = cluster.agents[0].ended().await;
    assert!(status.success(), "{status}");
    cluster.wait_for_agents(0).await;
    // The agent reports the kill, or the master the removal, whichever is first.
    loop {
        framework.next().await?;
        let last = framework.statuses["t"]
            .last()
            .expect("it was RUNNING")
            .state();
        if matches!(
            last,
            TaskState::TaskLost | TaskState::TaskKilled | TaskState::TaskFailed
        ) {
            return Ok(());
        }
    }
}

async fn agents(cluster: &Cluster) -> Result<usize> {
    let response = cluster.operator().get(call::Type::GetAgents).await?;
    Ok(response.get_agents.unwrap_or_default().agents.len())
}
