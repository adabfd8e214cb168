//! Tasks per second: a greedy scheduler keeps so many tasks under way.

use std::time::{Duration, Instant};

use anyhow::Result;
use caprock_model::task::is_terminal;
use caprock_proto::mesos::v1::TaskState;
use caprock_proto::mesos::v1::scheduler::event;

use crate::bench::{Bench, Kind};
use crate::figures::Figures;

/// Executors are running and caches are warm after this many tasks.
const WARM_UP_TASKS: usize = 200;

pub async fn measure(
    masters: usize,
    agents: usize,
    in_flight: usize,
    duration: Duration,
) -> Result<Figures> {
    let mut bench = Bench::start(masters, agents, Kind::Custom).await?;
    let mut finished = 0;
    let mut under_way = 0;
    let mut started: Option<Instant> = None;
    let mut counted = 0;
    loop {
        let event = bench.next().await?;
        match event.r#type() {
            event::Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    let count = bench.room(&offer).min(in_flight - under_way);
                    if count == 0 {
                        bench.decline(&offer);
                        continue;
                    }
                    under_way += count;
                    let tasks = bench.tasks(&offer, count);
                    bench.launch_soon(&offer, tasks);
                }
            }
            event::Type::Update => {
                let Some(update) = event.update else { continue };
                let state = update.status.state();
                bench.acknowledge(update.status);
                if !is_terminal(state) {
                    continue;
                }
                anyhow::ensure!(
                    state == TaskState::TaskFinished,
                    "a task ended as {state:?}"
                );
                finished += 1;
                under_way -= 1;
            }
            _ => {}
        }
        match started {
            None if finished >= WARM_UP_TASKS => {
                started = Some(Instant::now());
                counted = finished;
            }
            Some(start) if start.elapsed() >= duration => {
                let rate = (finished - counted) as f64 / start.elapsed().as_secs_f64();
                let mut figures = Figures::default();
                let what = format!(
                    "tasks/s, custom executor, {masters} masters, {agents} agents, \
                     {in_flight} in flight"
                );
                figures.push(what, rate, "/s");
                return Ok(figures);
            }
            _ => {}
        }
    }
}
