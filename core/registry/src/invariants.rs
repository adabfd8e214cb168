//! What must always hold: indexes and sums are computed anew and compared, so that tests
//! and simulations see a mistake at once instead of when it does harm.

use std::collections::BTreeSet;

use caprock_model::task::is_terminal;
use caprock_model::validate;
use caprock_model::{AgentId, ExecutorId, FrameworkId};

use crate::{Agent, Framework, Map, Registry, Task};

impl Registry {
    /// Checks the whole state. Each line of the error names a noun and what is wrong.
    pub fn check_invariants(&self) -> Result<(), Vec<String>> {
        let mut faults = Faults::default();
        self.check_indexes(&mut faults);
        for (id, agent) in &self.agents {
            faults.check(agent.id == *id, || {
                format!("agent {id}: kept under another id")
            });
            self.check_agent_tasks(agent, &mut faults);
            self.check_executors(agent, &mut faults);
            self.check_agent_sums(agent, &mut faults);
            faults.0.extend(check_operations(agent));
        }
        for (id, framework) in &self.frameworks {
            faults.check(framework.id == *id, || {
                format!("framework {id}: kept under another id")
            });
            self.check_framework(framework, &mut faults);
            self.check_framework_sums(framework, &mut faults);
        }
        self.check_completed(&mut faults);
        self.check_quotas_and_weights(&mut faults);
        match faults.0.is_empty() {
            true => Ok(()),
            false => Err(faults.0),
        }
    }

    fn check_indexes(&self, faults: &mut Faults) {
        let Self {
            limits,
            removed_agents,
            idempotency,
            registrations,
            ..
        } = self;
        faults.0.extend(removed_agents.check(limits.removed_agents));
        faults.0.extend(idempotency.check(limits.idempotency_keys));
        faults.0.extend(self.maintenance.check());
        for (id, _) in removed_agents.iter() {
            faults.check(self.agent(id).is_none(), || {
                format!("agent {id}: removed and not")
            });
        }
        for (registration, id) in registrations {
            let agent = self.agent(id);
            let fits = agent.is_some_and(|agent| agent.registration_id == *registration);
            faults.check(fits, || {
                format!("registration {registration}: not that of agent {id}")
            });
        }
    }

    fn check_agent_tasks(&self, agent: &Agent, faults: &mut Faults) {
        let id = &agent.id;
        for (framework_id, task_id) in &agent.tasks {
            let tasks = self
                .framework(framework_id)
                .map(|framework| match agent.is_reachable() {
                    true => &framework.tasks,
                    false => &framework.unreachable_tasks,
                });
            let task = tasks.and_then(|tasks| tasks.get(task_id));
            faults.check(task.is_some_and(|task| task.agent_id == *id), || {
                format!("agent {id}: lists task {framework_id}/{task_id}, which is not its own")
            });
        }
        let in_frameworks: usize = self
            .frameworks()
            .flat_map(|framework| {
                framework
                    .tasks
                    .values()
                    .chain(framework.unreachable_tasks.values())
            })
            .filter(|task| task.agent_id == *id)
            .count();
        let listed = agent.tasks.size();
        faults.check(in_frameworks == listed, || {
            format!("agent {id}: lists {listed} tasks, its frameworks {in_frameworks}")
        });
    }

    fn check_executors(&self, agent: &Agent, faults: &mut Faults) {
        let id = &agent.id;
        faults.check(agent.deactivated || agent.drain.is_none(), || {
            format!("agent {id}: drains, and is active")
        });
        let may_have = agent.is_reachable() || agent.executors.is_empty();
        faults.check(may_have, || {
            format!("agent {id}: unreachable, with executors")
        });
        for ((framework_id, executor_id), executor) in &agent.executors {
            let key = (id.clone(), executor_id.clone());
            let listed = self
                .framework(framework_id)
                .is_some_and(|framework| framework.executors.contains(&key));
            let sound = listed
                && executor.id == *executor_id
                && executor.framework_id == *framework_id
                && executor.agent_id == *id;
            faults.check(sound, || {
                format!("executor {framework_id}/{executor_id} on {id}: not its framework's")
            });
        }
    }

    fn check_agent_sums(&self, agent: &Agent, faults: &mut Faults) {
        let mut expected = Agent::clone(agent);
        expected.clear_accounts();
        for (framework_id, resources) in self.users_of(agent) {
            expected.charge(framework_id, resources);
        }
        let Agent {
            id, used, used_by, ..
        } = agent;
        faults.check(*used == expected.used, || {
            format!("agent {id}: used is {used} and should be {}", expected.used)
        });
        faults.check(same_map(used_by, &expected.used_by), || {
            format!(
                "agent {id}: used_by is {used_by:?} and should be {:?}",
                expected.used_by
            )
        });
        faults.check(agent.overlapping || !expected.overlapping, || {
            format!("agent {id}: users overlap, and it does not know")
        });
    }

    fn check_framework(&self, framework: &Framework, faults: &mut Faults) {
        let id = &framework.id;
        let running = framework.unregistered_at.is_none()
            && !(framework.subscribed && framework.deadline.is_some());
        faults.check(running, || {
            format!("framework {id}: its times contradict its state")
        });
        for (task_id, task) in framework
            .tasks
            .iter()
            .chain(framework.unreachable_tasks.iter())
        {
            let sound = task.id == *task_id && task.framework_id == *id;
            faults.check(sound, || {
                format!("task {id}/{task_id}: kept under another id")
            });
            check_statuses(task, faults);
        }
        for task in framework.tasks.values() {
            let agent = self.agent(&task.agent_id);
            let reachable = agent.is_some_and(|agent| agent.is_reachable());
            faults.check(reachable, || {
                format!("task {id}/{}: its agent is not there", task.id)
            });
            let sound = !is_terminal(task.state) || task.latest_state == task.state;
            faults.check(sound, || {
                format!("task {id}/{}: ended, and goes on", task.id)
            });
        }
        for task in framework.unreachable_tasks.values() {
            let agent = self.agent(&task.agent_id);
            let since = agent.and_then(|agent| agent.unreachable_since());
            let ordered = since.is_some_and(|since| {
                framework
                    .unreachable_order
                    .contains(&(since, task.id.clone()))
            });
            faults.check(ordered, || {
                format!("task {id}/{}: not in order of time", task.id)
            });
        }
        let limit = self.limits.unreachable_tasks_per_framework;
        let count = framework.unreachable_tasks.size();
        let bounded = count <= limit && count == framework.unreachable_order.size();
        faults.check(bounded, || {
            format!("framework {id}: {count} unreachable tasks")
        });
    }

    fn check_framework_sums(&self, framework: &Framework, faults: &mut Faults) {
        let Framework {
            id, used, charged, ..
        } = framework;
        let mut expected = Framework::clone(framework);
        expected.used = Map::new_sync();
        expected.charged = Map::new_sync();
        for task in framework.tasks.values().filter(|task| !task.has_ended()) {
            expected.charge(&task.resources);
        }
        for (agent_id, executor_id) in &framework.executors {
            match self.executor_of(id, agent_id, executor_id) {
                Some(executor) => expected.charge(&executor.resources),
                None => faults.add(format!(
                    "framework {id}: lists executor {executor_id} on {agent_id}, which is not there"
                )),
            }
        }
        faults.check(same_map(used, &expected.used), || {
            format!(
                "framework {id}: used is {used:?} and should be {:?}",
                expected.used
            )
        });
        faults.check(same_map(charged, &expected.charged), || {
            format!(
                "framework {id}: charged is {charged:?} and should be {:?}",
                expected.charged
            )
        });
    }

    fn executor_of(
        &self,
        framework_id: &FrameworkId,
        agent_id: &AgentId,
        executor_id: &ExecutorId,
    ) -> Option<&crate::Executor> {
        self.agent(agent_id)?
            .executor(framework_id, executor_id)
            .map(AsRef::as_ref)
    }

    fn check_quotas_and_weights(&self, faults: &mut Faults) {
        for (role, quota) in self.quotas() {
            faults.check(!role.is_empty() && !quota.is_default(), || {
                format!("role {role}: has an empty quota")
            });
        }
        for (role, weight) in self.weights() {
            let positive = weight.is_finite() && weight > 0.0;
            faults.check(!role.is_empty() && positive, || {
                format!("role {role}: has weight {weight}")
            });
        }
    }

    fn check_completed(&self, faults: &mut Faults) {
        let mut seen = BTreeSet::new();
        for framework in self.completed_frameworks() {
            let id = &framework.id;
            let once = seen.insert(id) && self.framework(id).is_none();
            faults.check(once, || {
                format!("framework {id}: completed twice, or not at all")
            });
            let idle = framework.tasks.is_empty()
                && framework.unreachable_tasks.is_empty()
                && framework.executors.is_empty()
                && framework.used.is_empty()
                && framework.is_completed()
                && !framework.subscribed;
            faults.check(idle, || format!("framework {id}: completed, and goes on"));
        }
        let max = self.limits.completed_frameworks;
        faults.check(seen.len() <= max, || {
            format!("{} completed frameworks", seen.len())
        });
        let max = self.limits.completed_tasks_per_framework;
        for framework in self.frameworks().chain(self.completed_frameworks()) {
            let count = framework.completed_tasks.len();
            faults.check(count <= max, || {
                format!("framework {}: {count} completed tasks", framework.id)
            });
            for task in framework.completed_tasks.iter() {
                let ended = task.end_was_told() && task.framework_id == framework.id;
                faults.check(ended, || {
                    format!("task {}/{}: completed, and goes on", framework.id, task.id)
                });
            }
        }
    }
}

fn check_operations(agent: &Agent) -> Vec<String> {
    let id = &agent.id;
    let misplaced = agent
        .operations
        .iter()
        .filter(|(uuid, operation)| operation.uuid != **uuid || operation.agent_id != *id);
    let mut found: Vec<String> = misplaced
        .map(|(uuid, _)| format!("agent {id}: operation {uuid} is not its own"))
        .collect();
    if let Err(error) = validate::resources::unique_persistence_ids(&agent.total) {
        found.push(format!("agent {id}: {error}"));
    }
    found
}

fn check_statuses(task: &Task, faults: &mut Faults) {
    let states: BTreeSet<i32> = task.statuses.iter().map(|status| status.state).collect();
    faults.check(states.len() == task.statuses.len(), || {
        format!(
            "task {}/{}: two statuses of one state",
            task.framework_id, task.id
        )
    });
}

/// Equal keys and values, in whatever way the trees are balanced.
fn same_map<K: Ord, V: PartialEq>(left: &Map<K, V>, right: &Map<K, V>) -> bool {
    left.size() == right.size() && left.iter().eq(right.iter())
}

/// The violations found so far.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, fault: String) {
        self.0.push(fault);
    }

    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.add(fault());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{Cluster, FINISHED, task_with_executor, unreachable};

    /// The faults of a registry after somebody has laid hands on it.
    fn faults(registry: &Registry) -> String {
        registry.check_invariants().unwrap_err().join("\n")
    }

    fn agent(registry: &mut Registry) -> &mut Agent {
        registry.agent_mut(&AgentId::from("a1")).unwrap()
    }

    fn framework(registry: &mut Registry) -> &mut Framework {
        registry.framework_mut(&FrameworkId::from("f1")).unwrap()
    }

    #[test]
    fn wrong_sums_are_seen() {
        let mut registry = Cluster::with_running_task().registry;
        agent(&mut registry).clear_accounts();
        framework(&mut registry).used = Map::new_sync();
        framework(&mut registry).charged = Map::new_sync();
        registry.put_weight(&caprock_proto::mesos::v1::WeightInfo {
            role: Some("eng".to_owned()),
            weight: 0.0,
        });
        let faults = faults(&registry);
        assert!(
            faults.contains("agent a1: used is {} and should be cpus"),
            "{faults}"
        );
        assert!(faults.contains("agent a1: used_by is"), "{faults}");
        assert!(faults.contains("framework f1: used is"), "{faults}");
        assert!(faults.contains("framework f1: charged is"), "{faults}");
        assert!(faults.contains("role eng: has weight 0"), "{faults}");
    }

    #[test]
    fn a_task_that_its_agent_does_not_list_is_seen() {
        let mut registry = Cluster::with_running_task().registry;
        let tasks = agent(&mut registry).tasks.clone();
        agent(&mut registry).tasks = crate::Set::new_sync();
        assert!(faults(&registry).contains("lists 0 tasks, its frameworks 1"));
        agent(&mut registry).tasks = tasks;
        framework(&mut registry).tasks = Map::new_sync();
        assert!(faults(&registry).contains("lists task f1/t1, which is not its own"));
    }

    #[test]
    fn a_task_that_comes_back_to_life_is_seen() {
        let mut registry = Cluster::with_running_task().registry;
        let mut task = framework(&mut registry).tasks.get("t1").unwrap().clone();
        Arc::make_mut(&mut task).state = FINISHED;
        framework(&mut registry)
            .tasks
            .insert_mut(task.id.clone(), task);
        assert!(faults(&registry).contains("task f1/t1: ended, and goes on"));
    }

    #[test]
    fn executors_in_the_wrong_place_are_seen() {
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.launch("f1", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);
        let mut registry = cluster.registry;
        let executors = agent(&mut registry).executors.clone();
        agent(&mut registry).executors = Map::new_sync();
        assert!(faults(&registry).contains("lists executor e1 on a1, which is not there"));
        agent(&mut registry).executors = executors;
        framework(&mut registry).executors = crate::Set::new_sync();
        assert!(faults(&registry).contains("executor f1/e1 on a1: not its framework's"));
    }

    #[test]
    fn unreachable_tasks_out_of_order_are_seen() {
        let mut cluster = Cluster::with_running_task();
        cluster.apply(unreachable("a1"));
        framework(&mut cluster.registry).unreachable_order = crate::Set::new_sync();
        assert!(faults(&cluster.registry).contains("task f1/t1: not in order of time"));
    }

    #[test]
    fn a_registration_of_nobody_is_seen() {
        let mut registry = Cluster::with_running_task().registry;
        registry
            .registrations
            .insert_mut("x".into(), AgentId::from("a9"));
        assert!(faults(&registry).contains("registration x: not that of agent a9"));
    }
}
