//! A master that admits every agent and keeps what it says, and an agent process to talk to.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use caprock_proto::caprock::session::agent_session_server::{AgentSession, AgentSessionServer};
use caprock_proto::caprock::session::{
    Acknowledge, Attach, Attached, FromAgent, FromMaster, Launch, Order, Standing, StatusUpdate,
    from_agent, from_master, order,
};
use caprock_proto::mesos::v1::{
    AgentId, CommandInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo, TaskState,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

pub const DEADLINE: Duration = Duration::from_secs(30);
const TERM: u64 = 3;

type ToAgent = mpsc::UnboundedSender<Result<FromMaster, Status>>;

/// The test's side of the master.
pub struct FakeMaster {
    pub address: SocketAddr,
    current: Arc<Mutex<Option<ToAgent>>>,
    heard: mpsc::UnboundedReceiver<from_agent::Message>,
    /// Heard, but not asked for yet.
    updates: Vec<StatusUpdate>,
}

struct Service {
    current: Arc<Mutex<Option<ToAgent>>>,
    heard: mpsc::UnboundedSender<from_agent::Message>,
}

fn message(message: from_master::Message) -> FromMaster {
    FromMaster {
        term: TERM,
        message: Some(message),
    }
}

#[tonic::async_trait]
impl AgentSession for Service {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<FromMaster, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<FromAgent>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.current.lock().unwrap() = Some(sender.clone());
        let heard = self.heard.clone();
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(FromAgent {
                message: Some(said),
            })) = incoming.next().await
            {
                let answer = match &said {
                    from_agent::Message::Hello(_) => {
                        Some(from_master::Message::Standing(Standing {
                            is_leader: true,
                            leader_member_id: 1,
                            cluster_id: "cluster".into(),
                            ping_timeout_ms: 15_000,
                            ..Standing::default()
                        }))
                    }
                    from_agent::Message::Attach(_) => {
                        Some(from_master::Message::Attached(Attached {
                            agent_id: "S0".into(),
                            cluster_id: "cluster".into(),
                            master_id: "m1".into(),
                            ping_timeout_ms: 15_000,
                            max_ping_timeouts: 5,
                            ..Attached::default()
                        }))
                    }
                    _ => None,
                };
                if let Some(answer) = answer {
                    let _ = sender.send(Ok(message(answer)));
                }
                let _ = heard.send(said);
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(
            receiver,
        ))))
    }
}

impl FakeMaster {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let current = Arc::new(Mutex::new(None));
        let (sender, heard) = mpsc::unbounded_channel();
        let service = Service {
            current: Arc::clone(&current),
            heard: sender,
        };
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(AgentSessionServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self {
            address,
            current,
            heard,
            updates: Vec::new(),
        }
    }

    /// The next message that fits.
    pub async fn hear<T>(
        &mut self,
        what: &str,
        fits: impl Fn(from_agent::Message) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let said = self.heard.recv().await.expect("the service runs");
                if let Some(found) = fits(said) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, wait)
            .await
            .unwrap_or_else(|_| panic!("the agent does not say: {what}"))
    }

    pub async fn hear_attach(&mut self) -> Attach {
        self.hear("Attach", |said| match said {
            from_agent::Message::Attach(attach) => Some(attach),
            _ => None,
        })
        .await
    }

    /// Acknowledges all updates until this task has had this state.
    pub async fn hear_state(&mut self, task: &str, state: TaskState) -> StatusUpdate {
        let mut next = 0;
        loop {
            while let Some(update) = self.updates.get(next) {
                next += 1;
                let status = update.status.as_ref().expect("an update has a status");
                if status.task_id.value == task && status.state() == state {
                    return self.updates.remove(next - 1);
                }
            }
            let is_update = |said| match said {
                from_agent::Message::Update(update) => Some(update),
                _ => None,
            };
            let update = self.hear(&format!("{task} is {state:?}"), is_update).await;
            if let Some(status) = &update.status
                && let Some(uuid) = status.uuid.clone()
            {
                self.order(order::Order::Acknowledge(Acknowledge {
                    framework_id: update.framework_id.clone(),
                    task_id: status.task_id.value.clone(),
                    uuid,
                }));
            }
            self.updates.push(update);
        }
    }

    pub fn order(&self, what: order::Order) {
        let order = message(from_master::Message::Order(Order { order: Some(what) }));
        let current = self.current.lock().unwrap();
        current
            .as_ref()
            .expect("an agent is there")
            .send(Ok(order))
            .expect("it listens");
    }

    pub fn launch(&self, task: TaskInfo) {
        self.order(order::Order::Launch(Launch {
            framework: Some(framework()),
            new_executor: task.executor.is_some(),
            task: Some(task),
            launch_index: 7,
        }));
    }
}

pub fn framework() -> FrameworkInfo {
    FrameworkInfo {
        user: "root".into(),
        name: "test".into(),
        id: Some(FrameworkId { value: "F0".into() }),
        checkpoint: Some(true),
        roles: vec!["eng".into()],
        ..FrameworkInfo::default()
    }
}

/// A command task.
pub fn command_task(id: &str, script: &str) -> TaskInfo {
    let resources = caprock_model::Resources::parse("cpus:0.5;mem:32", "*").unwrap();
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        agent_id: AgentId { value: "S0".into() },
        resources: resources.allocated_to("eng").to_protos(),
        command: Some(CommandInfo {
            value: Some(script.into()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

/// An agent process; killed without its containers when it is dropped.
pub struct AgentProcess {
    pub port: u16,
    pub child: Child,
}

impl AgentProcess {
    pub fn start(master: SocketAddr, work_dir: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start_on(master, work_dir, port)
    }

    pub fn start_on(master: SocketAddr, work_dir: &Path, port: u16) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
            .args(["agent", &master.to_string(), &port.to_string()])
            .arg(work_dir)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { port, child }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)
            .unwrap();
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
