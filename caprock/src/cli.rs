//! Every command with its flags. Each flag is also an environment variable: `--data-dir`
//! is `CAPROCK_DATA_DIR`.

mod agent;
mod gateway;
mod master;
mod quorum;

use std::path::PathBuf;
use std::time::Duration;

use caprock_client::Masters;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use agent::AgentFlags;
pub use gateway::GatewayFlags;
pub use master::MasterFlags;
pub use quorum::{QuorumCommand, QuorumFlags};

use crate::output::Format;

/// Shares a cluster between Mesos v1 frameworks. The master is a quorum of three or five
/// members that replicate everything they accept; when the leader dies, agents, tasks and
/// schedulers go on with the next one.
#[derive(Debug, Parser)]
#[command(name = "caprock", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// Without the chatter of the Raft library about members that are down.
pub const LOG_FILTER: &str = "info,openraft=error";

const AFTER_HELP: &str = "\
Try it on this machine:
  caprock dev                                      three masters and an agent
  caprock run --name hello --command 'echo hi'     a task on them, with its output
  caprock quorum status                            who leads

Every flag can be set in the environment (--masters is CAPROCK_MASTERS) and, for master and
agent, in a TOML file named with --config. A flag wins over the environment, which wins over
the file.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one member of the master quorum
    ///
    /// Without --quorum it is a cluster of one, ready at once. With --quorum the members that
    /// start together form the cluster. Any member answers any client: followers forward to
    /// the leader.
    Master(Box<MasterFlags>),
    /// Run an agent: it offers this machine's resources and runs tasks
    ///
    /// Its work directory holds its identity and what it runs: started again with it, it is
    /// the same agent, and its tasks have gone on meanwhile. SIGTERM stops it and leaves the
    /// tasks running; SIGUSR1 makes it end its tasks, unregister and exit.
    Agent(Box<AgentFlags>),
    /// Run a gateway beside a scheduler: a fixed address that follows the leader
    ///
    /// It holds the scheduler's event stream open while leaders come and go. Every follower is
    /// a gateway too; this is for schedulers that know one address only.
    Gateway(GatewayFlags),
    /// Run a whole cluster on this machine, to try things out
    ///
    /// Each member is a process of its own, so that one can be killed. The cluster ends with
    /// Ctrl-C; its data is in a temporary directory unless --data-dir names one.
    Dev(DevFlags),
    /// Run a command on the cluster and wait for it
    ///
    /// A one-off framework: it takes offers, launches the command, shows progress and the
    /// command's output, and exits with 0 if every instance finished.
    Run(RunFlags),
    /// The quorum of masters: who leads, and handing over
    Quorum(QuorumFlags),
    /// List the agents
    Agents(QueryFlags),
    /// List the frameworks
    Frameworks(FrameworksFlags),
    /// List the tasks
    Tasks(TasksFlags),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    ///
    /// For example: caprock completions bash > /etc/bash_completion.d/caprock
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub struct DevFlags {
    /// How many masters: 1, 3 or 5
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=5))]
    pub masters: u16,
    /// How many agents
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=50))]
    pub agents: u16,
    /// Port of the first master; the others are 100 apart, and the agents at the ports after it
    #[arg(long, default_value_t = 5050)]
    pub port: u16,
    /// Where the cluster keeps its data; kept afterwards, and found again
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Where the cluster is.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Masters or gateways of the cluster
    #[arg(long, value_name = "HOST:PORT,...", default_value = "127.0.0.1:5050")]
    pub masters: Masters,
    /// How long to wait for a leader
    #[arg(long, default_value = "5secs", value_parser = duration)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct QueryFlags {
    #[command(flatten)]
    pub target: Target,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct FrameworksFlags {
    #[command(flatten)]
    pub query: QueryFlags,
    /// Also those that have ended
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct TasksFlags {
    #[command(flatten)]
    pub query: QueryFlags,
    /// Also those that have ended
    #[arg(long)]
    pub all: bool,
    /// Only tasks of this framework, by id or name
    #[arg(long, value_name = "FRAMEWORK")]
    pub framework: Option<String>,
}

#[derive(Debug, Args)]
pub struct RunFlags {
    #[command(flatten)]
    pub target: Target,
    /// Name of the framework and prefix of its task ids
    #[arg(long)]
    pub name: String,
    /// Shell command to run
    #[arg(long)]
    pub command: String,
    /// How many instances
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub instances: u32,
    /// CPUs of each
    #[arg(long, default_value_t = 0.1)]
    pub cpus: f64,
    /// Memory of each, in MB
    #[arg(long, default_value_t = 32.0)]
    pub mem: f64,
    /// Disk of each, in MB
    #[arg(long, default_value_t = 0.0)]
    pub disk: f64,
    /// Role that the resources are offered to
    #[arg(long, default_value = "*")]
    pub role: String,
    /// User to run as; by default yourself
    #[arg(long)]
    pub user: Option<String>,
    /// A variable of the command's environment; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub environment: Vec<String>,
    /// A file or archive to fetch into the sandbox first; may be repeated
    #[arg(long = "uri", value_name = "URI")]
    pub uris: Vec<String>,
    /// Give up after this time and kill what runs
    #[arg(long, value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Print neither progress nor output, only use the exit status
    #[arg(short, long)]
    pub quiet: bool,
}

/// `200ms`, `10secs`, `5mins`, and the short forms `10s`, `5m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = caprock_model::parse_duration(text).map_err(|e| e.to_string())?;
    let ms = u64::try_from(parsed.0).map_err(|_| "a duration cannot be negative".to_owned())?;
    Ok(Duration::from_millis(ms))
}
