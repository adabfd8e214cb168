//! Draining, giving up and maintaining agents: what operators decided holds when the leader
//! dies in the middle of it.

use anyhow::{Context, Result};
use caprock_proto::google::protobuf::Duration;
use caprock_proto::mesos::v1::maintenance::{Schedule, Window};
use caprock_proto::mesos::v1::master::response::get_agents::Agent;
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{
    AgentId, DrainState, DurationInfo, KillPolicy, MachineId, TaskState, TimeInfo, Unavailability,
};
use caprock_tests::framework::command_task;
use caprock_tests::{Cluster, Framework, eventually};

async fn agents(cluster: &Cluster) -> Result<Vec<Agent>> {
    let response = cluster.operator().get(call::Type::GetAgents).await?;
    Ok(response.get_agents.unwrap_or_default().agents)
}

async fn operate(cluster: &Cluster, kind: call::Type, call: Call) -> Result<()> {
    let call = Call {
        r#type: Some(kind as i32),
        ..call
    };
    cluster.operator().call(call).await?;
    Ok(())
}

async fn the_agent(cluster: &Cluster) -> Result<AgentId> {
    let agent = agents(cluster).await?.pop().context("an agent")?;
    agent.agent_info.id.context("admitted")
}

async fn wait_for_drain(cluster: &Cluster, state: DrainState) -> Agent {
    eventually(&format!("an agent that is {state:?}"), async || {
        let agent = agents(cluster).await.map_err(|e| e.to_string())?.pop();
        let agent = agent.ok_or("no agent")?;
        match &agent.drain_info {
            Some(drain) if drain.state() == state => Ok(agent),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_drain_goes_on_under_the_next_leader() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let id = the_agent(&cluster).await?;
    let mut framework = Framework::subscribe(cluster.target(), "drained").await?;
    let gate = cluster.dir.path().join("gate");
    let script = format!(
        "trap '' TERM; while [ ! -e {} ]; do sleep 0.05; done",
        gate.display()
    );
    let offer = framework.offer(1.0).await?;
    let mut task = command_task("t", &script, &offer);
    task.kill_policy = Some(KillPolicy {
        grace_period: Some(DurationInfo {
            nanoseconds: 600_000_000_000,
        }),
    });
    framework.accept(&offer, vec![task]).await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;

    let drain = call::DrainAgent {
        agent_id: id.clone(),
        max_grace_period: Some(Duration {
            seconds: 300,
            nanos: 0,
        }),
        mark_gone: None,
    };
    let drain = Call {
        drain_agent: Some(drain),
        ..Call::default()
    };
    operate(&cluster, call::Type::DrainAgent, drain).await?;
    cluster.kill_leader().await;
    let agent = wait_for_drain(&cluster, DrainState::Draining).await;
    assert!(agent.deactivated() && !agent.active);
    assert!(agent.estimated_drain_start_time.is_some());
    std::fs::write(&gate, "")?;
    let status = framework.wait_for("t", TaskState::TaskKilled).await?;
    assert_eq!(status.reason(), Reason::AgentDraining);
    wait_for_drain(&cluster, DrainState::Drained).await;

    framework.offers.clear();
    let reactivate = Call {
        reactivate_agent: Some(call::ReactivateAgent { agent_id: id }),
        ..Call::default()
    };
    operate(&cluster, call::Type::ReactivateAgent, reactivate).await?;
    framework.launch("u", "exit 0").await?;
    framework.wait_for("u", TaskState::TaskFinished).await?;
    cluster.assert_members_agree().await;
    Ok(())
}

#[tokio::test]
async fn a_gone_agent_exits_and_comes_back_as_another() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let id = the_agent(&cluster).await?;
    let mut framework = Framework::subscribe(cluster.target(), "gone").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    let gone = || Call {
        mark_agent_gone: Some(call::MarkAgentGone {
            agent_id: id.clone(),
        }),
        ..Call::default()
    };
    operate(&cluster, call::Type::MarkAgentGone, gone()).await?;
    let status = framework
        .wait_for("t", TaskState::TaskGoneByOperator)
        .await?;
    assert_eq!(status.reason(), Reason::AgentRemovedByOperator);
    cluster.agents[0].ended().await;
    cluster.kill_leader().await;
    operate(&cluster, call::Type::MarkAgentGone, gone()).await?;
    cluster.agents[0].start_again()?;
    cluster.wait_for_agents(1).await;
    assert_ne!(the_agent(&cluster).await?, id);
    Ok(())
}

fn machine() -> MachineId {
    MachineId {
        hostname: Some("localhost".to_owned()),
        ip: Some("127.0.0.1".to_owned()),
    }
}

#[tokio::test]
async fn a_machine_stays_down_under_the_next_leader() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "maintained").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    let window = Window {
        machine_ids: vec![machine()],
        unavailability: Unavailability {
            start: TimeInfo { nanoseconds: 1 },
            duration: None,
        },
    };
    let schedule = Schedule {
        windows: vec![window.clone()],
    };
    let update = Call {
        update_maintenance_schedule: Some(call::UpdateMaintenanceSchedule { schedule }),
        ..Call::default()
    };
    operate(&cluster, call::Type::UpdateMaintenanceSchedule, update).await?;
    loop {
        let event = framework.next().await?;
        if let Some(asked) = event.inverse_offers {
            let offer = &asked.inverse_offers[0];
            assert_eq!(offer.unavailability, window.unavailability);
            break;
        }
    }
    let start = Call {
        start_maintenance: Some(call::StartMaintenance {
            machines: vec![machine()],
        }),
        ..Call::default()
    };
    operate(&cluster, call::Type::StartMaintenance, start).await?;
    cluster.kill_leader().await;
    cluster.agents[0].ended().await;
    cluster.wait_for_agents(0).await;
    // Whether the framework was there when the task was lost or not, it learns it now.
    framework.disconnect();
    framework.connect().await?;
    let state = framework.reconcile("t").await?.state();
    let lost = [TaskState::TaskLost, TaskState::TaskUnknown];
    assert!(lost.contains(&state), "{state:?}");
    let answer = cluster
        .operator()
        .get(call::Type::GetMaintenanceStatus)
        .await?;
    let status = answer.get_maintenance_status.context("a status")?.status;
    assert_eq!(status.down_machines, [machine()]);

    cluster.agents[0].start_again()?;
    cluster.agents[0].ended().await;
    let stop = Call {
        stop_maintenance: Some(call::StopMaintenance {
            machines: vec![machine()],
        }),
        ..Call::default()
    };
    operate(&cluster, call::Type::StopMaintenance, stop).await?;
    cluster.agents[0].start_again()?;
    cluster.wait_for_agents(1).await;
    cluster.assert_members_agree().await;
    Ok(())
}
