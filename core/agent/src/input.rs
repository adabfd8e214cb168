//! What the shell tells the agent: the complete list of things that can happen to it.

use caprock_model::{ContainerId, ExecutorId, FrameworkId, Millis};
use caprock_proto::caprock::session::FromMaster;
use caprock_proto::mesos::v1::{TaskStatus, executor};

/// The connection to one master of the quorum, by its place in `--masters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// One event stream of an executor (one accepted SUBSCRIBE request).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// An executor call that waits for a [`crate::Effect::Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What the agent asked to be woken for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// Resend the oldest unacknowledged status update of a task.
    RetryUpdate {
        framework: FrameworkId,
        task: String,
    },
    /// An executor that has not subscribed since its launch.
    Registration(ContainerId),
    /// Executors that have not come back since the agent restarted.
    Reregistration,
    /// A container that was asked to stop: it is destroyed now.
    Destroy(ContainerId),
    /// A command task that was sent SIGTERM: SIGKILL now.
    EscalateKill(ContainerId),
    /// `max_completion_time` of a command task.
    MaxCompletion(ContainerId),
    /// The leader has not been heard from.
    MasterSilence,
    /// Send HEARTBEAT on an executor's stream.
    ExecutorHeartbeat(ConnectionId),
    /// The leader has not answered an Attach: ask again.
    Attach,
    /// The time that a retiring agent gives its executors is over.
    Retirement,
    /// Resend the status of an operation that is not acknowledged.
    RetryOperation(Vec<u8>),
}

/// One input of [`crate::Agent::step`].
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved few times; most are the large ones"
)]
pub enum Input {
    /// The shell has restored the checkpoints and probed the processes: this is the
    /// first input of every life of the agent.
    Start(crate::recovery::Recovered),
    /// A session stream to a master is open; its first message will be a standing.
    LinkUp(LinkId),
    /// It ended.
    LinkDown(LinkId),
    /// A message of a master.
    Master { link: LinkId, message: FromMaster },
    /// SUBSCRIBE of an executor. The shell answers with the stream only when told so
    /// by [`crate::Reply::Stream`]. `token`s and the like have been checked.
    Subscribe {
        request: RequestId,
        connection: ConnectionId,
        framework_id: FrameworkId,
        executor_id: ExecutorId,
        subscribe: executor::call::Subscribe,
    },
    /// Any other executor call, decoded and with its required fields present.
    Call {
        request: RequestId,
        call: executor::Call,
    },
    /// The executor's stream ended.
    ConnectionClosed(ConnectionId),
    /// The URIs are fetched and the process runs.
    ContainerStarted { container: ContainerId, pid: u32 },
    /// The container could not be started (or was killed before it was): the cause, to
    /// which the task's status adds `Failed to launch container: `. No exit follows.
    ContainerFailed {
        container: ContainerId,
        message: String,
    },
    /// The process ended. Raw wait(2) word; None when it is not known.
    ContainerExited {
        container: ContainerId,
        wait_status: Option<i32>,
    },
    /// A check of a task that the agent runs itself produced a result that is worth an
    /// update. Used are `reason`, `message`, `healthy` and `check_status`; the agent fills
    /// in the rest, and kills a task after `consecutive_failures` unhealthy results.
    CheckResult {
        container: ContainerId,
        status: TaskStatus,
    },
    /// The time that a [`crate::Effect::Wake`] asked for has come.
    Timer(TimerKey),
    /// SIGUSR1: kill the executors, unregister, exit.
    Retire,
}

/// Wall-clock time that the shell stamps on each step, and a source of fresh ids.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Millis,
    /// Random number of this step; ids are derived from it and a counter.
    pub entropy: u128,
}
