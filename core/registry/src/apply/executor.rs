//! Executors: they come with launches and attached agents, and go here.

use caprock_model::{AgentId, ExecutorId, FrameworkId};
use caprock_proto::caprock::registry::{ExecutorKey, ForgetExecutor};

use crate::Registry;
use crate::outcome::{Outcome, Rejection};

/// Frees an executor that exited. Its tasks end by updates of their own.
pub(super) fn forget(
    registry: &mut Registry,
    forget: &ForgetExecutor,
) -> Result<Outcome, Rejection> {
    let Some(key) = &forget.executor else {
        return Err(Rejection::Malformed("No executor to forget".to_owned()));
    };
    match take(registry, key) {
        true => Ok(Outcome::Applied),
        false => Err(Rejection::UnknownExecutor(ExecutorId::from(
            key.executor_id.as_str(),
        ))),
    }
}

/// Takes out the executor. False if there is none.
pub(super) fn take(registry: &mut Registry, key: &ExecutorKey) -> bool {
    registry.take_executor(
        &AgentId::from(key.agent_id.as_str()),
        &FrameworkId::from(key.framework_id.as_str()),
        &ExecutorId::from(key.executor_id.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, FINISHED, executor_key, forget_executor, task_with_executor};

    #[test]
    fn an_executor_is_charged_until_it_is_forgotten() {
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.launch(
            "f1",
            "a1",
            vec![task_with_executor("t1", "cpus:1;mem:64", "e1")],
        );
        cluster.update("t1", FINISHED, "", FINISHED);
        assert_eq!(
            cluster.used("a1"),
            "cpus(allocated: eng):0.5; mem(allocated: eng):32"
        );

        cluster.done(forget_executor("f1", "a1", "e1"));
        assert!(cluster.agent("a1").used.is_empty());
        assert!(cluster.framework("f1").used.is_empty());
        assert_eq!(
            cluster.rejected(forget_executor("f1", "a1", "e1")),
            Rejection::UnknownExecutor(ExecutorId::from("e1"))
        );
    }

    #[test]
    fn an_executor_is_known_by_agent_framework_and_id() {
        let mut cluster = Cluster::with_agent_and_framework();
        cluster.launch("f1", "a1", vec![task_with_executor("t1", "cpus:1", "e1")]);
        for key in [("f2", "a1", "e1"), ("f1", "a2", "e1"), ("f1", "a1", "e2")] {
            let key = executor_key(key.0, key.1, key.2);
            assert!(!take(&mut cluster.registry, &key), "{key:?}");
        }
    }
}
