//! Whether messages are valid, as far as that can be told from themselves. The errors are
//! Mesos' sentences (Mesos: src/master/validation.cpp, src/common/validation.cpp).

pub mod check;
pub mod container;
pub mod environment;
pub mod executor;
pub mod executor_call;
pub mod framework;
pub mod group;
pub mod id;
pub mod offer_filters;
pub mod operation;
pub mod quota;
pub mod resources;
pub mod scheduler_call;
pub mod task;

pub use executor::{executor_framework_id, executors_equal};
pub use executor_call::executor_call;
pub use framework::{framework, offer_constraints, suppressed_roles};
pub use group::{group_executor, share_cgroups_agree, task_group, task_in_group};
pub use id::id;
pub use operation::{Asker, normalize_operation, operation};
pub use scheduler_call::scheduler_call;
pub use task::{limits, task, task_executor};

/// What a validation says.
pub type Validity = Result<(), String>;

/// Puts a context in front of an error.
trait Prefixed {
    fn prefixed(self, prefix: &str) -> Validity;
}

impl Prefixed for Validity {
    fn prefixed(self, prefix: &str) -> Validity {
        self.map_err(|error| format!("{prefix}{error}"))
    }
}

/// Fails with the text unless the condition holds.
fn ensure(condition: bool, text: impl Into<String>) -> Validity {
    if condition { Ok(()) } else { Err(text.into()) }
}

/// A set of names as Mesos writes it: `{ a, b }`.
fn braced<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    if names.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{ {} }}", names.join(", "))
    }
}
