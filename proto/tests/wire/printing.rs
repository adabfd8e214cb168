//! The rules of printing JSON.

use caprock_proto::MesosMessage;
use caprock_proto::mesos::v1::{
    Address, AgentInfo, CommandInfo, Filters, FrameworkInfo, Resource, TaskId, TaskStatus,
    TimeInfo, Value, master, scheduler, value,
};

#[test]
fn defaults_are_printed_and_names_are_those_of_the_proto_files() {
    let framework = FrameworkInfo {
        user: "alice".to_owned(),
        name: "demo".to_owned(),
        roles: vec!["eng".to_owned()],
        capabilities: vec![caprock_proto::mesos::v1::framework_info::Capability {
            r#type: Some(6),
        }],
        ..Default::default()
    };
    assert_eq!(
        framework.to_json(),
        r#"{"user":"alice","name":"demo","failover_timeout":0.0,"checkpoint":false,"#.to_owned()
            + r#""roles":["eng"],"capabilities":[{"type":"MULTI_ROLE"}]}"#
    );
    let command = CommandInfo {
        value: Some("sleep 1".to_owned()),
        ..Default::default()
    };
    assert_eq!(command.to_json(), r#"{"shell":true,"value":"sleep 1"}"#);
    assert_eq!(Filters::default().to_json(), r#"{"refuse_seconds":5.0}"#);
    assert!(AgentInfo::default().to_json().contains(r#""port":5051"#));
}

#[test]
fn a_deprecated_default_is_printed_only_when_it_was_set() {
    let mut resource = Resource {
        name: "cpus".to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: 4.0 }),
        ..Default::default()
    };
    let without = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":4.0}}"#;
    assert_eq!(resource.to_json(), without);
    resource.role = Some("*".to_owned());
    assert_eq!(
        resource.to_json(),
        without.replace("}}", r#"},"role":"*"}"#)
    );
}

#[test]
fn required_fields_are_always_printed() {
    assert_eq!(Address::default().to_json(), r#"{"port":0}"#);
    assert_eq!(
        TimeInfo {
            nanoseconds: i64::MIN
        }
        .to_json(),
        r#"{"nanoseconds":-9223372036854775808}"#
    );
}

#[test]
fn values_that_this_version_does_not_know_are_left_out() {
    let call = scheduler::Call {
        r#type: Some(999),
        ..Default::default()
    };
    assert_eq!(call.to_json(), "{}");
    let value = Value {
        r#type: 999,
        ..Default::default()
    };
    assert_eq!(value.to_json(), "{}");
}

#[test]
fn bytes_are_padded_base64_and_infinity_is_a_bare_token() {
    let status = TaskStatus {
        task_id: "t".into(),
        state: 1,
        data: Some(vec![0xfb, 0xff, 0xbf, 0].into()),
        timestamp: Some(f64::INFINITY),
        ..Default::default()
    };
    assert_eq!(
        status.to_json(),
        r#"{"task_id":{"value":"t"},"state":"TASK_RUNNING","data":"+/+/AA==","timestamp":Infinity}"#
    );
}

#[test]
fn a_duration_of_google_is_a_plain_message() {
    let json = r#"{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"S0"},"#.to_owned()
        + r#""max_grace_period":{"seconds":600},"mark_gone":false}}"#;
    let call = master::Call::from_json(json.as_bytes()).expect("the call is good");
    assert_eq!(call.to_json(), json);
    let drain = call.drain_agent.and_then(|drain| drain.max_grace_period);
    assert_eq!(
        drain.map(|duration| (duration.seconds, duration.nanos)),
        Some((600, 0))
    );
}

#[test]
fn text_is_escaped_and_control_characters_survive() {
    let text = "quote \" backslash \\ tab \t nul \0 snow \u{2603}";
    let id = TaskId::from(text);
    assert_eq!(TaskId::from_json(id.to_json().as_bytes()), Ok(id));
}
