//! The shim on real processes: what it leaves on disk, and what it leaves running (nothing).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use serde_json::json;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

struct Run {
    folder: TempDir,
    shim: Child,
    /// The answer to the agent.
    answer: String,
}

/// Runs a shell command under a shim.
fn run(script: &str) -> Run {
    run_spec(&json!(["sh", "-c", script]), "/bin/sh")
}

fn run_spec(arguments: &serde_json::Value, program: &str) -> Run {
    run_as(arguments, program, &serde_json::Value::Null)
}

fn run_as(arguments: &serde_json::Value, program: &str, account: &serde_json::Value) -> Run {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let spec = folder.path().join("spec.json");
    let text = json!({
        "program": program,
        "arguments": arguments,
        "environment": [["PATH", "/usr/bin:/bin"], ["GREETING", "hello"]],
        "directory": folder.path(),
        "account": account,
        "shim_arguments": ["launch"],
    });
    fs::write(&spec, text.to_string()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let output = fs::File::create(folder.path().join("stdout")).unwrap();
    let shim = Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
        .arg("launch")
        .arg(&spec)
        .stdin(writer)
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let mut answer = String::new();
    BufReader::new(reader).read_line(&mut answer).unwrap();
    Run {
        folder,
        shim,
        answer: answer.trim().to_string(),
    }
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command_pid(&self) -> Pid {
        let pid = self
            .answer
            .strip_prefix("started ")
            .expect("the command runs");
        Pid::from_raw(pid.parse().unwrap()).unwrap()
    }

    /// Waits for the shim and returns the raw status that it wrote.
    fn status(&mut self) -> i32 {
        until("the shim ends", || self.shim.try_wait().unwrap().is_some());
        fs::read_to_string(self.path("status"))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.shim.kill();
        let _ = self.shim.wait();
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// A pid that a script has written, complete when it ends in a newline.
fn pid_in(path: &Path) -> Pid {
    let mut pid = None;
    until("the script writes a pid", || {
        let text = fs::read_to_string(path).unwrap_or_default();
        pid = text
            .strip_suffix('\n')
            .and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    Pid::from_raw(pid.unwrap()).unwrap()
}

/// Gone, or dead and waiting for a parent that is not ours.
fn is_over(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    match stat {
        Err(_) => true,
        Ok(stat) => stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim().starts_with(['Z', 'X'])),
    }
}

#[test]
fn the_exit_code_is_on_disk() {
    assert_eq!(run("exit 0").status(), 0);
    assert_eq!(run("exit 7").status(), 7 << 8);
}

#[test]
fn the_command_gets_its_environment_and_directory_only() {
    let mut done = run("echo $GREETING; pwd; env | wc -l");
    assert_eq!(done.status(), 0);
    let text = done.text("stdout");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "hello");
    assert_eq!(
        Path::new(lines[1]),
        done.folder.path().canonicalize().unwrap()
    );
    // PATH and GREETING; the shell adds PWD and may add OLDPWD, SHLVL, _.
    assert!(lines[2].trim().parse::<u32>().unwrap() <= 6, "{text}");
}

#[test]
fn a_signal_is_on_disk() {
    let mut running = run("echo $$ > ready; sleep 1000 & wait");
    let command = pid_in(&running.path("ready"));
    assert_eq!(command, running.command_pid());
    kill_process_group(command, Signal::TERM).unwrap();
    assert_eq!(running.status(), Signal::TERM.as_raw());
}

#[test]
fn the_command_has_a_process_group_of_its_own() {
    let mut running = run("sleep 1000 & echo $! > child; wait");
    let child = pid_in(&running.path("child"));
    let group = rustix::process::getpgid(Some(child)).unwrap();
    assert_eq!(group, running.command_pid());
    assert_ne!(rustix::process::getpgid(None).unwrap(), group);
    kill_process_group(group, Signal::KILL).unwrap();
    assert_eq!(running.status(), Signal::KILL.as_raw());
    until("the child is gone", || is_over(child));
}

#[test]
fn what_the_command_leaves_behind_is_killed() {
    // In a session of its own and deaf to SIGTERM: only the adoption by the shim finds it.
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > stray; exec sleep 1000' & \
                  while ! test -s stray; do :; done; exit 3";
    let mut running = run(script);
    assert_eq!(running.status(), 3 << 8);
    let stray = pid_in(&running.path("stray"));
    until("the stray process is gone", || is_over(stray));
}

#[test]
fn a_program_that_cannot_start_is_reported() {
    let mut failed = run_spec(&json!(["no-such-program"]), "no-such-program");
    assert!(
        failed
            .answer
            .starts_with("error Failed to execute 'no-such-program'")
    );
    until("the shim ends", || {
        failed.shim.try_wait().unwrap().is_some()
    });
    assert!(!failed.path("status").exists());
}

#[test]
fn a_program_is_found_in_the_path_and_in_the_sandbox() {
    let mut done = run_spec(&json!(["printf", "%s", "one"]), "printf");
    assert_eq!((done.status(), done.text("stdout").as_str()), (0, "one"));
    let mut failed = run_spec(&json!(["./tool"]), "./tool");
    assert!(failed.answer.starts_with("error "), "{}", failed.answer);
    until("the shim ends", || {
        failed.shim.try_wait().unwrap().is_some()
    });
}

#[test]
fn the_status_survives_the_death_of_the_agent() {
    // A shell stands for the agent: it starts the shim in the background, then is killed.
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("spec.json");
    let script = "while ! test -e go; do :; done; exit 5";
    let text = json!({
        "program": "/bin/sh",
        "arguments": ["sh", "-c", script],
        "environment": [["PATH", "/usr/bin:/bin"]],
        "directory": folder.path(),
        "account": null,
        "shim_arguments": [],
    });
    fs::write(&spec, text.to_string()).unwrap();
    let mut agent = Command::new("/bin/sh")
        .arg("-c")
        .arg("\"$0\" launch \"$1\" & wait")
        .arg(env!("CARGO_BIN_EXE_agent-under-test"))
        .arg(&spec)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let processes = folder.path().join("processes");
    until("the command runs", || processes.exists());
    let text = fs::read_to_string(&processes).unwrap();
    let shim: i32 = text.split_whitespace().next().unwrap().parse().unwrap();
    let shim = Pid::from_raw(shim).unwrap();
    kill_process(Pid::from_child(&agent), Signal::KILL).unwrap();
    agent.wait().unwrap();
    test_kill_process(shim).expect("the shim lives on");
    fs::write(folder.path().join("go"), "").unwrap();
    let status = folder.path().join("status");
    until("the status is written", || status.exists());
    assert_eq!(
        fs::read_to_string(status).unwrap().trim(),
        (5 << 8).to_string()
    );
    until("the shim is gone", || is_over(shim));
}

#[test]
fn another_user_is_taken_on_for_good() {
    if !rustix::process::geteuid().is_root() {
        // Only root can become somebody else.
        return;
    }
    let account = json!({"uid": 65534, "gid": 65533, "groups": [65533, 7]});
    let script = "id -u; id -g; id -G; touch mine 2>/dev/null && echo wrote; \
                  cat spec.json >/dev/null 2>&1 && echo read; exit 6";
    let mut done = run_as(&json!(["sh", "-c", script]), "/bin/sh", &account);
    assert_eq!(done.status(), 6 << 8);
    // The spec of this test is readable by all; that of an agent is not.
    assert_eq!(done.text("stdout"), "65534\n65533\n65533 7\nread\n");
}
