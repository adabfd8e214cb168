//! How fast entries are applied to a large cluster: 10,000 agents, 100,000 tasks.
//!
//! Run with `cargo bench -p caprock-registry`.

use std::sync::OnceLock;

use bytes::Bytes;
use caprock_model::{Millis, Resources};
use caprock_proto::caprock::registry::entry::Command;
use caprock_proto::caprock::registry::{
    AcknowledgeTask, AdmitAgent, AgentDescription, Launch, RecordUpdates, RecordedUpdate,
    SubscribeFramework,
};
use caprock_proto::mesos::v1;
use caprock_registry::{Limits, LogIndex, Registry, entry};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use prost::Message;

const AGENTS: usize = 10_000;
const FRAMEWORKS: usize = 100;
const TASKS: usize = 100_000;

fn main() {
    divan::main();
}

/// A registry that entries are applied to one after another.
#[derive(Clone)]
struct Member {
    registry: Registry,
    index: LogIndex,
}

impl Member {
    fn apply(&mut self, command: Command) {
        self.index += 1;
        let outcome = self.registry.apply(self.index, &entry(Millis(1), command));
        let rejection = outcome
            .expect("the entry has the present format")
            .rejection();
        assert_eq!(rejection, None);
    }

    /// A task from its launch to its acknowledged end: four entries.
    fn run_task(&mut self, number: usize) {
        self.apply(launch(number));
        self.apply(update(number, v1::TaskState::TaskRunning));
        self.apply(update(number, v1::TaskState::TaskFinished));
        self.apply(acknowledge(number));
    }
}

/// The large cluster, built once.
fn large() -> &'static Member {
    static LARGE: OnceLock<Member> = OnceLock::new();
    LARGE.get_or_init(|| {
        let mut member = Member {
            registry: Registry::new(Limits::default()),
            index: 0,
        };
        (0..AGENTS).for_each(|number| member.apply(admit(number)));
        (0..FRAMEWORKS).for_each(|number| member.apply(subscribe(number)));
        for number in 0..TASKS {
            member.apply(launch(number));
            member.apply(update(number, v1::TaskState::TaskRunning));
        }
        member
    })
}

fn resources(text: &str) -> Resources {
    Resources::parse(text, "*").expect("the text is constant")
}

fn admit(number: usize) -> Command {
    let info = v1::AgentInfo {
        hostname: format!("host-{number}"),
        resources: resources("cpus:64;mem:262144;disk:1048576;ports:[31000-32000]").to_protos(),
        ..v1::AgentInfo::default()
    };
    let agent = AgentDescription {
        agent_id: agent_id(number),
        info: Some(info),
        registration_id: format!("registration-{number}"),
        ..AgentDescription::default()
    };
    Command::AdmitAgent(AdmitAgent { agent: Some(agent) })
}

fn subscribe(number: usize) -> Command {
    let info = v1::FrameworkInfo {
        id: Some(v1::FrameworkId {
            value: framework_id(number),
        }),
        role: Some("eng".to_owned()),
        ..v1::FrameworkInfo::default()
    };
    let info = Some(info);
    Command::SubscribeFramework(SubscribeFramework {
        info,
        ..SubscribeFramework::default()
    })
}

fn launch(number: usize) -> Command {
    let info = v1::TaskInfo {
        name: "sleeper".to_owned(),
        task_id: v1::TaskId {
            value: task_id(number),
        },
        agent_id: v1::AgentId {
            value: agent_id(number),
        },
        resources: resources("cpus:0.5;mem:128;disk:64")
            .allocated_to("eng")
            .to_protos(),
        command: Some(v1::CommandInfo {
            value: Some("exec sleep 1000".to_owned()),
            ..v1::CommandInfo::default()
        }),
        ..v1::TaskInfo::default()
    };
    Command::Launch(Launch {
        framework_id: framework_id(number),
        agent_id: agent_id(number),
        tasks: vec![info],
        ..Launch::default()
    })
}

fn update(number: usize, state: v1::TaskState) -> Command {
    let status = v1::TaskStatus {
        task_id: v1::TaskId {
            value: task_id(number),
        },
        state: state.into(),
        uuid: Some(Bytes::from_static(b"0123456789abcdef")),
        ..v1::TaskStatus::default()
    };
    let update = RecordedUpdate {
        framework_id: framework_id(number),
        agent_id: agent_id(number),
        status: Some(status),
        latest_state: state.into(),
    };
    Command::RecordUpdates(RecordUpdates {
        updates: vec![update],
    })
}

fn acknowledge(number: usize) -> Command {
    Command::AcknowledgeTask(AcknowledgeTask {
        framework_id: framework_id(number),
        task_id: task_id(number),
        uuid: Bytes::from_static(b"0123456789abcdef"),
    })
}

fn agent_id(number: usize) -> String {
    format!("5a1b0b1e-3f7c-4a4e-9d5b-0c1d2e3f4a5b-S{}", number % AGENTS)
}

fn framework_id(number: usize) -> String {
    format!(
        "5a1b0b1e-3f7c-4a4e-9d5b-0c1d2e3f4a5b-{:04}",
        number % FRAMEWORKS
    )
}

fn task_id(number: usize) -> String {
    format!("task-{number}")
}

/// Launch, two updates and an acknowledgement; nobody else looks at the registry.
#[divan::bench]
fn run_task(bencher: Bencher<'_, '_>) {
    let mut member = large().clone();
    let mut next = TASKS;
    bencher.counter(ItemsCount::new(4usize)).bench_local(|| {
        member.run_task(next);
        next += 1;
    });
}

/// The same while readers hold the state before each task, so that it has to be copied on
/// the way to each change.
#[divan::bench]
fn run_task_with_readers(bencher: Bencher<'_, '_>) {
    let mut member = large().clone();
    let mut next = TASKS;
    bencher.counter(ItemsCount::new(4usize)).bench_local(|| {
        let view = member.registry.clone();
        member.run_task(next);
        next += 1;
        view
    });
}

#[divan::bench]
fn clone(bencher: Bencher<'_, '_>) {
    let member = large();
    bencher.bench_local(|| member.registry.clone());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn digest(bencher: Bencher<'_, '_>) {
    let member = large();
    bencher.bench_local(|| member.registry.digest());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn snapshot(bencher: Bencher<'_, '_>) {
    let member = large();
    bencher.bench_local(|| {
        member
            .registry
            .chunks()
            .map(|chunk| black_box(chunk.encode_to_vec()).len())
            .sum::<usize>()
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn restore(bencher: Bencher<'_, '_>) {
    let chunks: Vec<_> = large().registry.chunks().collect();
    bencher
        .with_inputs(|| chunks.clone())
        .bench_local_values(|chunks| Registry::restore(chunks).expect("they are complete"));
}
