//! `caprock dev`: a whole cluster on this machine, each member a process of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use caprock_client::{Masters, Operator};
use caprock_proto::mesos::v1::master::call;
use indicatif::ProgressBar;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::block_on;
use crate::cli::DevFlags;

/// How long a cluster may take to come up on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a member may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// A member of the cluster: what it is called, where it listens, how it is started.
struct Member {
    name: String,
    port: u16,
    arguments: Vec<String>,
    log: PathBuf,
    child: Child,
}

pub fn run(flags: &DevFlags) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        flags.masters % 2 == 1,
        "--masters must be 1, 3 or 5, to have a majority"
    );
    // Held until the end: dropping it removes the directory.
    let temporary;
    let dir = match &flags.data_dir {
        Some(dir) => dir.as_path(),
        None => {
            temporary = tempfile::Builder::new().prefix("caprock-dev-").tempdir()?;
            temporary.path()
        }
    };
    std::fs::create_dir_all(dir)
        .with_context(|| format!("the data directory {} cannot be made", dir.display()))?;
    block_on(serve(flags, dir))??;
    Ok(ExitCode::SUCCESS)
}

async fn serve(flags: &DevFlags, dir: &Path) -> anyhow::Result<()> {
    let plan = plan(flags, dir)?;
    let mut members = Vec::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    for (name, port, arguments) in plan {
        members.push(start(dir, name, port, arguments)?);
    }
    let addresses: Vec<String> = members[..usize::from(flags.masters)]
        .iter()
        .map(|m| address(m.port))
        .collect();
    let masters = addresses.join(",");
    let up = async {
        wait_until_up(&masters, usize::from(flags.agents), &mut members).await?;
        describe(&masters, &members, dir);
        watch(&mut members).await;
        Ok(())
    };
    let result = tokio::select! {
        result = up => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    stop(&mut members).await;
    result
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

type Planned = (String, u16, Vec<String>);

/// The command lines of all members. A port in use is found before anything is started.
fn plan(flags: &DevFlags, dir: &Path) -> anyhow::Result<Vec<Planned>> {
    let master_port = |i: u16| {
        flags
            .port
            .checked_add(i * 100)
            .context("--port is too high")
    };
    let ports: Vec<u16> = (0..flags.masters)
        .map(master_port)
        .collect::<Result<_, _>>()?;
    let quorum: Vec<String> = ports
        .iter()
        .zip(1..)
        .map(|(p, id)| format!("{id}={}", address(*p)))
        .collect();
    let masters: Vec<String> = ports.iter().map(|p| address(*p)).collect();
    let mut plan = Vec::new();
    for (port, id) in ports.iter().zip(1..) {
        let name = format!("master-{id}");
        let data = dir.join(&name).display().to_string();
        let mut arguments: Vec<String> = vec!["master".into()];
        arguments.push(format!("--id={id}"));
        arguments.push(format!("--listen={}", address(*port)));
        arguments.push(format!("--data-dir={data}"));
        if flags.masters > 1 {
            arguments.push(format!("--quorum={}", quorum.join(",")));
        }
        plan.push((name, *port, arguments));
    }
    for i in 1..=flags.agents {
        let port = flags.port.checked_add(i).context("--port is too high")?;
        let name = format!("agent-{i}");
        let work = dir.join(&name).display().to_string();
        let arguments = vec![
            "agent".into(),
            format!("--masters={}", masters.join(",")),
            format!("--listen={}", address(port)),
            format!("--work-dir={work}"),
            "--hostname=localhost".into(),
        ];
        plan.push((name, port, arguments));
    }
    for (name, port, _) in &plan {
        TcpListener::bind(("127.0.0.1", *port))
            .with_context(|| format!("port {port} for {name} is in use; choose another --port"))?;
    }
    Ok(plan)
}

fn start(dir: &Path, name: String, port: u16, arguments: Vec<String>) -> anyhow::Result<Member> {
    let log = dir.join(format!("{name}.log"));
    let out = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)?;
    let child = Command::new(std::env::current_exe()?)
        .args(&arguments)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        // Ctrl-C is for this process, which then stops the members in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{name} cannot be started"))?;
    Ok(Member {
        name,
        port,
        arguments,
        log,
        child,
    })
}

/// Waits for a leader that sees all agents; a member that ends before is an error.
async fn wait_until_up(masters: &str, agents: usize, members: &mut [Member]) -> anyhow::Result<()> {
    let progress = ProgressBar::new_spinner().with_message("starting the cluster");
    progress.enable_steady_tick(Duration::from_millis(100));
    let operator = Operator::new(masters.parse::<Masters>()?, Duration::ZERO);
    let started = Instant::now();
    loop {
        for member in members.iter_mut() {
            if let Some(status) = member.child.try_wait()? {
                let log = std::fs::read_to_string(&member.log).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it left no word").to_owned();
                anyhow::bail!("{} ended with {status}: {last}", member.name);
            }
        }
        if let Ok(response) = operator.get(call::Type::GetAgents).await {
            let found = response.get_agents.unwrap_or_default().agents;
            if found.iter().filter(|a| a.active).count() >= agents {
                progress.finish_and_clear();
                return Ok(());
            }
            progress.set_message("waiting for the agents");
        }
        anyhow::ensure!(
            started.elapsed() < START_TIMEOUT,
            "the cluster did not come up"
        );
        tokio::time::sleep(POLL).await;
    }
}

fn describe(masters: &str, members: &[Member], dir: &Path) {
    println!(
        "The cluster is up. Its data and logs are in {}.",
        dir.display()
    );
    for member in members {
        let pid = member
            .child
            .id()
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        println!(
            "  {:<9} http://{:<16} pid {pid}",
            member.name,
            address(member.port)
        );
    }
    println!("\nTry:");
    println!("  export CAPROCK_MASTERS={masters}");
    println!("  caprock run --name hello --command 'echo hi'");
    println!("  caprock quorum status");
    println!("  kill -9 <pid of the leader>\n\nCtrl-C ends it.");
}

/// Says which member ended and how to start it again; goes on until told to stop.
async fn watch(members: &mut [Member]) {
    let mut ended = vec![false; members.len()];
    loop {
        for (member, ended) in members.iter_mut().zip(&mut ended) {
            if *ended {
                continue;
            }
            if let Ok(Some(status)) = member.child.try_wait() {
                *ended = true;
                println!("{} ended with {status}. To start it again:", member.name);
                println!("  caprock {}", member.arguments.join(" "));
            }
        }
        tokio::time::sleep(POLL * 4).await;
    }
}

/// Stops the agents first, so that nobody reports them as lost; then the masters.
async fn stop(members: &mut [Member]) {
    eprintln!("stopping the cluster");
    for member in members.iter_mut().rev() {
        let agent = member.name.starts_with("agent");
        // An agent's tasks end with the cluster: nobody would ever look after them again.
        let signal = if agent {
            rustix::process::Signal::USR1
        } else {
            rustix::process::Signal::TERM
        };
        let pid = member.child.id().and_then(|pid| i32::try_from(pid).ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        if let Err(error) = rustix::process::kill_process(pid, signal) {
            eprintln!("{} cannot be signalled: {error}", member.name);
        }
        if tokio::time::timeout(STOP_TIMEOUT, member.child.wait())
            .await
            .is_err()
        {
            eprintln!("{} did not stop in time and is killed", member.name);
            if let Err(error) = member.child.kill().await {
                eprintln!("{} cannot be killed: {error}", member.name);
            }
        }
    }
}
