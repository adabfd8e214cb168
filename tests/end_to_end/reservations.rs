//! What is reserved stays reserved, and what is written to a volume stays there, whoever
//! dies; and when it is destroyed it is gone.

use std::path::PathBuf;

use anyhow::{Context, Result};
use caprock_client::ClientError;
use caprock_client::http::Http;
use caprock_model::{Resources, Scalar};
use caprock_proto::mesos::v1::master;
use caprock_proto::mesos::v1::offer::{self, operation};
use caprock_proto::mesos::v1::resource::disk_info::Persistence;
use caprock_proto::mesos::v1::resource::{DiskInfo, ReservationInfo, reservation_info};
use caprock_proto::mesos::v1::scheduler::{Call, call};
use caprock_proto::mesos::v1::{
    AgentId, Filters, Offer, OperationState, OperationStatus, Resource, TaskState, Volume, volume,
};
use caprock_tests::framework::command_task;
use caprock_tests::wait::PATIENCE;
use caprock_tests::{Cluster, Framework, eventually};

const ROLE: &str = "test";

fn reserved(text: &str) -> Vec<Resource> {
    let mut resources = Resources::parse(text, "*")
        .expect("a test's own resources")
        .to_protos();
    for resource in &mut resources {
        resource.reservations = vec![ReservationInfo {
            r#type: Some(reservation_info::Type::Dynamic as i32),
            role: Some(ROLE.to_owned()),
            ..ReservationInfo::default()
        }];
    }
    resources
}

fn volume(size: u32, id: &str) -> Resource {
    let mut disk = reserved(&format!("disk:{size}")).remove(0);
    disk.disk = Some(DiskInfo {
        persistence: Some(Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        volume: Some(Volume {
            mode: volume::Mode::Rw as i32,
            container_path: "data".to_owned(),
            ..Volume::default()
        }),
        ..DiskInfo::default()
    });
    disk
}

fn operation(kind: operation::Type, id: &str) -> offer::Operation {
    offer::Operation {
        r#type: Some(kind as i32),
        id: (!id.is_empty()).then(|| id.into()),
        ..offer::Operation::default()
    }
}

fn reserve(text: &str, id: &str) -> offer::Operation {
    let resources = reserved(text);
    offer::Operation {
        reserve: Some(operation::Reserve {
            source: Vec::new(),
            resources,
        }),
        ..operation(operation::Type::Reserve, id)
    }
}

fn create(of: Resource, id: &str) -> offer::Operation {
    offer::Operation {
        create: Some(operation::Create { volumes: vec![of] }),
        ..operation(operation::Type::Create, id)
    }
}

/// A command task that sees the volume.
fn launch(task: &str, command: &str, offer: &Offer, of: Resource) -> offer::Operation {
    let mut task = command_task(task, command, offer);
    task.resources.push(of);
    offer::Operation {
        launch: Some(operation::Launch {
            task_infos: vec![task],
        }),
        ..operation(operation::Type::Launch, "")
    }
}

async fn accept(
    framework: &Framework,
    offer: &Offer,
    operations: Vec<offer::Operation>,
) -> Result<(), ClientError> {
    let accept = call::Accept {
        offer_ids: vec![offer.id.clone()],
        operations,
        filters: Some(Filters {
            refuse_seconds: Some(0.0),
        }),
    };
    let kind = Some(call::Type::Accept as i32);
    let call = Call {
        r#type: kind,
        accept: Some(accept),
        ..Call::default()
    };
    framework.scheduler().call(call).await
}

/// Waits for the end of an operation and acknowledges it.
async fn finished(framework: &mut Framework, id: &str) -> Result<OperationStatus> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let event = tokio::time::timeout_at(deadline, framework.next())
            .await
            .with_context(|| format!("{id} does not end"))??;
        let Some(status) = event.update_operation_status.map(|update| update.status) else {
            continue;
        };
        if status.operation_id.as_ref().is_none_or(|of| of.value != id) {
            continue;
        }
        let acknowledge = call::AcknowledgeOperationStatus {
            agent_id: status.agent_id.clone(),
            uuid: status.uuid.clone().context("no uuid")?.value,
            operation_id: id.into(),
            ..call::AcknowledgeOperationStatus::default()
        };
        let kind = Some(call::Type::AcknowledgeOperationStatus as i32);
        let call = Call {
            r#type: kind,
            acknowledge_operation_status: Some(acknowledge),
            ..Call::default()
        };
        framework.scheduler().call(call).await?;
        return Ok(status);
    }
}

/// Waits for an offer that holds the volume.
async fn offer_with(framework: &mut Framework, id: &str) -> Result<Offer> {
    let holds = |offer: &Offer| {
        offer.resources.iter().any(|resource| {
            let disk = resource.disk.as_ref();
            let persistence = disk.and_then(|disk| disk.persistence.as_ref());
            persistence.is_some_and(|persistence| persistence.id == id)
        })
    };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(place) = framework.offers.iter().position(holds) {
            return Ok(framework.offers.remove(place));
        }
        tokio::time::timeout_at(deadline, framework.next())
            .await
            .with_context(|| format!("volume {id} is not offered"))??;
    }
}

async fn agent_of(cluster: &Cluster) -> Result<master::response::get_agents::Agent> {
    let response = cluster
        .operator()
        .get(master::call::Type::GetAgents)
        .await?;
    let agents = response.get_agents.unwrap_or_default().agents;
    agents.into_iter().next().context("no agent")
}

async fn total_of(cluster: &Cluster) -> Result<Resources> {
    Ok(Resources::from_protos(
        &agent_of(cluster).await?.total_resources,
    )?)
}

async fn pending(cluster: &Cluster) -> Result<usize> {
    let kind = master::call::Type::GetOperations;
    let response = cluster.operator().get(kind).await?;
    Ok(response.get_operations.unwrap_or_default().operations.len())
}

fn by_operator(agent_id: &AgentId, kind: master::call::Type, of: Vec<Resource>) -> master::Call {
    let agent_id = agent_id.clone();
    let mut call = master::Call {
        r#type: Some(kind as i32),
        ..master::Call::default()
    };
    match kind {
        master::call::Type::ReserveResources => {
            call.reserve_resources = Some(master::call::ReserveResources {
                agent_id,
                source: Vec::new(),
                resources: of,
            });
        }
        master::call::Type::DestroyVolumes => {
            call.destroy_volumes = Some(master::call::DestroyVolumes {
                agent_id,
                volumes: of,
            });
        }
        _ => {
            call.unreserve_resources = Some(master::call::UnreserveResources {
                agent_id,
                resources: of,
            });
        }
    }
    call
}

#[tokio::test]
async fn the_data_of_a_volume_survives_task_leader_and_agent_and_goes_when_destroyed() -> Result<()>
{
    let mut cluster = Cluster::start(3, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "stateful").await?;
    let offer = framework.offer(0.1).await?;
    let of = volume(64, "v1");
    let write = "echo kept > data/file && exit 0";
    let operations = vec![
        reserve("disk:128", "op-reserve"),
        create(of.clone(), "op-create"),
        launch("writer", write, &offer, of.clone()),
    ];
    accept(&framework, &offer, operations).await?;
    for id in ["op-reserve", "op-create"] {
        let status = finished(&mut framework, id).await?;
        let state = status.state();
        assert_eq!(state, OperationState::OperationFinished, "{status:?}");
    }
    framework
        .wait_for("writer", TaskState::TaskFinished)
        .await?;
    eventually("acknowledged operations", async || {
        match pending(&cluster).await {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // Everybody who could have forgotten it dies.
    let killed = cluster.kill_leader().await;
    cluster.agents[0].kill();
    cluster.agents[0].start_again()?;
    framework.disconnect();
    framework.connect().await?;
    let offer = offer_with(&mut framework, "v1").await?;
    let read = "test \"$(cat data/file)\" = kept";
    let operations = vec![launch("reader", read, &offer, of.clone())];
    accept(&framework, &offer, operations).await?;
    framework
        .wait_for("reader", TaskState::TaskFinished)
        .await?;
    cluster.masters[killed].start_again()?;

    everything_is_undone(&cluster, of).await?;
    cluster.assert_members_agree().await;
    Ok(())
}

/// DESTROY and UNRESERVE by an operator.
async fn everything_is_undone(cluster: &Cluster, of: Resource) -> Result<()> {
    let folder: PathBuf = cluster
        .dir
        .path()
        .join("agent-1/volumes/roles/test/v1/file");
    assert!(folder.exists(), "{}", folder.display());
    let agent = agent_of(cluster).await?;
    let agent_id = agent.agent_info.id.context("no id")?;
    let operator = cluster.operator();
    // The volume is in an offer to the framework, which gives way.
    let call = by_operator(&agent_id, master::call::Type::DestroyVolumes, vec![of]);
    operator.call(call).await?;
    let unreserved = reserved("disk:128");
    let call = by_operator(
        &agent_id,
        master::call::Type::UnreserveResources,
        unreserved,
    );
    operator.call(call).await?;
    let total = total_of(cluster).await?;
    assert!(total.reserved().is_empty(), "{total}");
    eventually("the end of the volume", async || {
        match folder.parent().is_some_and(|parent| parent.exists()) {
            true => Err("it is there"),
            false => Ok(()),
        }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_leader_that_dies_amid_reservations_leaves_master_and_agent_of_one_mind() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let agent_id = agent_of(&cluster)
        .await?
        .agent_info
        .id
        .context("no agent id")?;
    let mut accepted = 0;
    for round in 0..3 {
        let leader = cluster.leader().await;
        let target = cluster.masters[leader].address().parse()?;
        let operator = caprock_client::Operator::new(target, std::time::Duration::from_secs(1));
        let kind = master::call::Type::ReserveResources;
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let call = by_operator(&agent_id, kind, reserved("cpus:0.1"));
                let operator = operator.clone();
                tokio::spawn(async move { operator.call(call).await.is_ok() })
            })
            .collect();
        if round > 0 {
            // Not a wait: in each round the leader dies at another moment of the calls.
            tokio::time::sleep(std::time::Duration::from_millis(3 * round)).await;
        }
        cluster.masters[leader].kill();
        for call in calls {
            accepted += i64::from(call.await?);
        }
        cluster.leader().await;
        cluster.masters[leader].start_again()?;
    }
    cluster.wait_for_agents(1).await;
    // The agent's own view follows the log.
    eventually("the same resources at master and agent", async || {
        let total = total_of(&cluster)
            .await
            .map_err(|error| error.to_string())?;
        let waiting = pending(&cluster).await.map_err(|error| error.to_string())?;
        let at_agent = resources_at(&cluster.agents[0].address())
            .await
            .map_err(|error| error.to_string())?;
        if waiting == 0 && at_agent == total {
            return Ok(());
        }
        Err(format!("{waiting} are pending; {total} and {at_agent}"))
    })
    .await;
    let total = total_of(&cluster).await?;
    let reserved = total.reserved_to(ROLE).cpus();
    let promised = Scalar::from_f64(0.1 * accepted as f64);
    assert!(reserved >= promised, "{reserved} of {promised}");
    cluster.assert_members_agree().await;
    Ok(())
}

/// What the agent itself says that it has.
async fn resources_at(address: &str) -> Result<Resources> {
    let (address, response) = Http::default().get(address, "/state").await?;
    let body = caprock_client::http::body_of(&address, response).await?;
    let state: serde_json::Value = serde_json::from_slice(&body)?;
    let mut lists = vec![state["unreserved_resources_full"].clone()];
    let reserved = state["reserved_resources_full"].as_object();
    lists.extend(
        reserved
            .into_iter()
            .flat_map(|roles| roles.values().cloned()),
    );
    let mut all = Resources::new();
    for list in lists {
        for one in list.as_array().into_iter().flatten() {
            let proto: Resource =
                caprock_proto::decode(caprock_proto::MediaType::Json, one.to_string())?;
            all += &Resources::from_protos(&[proto])?;
        }
    }
    Ok(all)
}
