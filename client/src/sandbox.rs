//! Reads files of a task's sandbox through its agent.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::ClientError;
use crate::http::{Http, body_of, expect_status};

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Piece {
    /// Where the piece begins, in bytes.
    pub offset: u64,
    /// Its text; empty at the end of the file.
    pub data: String,
}

/// The virtual path of a file in the latest run of an executor.
pub fn path_of(framework_id: &str, executor_id: &str, file: &str) -> String {
    format!("/frameworks/{framework_id}/executors/{executor_id}/runs/latest/{file}")
}

/// Reads a file of the agent at `host:port` from `offset` on.
///
/// # Errors
/// The agent does not answer, or knows no such file.
pub async fn read(http: &Http, agent: &str, path: &str, offset: u64) -> Result<Piece, ClientError> {
    let query = format!(
        "/files/read?path={}&offset={offset}",
        utf8_percent_encode(path, PATH)
    );
    let (address, response) = http.get(agent, &query).await?;
    let response = expect_status(&address, response, &[http::StatusCode::OK]).await?;
    let body = body_of(&address, response).await?;
    serde_json::from_slice(&body).map_err(|e| ClientError::BadAnswer {
        address,
        reason: e.to_string(),
    })
}

/// What a path may hold in a query without being taken for something else.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_query_cannot_hold() {
        let encoded = utf8_percent_encode("/a b&c/é", PATH).to_string();
        assert_eq!(encoded, "/a%20b%26c/%C3%A9");
    }

    #[test]
    fn names_the_latest_run() {
        assert_eq!(
            path_of("f", "e", "stdout"),
            "/frameworks/f/executors/e/runs/latest/stdout"
        );
    }
}
