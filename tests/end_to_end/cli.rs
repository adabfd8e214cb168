//! The command line as a person and a script use it.

use std::net::TcpListener;
use std::process::{Command, Output};

use anyhow::Result;
use caprock_tests::process::binary;
use caprock_tests::{Cluster, eventually};

fn caprock(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn run_prints_the_output_and_exits_as_the_command_did() -> Result<()> {
    let cluster = Cluster::start(3, 1).await?;
    let masters = format!("--masters={}", cluster.addresses());
    let run = |command: &str| {
        let (masters, command) = (masters.clone(), format!("--command={command}"));
        tokio::task::spawn_blocking(move || {
            caprock(&["run", &masters, "--name=hello", &command, "--deadline=60s"])
        })
    };
    let good = run("echo out; echo err >&2").await?;
    assert!(good.status.success(), "{}", stderr(&good));
    assert_eq!(stdout(&good), "out\n");
    assert!(stderr(&good).contains("err\n"), "{}", stderr(&good));
    let bad = run("exit 3").await?;
    assert_eq!(bad.status.code(), Some(1), "{}", stderr(&bad));
    let live = cluster
        .state()
        .await?
        .get_state
        .unwrap_or_default()
        .get_frameworks;
    assert!(
        live.unwrap_or_default().frameworks.is_empty(),
        "a framework was left behind"
    );
    Ok(())
}

#[tokio::test]
async fn quorum_status_tells_who_leads_and_hands_over() -> Result<()> {
    let cluster = Cluster::start(3, 0).await?;
    let leader = cluster.leader().await;
    let masters = format!("--masters={}", cluster.addresses());
    let output = caprock(&["quorum", "status", &masters, "-o", "json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let rows = rows.as_array().expect("a list of members");
    assert_eq!(rows.len(), 3);
    let leaders: Vec<_> = rows.iter().filter(|r| r["role"] == "leader").collect();
    assert_eq!(leaders.len(), 1);
    assert_eq!(leaders[0]["member_id"], leader + 1);
    let to = (leader + 1) % 3 + 1;
    let output = caprock(&["quorum", "transfer-leader", &masters, &format!("--to={to}")]);
    assert!(output.status.success(), "{}", stderr(&output));
    eventually("the chosen leader", async || {
        let now = cluster.leader().await;
        if now == to - 1 { Ok(()) } else { Err(now) }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn tables_and_json_list_the_same_agents() -> Result<()> {
    let cluster = Cluster::start(1, 2).await?;
    let masters = format!("--masters={}", cluster.addresses());
    let json = caprock(&["agents", &masters, "-o", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout)?;
    let table = stdout(&caprock(&["agents", &masters]));
    let rows = rows.as_array().expect("a list of agents");
    assert_eq!(rows.len(), 2);
    for row in rows {
        let id = row["id"].as_str().expect("an id");
        assert!(table.contains(id), "{id} is not in\n{table}");
    }
    Ok(())
}

#[test]
fn mistakes_get_one_clear_line_and_a_failure() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    std::fs::write(&file, "x")?;
    let data = format!("--data-dir={}", dir.path().join("data").display());
    let cases: [(&[&str], &str); 4] = [
        (&["master", &format!("--listen={address}"), &data], &address),
        (
            &[
                "master",
                "--listen=127.0.0.1:0",
                &format!("--data-dir={}", file.display()),
            ],
            "file",
        ),
        (
            &["master", "--id=4", "--quorum=1=a:1,2=b:1,3=c:1", &data],
            "--id is 4",
        ),
        (
            &["agents", "--masters=127.0.0.1:1", "--timeout=0secs"],
            "127.0.0.1:1",
        ),
    ];
    for (arguments, word) in cases {
        let output = caprock(arguments);
        let text = stderr(&output);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        let lines: Vec<&str> = text
            .lines()
            .filter(|l| l.starts_with("caprock: "))
            .collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {text}");
        assert!(lines[0].contains(word), "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn a_data_directory_of_another_member_is_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = format!("--data-dir={}", dir.path().display());
    let port = caprock_tests::cluster::free_ports(1)?[0];
    let listen = format!("--listen=127.0.0.1:{port}");
    let arguments = vec![
        "master".to_owned(),
        "--id=1".to_owned(),
        listen,
        data.clone(),
    ];
    let logs = tempfile::tempdir()?;
    let mut first = caprock_tests::Process::start(logs.path(), "first", port, arguments)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let admin = caprock_client::Admin::new(first.address().parse().expect("an address"));
        eventually("the first member", async || {
            admin.status(&first.address()).await
        })
        .await;
        first.stop().await;
    });
    let output = caprock(&["master", "--id=2", "--listen=127.0.0.1:0", &data]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("member 1"), "{}", stderr(&output));
    Ok(())
}

#[test]
fn completions_and_version_are_printed() {
    let script = stdout(&caprock(&["completions", "bash"]));
    assert!(script.contains("transfer-leader"));
    assert!(stdout(&caprock(&["version"])).starts_with("caprock "));
}
