//! A whole agent process between a master made for the test and real containers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::fs;
use std::path::Path;
use std::time::Instant;

use caprock_proto::caprock::session::{Kill, from_agent, order};
use caprock_proto::mesos::v1::{
    CheckInfo, CommandInfo, HealthCheck, TaskState, check_info, health_check,
};
use fake::{AgentProcess, DEADLINE, FakeMaster, command_task};
use rustix::process::Signal;

struct World {
    master: FakeMaster,
    agent: AgentProcess,
    work: tempfile::TempDir,
}

impl Drop for World {
    /// Ends what runs: containers survive their agent.
    fn drop(&mut self) {
        let containers = fs::read_dir(self.work.path().join("containers"));
        for container in containers.into_iter().flatten().flatten() {
            let text = fs::read_to_string(container.path().join("processes")).unwrap_or_default();
            let pid = text
                .trim()
                .rsplit(' ')
                .next()
                .and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            }
        }
    }
}

async fn world() -> World {
    let mut master = FakeMaster::start().await;
    let work = tempfile::tempdir().unwrap();
    let agent = AgentProcess::start(master.address, work.path());
    let attach = master.hear_attach().await;
    assert_eq!(attach.address, format!("127.0.0.1:{}", agent.port));
    assert_eq!(attach.info.unwrap().hostname, "localhost");
    World {
        master,
        agent,
        work,
    }
}

/// Gone, or dead and waiting for a parent that is in no hurry.
fn is_over(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default();
    stat.is_empty() || state.trim().starts_with(['Z', 'X'])
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn command(script: &str) -> CommandInfo {
    CommandInfo {
        value: Some(script.into()),
        ..CommandInfo::default()
    }
}

/// Status, and body as text.
fn request(method: &str, url: &str, content_type: Option<&str>, body: &str) -> (u16, String) {
    let client: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = if method == "GET" {
        client.get(url).call().unwrap()
    } else {
        let mut request = client.post(url);
        if let Some(content_type) = content_type {
            request = request.content_type(content_type);
        }
        request.send(body).unwrap()
    };
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

fn get_json(url: &str) -> serde_json::Value {
    let (status, text) = request("GET", url, None, "");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn sandbox(work: &Path, executor: &str) -> std::path::PathBuf {
    work.join("slaves/S0/frameworks/F0/executors")
        .join(executor)
        .join("runs/latest")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_task_runs_to_its_end() {
    let mut world = world().await;
    world
        .master
        .launch(command_task("t1", "echo $MESOS_ALLOCATION_ROLE; exit 7"));
    let update = world.master.hear_state("t1", TaskState::TaskFailed).await;
    assert_eq!(
        update.status.unwrap().message(),
        "Command exited with status 7"
    );
    let output = sandbox(world.work.path(), "t1").join("stdout");
    assert_eq!(fs::read_to_string(output).unwrap(), "eng\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_killed_with_all_its_processes() {
    let mut world = world().await;
    world
        .master
        .launch(command_task("t1", "sleep 1000 & echo $! > child; wait"));
    world.master.hear_state("t1", TaskState::TaskRunning).await;
    let file = sandbox(world.work.path(), "t1").join("child");
    until("the task writes a pid", || {
        fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
    });
    world.master.order(order::Order::Kill(Kill {
        framework_id: "F0".into(),
        task_id: "t1".into(),
        kill_policy: None,
    }));
    world.master.hear_state("t1", TaskState::TaskKilled).await;
    let pid = fs::read_to_string(&file).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fetch_fails_the_task() {
    let mut world = world().await;
    let mut task = command_task("t1", "true");
    let uri = caprock_proto::mesos::v1::command_info::Uri {
        value: "file:///no/such/file".into(),
        ..Default::default()
    };
    task.command.as_mut().unwrap().uris.push(uri);
    world.master.launch(task);
    let status = world
        .master
        .hear_state("t1", TaskState::TaskFailed)
        .await
        .status
        .unwrap();
    assert!(
        status
            .message()
            .contains("Failed to fetch 'file:///no/such/file'"),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_survive_the_agent() {
    let mut world = world().await;
    world
        .master
        .launch(command_task("t1", "while ! test -e go; do :; done; exit 4"));
    world
        .master
        .launch(command_task("t2", "while ! test -e go; do :; done; exit 5"));
    world.master.hear_state("t1", TaskState::TaskRunning).await;
    world.master.hear_state("t2", TaskState::TaskRunning).await;
    world.agent.signal(Signal::KILL);
    world.agent.child.wait().unwrap();
    // One ends while there is no agent, the other under the next one.
    fs::write(sandbox(world.work.path(), "t1").join("go"), "").unwrap();
    let port = world.agent.port;
    world.agent = AgentProcess::start_on(world.master.address, world.work.path(), port);
    let attach = world.master.hear_attach().await;
    assert_eq!(attach.agent_id, "S0");
    assert_eq!(attach.tasks.len(), 2);
    let message = |update: caprock_proto::caprock::session::StatusUpdate| {
        update.status.unwrap().message().to_string()
    };
    let update = world.master.hear_state("t1", TaskState::TaskFailed).await;
    assert_eq!(message(update), "Command exited with status 4");
    fs::write(sandbox(world.work.path(), "t2").join("go"), "").unwrap();
    let update = world.master.hear_state("t2", TaskState::TaskFailed).await;
    assert_eq!(message(update), "Command exited with status 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_shim_leaves_is_killed() {
    for agent_lives in [true, false] {
        let (mut world, container) = world_with_container().await;
        let files = world.work.path().join("containers").join(container);
        let text = fs::read_to_string(files.join("processes")).unwrap();
        let (shim, command) = text.trim().split_once(' ').unwrap();
        if !agent_lives {
            world.agent.signal(Signal::KILL);
            world.agent.child.wait().unwrap();
        }
        let shim = rustix::process::Pid::from_raw(shim.parse().unwrap()).unwrap();
        rustix::process::kill_process(shim, Signal::KILL).unwrap();
        if !agent_lives {
            let port = world.agent.port;
            world.agent = AgentProcess::start_on(world.master.address, world.work.path(), port);
        }
        world.master.hear_state("t1", TaskState::TaskFailed).await;
        until("the command is gone", || is_over(command));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_leaves_tasks_and_sigusr1_does_not() {
    let mut world = world().await;
    world.master.launch(command_task("t1", "sleep 1000"));
    world.master.hear_state("t1", TaskState::TaskRunning).await;
    world.agent.signal(Signal::TERM);
    assert!(world.agent.child.wait().unwrap().success());
    let port = world.agent.port;
    world.agent = AgentProcess::start_on(world.master.address, world.work.path(), port);
    assert_eq!(world.master.hear_attach().await.tasks.len(), 1);
    let state = get_json(&world.agent.url("/state"));
    let pid = get_json(&world.agent.url("/containers"))[0]["status"]["executor_pid"].clone();
    assert_eq!(
        state["frameworks"][0]["executors"][0]["tasks"][0]["state"],
        "TASK_RUNNING"
    );
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    world.agent.signal(Signal::USR1);
    let unregister = |said| matches!(said, from_agent::Message::Unregister(_)).then_some(());
    world.master.hear("Unregister", unregister).await;
    assert!(world.agent.child.wait().unwrap().success());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_of_tools() {
    let mut world = world().await;
    world
        .master
        .launch(command_task("t1", "echo out; sleep 1000"));
    world.master.hear_state("t1", TaskState::TaskRunning).await;
    let url = |path: &str| world.agent.url(path);
    assert_eq!(
        request("GET", &url("/health"), None, ""),
        (200, String::new())
    );
    assert_eq!(
        request("GET", &url("/nothing"), None, ""),
        (404, "404 Not Found.".into())
    );
    assert_eq!(get_json(&url("/version"))["version"], "1.11.0");
    assert_eq!(
        get_json(&url("/slave(1)/flags"))["flags"]["switch_user"],
        "false"
    );
    assert_eq!(
        get_json(&url("/metrics/snapshot?timeout=1secs"))["slave/registered"],
        1.0
    );
    let state = get_json(&url("/slave%281%29/state"));
    assert_eq!(state["id"], "S0");
    assert_eq!(state["resources"]["cpus"], 4.0);
    let executor = &state["frameworks"][0]["executors"][0];
    assert_eq!(executor["tasks"][0]["role"], "eng");
    let directory = executor["directory"].as_str().unwrap();
    until("the output is there", || {
        let read = get_json(&url(&format!(
            "/files/read?path={directory}/stdout&offset=0"
        )));
        read["data"] == "out\n"
    });
    let listed = get_json(&url(
        "/files/browse?path=/frameworks/F0/executors/t1/runs/latest",
    ));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let escape = format!("/files/read?path={directory}/../../../../../../../meta/CURRENT");
    assert_eq!(request("GET", &url(&escape), None, "").0, 404);
    let (status, text) = request(
        "GET",
        &url(&format!("/files/download?path={directory}/stdout")),
        None,
        "",
    );
    assert_eq!((status, text.as_str()), (200, "out\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_operators() {
    let (world, _) = world_with_container().await;
    let url = |path: &str| world.agent.url(path);
    let rows = get_json(&url("/monitor/statistics"));
    assert!(rows[0]["statistics"]["mem_rss_bytes"].as_u64().unwrap() > 0);
    let json = Some("application/json");
    let call = r#"{"type":"GET_CONTAINERS"}"#;
    let (status, text) = request("POST", &url("/api/v1"), json, call);
    assert!(
        status == 200 && text.contains(r#""executor_pid""#),
        "{text}"
    );
    for kind in [
        "GET_STATE",
        "GET_TASKS",
        "GET_EXECUTORS",
        "GET_FRAMEWORKS",
        "GET_AGENT",
    ] {
        let (status, text) = request(
            "POST",
            &url("/api/v1"),
            json,
            &format!(r#"{{"type":"{kind}"}}"#),
        );
        assert!(status == 200 && text.contains(kind), "{kind}: {text}");
    }
    assert_eq!(request("GET", &url("/api/v1"), None, "").0, 405);
    assert_eq!(
        request("POST", &url("/api/v1"), json, r#"{"type":"NO_SUCH"}"#).0,
        400
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_executor_api_refuses_what_mesos_refuses() {
    let mut world = world().await;
    world.master.launch(command_task("t1", "sleep 1000"));
    world.master.hear_state("t1", TaskState::TaskRunning).await;
    let url = world.agent.url("/slave(1)/api/v1/executor");
    let json = Some("application/json");
    let post = |body: &str| request("POST", &url, json, body);
    assert_eq!(request("GET", &url, None, "").0, 405);
    assert_eq!(request("POST", &url, Some("text/plain"), "{}").0, 415);
    let (status, text) = post("{");
    assert_eq!(status, 400);
    assert!(
        text.starts_with("Failed to parse body into JSON: "),
        "{text}"
    );
    let ids = r#""executor_id":{"value":"e"},"framework_id":{"value":"f"}"#;
    let (status, text) = post(&format!("{{{ids}}}"));
    assert_eq!(status, 400);
    assert!(
        text.starts_with("Failed to validate Executor::Call: "),
        "{text}"
    );
    let heartbeat = format!(r#"{{"type":"HEARTBEAT",{ids}}}"#);
    assert_eq!(post(&heartbeat), (202, String::new()));
    let subscribe = format!(r#"{{"type":"SUBSCRIBE","subscribe":{{}},{ids}}}"#);
    let (status, text) = post(&subscribe);
    assert_eq!(status, 400);
    assert!(text.contains("Framework cannot be found"), "{text}");
    let (status, text) = post(&subscribe.replace(r#""value":"f""#, r#""value":"F0""#));
    assert_eq!(status, 400);
    assert!(text.contains("Executor cannot be found"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_do_not_share_a_work_dir_or_a_port() {
    let world = world().await;
    let started = |port: u16, work: &Path| {
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_agent-under-test"))
            .args(["agent", "127.0.0.1:1", &port.to_string()])
            .arg(work)
            .output()
            .unwrap();
        assert!(!child.status.success());
        String::from_utf8(child.stderr).unwrap()
    };
    let text = started(0, world.work.path());
    assert!(text.contains("in use by another agent"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let other = tempfile::tempdir().unwrap();
    let text = started(world.agent.port, other.path());
    assert!(text.contains("cannot listen on 127.0.0.1"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_task_is_killed() {
    let mut world = world().await;
    let mut task = command_task("t1", "sleep 1000");
    task.health_check = Some(HealthCheck {
        r#type: Some(health_check::Type::Command.into()),
        command: Some(command("test -e healthy")),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.02),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(2),
        ..HealthCheck::default()
    });
    world.master.launch(task);
    let status = world
        .master
        .hear_state("t1", TaskState::TaskKilled)
        .await
        .status
        .unwrap();
    assert_eq!(status.healthy, Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reports_its_results() {
    let mut world = world().await;
    let mut task = command_task("t1", "sleep 1000");
    task.check = Some(CheckInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_info::Command {
            command: command("test -e done && exit 9; exit 3"),
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.02),
        ..CheckInfo::default()
    });
    world.master.launch(task);
    for expected in [None, Some(3), Some(9)] {
        let update = world.master.hear_state("t1", TaskState::TaskRunning).await;
        let check = update
            .status
            .unwrap()
            .check_status
            .expect("each update tells the result");
        assert_eq!(check.command.unwrap().exit_code, expected);
        if expected == Some(3) {
            fs::write(sandbox(world.work.path(), "t1").join("done"), "").unwrap();
        }
    }
}

/// Opens a session beside a task's container; its output is the body of the answer.
fn open_session(
    agent: &AgentProcess,
    parent: &str,
    id: &str,
    rest: &str,
) -> ureq::BodyReader<'static> {
    let call = format!(
        r#"{{"type":"LAUNCH_NESTED_CONTAINER_SESSION","launch_nested_container_session":
        {{"container_id":{{"value":"{id}","parent":{{"value":"{parent}"}}}},{rest}}}}}"#
    );
    let response = ureq::post(agent.url("/api/v1"))
        .content_type("application/json")
        .header("Accept", "application/recordio")
        .header("Message-Accept", "application/json")
        .send(&call)
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/recordio");
    assert_eq!(
        response.headers()["message-content-type"],
        "application/json"
    );
    response.into_body().into_reader()
}

/// What a session has written, by stream.
fn output_of(mut session: impl std::io::Read, kind: &str) -> String {
    use base64::Engine;
    let mut bytes = Vec::new();
    session.read_to_end(&mut bytes).unwrap();
    let mut decoder = caprock_proto::recordio::Decoder::new(1 << 20);
    decoder.feed(&bytes);
    let mut text = String::new();
    while let Some(record) = decoder.next().unwrap() {
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        if record["data"]["type"] == kind {
            let data = record["data"]["data"].as_str().unwrap();
            let data = base64::engine::general_purpose::STANDARD
                .decode(data)
                .unwrap();
            text.push_str(&String::from_utf8(data).unwrap());
        }
    }
    text
}

async fn world_with_container() -> (World, String) {
    let mut world = world().await;
    world.master.launch(command_task("t1", "sleep 1000"));
    world.master.hear_state("t1", TaskState::TaskRunning).await;
    let container = get_json(&world.agent.url("/containers"))[0]["container_id"].clone();
    (world, container.as_str().unwrap().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_runs_beside_a_task() {
    let (world, container) = world_with_container().await;
    let command = r#""command":{"value":"pwd; echo $MESOS_EXECUTOR_ID; echo bad >&2"}"#;
    let session = open_session(&world.agent, &container, "s1", command);
    let text = output_of(session, "STDOUT");
    let sandbox = sandbox(world.work.path(), "t1").canonicalize().unwrap();
    assert_eq!(text, format!("{}\nt1\n", sandbox.display()));
    let session = open_session(&world.agent, &container, "s2", command);
    assert_eq!(output_of(session, "STDERR"), "bad\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_takes_input() {
    let (world, container) = world_with_container().await;
    let session = open_session(
        &world.agent,
        &container,
        "s1",
        r#""command":{"value":"cat"}"#,
    );
    let mut body = Vec::new();
    for input in [
        format!(
            r#""type":"CONTAINER_ID","container_id":
            {{"value":"s1","parent":{{"value":"{container}"}}}}"#
        ),
        r#""type":"PROCESS_IO","process_io":{"type":"DATA","data":
            {"type":"STDIN","data":"aGVsbG8="}}"#
            .to_string(),
        r#""type":"PROCESS_IO","process_io":{"type":"DATA","data":{"type":"STDIN","data":""}}"#
            .to_string(),
    ] {
        let record =
            format!(r#"{{"type":"ATTACH_CONTAINER_INPUT","attach_container_input":{{{input}}}}}"#);
        caprock_proto::recordio::encode(record.as_bytes(), &mut body);
    }
    let response = ureq::post(world.agent.url("/api/v1"))
        .content_type("application/recordio")
        .header("Message-Content-Type", "application/json")
        .send(&body)
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(output_of(session, "STDOUT"), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_have_a_terminal() {
    let (world, container) = world_with_container().await;
    let rest = r#""command":{"value":"test -t 0 && stty size"},
        "container":{"type":"MESOS","tty_info":{"window_size":{"rows":33,"columns":101}}}"#;
    // The size is told to a terminal that may be read already: ask until it is there.
    let mut attempts = 0;
    until("the terminal has its size", || {
        attempts += 1;
        let session = open_session(&world.agent, &container, &format!("s{attempts}"), rest);
        let text = output_of(session, "STDOUT");
        assert!(!text.is_empty(), "there is no terminal");
        text.trim() == "33 101"
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_client() {
    let (world, container) = world_with_container().await;
    let rest = r#""command":{"value":"echo $$ > pid; sleep 1000"}"#;
    let session = open_session(&world.agent, &container, "s1", rest);
    let file = sandbox(world.work.path(), "t1").join("pid");
    until("the session writes its pid", || {
        fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
    });
    let pid = fs::read_to_string(&file).unwrap();
    assert!(Path::new("/proc").join(pid.trim()).exists());
    drop(session);
    until("the session is over", || is_over(pid.trim()));
}
