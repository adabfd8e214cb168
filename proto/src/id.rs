//! Conversions for the messages that hold one id and nothing else.

use std::fmt;

use crate::mesos::v1::{
    AgentId, ContainerId, ExecutorId, FrameworkId, OfferId, OperationId, ResourceProviderId, TaskId,
};

macro_rules! id_messages {
    ($($id:ident),* $(,)?) => {$(
        impl From<String> for $id {
            fn from(value: String) -> Self {
                Self { value }
            }
        }

        impl From<&str> for $id {
            fn from(value: &str) -> Self {
                Self { value: value.to_owned() }
            }
        }

        impl AsRef<str> for $id {
            fn as_ref(&self) -> &str {
                &self.value
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.value)
            }
        }
    )*};
}

id_messages!(
    AgentId,
    ExecutorId,
    FrameworkId,
    OfferId,
    OperationId,
    ResourceProviderId,
    TaskId
);

impl From<String> for ContainerId {
    fn from(value: String) -> Self {
        Self {
            value,
            parent: None,
        }
    }
}

impl From<&str> for ContainerId {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

/// A nested container comes after its parent and a dot.
impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_from_and_shown_as_text() {
        assert_eq!(TaskId::from("t-1").to_string(), "t-1");
        assert_eq!(AgentId::from("S0".to_owned()).as_ref(), "S0");
        let parent = Some(Box::new(ContainerId::from("pod")));
        assert_eq!(
            ContainerId {
                value: "web".to_owned(),
                parent
            }
            .to_string(),
            "pod.web"
        );
    }
}
