//! Masters and agents in a temporary directory.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result};
use caprock_client::{Admin, Masters, Operator};
use caprock_proto::mesos::v1::master::{Response, call};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::wait::eventually;

/// A cluster that ends with the test.
#[derive(Debug)]
pub struct Cluster {
    // Agents first: they are dropped, and so killed, before the masters.
    pub agents: Vec<Process>,
    pub masters: Vec<Process>,
    pub dir: TempDir,
    master_flags: Vec<String>,
}

impl Cluster {
    /// Starts masters and agents and waits until the leader sees all agents.
    pub async fn start(masters: usize, agents: usize) -> Result<Self> {
        Self::start_with(masters, agents, &[]).await
    }

    /// The same, with more flags for the masters.
    pub async fn start_with(masters: usize, agents: usize, flags: &[&str]) -> Result<Self> {
        let ports = free_ports(masters)?;
        let quorum: Vec<String> = ports
            .iter()
            .zip(1..)
            .map(|(port, id)| format!("{id}=127.0.0.1:{port}"))
            .collect();
        let dir = tempfile::Builder::new().prefix("caprock-test-").tempdir()?;
        let mut cluster = Cluster {
            agents: Vec::new(),
            masters: Vec::new(),
            dir,
            master_flags: flags.iter().map(ToString::to_string).collect(),
        };
        for (port, id) in ports.iter().zip(1u64..) {
            let quorum = (masters > 1).then(|| quorum.join(","));
            cluster.start_master(id, *port, quorum)?;
        }
        for _ in 0..agents {
            cluster.start_agent(&[])?;
        }
        cluster.wait_for_agents(agents).await;
        Ok(cluster)
    }

    fn start_master(&mut self, id: u64, port: u16, quorum: Option<String>) -> Result<()> {
        let data = self
            .dir
            .path()
            .join(format!("master-{id}"))
            .display()
            .to_string();
        let mut arguments = vec![
            "master".to_owned(),
            format!("--id={id}"),
            format!("--listen=127.0.0.1:{port}"),
            format!("--data-dir={data}"),
        ];
        arguments.extend(quorum.map(|q| format!("--quorum={q}")));
        arguments.extend(self.master_flags.iter().cloned());
        let name = format!("master-{id}");
        self.masters
            .push(Process::start(self.dir.path(), &name, port, arguments)?);
        Ok(())
    }

    /// Starts one more agent.
    pub fn start_agent(&mut self, flags: &[&str]) -> Result<&mut Process> {
        let port = free_ports(1)?[0];
        let name = format!("agent-{}", self.agents.len() + 1);
        let work = self.dir.path().join(&name).display().to_string();
        let mut arguments = vec![
            "agent".to_owned(),
            format!("--masters={}", self.addresses()),
            format!("--listen=127.0.0.1:{port}"),
            format!("--work-dir={work}"),
            "--hostname=localhost".to_owned(),
            "--resources=cpus:8;mem:8192;disk:8192;ports:[31000-32000]".to_owned(),
            "--executor-reregistration-timeout=4secs".to_owned(),
        ];
        arguments.extend(flags.iter().map(ToString::to_string));
        self.agents
            .push(Process::start(self.dir.path(), &name, port, arguments)?);
        self.agents.last_mut().context("just pushed")
    }

    /// All masters as `--masters` takes them.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self.masters.iter().map(Process::address).collect();
        addresses.join(",")
    }

    /// All masters as the client takes them.
    pub fn target(&self) -> Masters {
        self.addresses()
            .parse()
            .expect("addresses made by this cluster are addresses")
    }

    /// A client for operator calls, which finds the leader by itself.
    pub fn operator(&self) -> Operator {
        Operator::new(self.target(), Duration::from_secs(20))
    }

    /// A client of the members themselves.
    pub fn admin(&self) -> Admin {
        Admin::new(self.target())
    }

    /// Waits until so many agents are active.
    pub async fn wait_for_agents(&self, count: usize) {
        eventually(&format!("{count} active agents"), async || {
            let response = self.operator().get(call::Type::GetAgents).await;
            let response = response.map_err(|e| e.to_string())?;
            let agents = response.get_agents.unwrap_or_default().agents;
            let active = agents.iter().filter(|a| a.active).count();
            if active == count {
                Ok(())
            } else {
                Err(format!("{active} are active"))
            }
        })
        .await;
    }

    /// The whole state as the leader tells it.
    pub async fn state(&self) -> Result<Response> {
        Ok(self.operator().get(call::Type::GetState).await?)
    }

    /// Place of the leader in `masters`, once there is one that serves.
    pub async fn leader(&self) -> usize {
        let admin = self.admin();
        eventually("a leader that serves", async || {
            for (place, (_, status)) in admin.status_of_each().await.into_iter().enumerate() {
                if status.is_ok_and(|s| s.serving) {
                    return Ok(place);
                }
            }
            Err("nobody serves")
        })
        .await
    }

    /// Place of a member that runs and does not lead.
    pub async fn follower(&self) -> usize {
        let leader = self.leader().await;
        let runs = |place: &usize| *place != leader && self.masters[*place].pid().is_some();
        (0..self.masters.len())
            .find(runs)
            .expect("a quorum has followers")
    }

    /// SIGKILL for the leader; returns its place.
    pub async fn kill_leader(&mut self) -> usize {
        let leader = self.leader().await;
        self.masters[leader].kill();
        leader
    }

    /// Waits until all running members have applied the same entries, and compares digests.
    pub async fn assert_members_agree(&self) {
        let admin = self.admin();
        eventually("equal registries on all members", async || {
            let mut first: Option<(u64, Vec<u8>)> = None;
            for master in self.masters.iter().filter(|m| m.pid().is_some()) {
                let digest = admin
                    .digest(&master.address())
                    .await
                    .map_err(|e| e.to_string())?;
                let this = (digest.applied_index, digest.digest.to_vec());
                match &first {
                    None => first = Some(this),
                    Some(first) if *first == this => {}
                    Some(first) if first.0 == this.0 => {
                        panic!("members differ at index {}: {}", this.0, master.name)
                    }
                    Some(first) => return Err(format!("at {} and {}", first.0, this.0)),
                }
            }
            Ok(())
        })
        .await;
    }

    /// Starts a gateway beside the cluster and waits until it listens.
    pub async fn start_gateway(&self, flags: &[&str]) -> Result<Process> {
        let port = free_ports(1)?[0];
        let mut arguments = vec![
            "gateway".to_owned(),
            format!("--masters={}", self.addresses()),
            format!("--listen=127.0.0.1:{port}"),
        ];
        arguments.extend(flags.iter().map(ToString::to_string));
        let gateway = Process::start(self.dir.path(), "gateway", port, arguments)?;
        eventually("the gateway listens", async || {
            tokio::net::TcpStream::connect(gateway.address()).await
        })
        .await;
        Ok(gateway)
    }

    /// Waits until a member that was started again has what the leader has now.
    pub async fn wait_until_caught_up(&self, place: usize) {
        let admin = self.admin();
        let leader = self.masters[self.leader().await].address();
        let leader = admin.status(&leader).await.expect("the leader answers");
        let address = self.masters[place].address();
        eventually("a member that has caught up", async || {
            let status = admin.status(&address).await.map_err(|e| e.to_string())?;
            if status.leader.is_some() && status.applied_index >= leader.applied_index {
                return Ok(());
            }
            Err(format!(
                "at {} of {}",
                status.applied_index, leader.applied_index
            ))
        })
        .await;
    }

    /// SIGSTOP and SIGCONT for a master.
    pub fn pause(&self, place: usize) {
        self.masters[place].signal(Signal::STOP);
    }

    /// Ends a pause.
    pub fn resume(&self, place: usize) {
        self.masters[place].signal(Signal::CONT);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            agent.retire();
        }
    }
}

/// Ports that nobody listens on at this moment.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All are held at once, so that they differ.
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    listeners
        .iter()
        .map(|l| Ok(l.local_addr()?.port()))
        .collect()
}
