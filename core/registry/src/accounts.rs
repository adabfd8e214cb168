//! Who uses what: sums that are derived from tasks and executors, and are kept up to date
//! with each change instead of being computed anew.

use std::sync::Arc;

use caprock_model::{
    AgentId, ExecutorId, FrameworkId, Millis, Quantities, Resources, Role, TaskId,
};

use crate::{Agent, Executor, Framework, Map, Registry, Set, Task};

impl Agent {
    /// Adds a user.
    pub(crate) fn charge(&mut self, framework_id: &FrameworkId, resources: &Resources) {
        if resources.is_empty() {
            return;
        }
        // Only ports and sets can be claimed twice.
        let only_scalars = resources.iter().all(|entry| entry.scalar().is_some());
        let before = (!only_scalars).then(|| self.used.clone());
        self.used += resources;
        if let Some(before) = before {
            self.overlapping |= &self.used - resources != before;
        }
        match self.used_by.get_mut(framework_id) {
            Some(used) => *used += resources,
            None => self
                .used_by
                .insert_mut(framework_id.clone(), resources.clone()),
        }
    }

    /// Takes away a user. False if the sums have to be computed anew, because another user
    /// may claim the same.
    fn release(&mut self, framework_id: &FrameworkId, resources: &Resources) -> bool {
        if self.overlapping {
            return false;
        }
        self.used -= resources;
        let rest_is_empty = self.used_by.get_mut(framework_id).is_some_and(|used| {
            *used -= resources;
            used.is_empty()
        });
        if rest_is_empty {
            self.used_by.remove_mut(framework_id);
        }
        true
    }

    /// Forgets all users.
    pub(crate) fn clear_accounts(&mut self) {
        self.used = Resources::default();
        self.used_by = Map::new_sync();
        self.overlapping = false;
    }
}

impl Framework {
    /// Adds what a task or executor uses.
    pub(crate) fn charge(&mut self, resources: &Resources) {
        for (role, quantities) in by_role(resources) {
            add(&mut self.used, role, quantities);
        }
        for (role, quantities) in by_role(&charged(resources)) {
            add(&mut self.charged, role, quantities);
        }
    }

    /// Takes away what a task or executor used.
    pub(crate) fn release(&mut self, resources: &Resources) {
        for (role, quantities) in by_role(resources) {
            take(&mut self.used, &role, &quantities);
        }
        for (role, quantities) in by_role(&charged(resources)) {
            take(&mut self.charged, &role, &quantities);
        }
    }
}

/// What of it counts against quota.
fn charged(resources: &Resources) -> Resources {
    resources.filter(|entry| entry.is_unreserved() && !entry.is_revocable())
}

fn add(sums: &mut Map<Role, Quantities>, role: Role, quantities: Quantities) {
    match sums.get_mut(&role) {
        Some(sum) => *sum += &quantities,
        None => sums.insert_mut(role, quantities),
    }
}

fn take(sums: &mut Map<Role, Quantities>, role: &Role, quantities: &Quantities) {
    let rest_is_empty = sums.get_mut(role).is_some_and(|sum| {
        *sum -= quantities;
        sum.is_empty()
    });
    if rest_is_empty {
        sums.remove_mut(role);
    }
}

/// The quantities by the role that they are allocated to, without empty ones.
fn by_role(resources: &Resources) -> Vec<(Role, Quantities)> {
    let mut parts = match resources.allocation_role() {
        Some(role) => vec![(role.clone(), resources.quantities())],
        None => resources
            .allocations()
            .into_iter()
            .map(|(role, part)| (role, part.quantities()))
            .collect(),
    };
    parts.retain(|(_, quantities)| !quantities.is_empty());
    parts
}

impl Registry {
    fn charge(&mut self, agent: &AgentId, framework: &FrameworkId, resources: &Resources) {
        if let Some(agent) = self.agent_mut(agent) {
            agent.charge(framework, resources);
        }
        if let Some(framework) = self.framework_mut(framework) {
            framework.charge(resources);
        }
    }

    /// Gives back what a task or executor used; it must not count any more already.
    pub(crate) fn release(
        &mut self,
        agent_id: &AgentId,
        framework_id: &FrameworkId,
        resources: &Resources,
    ) {
        let exact = self
            .agent_mut(agent_id)
            .is_none_or(|agent| agent.release(framework_id, resources));
        if !exact {
            self.recount(agent_id);
        }
        if let Some(framework) = self.framework_mut(framework_id) {
            framework.release(resources);
        }
    }

    /// Computes the sums of an agent anew.
    fn recount(&mut self, agent_id: &AgentId) {
        let Some(agent) = self.agent(agent_id) else {
            return;
        };
        let mut recounted = Agent::clone(agent);
        recounted.clear_accounts();
        for (framework_id, resources) in self.users_of(agent) {
            recounted.charge(framework_id, resources);
        }
        self.agents
            .insert_mut(agent_id.clone(), Arc::new(recounted));
    }

    /// Everything that uses something of the agent.
    pub(crate) fn users_of<'a>(
        &'a self,
        agent: &'a Agent,
    ) -> impl Iterator<Item = (&'a FrameworkId, &'a Resources)> {
        let tasks = agent
            .tasks
            .iter()
            .filter_map(|(framework, task)| self.task(framework, task))
            .filter(|task| !task.has_ended())
            .map(|task| (&task.framework_id, &task.resources));
        let executors = agent.executors.values();
        tasks.chain(executors.map(|executor| (&executor.framework_id, &executor.resources)))
    }

    /// Adds a live or terminal unacknowledged task of a reachable agent.
    pub(crate) fn add_task(&mut self, task: Arc<Task>) {
        if !task.has_ended() {
            self.charge(&task.agent_id, &task.framework_id, &task.resources);
        }
        if let Some(agent) = self.agent_mut(&task.agent_id) {
            agent
                .tasks
                .insert_mut((task.framework_id.clone(), task.id.clone()));
        }
        if let Some(framework) = self.framework_mut(&task.framework_id) {
            framework.tasks.insert_mut(task.id.clone(), task);
        }
    }

    /// Takes out a live or terminal unacknowledged task; its agent keeps it in its list if
    /// `listed`, because it only becomes unreachable.
    pub(crate) fn take_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        listed: bool,
    ) -> Option<Arc<Task>> {
        let framework = self.framework_mut(framework_id)?;
        let task = framework.tasks.get(task_id)?.clone();
        framework.tasks.remove_mut(task_id);
        if !listed && let Some(agent) = self.agent_mut(&task.agent_id) {
            agent
                .tasks
                .remove_mut(&(framework_id.clone(), task_id.clone()));
        }
        if !task.has_ended() {
            self.release(&task.agent_id, framework_id, &task.resources);
        }
        Some(task)
    }

    /// Adds a task of an agent that is unreachable since `since`, and forgets the tasks of
    /// its framework that are so for the longest time if there are too many.
    pub(crate) fn add_unreachable_task(&mut self, task: Arc<Task>, since: Millis) {
        let max = self.limits.unreachable_tasks_per_framework;
        let framework_id = task.framework_id.clone();
        if let Some(agent) = self.agent_mut(&task.agent_id) {
            agent
                .tasks
                .insert_mut((framework_id.clone(), task.id.clone()));
        }
        let Some(framework) = self.framework_mut(&framework_id) else {
            return;
        };
        framework
            .unreachable_order
            .insert_mut((since, task.id.clone()));
        framework
            .unreachable_tasks
            .insert_mut(task.id.clone(), task);
        while let Some(framework) = self.framework(&framework_id)
            && framework.unreachable_tasks.size() > max
            && let Some((since, task_id)) = framework.unreachable_order.first().cloned()
        {
            self.take_unreachable_task(&framework_id, &task_id, since);
        }
    }

    /// Takes out a task of an agent that is unreachable since `since`.
    pub(crate) fn take_unreachable_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        since: Millis,
    ) -> Option<Arc<Task>> {
        let framework = self.framework_mut(framework_id)?;
        framework
            .unreachable_order
            .remove_mut(&(since, task_id.clone()));
        let task = framework.unreachable_tasks.get(task_id)?.clone();
        framework.unreachable_tasks.remove_mut(task_id);
        if let Some(agent) = self.agent_mut(&task.agent_id) {
            agent
                .tasks
                .remove_mut(&(framework_id.clone(), task_id.clone()));
        }
        Some(task)
    }

    /// Takes out a task, be its agent reachable or not.
    pub(crate) fn take_any_task(
        &mut self,
        framework_id: &FrameworkId,
        task_id: &TaskId,
    ) -> Option<Arc<Task>> {
        let unreachable = self.framework(framework_id)?.unreachable_tasks.get(task_id);
        let Some(task) = unreachable else {
            return self.take_task(framework_id, task_id, false);
        };
        let since = self.agent(&task.agent_id)?.unreachable_since()?;
        self.take_unreachable_task(framework_id, task_id, since)
    }

    /// Puts a task that was taken out into the history of its framework.
    pub(crate) fn add_completed_task(&mut self, task: Arc<Task>) {
        let max = self.limits.completed_tasks_per_framework;
        if let Some(framework) = self.framework_mut(&task.framework_id) {
            framework.completed_tasks.push(task, max);
        }
    }

    /// Adds an executor that is not on its agent yet.
    pub(crate) fn add_executor(&mut self, executor: &Arc<Executor>) {
        let Executor {
            id,
            framework_id,
            agent_id,
            resources,
            ..
        } = &**executor;
        self.charge(agent_id, framework_id, resources);
        if let Some(framework) = self.framework_mut(framework_id) {
            framework
                .executors
                .insert_mut((agent_id.clone(), id.clone()));
        }
        if let Some(agent) = self.agent_mut(agent_id) {
            let key = (framework_id.clone(), id.clone());
            agent.executors.insert_mut(key, executor.clone());
        }
    }

    /// Takes out an executor. False if there is none.
    pub(crate) fn take_executor(
        &mut self,
        agent_id: &AgentId,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
    ) -> bool {
        let key = (framework_id.clone(), executor_id.clone());
        let Some(agent) = self.agent_mut(agent_id) else {
            return false;
        };
        let Some(executor) = agent.executors.get(&key).cloned() else {
            return false;
        };
        agent.executors.remove_mut(&key);
        if let Some(framework) = self.framework_mut(framework_id) {
            framework
                .executors
                .remove_mut(&(agent_id.clone(), executor_id.clone()));
        }
        self.release(agent_id, framework_id, &executor.resources);
        true
    }

    /// Takes out all executors of an agent.
    pub(crate) fn take_executors_of(&mut self, agent_id: &AgentId) {
        let Some(agent) = self.agent(agent_id) else {
            return;
        };
        let executors = agent.executors.clone();
        for (framework_id, executor_id) in executors.keys() {
            self.take_executor(agent_id, framework_id, executor_id);
        }
    }

    /// The ids of an agent's tasks, as they are before it changes.
    pub(crate) fn task_ids_of(&self, agent_id: &AgentId) -> Set<(FrameworkId, TaskId)> {
        self.agent(agent_id)
            .map_or_else(Set::new_sync, |agent| agent.tasks.clone())
    }
}
