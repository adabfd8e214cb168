//! The cluster as a whole.

use caprock_proto::caprock::registry::CreateCluster;

use crate::Registry;
use crate::outcome::{Outcome, Rejection};

/// Gives the cluster its id, once. Members that start together may all propose one.
pub(super) fn create(
    registry: &mut Registry,
    create: &CreateCluster,
) -> Result<Outcome, Rejection> {
    match &registry.cluster_id {
        Some(id) if **id != *create.cluster_id => Err(Rejection::ClusterExists(id.clone())),
        Some(_) => Ok(Outcome::Applied),
        None => {
            registry.cluster_id = Some(create.cluster_id.as_str().into());
            Ok(Outcome::Applied)
        }
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::caprock::registry::entry::Command;

    use super::*;
    use crate::testing::Cluster;

    fn create(id: &str) -> Command {
        Command::CreateCluster(CreateCluster {
            cluster_id: id.to_owned(),
        })
    }

    #[test]
    fn a_cluster_gets_its_id_once() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.registry.cluster_id(), None);
        cluster.done(create("c1"));
        cluster.done(create("c1"));
        assert_eq!(
            cluster.rejected(create("c2")),
            Rejection::ClusterExists("c1".into())
        );
        assert_eq!(cluster.registry.cluster_id(), Some("c1"));
    }
}
