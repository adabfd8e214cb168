//! Names of resources: the five that Mesos knows cost nothing to copy.

use std::fmt;
use std::sync::Arc;

/// The name of a resource. The order is the one in which agents list their resources.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Processors.
    Cpus,
    /// Graphics processors, whole ones only.
    Gpus,
    /// Memory in MB.
    Mem,
    /// Disk space in MB.
    Disk,
    /// Ports of the host.
    Ports,
    /// Any other name.
    Other(Arc<str>),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        match self {
            Name::Cpus => "cpus",
            Name::Gpus => "gpus",
            Name::Mem => "mem",
            Name::Disk => "disk",
            Name::Ports => "ports",
            Name::Other(name) => name,
        }
    }

    /// The name for this text, if it is one that needs no memory.
    fn known(text: &str) -> Option<Self> {
        Some(match text {
            "cpus" => Name::Cpus,
            "gpus" => Name::Gpus,
            "mem" => Name::Mem,
            "disk" => Name::Disk,
            "ports" => Name::Ports,
            _ => return None,
        })
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::known(text).unwrap_or_else(|| Name::Other(text.into()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
