//! One look at a task: a command in its sandbox, an HTTP request, or a TCP connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use caprock_model::ContainerId;
use caprock_proto::mesos::v1::network_info::Protocol;
use caprock_proto::mesos::v1::{CheckInfo, CommandInfo, HealthCheck, check_info, health_check};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::TcpStream;
use ureq::tls::TlsConfig;

use crate::containerizer::Containerizer;

/// Bound on a request whose check has no timeout: its thread cannot be killed.
const HTTP_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// What to look at.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    Command(CommandInfo),
    Http { url: String },
    Tcp { address: IpAddr, port: u16 },
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The command has ended with this code.
    Exited(i32),
    /// The server has answered with this status.
    Answered(u16),
    /// The port is open, or not.
    Connected(bool),
    /// There is no result.
    Failed(String),
}

impl Probe {
    /// The probe of a check; `None` if it does not say what to do.
    pub fn of_check(check: &CheckInfo) -> Option<Self> {
        match check.r#type() {
            check_info::Type::Command => {
                Some(Probe::Command(check.command.as_ref()?.command.clone()))
            }
            check_info::Type::Http => {
                let http = check.http.as_ref()?;
                Some(http_probe("http", Protocol::IPv4, http.port, http.path()))
            }
            check_info::Type::Tcp => tcp_probe(Protocol::IPv4, check.tcp.as_ref()?.port),
            check_info::Type::Unknown => None,
        }
    }

    /// The probe of a health check. Its type may be missing: old frameworks set only the
    /// command or the HTTP part.
    pub fn of_health(health: &HealthCheck) -> Option<Self> {
        match health.r#type() {
            health_check::Type::Command => health.command.clone().map(Probe::Command),
            health_check::Type::Http => health.http.as_ref().map(http_health_probe),
            health_check::Type::Tcp => {
                let tcp = health.tcp.as_ref()?;
                tcp_probe(tcp.protocol(), tcp.port)
            }
            health_check::Type::Unknown => match (&health.command, &health.http) {
                (Some(command), _) => Some(Probe::Command(command.clone())),
                (None, Some(http)) => Some(http_health_probe(http)),
                (None, None) => None,
            },
        }
    }

    /// Looks once.
    pub async fn run(self, containerizer: Containerizer, container: ContainerId) -> Outcome {
        match self {
            Probe::Command(command) => run_command(&containerizer, &container, &command)
                .await
                .unwrap_or_else(|error| Outcome::Failed(error.to_string())),
            Probe::Http { url } => tokio::task::spawn_blocking(move || ask(&url))
                .await
                .unwrap_or_else(|error| Outcome::Failed(error.to_string())),
            Probe::Tcp { address, port } => {
                Outcome::Connected(TcpStream::connect((address, port)).await.is_ok())
            }
        }
    }
}

fn http_health_probe(http: &health_check::HttpCheckInfo) -> Probe {
    let scheme = if http.scheme.as_deref() == Some("https") {
        "https"
    } else {
        "http"
    };
    http_probe(scheme, http.protocol(), http.port, http.path())
}

fn http_probe(scheme: &str, protocol: Protocol, port: u32, path: &str) -> Probe {
    let host = match protocol {
        Protocol::IPv6 => "[::1]",
        Protocol::IPv4 => "127.0.0.1",
    };
    let slash = if path.is_empty() || path.starts_with('/') {
        ""
    } else {
        "/"
    };
    Probe::Http {
        url: format!("{scheme}://{host}:{port}{slash}{path}"),
    }
}

fn tcp_probe(protocol: Protocol, port: u32) -> Option<Probe> {
    let address: IpAddr = match protocol {
        Protocol::IPv6 => Ipv6Addr::LOCALHOST.into(),
        Protocol::IPv4 => Ipv4Addr::LOCALHOST.into(),
    };
    Some(Probe::Tcp {
        address,
        port: u16::try_from(port).ok()?,
    })
}

/// Runs as the task runs: its sandbox, environment and user; output is dropped. The process
/// is killed when the check is over or stopped.
async fn run_command(
    containerizer: &Containerizer,
    container: &ContainerId,
    command: &CommandInfo,
) -> std::io::Result<Outcome> {
    let spec = containerizer.spec(container)?;
    let value = command.value();
    let mut process = if command.shell() {
        let mut process = tokio::process::Command::new("/bin/sh");
        process.arg("-c").arg(value);
        process
    } else {
        let mut process = tokio::process::Command::new(value);
        process.args(command.arguments.iter().skip(1));
        process
    };
    let own = command
        .environment
        .iter()
        .flat_map(|environment| &environment.variables);
    let own = own.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)));
    process
        .env_clear()
        .envs(spec.environment)
        .envs(own)
        .current_dir(spec.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = spec.account {
        process.uid(account.uid).gid(account.gid);
    }
    let mut child = process.spawn()?;
    let group = Group(
        child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)),
    );
    let status = child.wait().await?;
    group.leave();
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(code),
        // As the shell reports it.
        (None, Some(signal)) => Outcome::Exited(128 + signal),
        (None, None) => Outcome::Failed("unknown exit status".into()),
    })
}

/// Kills a process group when it is dropped before its leader has ended: the leader is not
/// waited for then, so the id of the group is still its own.
struct Group(Option<Pid>);

impl Group {
    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself in this moment.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// A certificate is not checked: the task's own has no name of its own on this address.
fn ask(url: &str) -> Outcome {
    let client: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().disable_verification(true).build())
        .http_status_as_error(false)
        .timeout_global(Some(HTTP_TIMEOUT_MAX))
        .proxy(None)
        .build()
        .into();
    match client.get(url).call() {
        Ok(response) => Outcome::Answered(response.status().as_u16()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use caprock_proto::mesos::v1::check_info::Http;

    use super::*;

    #[test]
    fn urls_of_checks() {
        let check = |path: Option<&str>| {
            Probe::of_check(&CheckInfo {
                r#type: Some(check_info::Type::Http.into()),
                http: Some(Http {
                    port: 8080,
                    path: path.map(str::to_string),
                }),
                ..CheckInfo::default()
            })
        };
        let url = |url: &str| Some(Probe::Http { url: url.into() });
        assert_eq!(check(None), url("http://127.0.0.1:8080"));
        assert_eq!(check(Some("/a?b")), url("http://127.0.0.1:8080/a?b"));
        assert_eq!(check(Some("a")), url("http://127.0.0.1:8080/a"));
        assert_eq!(Probe::of_check(&CheckInfo::default()), None);
    }

    #[test]
    fn a_health_check_without_type() {
        let command = CommandInfo {
            value: Some("true".into()),
            ..CommandInfo::default()
        };
        let old = HealthCheck {
            command: Some(command.clone()),
            ..HealthCheck::default()
        };
        assert_eq!(Probe::of_health(&old), Some(Probe::Command(command)));
        assert_eq!(Probe::of_health(&HealthCheck::default()), None);
    }
}
