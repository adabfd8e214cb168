//! The standard streams of a session, as channels.

use std::io;
use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use super::terminal::Terminal;

/// Bytes of one piece, and pieces that wait for the client.
const PIECE_BYTES: usize = 16 * 1024;
const OUTPUT_CAPACITY: usize = 16;

/// What a command has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Stdout(Bytes),
    Stderr(Bytes),
}

/// What a client sends to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionInput {
    /// Nothing ends the input.
    Data(Bytes),
    /// The size of the client's terminal.
    WindowSize { rows: u16, columns: u16 },
}

/// The agent's ends of the streams.
#[derive(Debug)]
pub enum Ends {
    Pipes {
        stdin: Option<ChildStdin>,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    },
    Terminal(Terminal),
}

/// Starts a command with three pipes.
pub fn spawn_with_pipes(command: &mut Command) -> io::Result<(Child, Ends)> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Ok((
        child,
        Ends::Pipes {
            stdin,
            stdout,
            stderr,
        },
    ))
}

impl Ends {
    /// Moves bytes until the command ends or the client goes.
    pub fn start(self, inputs: mpsc::Receiver<SessionInput>) -> mpsc::Receiver<Output> {
        let (sender, output) = mpsc::channel(OUTPUT_CAPACITY);
        match self {
            Ends::Pipes {
                stdin,
                stdout,
                stderr,
            } => {
                if let Some(stdin) = stdin {
                    tokio::spawn(write(stdin, inputs));
                }
                if let Some(stdout) = stdout {
                    tokio::spawn(read(stdout, sender.clone(), Output::Stdout));
                }
                if let Some(stderr) = stderr {
                    tokio::spawn(read(stderr, sender, Output::Stderr));
                }
            }
            Ends::Terminal(terminal) => terminal.start(inputs, sender),
        }
        output
    }
}

async fn read(
    mut from: impl AsyncRead + Unpin,
    to: mpsc::Sender<Output>,
    wrap: impl Fn(Bytes) -> Output,
) {
    let mut buffer = vec![0; PIECE_BYTES];
    // An error ends the stream like its end.
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to
            .send(wrap(Bytes::copy_from_slice(&buffer[..length])))
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn write(mut to: ChildStdin, mut inputs: mpsc::Receiver<SessionInput>) {
    while let Some(input) = inputs.recv().await {
        match input {
            SessionInput::Data(data) if data.is_empty() => return,
            SessionInput::Data(data) => {
                if to.write_all(&data).await.is_err() {
                    return;
                }
            }
            // There is no terminal.
            SessionInput::WindowSize { .. } => {}
        }
    }
}
