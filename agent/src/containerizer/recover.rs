//! Finding the containers of an earlier life of the agent again.

use std::collections::BTreeSet;

use caprock_agent_core::Signal;
use caprock_agent_core::recovery::{ContainerProbe, StoredContainer};
use caprock_model::ContainerId;
use tokio::sync::watch as channel;

use super::run_dir::{Found, RunDir};
use super::watch::Watch;
use super::{Containerizer, Live, launch};

/// The containers that live, to be watched once the agent's brain knows of them.
#[derive(Debug, Default)]
pub struct Survivors(Vec<(ContainerId, Watch)>);

impl Containerizer {
    /// Looks at each stored container. Containers that nobody remembers are killed.
    pub async fn probe(&self, stored: &[StoredContainer]) -> (Vec<ContainerProbe>, Survivors) {
        let mut probes = Vec::new();
        let mut survivors = Survivors::default();
        for known in stored {
            let container = known.container.clone();
            let run = self.run_dir(&container);
            // Read first: what is found dead loses its spec.
            let sandbox = run.read_spec().map(|spec| spec.directory);
            let probe = |alive, pid, wait_status| ContainerProbe {
                container: container.clone(),
                alive,
                pid,
                wait_status,
            };
            match Watch::open(&run).await {
                Ok(watch) => {
                    probes.push(probe(true, Some(watch.processes.command), None));
                    survivors.0.push((container.clone(), watch));
                }
                Err(Found::Exited(status)) => probes.push(probe(false, None, Some(status))),
                Err(_) => {
                    if let (Some(processes), Ok(sandbox)) = (run.processes(), sandbox) {
                        launch::kill_abandoned(processes, sandbox).await;
                    }
                    probes.push(probe(false, None, None));
                }
            }
        }
        // The container of a pod has files, but no process of its own.
        let known: BTreeSet<&ContainerId> = stored
            .iter()
            .flat_map(|known| std::iter::once(&known.container).chain(&known.parent))
            .collect();
        self.destroy_unknown(&known).await;
        (probes, survivors)
    }

    /// From here on the ends of the survivors are reported.
    pub fn attach(&self, survivors: Survivors) {
        for (container, watch) in survivors.0 {
            let live = Live {
                processes: Some(watch.processes),
                pending: channel::Sender::new(None),
            };
            self.live().insert(container.clone(), live);
            let this = self.clone();
            tokio::spawn(async move {
                if let Err(error) = watch.ended().await {
                    tracing::error!(%container, "cannot watch the launcher: {error}");
                }
                this.ended(&container, watch.processes).await;
            });
        }
    }

    async fn destroy_unknown(&self, known: &BTreeSet<&ContainerId>) {
        let containers_dir = self.settings().containers_dir();
        let found = match RunDir::list(&containers_dir) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("cannot list {}: {error}", containers_dir.display());
                return;
            }
        };
        for container in found
            .into_iter()
            .filter(|container| !known.contains(container))
        {
            let run = self.run_dir(&container);
            if run.collect_after().is_some() {
                continue;
            }
            if let Ok(watch) = Watch::open(&run).await {
                tracing::warn!(%container, "killing a container that nobody remembers");
                super::signal::send(watch.processes, Signal::Kill);
                if let Err(error) = watch.ended().await {
                    tracing::error!(%container, "cannot watch the launcher: {error}");
                }
            }
            self.collect(&container);
        }
    }
}
