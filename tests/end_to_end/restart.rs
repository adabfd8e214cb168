//! Everything that was accepted is on disk.

use anyhow::Result;
use caprock_proto::mesos::v1::TaskState;
use caprock_tests::{Cluster, Framework};

async fn survives_the_death_of_all(masters: usize) -> Result<()> {
    let mut cluster = Cluster::start(masters, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "durable").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    // Accepted a moment before the end: 202 has been answered, so it is in the log.
    framework.launch("late", "sleep 1000").await?;
    for master in &mut cluster.masters {
        master.kill();
    }
    framework.disconnect();
    for master in &mut cluster.masters {
        master.start_again()?;
    }
    framework.connect().await?;
    assert_eq!(
        framework.reconcile("t").await?.state(),
        TaskState::TaskRunning
    );
    framework.wait_for("late", TaskState::TaskRunning).await?;
    cluster.assert_members_agree().await;
    Ok(())
}

#[tokio::test]
async fn three_masters_are_killed_at_once_and_come_back() -> Result<()> {
    survives_the_death_of_all(3).await
}

#[tokio::test]
async fn a_single_master_is_killed_and_comes_back() -> Result<()> {
    survives_the_death_of_all(1).await
}

#[tokio::test]
async fn a_framework_that_stays_away_is_removed_although_masters_changed() -> Result<()> {
    use caprock_proto::mesos::v1::scheduler::{Call, call};
    let flags = ["--framework-reconnect-grace=2secs"];
    let mut cluster = Cluster::start_with(3, 1, &flags).await?;
    let mut framework = Framework::subscribe(cluster.target(), "gone").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    let state = cluster.state().await?.get_state.unwrap_or_default();
    let mut info = state.get_frameworks.unwrap_or_default().frameworks[0]
        .framework_info
        .clone();
    info.failover_timeout = Some(3.0);
    let update = call::UpdateFramework {
        framework_info: info,
        ..Default::default()
    };
    let kind = Some(call::Type::UpdateFramework as i32);
    let call = Call {
        r#type: kind,
        update_framework: Some(update),
        ..Default::default()
    };
    framework.scheduler().call(call).await?;
    let id = framework.id();
    framework.disconnect();
    // From here on the deadline is in the log.
    caprock_tests::eventually("the disconnection", async || {
        let state = cluster.state().await.map_err(|e| e.to_string())?.get_state;
        let live = state
            .unwrap_or_default()
            .get_frameworks
            .unwrap_or_default()
            .frameworks;
        if live.iter().any(|f| f.connected) {
            Err("it is connected".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    cluster.kill_leader().await;
    caprock_tests::eventually("the end of the framework and of its task", async || {
        let state = cluster.state().await.map_err(|e| e.to_string())?;
        let state = state.get_state.unwrap_or_default();
        let live = state.get_frameworks.unwrap_or_default().frameworks;
        if live
            .iter()
            .any(|f| f.framework_info.id.as_ref() == Some(&id))
        {
            return Err("the framework is still there".to_owned());
        }
        let tasks = state.get_tasks.unwrap_or_default().tasks;
        if tasks.is_empty() {
            Ok(())
        } else {
            Err(format!("{} tasks", tasks.len()))
        }
    })
    .await;
    Ok(())
}
