//! GET_ROLES, GET_WEIGHTS and GET_QUOTA: what the caller may see of roles.

use std::sync::Arc;

use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::master::{Response, call, response};
use http::StatusCode;

use super::{Context, of_type};
use crate::context::Master;
use crate::http::server::mark_state;
use crate::reads::{self, Snapshot};

/// The answer is built on a thread of its own from one snapshot.
pub(super) async fn read(context: &Context<'_>, kind: call::Type) -> Reply {
    let master = Arc::clone(context.master);
    let (headers, media) = (context.headers.clone(), context.media);
    let principal = context.principal.clone();
    let built = tokio::task::spawn_blocking(move || {
        let published = &master.published;
        let snapshot = match kind {
            call::Type::GetRoles => Snapshot::take(published),
            _ => {
                let (registry, view) = (published.registry_to_keep(), published.view());
                Snapshot::without_sums(registry, view, published.shown)
            }
        };
        let answer = build(&master, &snapshot, principal.as_deref(), kind);
        let bytes = reads::write_response(media, &answer);
        let mut reply = reply::ok(&headers, media.as_str(), bytes);
        mark_state(&mut reply, snapshot.registry.applied(), published.age_ms());
        reply
    });
    built.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a read failed");
        reply::status_line(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

fn build(
    master: &Master,
    snapshot: &Snapshot,
    principal: Option<&str>,
    kind: call::Type,
) -> Response {
    let (acls, registry) = (&master.acls, &snapshot.registry);
    let may_view = |role: &str| acls.may_view_role(principal, role);
    match kind {
        call::Type::GetRoles => {
            let mut roles = reads::roles(snapshot, master.config.roles.as_deref());
            roles.roles.retain(|role| may_view(&role.name));
            Response {
                get_roles: Some(roles),
                ..of_type(response::Type::GetRoles)
            }
        }
        call::Type::GetWeights => Response {
            get_weights: Some(response::GetWeights {
                weight_infos: reads::weight_infos(registry, may_view),
            }),
            ..of_type(response::Type::GetWeights)
        },
        _ => {
            let may_get = |role: &str| acls.may_get_quota(principal, role);
            let status = reads::quota_status(registry, may_get);
            Response {
                get_quota: Some(response::GetQuota { status }),
                ..of_type(response::Type::GetQuota)
            }
        }
    }
}
