//! Persistent volumes: which folders there have to be, and which of them a container sees.
//! Where the folders are is for the shell to know.

use caprock_model::Resource;
use caprock_proto::mesos::v1::offer::{Operation, operation};
use caprock_proto::mesos::v1::{self, resource::disk_info::source, volume};

use crate::agent::Agent;
use crate::effect::Effect;

/// A persistent volume on the agent's disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// The role that it is reserved to; ids are unique within it.
    pub role: String,
    pub id: String,
    pub place: Place,
}

/// The disk that a volume lies on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The agent's own.
    WorkDir,
    /// A folder that is shared by several volumes.
    Path(String),
    /// A whole file system.
    Mount(String),
}

/// A volume as a task or an executor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    pub volume: Volume,
    /// Relative to the sandbox.
    pub container_path: String,
    pub read_only: bool,
    pub shared: bool,
}

impl Volume {
    fn of(resource: &Resource) -> Option<Self> {
        let id = resource.persistence_id()?.to_owned();
        let source = resource.disk().and_then(|disk| disk.source.as_ref());
        let place = match source.map(|source| (source.r#type(), source)) {
            Some((source::Type::Path, source)) => {
                let root = source.path.as_ref().and_then(|path| path.root.clone());
                root.map_or(Place::WorkDir, Place::Path)
            }
            Some((source::Type::Mount, source)) => {
                let root = source.mount.as_ref().and_then(|mount| mount.root.clone());
                Place::Mount(root?)
            }
            Some(_) => return None,
            None => Place::WorkDir,
        };
        Some(Self {
            role: resource.reservation_role()?.to_string(),
            id,
            place,
        })
    }
}

/// The volumes among the resources of a task or an executor.
pub(crate) fn mounts_of(resources: &[v1::Resource]) -> Vec<VolumeMount> {
    let mount = |proto: &v1::Resource| {
        let resource = Resource::from_proto(proto).ok()?;
        let used = resource.disk()?.volume.as_ref()?;
        Some(VolumeMount {
            volume: Volume::of(&resource)?,
            container_path: used.container_path.clone(),
            read_only: used.mode() == volume::Mode::Ro,
            shared: resource.is_shared(),
        })
    };
    resources.iter().filter_map(mount).collect()
}

/// The volumes that an operation makes, or destroys.
fn volumes_of(resources: &[v1::Resource]) -> Vec<Volume> {
    let parsed = resources
        .iter()
        .filter_map(|proto| Resource::from_proto(proto).ok());
    parsed
        .filter_map(|resource| Volume::of(&resource))
        .collect()
}

impl Agent {
    /// What follows on disk from an operation that is in the checkpoint.
    pub(crate) fn follow_up(&mut self, info: &Operation) {
        match info.r#type() {
            operation::Type::Create => {
                let volumes = info
                    .create
                    .as_ref()
                    .map(|create| volumes_of(&create.volumes));
                self.make_volumes(volumes.unwrap_or_default());
            }
            operation::Type::Destroy => {
                let volumes = info
                    .destroy
                    .as_ref()
                    .map(|destroy| volumes_of(&destroy.volumes));
                self.delete_volumes(volumes.unwrap_or_default());
            }
            _ => {}
        }
    }

    /// After a restart: what is there has a folder, and what was being destroyed has none.
    pub(crate) fn restore_volumes(&mut self) {
        let kept = self.volumes();
        self.make_volumes(kept);
        let destroyed: Vec<Volume> = self
            .operations
            .values()
            .filter_map(|pending| pending.destroyed())
            .flat_map(|destroy| volumes_of(&destroy.volumes))
            .collect();
        self.delete_volumes(destroyed);
    }

    fn volumes(&self) -> Vec<Volume> {
        self.total.iter().filter_map(Volume::of).collect()
    }

    fn make_volumes(&mut self, volumes: Vec<Volume>) {
        if !volumes.is_empty() {
            self.emit(Effect::MakeVolumes(volumes));
        }
    }

    /// A volume of the same name may have been made since: that one stays.
    fn delete_volumes(&mut self, mut volumes: Vec<Volume>) {
        let kept = self.volumes();
        volumes.retain(|volume| !kept.contains(volume));
        if !volumes.is_empty() {
            self.emit(Effect::DeleteVolumes(volumes));
        }
    }
}
