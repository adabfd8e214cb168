//! `/reserve`, `/unreserve`, `/create-volumes` and `/destroy-volumes`: forms older than the
//! v1 calls (Mesos: src/master/http.cpp `reserve`, `createVolumes` and their likes).

use std::collections::BTreeMap;

use bytes::Bytes;
use caprock_http::{Reply, query, reply};
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::mesos::v1::{AgentId, Resource};
use caprock_proto::{MediaType, decode};
use serde_json::Value;

use crate::context::Master;
use crate::http::operator::operations::submit;
use crate::http::route::Endpoint;

pub(super) async fn handle(
    master: &Master,
    principal: Option<&str>,
    endpoint: Endpoint,
    body: &Bytes,
) -> Reply {
    let form = query::parse(&String::from_utf8_lossy(body));
    match call_of(endpoint, &form) {
        Ok(call) => submit(master, principal, call).await,
        Err(error) => reply::bad_request(error),
    }
}

fn call_of(endpoint: Endpoint, form: &BTreeMap<String, String>) -> Result<Call, String> {
    let agent_id = AgentId {
        value: parameter(form, "slaveId")?.to_owned(),
    };
    let mut call = Call::default();
    let kind = match endpoint {
        Endpoint::Reserve => {
            let source = match form.get("source") {
                Some(text) => list("source", text)?,
                None => Vec::new(),
            };
            call.reserve_resources = Some(call::ReserveResources {
                agent_id,
                source,
                resources: list("resources", parameter(form, "resources")?)?,
            });
            call::Type::ReserveResources
        }
        Endpoint::Unreserve => {
            call.unreserve_resources = Some(call::UnreserveResources {
                agent_id,
                resources: list("resources", parameter(form, "resources")?)?,
            });
            call::Type::UnreserveResources
        }
        Endpoint::CreateVolumes => {
            call.create_volumes = Some(call::CreateVolumes {
                agent_id,
                volumes: list("volumes", parameter(form, "volumes")?)?,
            });
            call::Type::CreateVolumes
        }
        _ => {
            call.destroy_volumes = Some(call::DestroyVolumes {
                agent_id,
                volumes: list("volumes", parameter(form, "volumes")?)?,
            });
            call::Type::DestroyVolumes
        }
    };
    call.r#type = Some(kind as i32);
    Ok(call)
}

fn parameter<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, String> {
    form.get(name)
        .map(String::as_str)
        .ok_or_else(|| format!("Missing '{name}' query parameter in the request body"))
}

fn list(name: &str, text: &str) -> Result<Vec<Resource>, String> {
    let broken = |error: String| {
        format!("Error in parsing '{name}' query parameter in the request body: {error}")
    };
    let values: Vec<Value> =
        serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    values
        .into_iter()
        .map(|value| {
            decode::<Resource>(MediaType::Json, value.to_string())
                .map_err(|error| broken(error.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_calls() {
        let resources = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"r"}]"#;
        let mut form = BTreeMap::new();
        let error = |form: &_| call_of(Endpoint::Reserve, form).unwrap_err();
        assert!(error(&form).contains("Missing 'slaveId'"));
        form.insert("slaveId".to_owned(), "S0".to_owned());
        assert!(error(&form).contains("Missing 'resources'"));
        form.insert("resources".to_owned(), "[{]".to_owned());
        assert!(error(&form).contains("Error in parsing 'resources'"));
        form.insert("resources".to_owned(), resources.to_owned());
        let call = call_of(Endpoint::Reserve, &form).unwrap();
        let reserve = call.reserve_resources.unwrap();
        assert_eq!(reserve.agent_id.value, "S0");
        assert_eq!(reserve.resources[0].role(), "r");
    }
}
