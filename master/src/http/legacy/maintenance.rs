//! `/maintenance/schedule`, `/maintenance/status`, `/machine/down` and `/machine/up`, the
//! forms older than the v1 calls (Mesos: src/master/http.cpp `maintenanceSchedule` ff.).

use bytes::Bytes;
use caprock_http::{Reply, reply};
use caprock_proto::mesos::v1::MachineId;
use caprock_proto::mesos::v1::maintenance::Schedule;
use caprock_proto::mesos::v1::master::{Call, call};
use caprock_proto::{MediaType, decode};
use http::Method;
use http::request::Parts;

use super::{Parameters, json as json_reply, resources};
use crate::context::Master;
use crate::http::operator::agents::{may_read, submit};
use crate::reads;

pub(super) async fn schedule(
    master: &Master,
    principal: Option<&str>,
    parts: &Parts,
    parameters: &Parameters,
    body: Bytes,
) -> Reply {
    if parts.method != Method::POST {
        let shown = may_read(master, principal, call::Type::GetMaintenanceSchedule);
        let schedule = reads::maintenance_schedule(&master.published, shown);
        return json_reply(parts, parameters, &resources::message(&schedule));
    }
    match decode::<Schedule>(MediaType::Json, body) {
        Ok(schedule) => {
            let call = Call {
                r#type: Some(call::Type::UpdateMaintenanceSchedule as i32),
                update_maintenance_schedule: Some(call::UpdateMaintenanceSchedule { schedule }),
                ..Call::default()
            };
            submit(master, principal, call).await
        }
        Err(error) => reply::bad_request(error.to_string()),
    }
}

pub(super) fn status(
    master: &Master,
    principal: Option<&str>,
    parts: &Parts,
    parameters: &Parameters,
) -> Reply {
    let shown = may_read(master, principal, call::Type::GetMaintenanceStatus);
    let status = reads::maintenance_status(&master.published, shown);
    json_reply(parts, parameters, &resources::message(&status))
}

/// The body is a list of machines.
pub(super) async fn down(master: &Master, principal: Option<&str>, body: &Bytes) -> Reply {
    match machines(body) {
        Ok(machines) => {
            let call = Call {
                r#type: Some(call::Type::StartMaintenance as i32),
                start_maintenance: Some(call::StartMaintenance { machines }),
                ..Call::default()
            };
            submit(master, principal, call).await
        }
        Err(text) => reply::bad_request(text),
    }
}

/// The body is a list of machines.
pub(super) async fn up(master: &Master, principal: Option<&str>, body: &Bytes) -> Reply {
    match machines(body) {
        Ok(machines) => {
            let call = Call {
                r#type: Some(call::Type::StopMaintenance as i32),
                stop_maintenance: Some(call::StopMaintenance { machines }),
                ..Call::default()
            };
            submit(master, principal, call).await
        }
        Err(text) => reply::bad_request(text),
    }
}

fn machines(body: &Bytes) -> Result<Vec<MachineId>, String> {
    let list: Vec<serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let read = |machine: serde_json::Value| {
        let text = Bytes::from(machine.to_string());
        decode::<MachineId>(MediaType::Json, text).map_err(|error| error.to_string())
    };
    list.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_come_as_a_list() {
        let read = |text: &'static str| machines(&Bytes::from_static(text.as_bytes()));
        let found = read(r#"[{"hostname":"a","ip":"10.0.0.1"},{"ip":"10.0.0.2"}]"#).unwrap();
        assert_eq!(found[0].hostname(), "a");
        assert_eq!(found[1].ip(), "10.0.0.2");
        for text in ["", "{}", "[1]", "null"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
