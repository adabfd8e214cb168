//! Typed ids: cheap to clone, ordered, and not to be mixed up with one another.

use caprock_proto::mesos::v1;

/// Defines a newtype over `Arc<str>` with the conversions that every id has.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), &self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::from("")
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                Self(text.as_str().into())
            }
        }

        impl From<std::sync::Arc<str>> for $name {
            fn from(text: std::sync::Arc<str>) -> Self {
                Self(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}
pub(crate) use text_newtype;

macro_rules! proto_id {
    ($(#[$doc:meta])* $name:ident) => {
        text_newtype!($(#[$doc])* $name);

        impl From<&v1::$name> for $name {
            fn from(id: &v1::$name) -> Self {
                Self::from(id.value.as_str())
            }
        }

        impl From<v1::$name> for $name {
            fn from(id: v1::$name) -> Self {
                Self::from(id.value)
            }
        }

        impl From<&$name> for v1::$name {
            fn from(id: &$name) -> Self {
                id.to_proto()
            }
        }

        impl PartialEq<v1::$name> for $name {
            fn eq(&self, other: &v1::$name) -> bool {
                *self.as_str() == *other.value
            }
        }
    };
}

macro_rules! plain_to_proto {
    ($($name:ident),*) => {$(
        impl $name {
            /// The id as the wire message.
            pub fn to_proto(&self) -> v1::$name {
                v1::$name { value: self.as_str().to_owned() }
            }
        }
    )*};
}

proto_id!(
    /// An agent of the cluster.
    AgentId
);
proto_id!(
    /// A framework that subscribed once.
    FrameworkId
);
proto_id!(
    /// A task, unique among the live tasks of its framework.
    TaskId
);
proto_id!(
    /// An executor, unique within its framework on one agent.
    ExecutorId
);
proto_id!(
    /// An offer of one agent's resources to one framework.
    OfferId
);
proto_id!(
    /// A container on an agent; nested containers are known by their parent.
    ContainerId
);
proto_id!(
    /// An offer operation that wants feedback.
    OperationId
);
plain_to_proto!(
    AgentId,
    FrameworkId,
    TaskId,
    ExecutorId,
    OfferId,
    OperationId
);

impl ContainerId {
    /// The id of a top-level container as the wire message.
    pub fn to_proto(&self) -> v1::ContainerId {
        v1::ContainerId {
            value: self.as_str().to_owned(),
            parent: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_id_survives_the_wire() {
        let id = AgentId::from("S0");
        assert_eq!(AgentId::from(&id.to_proto()), id);
        assert_eq!(id, id.to_proto());
        assert_eq!(id, "S0");
    }

    #[test]
    fn a_map_of_ids_is_asked_with_text() {
        let map = BTreeMap::from([(TaskId::from("t-1"), 1), (TaskId::from("t-2"), 2)]);
        assert_eq!(map.get("t-2"), Some(&2));
        assert_eq!(map.get("t-3"), None);
    }

    #[test]
    fn text_forms() {
        let id = OfferId::from("m-O1");
        assert_eq!(id.to_string(), "m-O1");
        assert_eq!(format!("{id:?}"), "OfferId(m-O1)");
    }
}
