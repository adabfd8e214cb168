//! Latency of one task at a time.

use std::time::Instant;

use anyhow::Result;
use caprock_proto::mesos::v1::scheduler::event;
use caprock_proto::mesos::v1::{Offer, TaskState};

use crate::bench::{Bench, Kind};
use crate::figures::{Figures, Times};

/// The first tasks start the executor.
const WARM_UP_TASKS: usize = 20;

/// ACCEPT to RUNNING with an executor that runs already.
pub async fn custom(masters: usize, agents: usize, tasks: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    let run = run(masters, agents, tasks, Kind::Custom).await?;
    figures.push_times("ACCEPT to RUNNING, custom executor", &run.running);
    Ok(figures)
}

/// ACCEPT to RUNNING and to FINISHED of the command `true`.
pub async fn command(masters: usize, agents: usize, tasks: usize) -> Result<Figures> {
    let mut figures = Figures::default();
    let run = run(masters, agents, tasks, Kind::Command).await?;
    figures.push_times("ACCEPT to RUNNING, command `true`", &run.running);
    figures.push_times("ACCEPT to FINISHED, command `true`", &run.finished);
    figures.push("command tasks/s, one at a time", run.per_second, "/s");
    Ok(figures)
}

struct Run {
    running: Times,
    finished: Times,
    per_second: f64,
}

async fn run(masters: usize, agents: usize, tasks: usize, kind: Kind) -> Result<Run> {
    let mut bench = Bench::start(masters, agents, kind).await?;
    let mut run = Run {
        running: Times::default(),
        finished: Times::default(),
        per_second: 0.0,
    };
    let mut offers: Vec<Offer> = Vec::new();
    let mut started = Instant::now();
    for number in 0..tasks + WARM_UP_TASKS {
        if number == WARM_UP_TASKS {
            started = Instant::now();
        }
        while offers.is_empty() {
            offers = bench.offers().await?;
        }
        let offer = offers.remove(0);
        let infos = bench.tasks(&offer, 1);
        let sent = Instant::now();
        bench.launch_soon(&offer, infos);
        let counts = number >= WARM_UP_TASKS;
        loop {
            let event = bench.next().await?;
            if event.r#type() == event::Type::Offers {
                offers.extend(event.offers.unwrap_or_default().offers);
                continue;
            }
            let Some(update) = event.update else { continue };
            let state = update.status.state();
            bench.acknowledge(update.status);
            match state {
                TaskState::TaskRunning if counts => run.running.record(sent.elapsed()),
                TaskState::TaskStarting | TaskState::TaskRunning => {}
                TaskState::TaskFinished => {
                    if counts {
                        run.finished.record(sent.elapsed());
                    }
                    break;
                }
                other => anyhow::bail!("a task ended as {other:?}"),
            }
        }
    }
    run.per_second = tasks as f64 / started.elapsed().as_secs_f64();
    Ok(run)
}
