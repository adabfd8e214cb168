//! How long the resources of a finished task stay away from the offers.

use std::time::Instant;

use anyhow::Result;
use caprock_proto::mesos::v1::scheduler::event;
use caprock_proto::mesos::v1::{Offer, TaskState};
use caprock_tests::framework::scalar;

use crate::bench::{Bench, Kind};
use crate::figures::{Figures, Times};

const WARM_UP_TASKS: usize = 10;

/// Each task takes part of the only offer; the rest is held, so that the next offer can
/// only be what the task gave back.
pub async fn measure(masters: usize, agents: usize, tasks: usize) -> Result<Figures> {
    let mut bench = Bench::start(masters, agents, Kind::Custom).await?;
    let mut times = Times::default();
    let mut offers: Vec<Offer> = Vec::new();
    for number in 0..tasks + WARM_UP_TASKS {
        while offers.is_empty() {
            offers = bench.offers().await?;
        }
        let place = largest(&offers);
        let offer = offers.swap_remove(place);
        let infos = bench.tasks(&offer, 1);
        bench.launch_soon(&offer, infos);
        let mut finished: Option<Instant> = None;
        // Offers before the end are the rest of the one that was accepted.
        loop {
            let event = bench.next().await?;
            match event.r#type() {
                event::Type::Offers => {
                    offers.extend(event.offers.unwrap_or_default().offers);
                    if let Some(at) = finished {
                        if number >= WARM_UP_TASKS {
                            times.record(at.elapsed());
                        }
                        break;
                    }
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
        // Small pieces go back, so that the next round starts with one large offer.
        let keep = largest(&offers);
        for (place, offer) in offers.iter().enumerate() {
            if place != keep {
                bench.decline(offer);
            }
        }
        let kept = offers.swap_remove(keep);
        offers = vec![kept];
    }
    let mut figures = Figures::default();
    figures.push_times("FINISHED to the offer of its resources", &times);
    Ok(figures)
}

fn largest(offers: &[Offer]) -> usize {
    let cpus = |o: &Offer| scalar(&o.resources, "cpus");
    let places = 0..offers.len();
    places
        .max_by(|a, b| cpus(&offers[*a]).total_cmp(&cpus(&offers[*b])))
        .unwrap_or(0)
}
