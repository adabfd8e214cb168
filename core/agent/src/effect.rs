//! What the agent asks of the shell. Effects of one step are carried out in order; what
//! follows a [`Effect::Checkpoint`] is carried out only after it is on disk.

use caprock_model::{ContainerId, Millis};
use caprock_proto::caprock::session::from_agent;
use caprock_proto::mesos::v1::{CheckInfo, CommandInfo, ContainerInfo, HealthCheck, executor};

use crate::checkpoint::Write;
use crate::input::{ConnectionId, LinkId, RequestId, TimerKey};
use crate::volumes::{Volume, VolumeMount};

/// The effects of one step.
pub type Effects = Vec<Effect>;

/// One effect.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved few times; most are the large ones"
)]
pub enum Effect {
    /// Make these changes of the checkpoint store durable, all or none.
    Checkpoint(Vec<Write>),
    /// Send a message to one master.
    ToMaster {
        link: LinkId,
        message: from_agent::Message,
    },
    /// Answer an executor's call. Each call is answered exactly once.
    Reply { request: RequestId, reply: Reply },
    /// Send an event on an executor's stream.
    Event {
        connection: ConnectionId,
        event: executor::Event,
    },
    /// End an executor's stream after what was sent before.
    Close(ConnectionId),
    /// Make the sandbox, fetch the URIs, start the process.
    Launch(Box<LaunchSpec>),
    /// Send a signal to the container's whole process group.
    Signal {
        container: ContainerId,
        signal: Signal,
    },
    /// Start the checks of a command task; results come back as CheckResult.
    StartChecks {
        container: ContainerId,
        check: Option<CheckInfo>,
        health: Option<HealthCheck>,
    },
    /// Stop them.
    StopChecks(ContainerId),
    /// Make the folders of these volumes, unless they are there.
    MakeVolumes(Vec<Volume>),
    /// Delete these volumes and all that is in them.
    DeleteVolumes(Vec<Volume>),
    /// A container that runs gets to see these volumes as well.
    LinkVolumes {
        container: ContainerId,
        volumes: Vec<VolumeMount>,
    },
    /// The sandbox may be collected from now on, after the collection delay.
    CollectSandbox(ContainerId),
    /// Step again with [`crate::Input::Timer`] at this time. A later one of the same key
    /// takes the place of an earlier one that has not fired.
    Wake { at: Millis, key: TimerKey },
    /// Something an operator wants to read in the log of the process.
    Log { warning: bool, text: String },
    /// End the process: with an error line, or after a retirement.
    Exit { error: Option<String> },
}

/// A signal for a process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Kill,
}

/// Everything that the shell needs to start a container.
#[derive(Debug, Clone)]
pub struct LaunchSpec {
    pub container: ContainerId,
    pub framework_id: String,
    pub executor_id: String,
    pub agent_id: String,
    /// Command of the executor, or of the task itself for a command task.
    pub command: CommandInfo,
    pub container_info: Option<ContainerInfo>,
    /// User to run as; the shell decides by `--switch-user`.
    pub user: Option<String>,
    /// Environment in order; later entries override earlier ones. Entries that only the
    /// shell knows (paths, endpoint) are added by it before `command.environment`.
    pub checkpoint: bool,
    pub allocation_role: Option<String>,
    pub is_command_task: bool,
    /// The task that the container runs, unless it is a custom executor's container.
    pub task_id: Option<String>,
    /// Set for a task of a pod: the container of the pod's executor, which has no process
    /// of its own. Its sandbox is made too; the task's lies in it, as
    /// `containers/<container>` with a link `tasks/<task id>` to it.
    pub parent: Option<ContainerId>,
    /// The volumes that it sees.
    pub volumes: Vec<VolumeMount>,
    /// The volumes that the pod as a whole sees.
    pub pod_volumes: Vec<VolumeMount>,
}

/// The answer to an executor's call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// 202 without body.
    Accepted,
    /// 200 and the event stream of this connection (answer to SUBSCRIBE only).
    Stream(ConnectionId),
    /// 400 with this text.
    BadRequest(String),
    /// 403 with this text.
    Forbidden(String),
    /// 503 with this text.
    Unavailable(String),
}
