//! What schedulers do with offers: decline them, or launch tasks and groups of all kinds.

use caprock_model::Resources;
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::scheduler::{self, call};
use caprock_proto::mesos::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, Filters, FrameworkId, Offer, OfferId, OperationId,
    Resource, TaskGroupInfo, TaskId, TaskInfo, executor_info,
};

use super::World;
use super::framework::{Asked, Known};

fn amount(name: &str, value: f64) -> Vec<Resource> {
    let text = format!("{name}:{value}");
    Resources::parse(&text, "*")
        .expect("valid resources")
        .unallocated()
        .to_protos()
}

impl World {
    pub(super) fn decline(&mut self, number: usize) {
        let Some((id, _)) = self.frameworks[number].offers.pop_first() else {
            return;
        };
        let seconds = [0.0, 0.5, 5.0];
        let filters = Filters {
            refuse_seconds: self.rng.pick(&seconds).copied(),
        };
        let decline = call::Decline {
            offer_ids: vec![OfferId { value: id }],
            filters: Some(filters),
        };
        let call = scheduler::Call {
            decline: Some(decline),
            ..scheduler::Call::default()
        };
        self.send_call(number, call::Type::Decline, call);
    }

    pub(super) fn use_offers(&mut self, number: usize) {
        let Some((id, offer)) = self.frameworks[number].offers.pop_first() else {
            return;
        };
        let mut operations = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..1 + self.rng.below(2) {
            let operation = match self.rng.below(10) {
                0..=5 => self.launch(number, &offer, &mut tasks),
                6..=8 => self.launch_group(number, &offer, &mut tasks),
                _ => Operation {
                    r#type: Some(operation::Type::Reserve as i32),
                    id: Some(OperationId {
                        value: "op".to_owned(),
                    }),
                    reserve: Some(operation::Reserve::default()),
                    ..Operation::default()
                },
            };
            operations.push(operation);
        }
        let mut offer_ids = vec![OfferId { value: id }];
        if self.rng.chance(3) {
            offer_ids.push(OfferId {
                value: "no-such-offer".to_owned(),
            });
        }
        let accept = call::Accept {
            offer_ids,
            operations,
            filters: Some(Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        let call = scheduler::Call {
            accept: Some(accept),
            ..scheduler::Call::default()
        };
        let Some(framework) = self.frameworks[number].id.clone() else {
            return;
        };
        let asked = Asked::Accept { framework, tasks };
        self.send_call_as(number, call::Type::Accept, call, asked);
    }

    fn new_task(
        &mut self,
        number: usize,
        offer: &Offer,
        tasks: &mut Vec<(String, String)>,
    ) -> TaskInfo {
        let bad = self.rng.chance(5);
        let cpus = if bad {
            100.0
        } else {
            [0.1, 0.5, 1.0][self.rng.below(3) as usize]
        };
        let framework = &mut self.frameworks[number];
        framework.next_task += 1;
        let id = format!("t{}-{}", framework.generations, framework.next_task);
        let agent = offer.agent_id.value.clone();
        tasks.push((id.clone(), agent.clone()));
        let known = Known {
            agent,
            over: false,
            promised: false,
            rejected: false,
        };
        framework.tasks.insert(id.clone(), known);
        let mut resources = amount("cpus", cpus);
        resources.extend(amount("mem", 10.0));
        TaskInfo {
            name: id.clone(),
            task_id: TaskId { value: id },
            agent_id: offer.agent_id.clone(),
            resources,
            command: Some(CommandInfo {
                value: Some("true".to_owned()),
                ..CommandInfo::default()
            }),
            ..TaskInfo::default()
        }
    }

    fn executor(&mut self, number: usize, kind: executor_info::Type) -> ExecutorInfo {
        let which = self.rng.below(3);
        let mut resources = amount("cpus", 0.1);
        resources.extend(amount("mem", 32.0));
        resources.extend(amount("disk", 1.0));
        let is_custom = kind == executor_info::Type::Custom;
        let id = self.frameworks[number].id.clone().unwrap_or_default();
        ExecutorInfo {
            r#type: Some(kind as i32),
            executor_id: ExecutorId {
                value: format!("{}{which}", kind.as_str_name()),
            },
            framework_id: Some(FrameworkId { value: id }),
            command: is_custom.then(CommandInfo::default),
            resources,
            ..ExecutorInfo::default()
        }
    }

    fn launch(
        &mut self,
        number: usize,
        offer: &Offer,
        tasks: &mut Vec<(String, String)>,
    ) -> Operation {
        let mut infos = Vec::new();
        for _ in 0..self.rng.below(4) {
            let mut info = self.new_task(number, offer, tasks);
            if self.rng.chance(30) {
                info.command = None;
                info.executor = Some(self.executor(number, executor_info::Type::Custom));
            }
            infos.push(info);
        }
        Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(operation::Launch { task_infos: infos }),
            ..Operation::default()
        }
    }

    fn launch_group(
        &mut self,
        number: usize,
        offer: &Offer,
        tasks: &mut Vec<(String, String)>,
    ) -> Operation {
        let infos = (0..1 + self.rng.below(3))
            .map(|_| self.new_task(number, offer, tasks))
            .collect();
        Operation {
            r#type: Some(operation::Type::LaunchGroup as i32),
            launch_group: Some(operation::LaunchGroup {
                executor: self.executor(number, executor_info::Type::Default),
                task_group: TaskGroupInfo { tasks: infos },
            }),
            ..Operation::default()
        }
    }
}
