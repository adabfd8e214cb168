//! What two registries differ in, in lines for people: which noun, which field, both values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use caprock_model::Role;

use crate::{Agent, Executor, Framework, Registry, Task};

/// The fields of a noun as text, in a fixed order.
type Fields = Vec<(&'static str, String)>;

impl Registry {
    /// Compares with another registry; no line means equal. The first value of a line is
    /// this registry's.
    pub fn diff(&self, other: &Registry) -> Vec<String> {
        let mut lines = Vec::new();
        let cluster = |registry: &Registry| vec![text("id", &registry.cluster_id)];
        compare_fields("cluster", &cluster(self), &cluster(other), &mut lines);
        let maintenance = |registry: &Registry| {
            let down: Vec<_> = registry.maintenance.down.iter().collect();
            let schedule = &registry.maintenance.schedule;
            vec![text("schedule", schedule), text("down", &down)]
        };
        compare_fields(
            "maintenance",
            &maintenance(self),
            &maintenance(other),
            &mut lines,
        );
        let both = (self, other);
        compare("agent", both, Self::agent_map, agent_fields, &mut lines);
        compare(
            "removed agent",
            both,
            Self::removed_map,
            Clone::clone,
            &mut lines,
        );
        compare(
            "framework",
            both,
            Self::framework_map,
            framework_fields,
            &mut lines,
        );
        compare(
            "executor",
            both,
            Self::executor_map,
            executor_fields,
            &mut lines,
        );
        compare("task", both, Self::task_map, task_fields, &mut lines);
        compare(
            "idempotency key",
            both,
            Self::remembered_map,
            Clone::clone,
            &mut lines,
        );
        compare("role", both, Self::role_map, Clone::clone, &mut lines);
        lines
    }

    /// Quotas and weights.
    fn role_map(&self) -> BTreeMap<String, Arc<Fields>> {
        let roles: BTreeSet<&Role> = self.quotas.keys().chain(self.weights.keys()).collect();
        let fields = |role: &Role| {
            let quota = text("quota", &self.quota(role));
            let weight = text("weight", &self.weights.get(role));
            (role.to_string(), Arc::new(vec![quota, weight]))
        };
        roles.into_iter().map(fields).collect()
    }

    fn agent_map(&self) -> BTreeMap<String, Arc<Agent>> {
        self.agents()
            .map(|agent| (agent.id.to_string(), agent.clone()))
            .collect()
    }

    fn removed_map(&self) -> BTreeMap<String, Arc<Fields>> {
        let fields = |(place, (id, removed))| {
            let fields = vec![text("place", &place), text("removal", removed)];
            (format!("{id}"), Arc::new(fields))
        };
        self.removed_agents.iter().enumerate().map(fields).collect()
    }

    fn framework_map(&self) -> BTreeMap<String, Arc<Framework>> {
        let live = self
            .frameworks()
            .map(|live| (live.id.to_string(), live.clone()));
        let completed = self
            .completed_frameworks()
            .enumerate()
            .map(|(place, completed)| (format!("#{place} {}", completed.id), completed.clone()));
        live.chain(completed).collect()
    }

    fn executor_map(&self) -> BTreeMap<String, Arc<Executor>> {
        let name = |executor: &Executor| {
            format!(
                "{}/{} on {}",
                executor.framework_id, executor.id, executor.agent_id
            )
        };
        self.agents()
            .flat_map(|agent| agent.executors.values())
            .map(|executor| (name(executor), executor.clone()))
            .collect()
    }

    fn task_map(&self) -> BTreeMap<String, Arc<Task>> {
        let mut tasks = BTreeMap::new();
        for framework in self.frameworks().chain(self.completed_frameworks()) {
            let id = &framework.id;
            for task in framework.tasks.values() {
                tasks.insert(format!("{id}/{}", task.id), task.clone());
            }
            for task in framework.unreachable_tasks.values() {
                tasks.insert(format!("{id}/{} (unreachable)", task.id), task.clone());
            }
            for (place, task) in framework.completed_tasks.iter().enumerate() {
                tasks.insert(
                    format!("{id}/{} (completed #{place})", task.id),
                    task.clone(),
                );
            }
        }
        tasks
    }

    fn remembered_map(&self) -> BTreeMap<String, Arc<Fields>> {
        self.idempotency
            .iter()
            .map(|kept| (kept.key.to_string(), Arc::new(vec![text("outcome", kept)])))
            .collect()
    }
}

/// Compares the nouns of one kind by name. Shared ones are equal without a look.
fn compare<T>(
    noun: &str,
    (left, right): (&Registry, &Registry),
    by_name: fn(&Registry) -> BTreeMap<String, Arc<T>>,
    fields: fn(&T) -> Fields,
    lines: &mut Vec<String>,
) {
    let (left, right) = (by_name(left), by_name(right));
    for name in right.keys().filter(|name| !left.contains_key(*name)) {
        lines.push(format!("{noun} {name}: only in the second"));
    }
    for (name, left) in left {
        match right.get(&name) {
            None => lines.push(format!("{noun} {name}: only in the first")),
            Some(right) if Arc::ptr_eq(&left, right) => {}
            Some(right) => {
                let title = format!("{noun} {name}");
                compare_fields(&title, &fields(&left), &fields(right), lines);
            }
        }
    }
}

fn compare_fields(title: &str, left: &Fields, right: &Fields, lines: &mut Vec<String>) {
    for ((field, left), (_, right)) in left.iter().zip(right) {
        if left != right {
            lines.push(format!("{title}: {field} is {left} and {right}"));
        }
    }
}

/// The Debug form of persistent maps shows their trees, so they are given as lists.
fn text(name: &'static str, value: &(impl Debug + ?Sized)) -> (&'static str, String) {
    (name, format!("{value:?}"))
}

fn agent_fields(agent: &Agent) -> Fields {
    vec![
        text("info", &agent.info),
        text("address", &agent.address),
        text("version", &agent.version),
        text("registration_id", &agent.registration_id),
        text("capabilities", &agent.capabilities),
        text("reachability", &agent.reachability),
        text("deactivated", &agent.deactivated),
        text("drain", &agent.drain),
        text("registered_at", &agent.registered_at),
        text("reregistered_at", &agent.reregistered_at),
        text("total", &agent.total),
        text("used", &agent.used),
        text("used_by", &agent.used_by.iter().collect::<Vec<_>>()),
        text("tasks", &agent.tasks.iter().collect::<Vec<_>>()),
        text("operations", &agent.operations.values().collect::<Vec<_>>()),
    ]
}

fn framework_fields(framework: &Framework) -> Fields {
    vec![
        text("info", &framework.info),
        text("suppressed", &framework.suppressed),
        text("constraints", &framework.constraints),
        text("subscribed", &framework.subscribed),
        text("deadline", &framework.deadline),
        text("registered_at", &framework.registered_at),
        text("reregistered_at", &framework.reregistered_at),
        text("unregistered_at", &framework.unregistered_at),
        text("executors", &framework.executors.iter().collect::<Vec<_>>()),
        text("used", &framework.used.iter().collect::<Vec<_>>()),
        text("charged", &framework.charged.iter().collect::<Vec<_>>()),
    ]
}

fn executor_fields(executor: &Executor) -> Fields {
    vec![text("info", &executor.info)]
}

fn task_fields(task: &Task) -> Fields {
    vec![
        text("info", &task.info),
        text("agent_id", &task.agent_id),
        text("executor_id", &task.executor_id),
        text("state", &task.state),
        text("latest_state", &task.latest_state),
        text("statuses", &task.statuses),
        text("status_uuid", &task.status_uuid),
        text("launch_index", &task.launch_index),
        text("launched_at", &task.launched_at),
        text("kill", &task.kill),
        text("group", &task.group),
    ]
}

#[cfg(test)]
mod tests {
    use crate::testing::{Cluster, RUNNING, acknowledge, admit, disconnect};
    use crate::testing::{FINISHED, executor, task_with_executor};

    #[test]
    fn equal_states_do_not_differ() {
        let left = Cluster::with_running_task();
        let right = Cluster::with_running_task();
        assert_eq!(left.registry.diff(&right.registry), [""; 0]);
    }

    #[test]
    fn lines_name_the_noun_and_the_field() {
        let left = Cluster::with_running_task();
        let mut right = Cluster::with_running_task();
        right.update("t1", RUNNING, "u2", FINISHED);
        right.done(disconnect("f1", 9));
        right.done(admit("a2"));
        let lines = left.registry.diff(&right.registry);
        for expected in [
            "agent a2: only in the second",
            "framework f1: subscribed is true and false",
            "framework f1: deadline is None and Some(Millis(9))",
            "task f1/t1: latest_state is TaskRunning and TaskFinished",
            "task f1/t1: status_uuid is b\"u1\" and b\"u2\"",
        ] {
            assert!(
                lines.iter().any(|line| line == expected),
                "{expected} in {lines:#?}"
            );
        }
        let used = lines
            .iter()
            .filter(|line| line.contains(": used is "))
            .count();
        assert_eq!(used, 2, "of the agent and of the framework: {lines:#?}");
    }

    #[test]
    fn completed_tasks_and_executors_are_compared() {
        let mut left = Cluster::with_agent_and_framework();
        let right = Cluster::with_agent_and_framework();
        left.launch("f1", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);
        left.update("t1", FINISHED, "u1", FINISHED);
        left.done(acknowledge("f1", "t1", "u1"));
        let lines = left.registry.diff(&right.registry);
        let id = executor("e1").executor_id.value;
        let expected = format!("executor f1/{id} on a1: only in the first");
        assert!(lines.contains(&expected), "{lines:#?}");
        let completed = "task f1/t1 (completed #0): only in the first".to_owned();
        assert!(lines.contains(&completed), "{lines:#?}");
    }
}
