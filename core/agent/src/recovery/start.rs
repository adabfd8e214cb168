//! The first step of a life: takes over the records, and judges what became of each container
//! meanwhile (Mesos: Slave::recover and Slave::_recover).

use std::collections::BTreeMap;

use caprock_model::{ContainerId, ExecutorId, FrameworkId, Resources, TaskId};

use super::load::orphans_of;
use super::{ContainerProbe, Loaded, Recovered, reconfigure};
use crate::agent::{Agent, Place};
use crate::checkpoint::Key;
use crate::config::Recover;
use crate::drain::Drain;
use crate::effect::Effect;
use crate::input::TimerKey;
use crate::view::{ExecutorKind, ExecutorState, Phase};

type Probes = BTreeMap<ContainerId, ContainerProbe>;

impl Agent {
    pub(crate) fn start(&mut self, recovered: Recovered) {
        if self.phase != Phase::Starting {
            self.warn("a second start is ignored");
            return;
        }
        self.started_at = self.now;
        let loaded = match Loaded::from_records(&recovered.records) {
            Ok(loaded) => loaded,
            Err(error) => return self.give_up(error.to_string()),
        };
        if let Some(first) = loaded.damaged.first() {
            self.counters.recovery_errors = loaded.damaged.len() as u64;
            let text = format!("the checkpoints are damaged: {first}");
            if self.config.strict {
                return self.give_up(text);
            }
            self.warn(text);
        }
        self.fence.highest_term = loaded.highest_term;
        match Resources::from_protos(&self.config.info.resources) {
            Ok(total) => self.total = total,
            Err(error) => return self.give_up(format!("invalid resources: {error}")),
        }
        let rebooted = recovered.rebooted;
        if let Some(identity) = &loaded.identity {
            let before = identity.info.clone().unwrap_or_default();
            let policy = self.config.reconfiguration_policy;
            let checked = reconfigure::check(policy, &before, &self.config.info);
            match checked {
                Err(difference) if !rebooted => return self.give_up(difference),
                Err(difference) => {
                    self.warn(format!(
                        "starting as a new agent after a reboot: {difference}"
                    ));
                    self.take_over(loaded);
                    self.wipe();
                    return self.start_fresh();
                }
                Ok(()) => {}
            }
        }
        let known = loaded.identity.is_some();
        self.take_over(loaded);
        if !known {
            return self.start_fresh();
        }
        self.keep_info();
        let mut probes = Probes::new();
        for mut probe in recovered.containers {
            // After a reboot whatever has the old process ids is something else.
            probe.alive &= !rebooted;
            probes.insert(probe.container.clone(), probe);
        }
        self.restore_volumes();
        self.resume(&probes);
    }

    fn give_up(&mut self, error: String) {
        self.phase = Phase::Ended;
        self.emit(Effect::Exit { error: Some(error) });
    }

    fn start_fresh(&mut self) {
        self.identity.registration_id = self.ids.uuid_text();
        self.keep_info();
        self.recovered();
    }

    fn keep_info(&mut self) {
        if self.identity.info.as_ref() != Some(&self.config.info) {
            self.identity.info = Some(self.config.info.clone());
            self.mark(Key::Identity);
        }
    }

    fn take_over(&mut self, loaded: Loaded) {
        self.frameworks = loaded.frameworks;
        self.drain = loaded.drain.as_ref().map(Drain::from_record);
        for update in loaded.updates {
            self.restore_update(update);
        }
        for finished in loaded.finished {
            self.finished.restore(finished);
        }
        for orphan in loaded.orphans {
            self.orphans
                .insert(orphan.container_id.as_str().into(), orphan);
        }
        for operation in loaded.operations {
            self.operations.insert(operation.key(), operation);
        }
        let before = loaded
            .identity
            .as_ref()
            .and_then(|identity| identity.info.clone());
        self.identity = loaded.identity.unwrap_or_default();
        if let Some(converted) = loaded.converted {
            let before = before.map(|info| info.resources).unwrap_or_default();
            self.take_over_resources(&before, &converted.resources);
        }
    }

    /// Applies what operations changed in the resources of before to those of now, which may
    /// be more.
    fn take_over_resources(
        &mut self,
        before: &[caprock_proto::mesos::v1::Resource],
        converted: &[caprock_proto::mesos::v1::Resource],
    ) {
        let before = Resources::from_protos(before);
        let (Ok(before), Ok(converted)) = (before, Resources::from_protos(converted)) else {
            self.counters.recovery_errors += 1;
            self.warn("the checkpointed resources are damaged");
            return;
        };
        let consumed = before.clone() - &converted;
        let added = converted - &before;
        self.total = self.total.clone() - &consumed + &added;
        self.converted = true;
    }

    fn resume(&mut self, probes: &Probes) {
        self.resume_orphans(probes);
        let frameworks: Vec<_> = self.frameworks.keys().cloned().collect();
        for framework in &frameworks {
            let Some(found) = self.frameworks.get(framework) else {
                continue;
            };
            let checkpoints = found.checkpoints() || found.terminating;
            let executors: Vec<_> = found.executors.keys().cloned().collect();
            for executor in executors {
                if checkpoints {
                    self.resume_executor(framework, &executor, probes);
                } else {
                    self.abandon_executor(framework, &executor, probes);
                }
            }
            if self
                .frameworks
                .get(framework)
                .is_some_and(|found| found.terminating)
            {
                self.settle_terminating(framework);
            } else {
                self.remove_framework_if_idle(framework);
            }
        }
        // Only now it is known whom to wait for.
        self.phase = Phase::Recovering;
        if self.config.recover == Recover::Cleanup {
            return self.clean_up();
        }
        let at = self.after(self.config.executor_reregistration_timeout);
        self.wake(at, TimerKey::Reregistration);
        self.recovered_if_complete();
    }

    fn resume_orphans(&mut self, probes: &Probes) {
        let orphans: Vec<_> = self.orphans.keys().cloned().collect();
        for container in orphans {
            if probes.get(&container).is_some_and(|probe| probe.alive) {
                self.kill_container(&container);
            } else {
                self.container_exited(&container, None);
            }
        }
    }

    fn resume_executor(&mut self, framework: &FrameworkId, executor: &ExecutorId, probes: &Probes) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        match (found.state, found.kind) {
            (ExecutorState::Terminated, _) => self.remove_executor_if_over(framework, executor),
            (_, ExecutorKind::Custom) => self.resume_custom(framework, executor, probes),
            (_, ExecutorKind::Command) => {
                let task = found.tasks.keys().next().cloned();
                let task = task.unwrap_or_else(|| TaskId::from(executor.as_str()));
                let container = found.container.clone();
                self.resume_process(framework, executor, &task, &container, probes);
            }
            (_, ExecutorKind::Pods) => self.resume_pods(framework, executor, probes),
        }
    }

    fn resume_custom(&mut self, framework: &FrameworkId, executor: &ExecutorId, probes: &Probes) {
        let Some(found) = self.executor_mut(framework, executor) else {
            return;
        };
        let container = found.container.clone();
        let terminating = found.state == ExecutorState::Terminating;
        found.awaited = !terminating;
        let probe = probes.get(&container);
        let alive = probe.is_some_and(|probe| probe.alive);
        if let Some(pid) = probe.and_then(|probe| probe.pid) {
            found.pid = Some(pid);
        }
        self.place(framework, executor, None, &container);
        if !alive {
            let wait_status = probe.and_then(|probe| probe.wait_status);
            self.container_exited(&container, wait_status);
        } else if terminating {
            // Its grace period is not known any more.
            self.destroy_executor(framework, executor, None);
        }
    }

    fn resume_pods(&mut self, framework: &FrameworkId, executor: &ExecutorId, probes: &Probes) {
        let Some(found) = self.executor(framework, executor) else {
            return;
        };
        let live = found.tasks.iter().filter(|(_, task)| !task.is_terminal());
        let processes: Vec<_> = live
            .map(|(id, task)| {
                (
                    id.clone(),
                    task.process.as_ref().map(|p| p.container.clone()),
                )
            })
            .collect();
        if processes.is_empty() {
            self.executor_gone(framework, executor, Some(0));
        }
        for (id, container) in processes {
            let container = container.unwrap_or_default();
            self.resume_process(framework, executor, &id, &container, probes);
        }
    }

    /// Goes on with a process that lives, or tells its end.
    fn resume_process(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        container: &ContainerId,
        probes: &Probes,
    ) {
        self.place(framework, executor, Some(id), container);
        let probe = probes.get(container);
        if probe.is_none_or(|probe| !probe.alive) {
            let wait_status = probe.and_then(|probe| probe.wait_status);
            return self.container_exited(container, wait_status);
        }
        let pid = probe.and_then(|probe| probe.pid).unwrap_or_default();
        let process = self
            .task_mut(framework, id)
            .and_then(|task| task.process.as_mut());
        let (started, kill) = process.map_or((false, None), |process| {
            (process.started_at.is_some(), process.kill)
        });
        if !started {
            // It was started in the moment when the agent went down, or is to be killed.
            return self.process_started_or_doomed(framework, executor, id, container, pid);
        }
        match kill {
            Some(kill) => {
                self.wake(
                    kill.at + kill.grace,
                    TimerKey::EscalateKill(container.clone()),
                );
            }
            None => self.watch_process(framework, id),
        }
    }

    fn process_started_or_doomed(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        id: &TaskId,
        container: &ContainerId,
        pid: u32,
    ) {
        let wanted = self
            .task_in(container)
            .is_some_and(|task| !task.is_terminal());
        if wanted {
            self.process_started(framework, executor, id, pid);
        } else {
            self.kill_container(container);
        }
    }

    /// The executor of a framework that does not checkpoint: it is destroyed, its live tasks
    /// are forgotten but for their launch, what is over and not acknowledged is still told.
    fn abandon_executor(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        probes: &Probes,
    ) {
        let Some(owner) = self.frameworks.get(framework) else {
            return;
        };
        let Some(found) = owner.executors.get(executor) else {
            return;
        };
        if found.state == ExecutorState::Terminated {
            return self.remove_executor_if_over(framework, executor);
        }
        let orphans = orphans_of(owner, found);
        let container = found.container.clone();
        let pods = found.kind == ExecutorKind::Pods;
        let live: Vec<_> = found
            .live_tasks()
            .into_iter()
            .filter_map(|id| Some((found.tasks.get(&id)?.launch_index, id)))
            .collect();
        for (launch_index, task) in live {
            self.drop_stream(framework, &task);
            self.remember_finished(framework, &task, launch_index, None);
            if let Some(owner) = self.frameworks.get_mut(framework) {
                owner.placed.remove(&task);
                if let Some(found) = owner.executors.get_mut(executor) {
                    found.tasks.remove(&task);
                    found.queue.retain(|queued| *queued != task);
                }
            }
            self.mark(Key::Task(framework.clone(), task));
        }
        if let Some(found) = self.executor_mut(framework, executor) {
            found.state = ExecutorState::Terminated;
        }
        self.mark(Key::Run(framework.clone(), executor.clone()));
        for orphan in orphans {
            let id = ContainerId::from(orphan.container_id.as_str());
            self.mark(Key::Orphan(id.clone()));
            self.orphans.insert(id.clone(), orphan);
            if probes.get(&id).is_some_and(|probe| probe.alive) {
                self.kill_container(&id);
            } else {
                self.container_exited(&id, None);
            }
        }
        if pods {
            // It has no process whose end would give its sandbox free.
            self.emit(Effect::CollectSandbox(container));
        }
        self.remove_executor_if_over(framework, executor);
    }

    fn place(
        &mut self,
        framework: &FrameworkId,
        executor: &ExecutorId,
        task: Option<&TaskId>,
        container: &ContainerId,
    ) {
        let place = Place {
            framework: framework.clone(),
            executor: executor.clone(),
            task: task.cloned(),
        };
        self.places.insert(container.clone(), place);
    }

    /// Ends the recovery as soon as no executor is missing.
    pub(crate) fn recovered_if_complete(&mut self) {
        if self.phase != Phase::Recovering {
            return;
        }
        let mut executors = self
            .frameworks
            .values()
            .flat_map(|found| found.executors.values());
        if !executors.any(|executor| executor.awaited) {
            self.recovered();
        }
    }

    pub(crate) fn recovered(&mut self) {
        if !matches!(self.phase, Phase::Starting | Phase::Recovering) {
            return;
        }
        self.phase = Phase::Ready;
        self.recovered_at = Some(self.now);
        self.try_attach();
    }
}
