//! A gateway that is no member: it runs beside a scheduler, follows the leader through all
//! masters, and forwards everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use caprock_http::{Reply, reply};
use caprock_proto::caprock::admin::admin_client::AdminClient;
use caprock_proto::caprock::admin::{LeaderChange, WatchLeaderRequest};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::transport::Endpoint;

use super::{Gateway, GatewaySettings, LeaderAddress};
use crate::http::call;
use crate::listen;

/// Wait before a master that cannot be reached is asked again.
const RETRY: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// How long open requests may take to end when the process stops.
const DRAIN: Duration = Duration::from_millis(500);

/// Settings of a gateway process.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    pub listen: SocketAddr,
    /// host:port of every master.
    pub masters: Vec<String>,
    /// How long a request waits for a leader before it is answered 503.
    pub leader_wait_ms: u64,
    /// How long a scheduler's stream waits for the next leader.
    pub stream_wait_ms: u64,
    /// Events kept for a scheduler that reads slowly before its stream is cut off.
    pub scheduler_event_buffer: usize,
    /// Largest request body, after decompression.
    pub max_request_body_bytes: usize,
}

impl GatewayConfig {
    /// Sound settings for these addresses.
    pub fn new(listen: SocketAddr, masters: Vec<String>) -> Self {
        Self {
            listen,
            masters,
            leader_wait_ms: 10_000,
            stream_wait_ms: 60_000,
            scheduler_event_buffer: 8_192,
            max_request_body_bytes: 64 << 20,
        }
    }
}

struct Service {
    gateway: Gateway,
    max_request_body_bytes: usize,
}

impl listen::HttpService for Service {
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        // Its own health, not that of the cluster.
        if parts.uri.path() == "/health" {
            return reply::empty(StatusCode::OK);
        }
        let body = match call::bytes(&parts.headers, body, self.max_request_body_bytes).await {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        if parts.uri.path().contains("/api/v1/scheduler") {
            return self.gateway.forward_scheduler(parts, body).await;
        }
        self.gateway.forward(&parts, body).await
    }
}

/// Runs a gateway until `shutdown` is ready.
///
/// # Errors
/// One line that says what is wrong: no masters, the port.
pub async fn run(config: GatewayConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    if config.masters.is_empty() {
        bail!("no masters are given");
    }
    let listener = listen::bind(config.listen).await?;
    let settings = GatewaySettings {
        name: format!("gateway-{}", listener.local_addr()?),
        leader_wait: Duration::from_millis(config.leader_wait_ms),
        stream_wait: Duration::from_millis(config.stream_wait_ms),
        event_buffer: config.scheduler_event_buffer,
    };
    let leader = follow(&config.masters);
    let service = Arc::new(Service {
        gateway: Gateway::new(settings, leader),
        max_request_body_bytes: config.max_request_body_bytes,
    });
    let (stopping, stop) = watch::channel(false);
    let routes = tonic::service::Routes::default();
    let serving = listen::serve(listener, service, routes, stop, DRAIN);
    tokio::pin!(serving);
    tracing::info!(listen = %config.listen, masters = ?config.masters, "gateway started");
    tokio::select! {
        () = &mut serving => {}
        () = shutdown => {
            stopping.send_replace(true);
            serving.await;
        }
    }
    Ok(())
}

/// What each master says of the leader.
struct Claims {
    by_master: Mutex<BTreeMap<String, LeaderChange>>,
    leader: watch::Sender<Option<String>>,
}

fn follow(masters: &[String]) -> LeaderAddress {
    let (leader, receiver) = watch::channel(None);
    let claims = Arc::new(Claims {
        by_master: Mutex::default(),
        leader,
    });
    for master in masters {
        tokio::spawn(ask(master.clone(), Arc::clone(&claims)));
    }
    LeaderAddress::new(receiver)
}

async fn ask(master: String, claims: Arc<Claims>) {
    loop {
        if let Err(error) = listen_to(&master, &claims).await {
            tracing::debug!(%master, %error, "cannot follow this master");
        }
        claims.update(&master, None);
        tokio::time::sleep(RETRY).await;
    }
}

async fn listen_to(master: &str, claims: &Claims) -> anyhow::Result<()> {
    let endpoint = Endpoint::from_shared(format!("http://{master}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let mut client = AdminClient::new(endpoint.connect().await?);
    let mut changes = client
        .watch_leader(WatchLeaderRequest {})
        .await?
        .into_inner();
    while let Some(change) = changes.message().await? {
        claims.update(master, Some(change));
    }
    Ok(())
}

impl Claims {
    fn update(&self, master: &str, claim: Option<LeaderChange>) {
        let mut claims = self
            .by_master
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match claim {
            Some(claim) => claims.insert(master.to_owned(), claim),
            None => claims.remove(master),
        };
        let leader = newest(claims.values());
        self.leader.send_if_modified(|current| {
            let modified = *current != leader;
            *current = leader;
            modified
        });
    }
}

/// The leader of the newest term; at equal terms who says so of itself.
fn newest<'a>(claims: impl Iterator<Item = &'a LeaderChange>) -> Option<String> {
    let known = claims.filter(|claim| claim.leader.is_some());
    let newest = known.max_by_key(|claim| (claim.term, claim.serving))?;
    newest.leader.as_ref().map(|leader| leader.address.clone())
}

#[cfg(test)]
mod tests {
    use caprock_proto::caprock::admin::Member;

    use super::*;

    fn claim(term: u64, address: Option<&str>, serving: bool) -> LeaderChange {
        let leader = address.map(|address| Member {
            address: address.to_owned(),
            ..Member::default()
        });
        LeaderChange {
            term,
            leader,
            serving,
        }
    }

    #[test]
    fn the_newest_term_wins() {
        let old = claim(3, Some("a:1"), true);
        let election = claim(4, None, false);
        let new = claim(4, Some("b:2"), false);
        assert_eq!(
            newest([&old, &election].into_iter()).as_deref(),
            Some("a:1")
        );
        assert_eq!(
            newest([&old, &election, &new].into_iter()).as_deref(),
            Some("b:2")
        );
        assert_eq!(newest(std::iter::empty()), None);
    }
}
