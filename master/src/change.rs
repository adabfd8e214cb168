//! One applied entry with the registry before and after it: what operator streams make
//! their events of. The registries share all that is equal.

use caprock_proto::caprock::registry::Entry;
use caprock_registry::{LogIndex, Registry};

/// An entry that changed the registry.
#[derive(Debug, Clone)]
pub struct Change {
    pub index: LogIndex,
    pub entry: Entry,
    pub before: Registry,
    pub after: Registry,
}
