//! Quotas and weights: durable, in force at once, and still so after the leader is killed.

use anyhow::Result;
use caprock_client::{ClientError, Operator};
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::mesos::v1::quota::QuotaConfig;
use caprock_proto::mesos::v1::{TaskState, WeightInfo, value};
use caprock_tests::framework::scalar;
use caprock_tests::{Cluster, Framework};

type Amounts<'a> = &'a [(&'a str, f64)];

/// UPDATE_QUOTA of one role, without force.
async fn set_quota(
    operator: &Operator,
    role: &str,
    guarantees: Amounts<'_>,
    limits: Amounts<'_>,
) -> Result<(), ClientError> {
    let amounts = |amounts: Amounts<'_>| {
        let amount =
            |(name, value): &(&str, f64)| ((*name).to_owned(), value::Scalar { value: *value });
        amounts.iter().map(amount).collect()
    };
    let update_quota = call::UpdateQuota {
        force: None,
        quota_configs: vec![QuotaConfig {
            role: role.to_owned(),
            guarantees: amounts(guarantees),
            limits: amounts(limits),
        }],
    };
    let call = Call {
        r#type: Some(call::Type::UpdateQuota as i32),
        update_quota: Some(update_quota),
        ..Call::default()
    };
    operator.call(call).await.map(drop)
}

async fn quotas(operator: &Operator) -> Result<Vec<QuotaConfig>> {
    let answer = operator.get(call::Type::GetQuota).await?;
    Ok(answer.get_quota.unwrap_or_default().status.configs)
}

#[tokio::test]
async fn a_limit_holds_before_and_after_the_leader_is_killed() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let operator = cluster.operator();
    set_quota(&operator, "test", &[], &[("cpus", 2.0)]).await?;
    let mut framework = Framework::subscribe(cluster.target(), "limited").await?;
    framework.launch("before", "sleep 1000").await?;
    framework.wait_for("before", TaskState::TaskRunning).await?;
    let offered = framework.offered(1.9).await?;
    assert_eq!(offered, 1.9, "2 less 0.1 in use");

    cluster.kill_leader().await;
    framework.disconnect();
    framework.connect().await?;
    let offered = framework.offered(1.9).await?;
    assert_eq!(offered, 1.9, "by the new leader");
    let configs = quotas(&operator).await?;
    assert_eq!(configs.len(), 1);
    assert_eq!(configs[0].limits["cpus"].value, 2.0);

    // A higher limit is in force without waiting: the rest of the agent is offered.
    set_quota(&operator, "test", &[], &[("cpus", 6.0)]).await?;
    let more = framework.offer(3.9).await?;
    assert_eq!(scalar(&more.resources, "cpus"), 4.0);
    let refused = set_quota(&operator, "test", &[], &[("cpus", 0.05)]).await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("already consuming 'cpus:0.1; mem:32'"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_guarantee_takes_offers_back_and_is_kept_by_the_next_leader() -> Result<()> {
    let mut cluster = Cluster::start(3, 2).await?;
    let operator = cluster.operator();
    let mut greedy = Framework::subscribe(cluster.target(), "greedy").await?;
    let (first, second) = (greedy.offer(8.0).await?, greedy.offer(8.0).await?);
    assert_ne!(
        first.agent_id, second.agent_id,
        "it holds the whole cluster"
    );
    let refused = set_quota(&operator, "vip", &[("cpus", 17.0)], &[]).await;
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("exceed cluster capacity 'cpus:16; "),
        "{text}"
    );

    set_quota(&operator, "vip", &[("cpus", 12.0)], &[]).await?;
    // Both offers are rescinded; what is left beside the guarantee comes back.
    let rest = greedy.offer(0.1).await?;
    assert!(scalar(&rest.resources, "cpus") <= 4.0, "{rest:?}");

    cluster.kill_leader().await;
    cluster.wait_for_agents(2).await;
    greedy.disconnect();
    greedy.connect().await?;
    let rest = greedy.offer(0.1).await?;
    assert!(scalar(&rest.resources, "cpus") <= 4.0, "{rest:?}");
    Ok(())
}

#[tokio::test]
async fn weights_survive_and_members_agree() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let operator = cluster.operator();
    let weight = WeightInfo {
        role: Some("test".to_owned()),
        weight: 2.5,
    };
    let weight_infos = vec![weight.clone()];
    operator
        .call(Call {
            r#type: Some(call::Type::UpdateWeights as i32),
            update_weights: Some(call::UpdateWeights { weight_infos }),
            ..Call::default()
        })
        .await?;
    let killed = cluster.kill_leader().await;
    let answer = operator.get(call::Type::GetWeights).await?;
    let weights = answer.get_weights.unwrap_or_default().weight_infos;
    assert_eq!(weights, [weight]);
    let roles = operator.get(call::Type::GetRoles).await?;
    let roles = roles.get_roles.unwrap_or_default().roles;
    assert!(
        roles
            .iter()
            .any(|role| role.name == "test" && role.weight == 2.5)
    );
    cluster.masters[killed].start_again()?;
    cluster.assert_members_agree().await;
    Ok(())
}
