//! The operator's events of one applied entry: what is different in the registry after it.
//! Beyond Mesos, an agent that becomes unreachable is announced as removed.

use std::sync::Arc;

use caprock_leader::LeaderView;
use caprock_model::{AgentId, FrameworkId, TaskId};
use caprock_proto::caprock::registry::{RecordUpdates, accept_step, entry::Command};
use caprock_proto::mesos::v1::TaskStatus;
use caprock_proto::mesos::v1::master::{Event, event};
use caprock_registry::{Framework, Task};

use crate::change::Change;
use crate::published::Shown;
use crate::reads::{self, Snapshot};

/// The events of a change, in order.
pub(super) fn of(change: &Change, view: &Arc<LeaderView>, shown: Shown) -> Vec<Event> {
    let maker = Maker {
        change,
        view,
        shown,
    };
    let Some(command) = &change.entry.command else {
        return Vec::new();
    };
    match command {
        Command::AdmitAgent(admit) => {
            maker.agent(admit.agent.as_ref().map_or("", |agent| &agent.agent_id))
        }
        Command::AttachAgent(attach) => {
            let agent_id = attach.agent.as_ref().map_or("", |agent| &agent.agent_id);
            let mut events = maker.agent(agent_id);
            let tasks = attach.unknown_tasks.iter().filter_map(|record| {
                let info = record.info.as_ref()?;
                Some((record.framework_id.as_str(), info.task_id.value.as_str()))
            });
            events.extend(maker.tasks_added(tasks));
            events
        }
        Command::MarkAgentUnreachable(mark) => maker.agent(&mark.agent_id),
        Command::RemoveAgent(remove) => maker.agent(&remove.agent_id),
        Command::SubscribeFramework(subscribe) => {
            let id = subscribe.info.as_ref().and_then(|info| info.id.as_ref());
            maker.framework(id.map_or("", |id| &id.value))
        }
        Command::UpdateFramework(update) => {
            let id = update.info.as_ref().and_then(|info| info.id.as_ref());
            maker.framework(id.map_or("", |id| &id.value))
        }
        Command::DisconnectFramework(gone) => maker.framework(&gone.framework_id),
        Command::RemoveFramework(remove) => maker.framework_removed(&remove.framework_id),
        Command::Launch(launch) => {
            let tasks = launch.tasks.iter();
            let ids = tasks.map(|task| (launch.framework_id.as_str(), task.task_id.value.as_str()));
            maker.tasks_added(ids)
        }
        Command::Accept(accept) => {
            let launches = accept.steps.iter().filter_map(|step| match &step.step {
                Some(accept_step::Step::Launch(launch)) => Some(launch),
                Some(accept_step::Step::Operation(_)) | None => None,
            });
            let tasks = launches.flat_map(|launch| &launch.tasks);
            let ids = tasks.map(|task| (accept.framework_id.as_str(), task.task_id.value.as_str()));
            maker.tasks_added(ids)
        }
        Command::RecordUpdates(updates) => maker.updates(updates),
        _ => Vec::new(),
    }
}

struct Maker<'a> {
    change: &'a Change,
    view: &'a Arc<LeaderView>,
    shown: Shown,
}

impl Maker<'_> {
    fn snapshot(&self) -> Snapshot {
        let after = Arc::new(self.change.after.clone());
        Snapshot::without_sums(after, Arc::clone(self.view), self.shown)
    }

    /// Added, removed or neither, as the agent's reachability changed.
    fn agent(&self, id: &str) -> Vec<Event> {
        let id = AgentId::from(id);
        let was = self
            .change
            .before
            .agent(&id)
            .is_some_and(|agent| agent.is_reachable());
        let now = self
            .change
            .after
            .agent(&id)
            .filter(|agent| agent.is_reachable());
        match (was, now) {
            (false, Some(agent)) => {
                let agent = reads::agent(&self.snapshot(), agent);
                vec![Event {
                    agent_added: Some(event::AgentAdded { agent }),
                    ..of_type(event::Type::AgentAdded)
                }]
            }
            (true, None) => {
                let mut events = self.task_ends(&id);
                events.push(Event {
                    agent_removed: Some(event::AgentRemoved {
                        agent_id: id.to_proto(),
                    }),
                    ..of_type(event::Type::AgentRemoved)
                });
                events
            }
            (false, None) | (true, Some(_)) => Vec::new(),
        }
    }

    /// The tasks of an agent that went away, in their new state.
    fn task_ends(&self, agent: &AgentId) -> Vec<Event> {
        let Some(agent) = self.change.before.agent(agent) else {
            return Vec::new();
        };
        let now = agent.tasks.iter().filter_map(|(framework_id, task_id)| {
            let framework = self.change.after.framework(framework_id)?;
            let ended = find_task(framework, task_id)?;
            updated(
                ended,
                ended.statuses.last().map(|status| (**status).clone()),
            )
        });
        now.collect()
    }

    fn framework(&self, id: &str) -> Vec<Event> {
        let id = FrameworkId::from(id);
        let Some(framework) = self.change.after.framework(&id) else {
            return Vec::new();
        };
        let mut shown = reads::framework(&self.snapshot(), framework);
        shown.active = framework.subscribed;
        shown.connected = framework.subscribed;
        shown.offers.clear();
        shown.allocated_resources.clear();
        shown.offered_resources.clear();
        shown.offer_constraints = None;
        let event = match self.change.before.framework(&id) {
            None => Event {
                framework_added: Some(event::FrameworkAdded { framework: shown }),
                ..of_type(event::Type::FrameworkAdded)
            },
            Some(_) => Event {
                framework_updated: Some(event::FrameworkUpdated { framework: shown }),
                ..of_type(event::Type::FrameworkUpdated)
            },
        };
        vec![event]
    }

    fn framework_removed(&self, id: &str) -> Vec<Event> {
        let id = FrameworkId::from(id);
        let Some(before) = self.change.before.framework(&id) else {
            return Vec::new();
        };
        let mut events: Vec<Event> = match self.change.after.completed_framework(&id) {
            Some(completed) => before
                .tasks
                .keys()
                .chain(before.unreachable_tasks.keys())
                .filter_map(|task_id| find_task(completed, task_id))
                .filter_map(|task| {
                    updated(task, task.statuses.last().map(|status| (**status).clone()))
                })
                .collect(),
            None => Vec::new(),
        };
        events.push(Event {
            framework_removed: Some(event::FrameworkRemoved {
                framework_info: (*before.info).clone(),
            }),
            ..of_type(event::Type::FrameworkRemoved)
        });
        events
    }

    fn tasks_added<'t>(&self, ids: impl Iterator<Item = (&'t str, &'t str)>) -> Vec<Event> {
        let added = ids.filter_map(|(framework_id, task_id)| {
            let (framework_id, task_id) = (FrameworkId::from(framework_id), TaskId::from(task_id));
            if self.change.before.task(&framework_id, &task_id).is_some() {
                return None;
            }
            let task = self.change.after.task(&framework_id, &task_id)?;
            Some(Event {
                task_added: Some(event::TaskAdded {
                    task: reads::task(task),
                }),
                ..of_type(event::Type::TaskAdded)
            })
        });
        added.collect()
    }

    /// One event per recorded status that changed something.
    fn updates(&self, updates: &RecordUpdates) -> Vec<Event> {
        let events = updates.updates.iter().filter_map(|update| {
            let framework_id = FrameworkId::from(&*update.framework_id);
            let mut status = update.status.clone()?;
            let task_id = TaskId::from(&status.task_id);
            let task = find_task(self.change.after.framework(&framework_id)?, &task_id)?;
            let before = self.change.before.framework(&framework_id);
            let before = before.and_then(|framework| find_task(framework, &task_id));
            let recorded = |task: &Task| task.statuses.iter().any(|s| s.uuid == status.uuid);
            // Sent again by the agent, or not taken up.
            if !recorded(task) || before.is_some_and(|task| recorded(task)) {
                return None;
            }
            status.data = None;
            // What the agent knows beyond this status comes with an event of its own.
            let state = status.state;
            let mut event = updated(task, Some(status))?;
            if let Some(shown) = &mut event.task_updated {
                shown.state = state;
            }
            Some(event)
        });
        events.collect()
    }
}

fn find_task<'a>(framework: &'a Framework, id: &TaskId) -> Option<&'a Arc<Task>> {
    let live = framework
        .tasks
        .get(id)
        .or_else(|| framework.unreachable_tasks.get(id));
    live.or_else(|| {
        framework
            .completed_tasks
            .iter()
            .rev()
            .find(|task| task.id == *id)
    })
}

fn updated(task: &Task, status: Option<TaskStatus>) -> Option<Event> {
    let update = event::TaskUpdated {
        framework_id: task.framework_id.to_proto(),
        status: status?,
        state: task.latest_state as i32,
    };
    Some(Event {
        task_updated: Some(update),
        ..of_type(event::Type::TaskUpdated)
    })
}

fn of_type(kind: event::Type) -> Event {
    Event {
        r#type: Some(kind as i32),
        ..Event::default()
    }
}
