//! Reservations: a stack of roles, each below the one before.

use std::fmt;
use std::sync::Arc;

use caprock_proto::mesos::v1::{self, resource};
use resource::reservation_info::Type;

use crate::role::Role;

/// Who made a reservation, and how durable it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReservationKind {
    /// Configured at the agent.
    Static,
    /// Made at run time by a framework or an operator.
    Dynamic,
}

/// One element of the stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reservation {
    /// Whom the resources are for.
    pub role: Role,
    /// Who may undo it.
    pub kind: ReservationKind,
    /// Who made it.
    pub principal: Option<Arc<str>>,
    /// Labels in order; two reservations with different labels do not merge.
    pub labels: Vec<(String, Option<String>)>,
}

impl Reservation {
    /// A reservation of an agent's configuration.
    pub fn fixed(role: impl Into<Role>) -> Self {
        let kind = ReservationKind::Static;
        Self {
            role: role.into(),
            kind,
            principal: None,
            labels: Vec::new(),
        }
    }

    /// A reservation made at run time.
    pub fn dynamic(role: impl Into<Role>, principal: Option<&str>) -> Self {
        let kind = ReservationKind::Dynamic;
        let principal = principal.map(Arc::from);
        Self {
            role: role.into(),
            kind,
            principal,
            labels: Vec::new(),
        }
    }

    /// Takes what a message says; kind and role come from elsewhere in the old format.
    pub(super) fn from_parts(
        role: &str,
        kind: ReservationKind,
        info: &resource::ReservationInfo,
    ) -> Self {
        Self {
            role: role.into(),
            kind,
            principal: info.principal.as_deref().map(Arc::from),
            labels: sorted_labels(info.labels.as_ref()),
        }
    }

    /// The element as in `reservations[]`.
    pub fn to_proto(&self) -> resource::ReservationInfo {
        let kind = match self.kind {
            ReservationKind::Static => Type::Static,
            ReservationKind::Dynamic => Type::Dynamic,
        };
        resource::ReservationInfo {
            r#type: Some(kind as i32),
            role: Some(self.role.as_str().to_owned()),
            ..self.to_old_proto()
        }
    }

    /// The element as in the old field `reservation`.
    pub(super) fn to_old_proto(&self) -> resource::ReservationInfo {
        let label = |(key, value): &(String, Option<String>)| v1::Label {
            key: key.clone(),
            value: value.clone(),
        };
        let labels = self.labels.iter().map(label).collect();
        resource::ReservationInfo {
            r#type: None,
            role: None,
            principal: self.principal.as_deref().map(str::to_owned),
            labels: (!self.labels.is_empty()).then_some(v1::Labels { labels }),
        }
    }
}

/// Labels as a sorted list, because their order means nothing.
pub(super) fn sorted_labels(labels: Option<&v1::Labels>) -> Vec<(String, Option<String>)> {
    let pair = |label: &v1::Label| (label.key.clone(), label.value.clone());
    let mut sorted: Vec<_> = labels
        .into_iter()
        .flat_map(|labels| labels.labels.iter().map(pair))
        .collect();
    sorted.sort();
    sorted
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ReservationKind::Static => "STATIC",
            ReservationKind::Dynamic => "DYNAMIC",
        };
        write!(f, "({kind},{}", self.role)?;
        if let Some(principal) = &self.principal {
            write!(f, ",{principal}")?;
        }
        if !self.labels.is_empty() {
            let text = |(key, value): &(String, Option<String>)| match value {
                Some(value) => format!("{key}: {value}"),
                None => key.clone(),
            };
            let labels: Vec<_> = self.labels.iter().map(text).collect();
            write!(f, ",{{{}}}", labels.join(", "))?;
        }
        f.write_str(")")
    }
}
