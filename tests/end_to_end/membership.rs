//! Members come and go while tasks run.

use std::process::Command;

use anyhow::{Result, ensure};
use caprock_proto::mesos::v1::TaskState;
use caprock_tests::cluster::free_ports;
use caprock_tests::process::binary;
use caprock_tests::{Cluster, Framework, Process, eventually};

/// Runs a command of the CLI and returns its output.
async fn quorum(masters: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(binary());
    command
        .arg("quorum")
        .args(arguments)
        .args(["--masters", masters, "--timeout=30secs"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn start_member(cluster: &Cluster, id: u64, address: &str, members: &str) -> Result<Process> {
    let name = format!("master-{id}");
    let data = cluster.dir.path().join(&name).display().to_string();
    let (_, port) = address.rsplit_once(':').expect("an address has a port");
    let arguments = vec![
        "master".to_owned(),
        format!("--id={id}"),
        format!("--listen={address}"),
        format!("--data-dir={data}"),
        format!("--quorum={members},{id}={address}"),
    ];
    Process::start(cluster.dir.path(), &name, port.parse()?, arguments)
}

#[tokio::test]
async fn a_new_member_replaces_one_that_is_gone_for_good() -> Result<()> {
    let mut cluster = Cluster::start(3, 1).await?;
    let mut framework = Framework::subscribe(cluster.target(), "membership").await?;
    framework.launch("t", "sleep 1000").await?;
    framework.wait_for("t", TaskState::TaskRunning).await?;
    let old = cluster.addresses();
    let numbered: Vec<String> = old
        .split(',')
        .zip(1..)
        .map(|(a, id)| format!("{id}={a}"))
        .collect();
    let lost = cluster.follower().await;
    cluster.masters[lost].kill();

    let address = format!("127.0.0.1:{}", free_ports(1)?[0]);
    cluster
        .masters
        .push(start_member(&cluster, 4, &address, &numbered.join(","))?);
    let member = format!("4={address}");
    eventually("member 4 in the quorum", async || {
        quorum(&old, &["add", &member]).await
    })
    .await;
    let shown = quorum(&old, &["promote", "4"]).await?;
    ensure!(
        shown.contains("member 4") && shown.contains("has a vote"),
        "{shown}"
    );
    let removed = (lost + 1).to_string();
    let shown = quorum(&old, &["remove", &removed]).await?;
    ensure!(!shown.contains(&format!("member {removed} ")), "{shown}");

    cluster.assert_members_agree().await;
    // The new member makes a majority with one of the old ones.
    cluster.kill_leader().await;
    framework.launch("after", "exit 0").await?;
    framework.wait_for("after", TaskState::TaskFinished).await?;
    assert_eq!(
        framework.reconcile("t").await?.state(),
        TaskState::TaskRunning
    );
    Ok(())
}

#[tokio::test]
async fn a_member_that_lost_its_disk_is_refused() -> Result<()> {
    let mut cluster = Cluster::start(3, 0).await?;
    let follower = cluster.follower().await;
    cluster.assert_members_agree().await;
    cluster.masters[follower].kill();
    let data = cluster.dir.path().join(format!("master-{}", follower + 1));
    std::fs::remove_dir_all(data)?;
    cluster.masters[follower].start_again()?;
    let status = cluster.masters[follower].ended().await;
    ensure!(!status.success(), "a wiped member took part again");
    let log = cluster.masters[follower].log();
    let line = log
        .lines()
        .rev()
        .find(|l| l.starts_with("caprock: "))
        .unwrap_or_default();
    ensure!(
        line.contains("new member id") || line.contains("new id"),
        "{line}"
    );
    Ok(())
}
