//! kill -9 of the leader, and how long until a framework can go on.

use std::time::Instant;

use anyhow::Result;
use caprock_proto::mesos::v1::TaskState;
use caprock_proto::mesos::v1::scheduler::event;

use crate::bench::{Bench, Kind};
use crate::figures::{Figures, Times};

pub async fn measure(masters: usize, kills: usize) -> Result<Figures> {
    let mut bench = Bench::start(masters, 1, Kind::Custom).await?;
    run_one(&mut bench).await?;
    let (mut to_offer, mut to_running) = (Times::default(), Times::default());
    for _ in 0..kills {
        let killed = bench.cluster.leader().await;
        let at = Instant::now();
        bench.cluster.masters[killed].kill();
        bench.subscribe_again().await?;
        let mut offers = Vec::new();
        while offers.is_empty() {
            offers = bench.offers().await?;
        }
        to_offer.record(at.elapsed());
        let tasks = bench.tasks(&offers[0], 1);
        bench.launch(&offers[0], tasks).await?;
        finish(&mut bench, |state| {
            if state == TaskState::TaskRunning {
                to_running.record(at.elapsed());
            }
        })
        .await?;
        bench.cluster.masters[killed].start_again()?;
        bench.cluster.assert_members_agree().await;
    }
    let mut figures = Figures::default();
    figures.push_times("leader killed to the next offer", &to_offer);
    figures.push_times("leader killed to the next RUNNING", &to_running);
    Ok(figures)
}

/// One task from offer to end, so that the executor runs.
async fn run_one(bench: &mut Bench) -> Result<()> {
    let offers = bench.offers().await?;
    let tasks = bench.tasks(&offers[0], 1);
    bench.launch(&offers[0], tasks).await?;
    finish(bench, |_| {}).await
}

async fn finish(bench: &mut Bench, mut seen: impl FnMut(TaskState)) -> Result<()> {
    loop {
        let event = bench.next().await?;
        if event.r#type() != event::Type::Update {
            continue;
        }
        let Some(update) = event.update else { continue };
        let state = update.status.state();
        seen(state);
        bench.acknowledge(update.status);
        match state {
            TaskState::TaskFinished => return Ok(()),
            TaskState::TaskStarting | TaskState::TaskRunning => {}
            other => anyhow::bail!("a task ended as {other:?}"),
        }
    }
}
