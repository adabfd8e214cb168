//! LAUNCH_GROUP: all tasks of a group, or none (Mesos: task::group in
//! src/master/validation.cpp).

use caprock_model::{ResourceError, Resources, validate};
use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::task_status::Reason;
use caprock_proto::mesos::v1::{ExecutorInfo, TaskInfo};
use caprock_registry::Rejection;

use super::bid::{Bid, Part, Refusal, Standing};
use super::launch::infer_health_check;

impl Bid<'_> {
    pub fn launch_group(&mut self, operation: Operation) {
        let with_id = operation.id.is_some();
        let group = operation.launch_group.unwrap_or_default();
        let (mut executor, mut tasks) = (group.executor, group.task_group.tasks);
        let error = match self.normalize_group(&mut executor, &mut tasks) {
            Err(ResourceError(text)) => Some(text),
            Ok(()) if with_id => {
                Some("The `id` field cannot be set on LAUNCH_GROUP operations".to_owned())
            }
            Ok(()) => None,
        };
        if let Some(text) = error {
            return self.reject(&tasks, Reason::TaskGroupInvalid, &text.into());
        }
        if tasks.is_empty() {
            return;
        }
        match self.judge_group(&executor, &tasks) {
            Ok((standing, required)) => {
                self.parts.push(Part {
                    run: self.run,
                    group: true,
                    ..Part::default()
                });
                self.take(tasks, Some((executor, standing)), &required);
            }
            Err(refusal) => self.reject(&tasks, Reason::TaskGroupInvalid, &refusal),
        }
    }

    /// The executor goes into every task that has none; its framework id is not filled in.
    fn normalize_group(
        &self,
        executor: &mut ExecutorInfo,
        tasks: &mut [TaskInfo],
    ) -> Result<(), ResourceError> {
        self.normalize(&mut executor.resources)?;
        for task in tasks {
            self.normalize(&mut task.resources)?;
            match &mut task.executor {
                Some(own) => self.normalize(&mut own.resources)?,
                None => task.executor = Some(executor.clone()),
            }
            infer_health_check(task);
        }
        Ok(())
    }

    /// Where the executor stands, and what the group takes in all.
    fn judge_group(
        &self,
        executor: &ExecutorInfo,
        tasks: &[TaskInfo],
    ) -> Result<(Standing, Resources), Refusal> {
        for task in tasks {
            let invalid = |error| format!("Task '{}' is invalid: {error}", task.task_id.value);
            self.check_id(task).map_err(invalid)?;
            self.check_limits(task).map_err(invalid)?;
        }
        validate::task_group(tasks, executor, &self.agent.id)?;
        validate::executor_framework_id(executor, &self.framework.id)?;
        let standing = self.standing(executor)?;
        let parsed = |error: ResourceError| format!("Invalid resources: {}", error.0);
        let mut resources = Resources::new();
        for task in tasks {
            resources += &Resources::from_protos(&task.resources).map_err(parsed)?;
        }
        let executor = Some((executor, standing));
        let required = self.required(resources, executor).map_err(parsed)?;
        if !required.fits {
            let available = self.remaining.to_string();
            let required = required.resources.to_string();
            let rejection = Rejection::NotEnoughForGroup {
                required,
                available,
            };
            return Err(Refusal {
                text: rejection.to_string(),
                lapsed: self.lapsed,
            });
        }
        Ok((standing, required.resources))
    }
}
