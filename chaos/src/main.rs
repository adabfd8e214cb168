//! `caprock-load`: measures a cluster of real processes on this machine.
//!
//! ```text
//!   main ── a file per measurement ──► Bench (cluster + scheduler) ──► Figures (a row each)
//!   executor: what runs on the agents; started by them, answers RUNNING and FINISHED at once
//! ```
//!
//! Every measurement starts its own cluster, with fsync on. Reading order: [`bench`],
//! [`throughput`], [`latency`], [`reoffer`], [`failover`], [`memory`], [`figures`].

mod bench;
mod executor;
mod failover;
mod figures;
mod latency;
mod memory;
mod reoffer;
mod throughput;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::figures::Figures;

/// Measures launches, latencies and failover of a cluster on this machine.
#[derive(Debug, Parser)]
#[command(name = "caprock-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Args)]
struct Size {
    /// Masters of the quorum
    #[arg(long, default_value_t = 3)]
    masters: usize,
    /// Agents
    #[arg(long, default_value_t = 1)]
    agents: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tasks per second with a custom executor that answers at once
    Throughput {
        #[command(flatten)]
        size: Size,
        /// Tasks that may be under way at a time
        #[arg(long, default_value_t = 64)]
        in_flight: usize,
        /// How long to measure
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// ACCEPT to RUNNING, one task at a time, with a custom executor
    Latency {
        #[command(flatten)]
        size: Size,
        #[arg(long, default_value_t = 500)]
        tasks: usize,
    },
    /// ACCEPT to RUNNING and to FINISHED of the command `true`, and how many a second
    Commands {
        #[command(flatten)]
        size: Size,
        #[arg(long, default_value_t = 200)]
        tasks: usize,
    },
    /// A finished task to the offer of its resources
    Reoffer {
        #[command(flatten)]
        size: Size,
        #[arg(long, default_value_t = 200)]
        tasks: usize,
    },
    /// kill -9 of the leader to the next offer and the next RUNNING
    Failover {
        #[arg(long, default_value_t = 3)]
        masters: usize,
        #[arg(long, default_value_t = 20)]
        kills: usize,
    },
    /// Resident memory of an idle master and agent, and after a number of tasks
    Memory {
        #[command(flatten)]
        size: Size,
        #[arg(long, default_value_t = 5000)]
        tasks: usize,
    },
    /// All of them, one after the other
    All,
    /// What the agents run; not for people
    #[command(hide = true)]
    Executor,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let figures = runtime.block_on(measure(cli.command))?;
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{figures}");
    }
    Ok(())
}

async fn measure(command: Command) -> Result<Figures> {
    match command {
        Command::Throughput {
            size,
            in_flight,
            seconds,
        } => {
            let duration = Duration::from_secs(seconds);
            throughput::measure(size.masters, size.agents, in_flight, duration).await
        }
        Command::Latency { size, tasks } => latency::custom(size.masters, size.agents, tasks).await,
        Command::Commands { size, tasks } => {
            latency::command(size.masters, size.agents, tasks).await
        }
        Command::Reoffer { size, tasks } => {
            reoffer::measure(size.masters, size.agents, tasks).await
        }
        Command::Failover { masters, kills } => failover::measure(masters, kills).await,
        Command::Memory { size, tasks } => memory::measure(size.masters, size.agents, tasks).await,
        Command::All => all().await,
        Command::Executor => {
            executor::run().await?;
            Ok(Figures::default())
        }
    }
}

async fn all() -> Result<Figures> {
    let ten = Duration::from_secs(10);
    let mut figures = Figures::default();
    figures.append(throughput::measure(1, 1, 64, ten).await?);
    figures.append(throughput::measure(3, 1, 64, ten).await?);
    figures.append(throughput::measure(3, 3, 512, ten).await?);
    figures.append(latency::custom(3, 1, 500).await?);
    figures.append(latency::command(3, 1, 200).await?);
    figures.append(reoffer::measure(3, 1, 200).await?);
    figures.append(memory::measure(3, 1, 5000).await?);
    figures.append(failover::measure(3, 20).await?);
    Ok(figures)
}
