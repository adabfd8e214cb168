//! Waiting for a condition.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for and the last reason why it is not so.
pub async fn eventually<T, E: Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) => assert!(
                started.elapsed() < PATIENCE,
                "gave up waiting for {what}; last: {reason:?}"
            ),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
