//! Operations on resources: what each takes, and what it puts in its place (Mesos:
//! getResourceConversions in src/common/resources_utils.cpp). Nothing is made and nothing is
//! lost by them: only the reservation, or the use of a disk, is another one afterwards.

use caprock_proto::mesos::v1::offer::Operation;
use caprock_proto::mesos::v1::offer::operation::{self, Type};
use caprock_proto::mesos::v1::resource::DiskInfo;
use caprock_proto::mesos::v1::{self, value};

use crate::resources::{ResourceError, Resources, Scalar};

/// What an operation takes of an agent's resources, and what they become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub consumed: Resources,
    pub converted: Resources,
}

impl Conversion {
    /// The same of resources that are offered to nobody.
    pub fn unallocated(&self) -> Self {
        Self {
            consumed: self.consumed.unallocated(),
            converted: self.converted.unallocated(),
        }
    }

    /// What undoes it.
    pub fn reversed(self) -> Self {
        Self {
            consumed: self.converted,
            converted: self.consumed,
        }
    }

    /// The resources after it; none if they do not hold what it takes.
    pub fn apply(&self, resources: &Resources) -> Option<Resources> {
        let rest = resources.checked_sub(&self.consumed)?;
        Some(rest + &self.converted)
    }
}

/// The conversion that an operation means. Launches, and operations of resource providers,
/// mean none.
pub fn conversion(operation: &Operation) -> Result<Conversion, ResourceError> {
    let absent = || {
        let kind = operation.r#type().as_str_name();
        ResourceError(format!("The operation {kind} converts nothing"))
    };
    match operation.r#type() {
        Type::Reserve => operation.reserve.as_ref().map(reserve),
        Type::Unreserve => operation
            .unreserve
            .as_ref()
            .map(|unreserve| undo(&unreserve.resources, pop_reservation)),
        Type::Create => operation
            .create
            .as_ref()
            .map(|create| undo(&create.volumes, strip_volume).map(Conversion::reversed)),
        Type::Destroy => operation
            .destroy
            .as_ref()
            .map(|destroy| undo(&destroy.volumes, strip_volume)),
        Type::GrowVolume => operation.grow_volume.as_ref().map(grow),
        Type::ShrinkVolume => operation.shrink_volume.as_ref().map(shrink),
        Type::Unknown | Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            None
        }
    }
    .unwrap_or_else(|| Err(absent()))
}

/// The lists of resources that an operation names, to bring them into another form.
pub fn resources_mut(operation: &mut Operation) -> Vec<&mut Vec<v1::Resource>> {
    let mut lists = Vec::new();
    if let Some(reserve) = &mut operation.reserve {
        lists.push(&mut reserve.source);
        lists.push(&mut reserve.resources);
    }
    if let Some(unreserve) = &mut operation.unreserve {
        lists.push(&mut unreserve.resources);
    }
    if let Some(create) = &mut operation.create {
        lists.push(&mut create.volumes);
    }
    if let Some(destroy) = &mut operation.destroy {
        lists.push(&mut destroy.volumes);
    }
    lists
}

/// The single resources that an operation names.
pub fn resource_mut(operation: &mut Operation) -> Vec<&mut v1::Resource> {
    let mut found = Vec::new();
    if let Some(grow) = &mut operation.grow_volume {
        found.push(&mut grow.volume);
        found.push(&mut grow.addition);
    }
    if let Some(shrink) = &mut operation.shrink_volume {
        found.push(&mut shrink.volume);
    }
    found
}

/// What remains of a resource when the last reservation is taken off.
pub fn pop_reservation(resource: &mut v1::Resource) {
    resource.reservations.pop();
}

/// The plain disk that a volume was made of.
pub fn strip_volume(resource: &mut v1::Resource) {
    resource.shared = None;
    if let Some(disk) = resource.disk.take() {
        let source = disk.source;
        resource.disk = source.is_some().then(|| DiskInfo {
            source,
            ..DiskInfo::default()
        });
    }
}

fn reserve(reserve: &operation::Reserve) -> Result<Conversion, ResourceError> {
    if reserve.source.is_empty() {
        return undo(&reserve.resources, pop_reservation).map(Conversion::reversed);
    }
    Ok(Conversion {
        consumed: Resources::from_protos(&reserve.source)?,
        converted: Resources::from_protos(&reserve.resources)?,
    })
}

/// Takes resources, and puts there what each of them was before.
fn undo(
    resources: &[v1::Resource],
    undo: fn(&mut v1::Resource),
) -> Result<Conversion, ResourceError> {
    let consumed = Resources::from_protos(resources)?;
    let mut before = consumed.to_protos();
    before.iter_mut().for_each(undo);
    Ok(Conversion {
        consumed,
        converted: Resources::from_protos(&before)?,
    })
}

fn grow(grow: &operation::GrowVolume) -> Result<Conversion, ResourceError> {
    let both = [grow.volume.clone(), grow.addition.clone()];
    let size = size_of(&grow.volume) + size_of(&grow.addition);
    Ok(Conversion {
        consumed: Resources::from_protos(&both)?,
        converted: Resources::from_protos(&[resized(&grow.volume, size)])?,
    })
}

fn shrink(shrink: &operation::ShrinkVolume) -> Result<Conversion, ResourceError> {
    let freed = Scalar::from_f64(shrink.subtract.value);
    let rest = size_of(&shrink.volume) - freed;
    if freed <= Scalar::ZERO || rest <= Scalar::ZERO {
        let text = "The volume cannot be shrunk by this much".to_owned();
        return Err(ResourceError(text));
    }
    let mut disk = resized(&shrink.volume, freed);
    strip_volume(&mut disk);
    Ok(Conversion {
        consumed: Resources::from_protos(std::slice::from_ref(&shrink.volume))?,
        converted: Resources::from_protos(&[resized(&shrink.volume, rest), disk])?,
    })
}

fn size_of(resource: &v1::Resource) -> Scalar {
    let value = resource.scalar.map_or(0.0, |scalar| scalar.value);
    Scalar::from_f64(value)
}

fn resized(resource: &v1::Resource, size: Scalar) -> v1::Resource {
    v1::Resource {
        scalar: Some(value::Scalar {
            value: size.to_f64(),
        }),
        ..resource.clone()
    }
}

#[cfg(test)]
mod tests;
