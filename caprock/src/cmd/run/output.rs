//! The output of the instances, read from their sandboxes as it grows.

use std::io::Write;

use caprock_client::http::Http;
use caprock_client::{ClientError, sandbox};

/// One file of one instance's sandbox.
#[derive(Debug)]
struct Tail {
    path: String,
    offset: u64,
    to_stderr: bool,
}

/// stdout and stderr of one instance.
#[derive(Debug)]
pub struct Output {
    http: Http,
    agent: String,
    prefix: Option<String>,
    tails: [Tail; 2],
}

impl Output {
    /// The output of the command task `task` on the agent at `host:port`; with several
    /// instances each line is prefixed with the task's id.
    pub fn new(http: Http, agent: String, framework: &str, task: &str, several: bool) -> Self {
        let tail = |file: &str, to_stderr: bool| Tail {
            path: sandbox::path_of(framework, task, file),
            offset: 0,
            to_stderr,
        };
        Output {
            http,
            agent,
            prefix: several.then(|| format!("{task}: ")),
            tails: [tail("stdout", false), tail("stderr", true)],
        }
    }

    /// Everything that was written since the last call, per stream.
    ///
    /// # Errors
    /// The agent does not answer, or the sandbox is gone.
    pub async fn read_new(&mut self) -> Result<Vec<(bool, String)>, ClientError> {
        let mut pieces = Vec::new();
        for tail in &mut self.tails {
            loop {
                let piece = sandbox::read(&self.http, &self.agent, &tail.path, tail.offset).await?;
                if piece.data.is_empty() {
                    break;
                }
                tail.offset = piece.offset + piece.data.len() as u64;
                pieces.push((tail.to_stderr, piece.data));
            }
        }
        Ok(pieces)
    }

    /// Writes pieces to this process' own streams.
    pub fn write(&self, pieces: &[(bool, String)]) {
        for (to_stderr, text) in pieces {
            let text = match &self.prefix {
                Some(prefix) => text.lines().map(|l| format!("{prefix}{l}\n")).collect(),
                None => text.clone(),
            };
            // A closed pipe is the reader's choice; the exit status still counts.
            let written = if *to_stderr {
                std::io::stderr().write_all(text.as_bytes())
            } else {
                std::io::stdout().write_all(text.as_bytes())
            };
            drop(written);
        }
    }
}
