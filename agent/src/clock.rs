//! The wall clock, as the agent's brain is told it.

use std::time::{SystemTime, UNIX_EPOCH};

use caprock_model::Millis;

/// The time now.
pub fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
