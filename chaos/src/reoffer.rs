//! How long the resources of a finished task stay away from the offers.

use std::time::Instant;

use anyhow::Result;
use caprock_proto::mesos::v1::scheduler::event;
use caprock_proto::mesos::v1::{Offer, TaskState};
use caprock_tests::framework::scalar;

use crate::bench::{Bench, Kind};
use crate::figures::{Figures, Times};

const WARM_UP_TASKS: usize = 10;

/// All offers are held, so that together they are all that is free: the resources of a
/// task are back when the sum is what it was before the launch.
pub async fn measure(masters: usize, agents: usize, tasks: usize) -> Result<Figures> {
    let mut bench = Bench::start(masters, agents, Kind::Custom).await?;
    let mut times = Times::default();
    let mut offers: Vec<Offer> = bench.offers().await?;
    for number in 0..tasks + WARM_UP_TASKS {
        // The first launch also starts the executor, which keeps its share.
        let slack = if number == 0 { 0.015 } else { 0.000_5 };
        let wanted = total_cpus(&offers) - slack;
        let place = largest(&offers);
        let offer = offers.swap_remove(place);
        let infos = bench.tasks(&offer, 1);
        bench.launch_soon(&offer, infos);
        let mut finished: Option<Instant> = None;
        loop {
            if let Some(at) = finished
                && total_cpus(&offers) >= wanted
            {
                if number >= WARM_UP_TASKS {
                    times.record(at.elapsed());
                }
                break;
            }
            let event = bench.next().await?;
            match event.r#type() {
                event::Type::Offers => {
                    offers.extend(event.offers.unwrap_or_default().offers);
                }
                event::Type::Update => {
                    let Some(update) = event.update else { continue };
                    if update.status.state() == TaskState::TaskFinished {
                        finished = Some(Instant::now());
                    }
                    bench.acknowledge(update.status);
                }
                _ => {}
            }
        }
    }
    let mut figures = Figures::default();
    figures.push_times("FINISHED to the offer of its resources", &times);
    Ok(figures)
}

fn total_cpus(offers: &[Offer]) -> f64 {
    offers.iter().map(|o| scalar(&o.resources, "cpus")).sum()
}

fn largest(offers: &[Offer]) -> usize {
    let cpus = |o: &Offer| scalar(&o.resources, "cpus");
    let places = 0..offers.len();
    places
        .max_by(|a, b| cpus(&offers[*a]).total_cmp(&cpus(&offers[*b])))
        .unwrap_or(0)
}
