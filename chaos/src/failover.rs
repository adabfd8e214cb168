//! kill -9 of the leader, and how long until a framework can go on.

use std::time::Instant;

use anyhow::Result;
use caprock_proto::mesos::v1::scheduler::event;
use caprock_proto::mesos::v1::{Offer, TaskState};

use crate::bench::{Bench, Kind};
use crate::figures::{Figures, Times};

pub async fn measure(masters: usize, kills: usize) -> Result<Figures> {
    let mut bench = Bench::start(masters, 1, Kind::Custom).await?;
    let mut term = run_one(&mut bench).await?;
    let (mut to_offer, mut to_running) = (Times::default(), Times::default());
    for _ in 0..kills {
        let killed = bench.cluster.leader().await;
        let at = Instant::now();
        bench.cluster.masters[killed].kill();
        let offer = loop {
            let offers = bench.offers().await?;
            // Offers of the dead leader may still be on the way.
            if let Some(offer) = offers.into_iter().find(|o| leadership(o) != term) {
                break offer;
            }
        };
        to_offer.record(at.elapsed());
        term = leadership(&offer);
        let tasks = bench.tasks(&offer, 1);
        bench.launch(&offer, tasks).await?;
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
    let ended = bench.streams_ended as f64;
    figures.push("streams that ended with the leader", ended, "");
    Ok(figures)
}

/// One task from offer to end, so that the executor runs. Returns the leadership.
async fn run_one(bench: &mut Bench) -> Result<String> {
    let offers = bench.offers().await?;
    let tasks = bench.tasks(&offers[0], 1);
    bench.launch(&offers[0], tasks).await?;
    finish(bench, |_| {}).await?;
    Ok(leadership(&offers[0]))
}

/// The master id that an offer's id begins with; each leadership has its own.
fn leadership(offer: &Offer) -> String {
    let id = &offer.id.value;
    id.rsplit_once("-O")
        .map_or(id.as_str(), |(master, _)| master)
        .to_owned()
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
