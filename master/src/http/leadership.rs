//! What happens to a request that only the leader may answer.

use std::sync::Arc;
use std::time::Duration;

use caprock_http::{Reply, reply};
use http::header::{HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::route;
use crate::config::FollowerMode;
use crate::context::Master;
use crate::driver::NO_LEADER;
use crate::gateway::{FORWARDED_BY, NOT_LEADER};
use crate::hostname;
use crate::standing::Standing;

/// Mesos' text of a leader that does not serve yet (Mesos: src/master/http.cpp).
const NOT_RECOVERED: &str = "Master has not finished recovery";
/// How long a leader whose lease is in doubt is waited for.
const LEASE_WAIT: Duration = Duration::from_millis(500);
const LEASE_POLL: Duration = Duration::from_millis(5);

/// Where a request is to be answered.
#[derive(Debug)]
pub enum Place {
    /// By this member.
    Here,
    /// By whoever leads, which the gateway asks.
    Gateway,
    /// It is answered already: a redirect, or 503.
    Answered(Box<Reply>),
}

/// Finds the place for a request to this path.
pub async fn place(master: &Arc<Master>, headers: &HeaderMap, path_and_query: &str) -> Place {
    let forwarded = headers.contains_key(FORWARDED_BY);
    let standing = master.published.standing();
    if standing.leading_term().is_some() && holds_lease(master).await {
        return Place::Here;
    }
    match (master.config.follower_mode, forwarded) {
        (_, true) => answer_forwarded(master).await,
        (FollowerMode::Gateway, false) => Place::Gateway,
        (FollowerMode::Redirect, false) => {
            Place::Answered(Box::new(redirect(&standing, Some(path_and_query))))
        }
    }
}

async fn holds_lease(master: &Master) -> bool {
    let deadline = Instant::now() + LEASE_WAIT;
    while !master.store.has_quorum_lease() {
        let leads = master.published.standing().leading_term().is_some();
        if !leads || Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(LEASE_POLL).await;
    }
    true
}

/// A request that another member forwarded: this one is about to lead, or it says that it
/// does not, and the other looks again.
async fn answer_forwarded(master: &Arc<Master>) -> Place {
    if settles_as_leader(master).await && holds_lease(master).await {
        return Place::Here;
    }
    let mut reply = reply::text(StatusCode::SERVICE_UNAVAILABLE, NO_LEADER);
    reply
        .headers_mut()
        .insert(NOT_LEADER, HeaderValue::from_static("1"));
    Place::Answered(Box::new(reply))
}

async fn settles_as_leader(master: &Master) -> bool {
    let mut watched = master.published.watch_standing();
    let patience = Duration::from_millis(master.config.election_timeout_max_ms);
    let settled = watched.wait_for(|standing| !matches!(standing, Standing::Preparing));
    match tokio::time::timeout(patience, settled).await {
        Ok(Ok(standing)) => standing.leading_term().is_some(),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// 307 to the leader, without a scheme, as Mesos' clients expect it; 503 while there is none.
pub fn redirect(standing: &Standing, path_and_query: Option<&str>) -> Reply {
    let leader = match standing {
        Standing::Following(leader) => leader,
        Standing::Preparing | Standing::Leading { .. } => {
            return reply::text(StatusCode::SERVICE_UNAVAILABLE, NOT_RECOVERED);
        }
        Standing::Leaderless => return reply::text(StatusCode::SERVICE_UNAVAILABLE, NO_LEADER),
    };
    redirect_to(&hostname::named_address(&leader.address), path_and_query)
}

/// 307 to this host and port.
pub fn redirect_to(named_address: &str, path_and_query: Option<&str>) -> Reply {
    let path = path_and_query
        .map(route::delegated_path)
        .unwrap_or_default();
    let mut reply = reply::empty(StatusCode::TEMPORARY_REDIRECT);
    match HeaderValue::from_str(&format!("//{named_address}{path}")) {
        Ok(location) => {
            reply.headers_mut().insert(LOCATION, location);
            reply
        }
        Err(_) => reply::bad_request("The request's path cannot be redirected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Leader;

    fn following(address: &str) -> Standing {
        Standing::Following(Leader {
            member_id: 2,
            address: address.to_owned(),
        })
    }

    #[test]
    fn the_location_has_no_scheme_and_names_the_actor() {
        let reply = redirect(&following("m2:5150"), Some("/api/v1/scheduler?x=1"));
        assert_eq!(reply.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(
            reply.headers()[LOCATION],
            "//m2:5150/master/api/v1/scheduler?x=1"
        );
        let reply = redirect(&following("127.0.0.1:5150"), Some("/master/state"));
        assert_eq!(reply.headers()[LOCATION], "//localhost:5150/master/state");
        assert_eq!(
            redirect(&following("m2:5150"), None).headers()[LOCATION],
            "//m2:5150"
        );
    }

    #[test]
    fn without_a_leader_it_is_503() {
        for standing in [Standing::Leaderless, Standing::Preparing] {
            let reply = redirect(&standing, Some("/state"));
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }
}
