//! A session with a terminal. The kernel's terminals cannot be polled by the runtime without
//! unsafe code, so two threads move the bytes; few people are connected at a time.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::io::{Ends, Output, SessionInput};

/// What a terminal sends to a command for the end of the input.
const END_OF_INPUT: u8 = 4;

const PIECE_BYTES: usize = 4096;

/// The agent's side of a terminal.
#[derive(Debug)]
pub struct Terminal {
    controller: File,
}

/// Starts a command at a new terminal.
pub fn spawn(command: &mut Command) -> io::Result<(Child, Ends)> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let user: OwnedFd = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty())?;
    command
        .stdin(user.try_clone()?)
        .stdout(user.try_clone()?)
        .stderr(user);
    let child = command.spawn()?;
    // The command must be the only one who holds its end, or its end is never seen.
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    Ok((
        child,
        Ends::Terminal(Terminal {
            controller: controller.into(),
        }),
    ))
}

impl Terminal {
    /// Moves bytes until the command ends or the client goes.
    pub fn start(self, inputs: mpsc::Receiver<SessionInput>, output: mpsc::Sender<Output>) {
        let reader = match self.controller.try_clone() {
            Ok(reader) => reader,
            Err(error) => {
                tracing::warn!("cannot use a terminal: {error}");
                return;
            }
        };
        tokio::task::spawn_blocking(move || read(reader, &output));
        tokio::task::spawn_blocking(move || write(self.controller, inputs));
    }
}

/// Reading fails when the last process at the terminal has ended.
fn read(mut from: File, to: &mpsc::Sender<Output>) {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = Output::Stdout(Bytes::copy_from_slice(&buffer[..length]));
        if to.blocking_send(piece).is_err() {
            return;
        }
    }
}

fn write(mut to: File, mut inputs: mpsc::Receiver<SessionInput>) {
    while let Some(input) = inputs.blocking_recv() {
        let written = match input {
            SessionInput::Data(data) if data.is_empty() => to.write_all(&[END_OF_INPUT]),
            SessionInput::Data(data) => to.write_all(&data),
            SessionInput::WindowSize { rows, columns } => {
                let size = Winsize {
                    ws_row: rows,
                    ws_col: columns,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                tcsetwinsize(&to, size).map_err(io::Error::from)
            }
        };
        if written.is_err() {
            return;
        }
    }
}
