//! `/quota` and `/weights`, the forms older than the v1 calls (Mesos:
//! src/master/quota_handler.cpp, src/master/weights_handler.cpp).

use bytes::Bytes;
use caprock_http::{Reply, path, reply};
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::mesos::v1::quota::QuotaRequest;
use caprock_proto::{MediaType, decode};
use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use super::{Parameters, json as json_reply, resources};
use crate::context::Master;
use crate::http::operator::quota::submit;
use crate::reads;

/// `GET /quota`, `POST /quota` with a request, `DELETE /quota/<role>`.
pub(super) async fn quota(
    master: &Master,
    principal: Option<&str>,
    parts: &Parts,
    parameters: &Parameters,
    body: Bytes,
) -> Reply {
    match parts.method {
        Method::POST => set(master, principal, body).await,
        Method::DELETE => remove(master, principal, parts.uri.path()).await,
        _ => {
            let may_get = |role: &str| master.acls.may_get_quota(principal, role);
            let status = reads::quota_status(&master.published.registry(), may_get);
            let value = json!({
                "infos": resources::messages(&status.infos),
                "configs": resources::messages(&status.configs),
            });
            json_reply(parts, parameters, &value)
        }
    }
}

async fn set(master: &Master, principal: Option<&str>, body: Bytes) -> Reply {
    let shown = String::from_utf8_lossy(&body).into_owned();
    match decode::<QuotaRequest>(MediaType::Json, body) {
        Ok(quota_request) => {
            let call = Call {
                r#type: Some(call::Type::SetQuota as i32),
                set_quota: Some(call::SetQuota { quota_request }),
                ..Call::default()
            };
            submit(master, principal, call).await
        }
        Err(error) => reply::bad_request(format!(
            "Failed to parse set quota request JSON '{shown}': {error}"
        )),
    }
}

async fn remove(master: &Master, principal: Option<&str>, full_path: &str) -> Reply {
    let Some(role) = role_of(full_path) else {
        return reply::bad_request(format!(
            "Failed to parse remove quota request for path '{full_path}': no role is named"
        ));
    };
    let call = Call {
        r#type: Some(call::Type::RemoveQuota as i32),
        remove_quota: Some(call::RemoveQuota { role }),
        ..Call::default()
    };
    submit(master, principal, call).await
}

/// What follows `/quota/`; the role may itself contain slashes.
fn role_of(full_path: &str) -> Option<String> {
    let normal = path::normalize(full_path, "master")?;
    let role = normal.strip_prefix("/quota/")?;
    let role = percent_encoding::percent_decode_str(role)
        .decode_utf8()
        .ok()?;
    (!role.is_empty()).then(|| role.into_owned())
}

/// `GET /weights`, and `PUT /weights` with a list.
pub(super) async fn weights(
    master: &Master,
    principal: Option<&str>,
    parts: &Parts,
    parameters: &Parameters,
    body: &Bytes,
) -> Reply {
    if parts.method != Method::PUT {
        let may_view = |role: &str| master.acls.may_view_role(principal, role);
        let infos = reads::weight_infos(&master.published.registry(), may_view);
        return json_reply(parts, parameters, &resources::messages(&infos));
    }
    match parse_weights(body) {
        Ok(update_weights) => {
            let call = Call {
                r#type: Some(call::Type::UpdateWeights as i32),
                update_weights: Some(update_weights),
                ..Call::default()
            };
            submit(master, principal, call).await
        }
        Err(text) => reply::bad_request(text),
    }
}

fn parse_weights(body: &Bytes) -> Result<call::UpdateWeights, String> {
    let shown = String::from_utf8_lossy(body);
    let list: Vec<Value> = serde_json::from_slice(body).map_err(|error| {
        format!("Failed to parse update weights request JSON '{shown}': {error}")
    })?;
    let wrapped = json!({ "weight_infos": list }).to_string();
    decode(MediaType::Json, wrapped).map_err(|error| {
        format!("Failed to convert weights JSON array to protobuf '{shown}': {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_what_follows_the_endpoint() {
        for (path, role) in [
            ("/quota/eng", Some("eng")),
            ("/master/quota/eng", Some("eng")),
            ("/quota/a/b", Some("a/b")),
            ("/quota/a%2Fb", Some("a/b")),
            ("/quota", None),
            ("/master/quota/", None),
        ] {
            assert_eq!(role_of(path).as_deref(), role, "{path}");
        }
    }

    #[test]
    fn weights_are_a_list_of_messages() {
        let parse = |text: &'static str| parse_weights(&Bytes::from_static(text.as_bytes()));
        let parsed = parse(r#"[{"role":"a","weight":2.5},{"role":"b","weight":1}]"#).unwrap();
        assert_eq!(parsed.weight_infos.len(), 2);
        assert_eq!(parsed.weight_infos[0].weight, 2.5);
        for bad in [
            "",
            "{}",
            r#"{"role":"a","weight":1}"#,
            r#"[{"role":"a"}]"#,
            "[1]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
