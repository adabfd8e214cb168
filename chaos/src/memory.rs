//! Resident memory of the processes.

use anyhow::{Context, Result};
use caprock_model::task::is_terminal;
use caprock_proto::mesos::v1::scheduler::event;
use caprock_tests::Process;

use crate::bench::{Bench, Kind};
use crate::figures::Figures;

/// Tasks under way at a time while memory is filled.
const IN_FLIGHT: usize = 64;

pub async fn measure(masters: usize, agents: usize, tasks: usize) -> Result<Figures> {
    let mut bench = Bench::start(masters, agents, Kind::Custom).await?;
    let leader = bench.cluster.leader().await;
    let mut figures = Figures::default();
    figures.push(
        "memory, idle leader",
        megabytes(&bench.cluster.masters[leader])?,
        "MB",
    );
    figures.push(
        "memory, idle agent",
        megabytes(&bench.cluster.agents[0])?,
        "MB",
    );
    run(&mut bench, tasks).await?;
    let master = megabytes(&bench.cluster.masters[leader])?;
    figures.push(format!("memory, leader after {tasks} tasks"), master, "MB");
    let agent = megabytes(&bench.cluster.agents[0])?;
    figures.push(format!("memory, agent after {tasks} tasks"), agent, "MB");
    Ok(figures)
}

async fn run(bench: &mut Bench, tasks: usize) -> Result<()> {
    let (mut launched, mut finished) = (0, 0);
    while finished < tasks {
        let event = bench.next().await?;
        match event.r#type() {
            event::Type::Offers => {
                for offer in event.offers.unwrap_or_default().offers {
                    let wanted = (tasks - launched).min(IN_FLIGHT - (launched - finished));
                    let count = bench.room(&offer).min(wanted);
                    if count == 0 {
                        bench.decline(&offer);
                        continue;
                    }
                    launched += count;
                    let infos = bench.tasks(&offer, count);
                    bench.launch_soon(&offer, infos);
                }
            }
            event::Type::Update => {
                let Some(update) = event.update else { continue };
                finished += usize::from(is_terminal(update.status.state()));
                bench.acknowledge(update.status);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Resident set of a process, in MB of 1,000,000 bytes.
fn megabytes(process: &Process) -> Result<f64> {
    let pid = process.pid().context("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|l| l.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kilobytes.parse::<f64>()? * 1024.0 / 1_000_000.0)
}
