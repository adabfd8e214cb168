//! The rules of reading JSON, one line each: what is lenient, what is strict, and the text of
//! each error.

use caprock_proto::mesos::v1::scheduler::{Call, OfferConstraints};
use caprock_proto::mesos::v1::{
    Address, CommandInfo, ContainerId, FrameworkInfo, Offer, OfferFilters, Resource, TaskStatus,
    Value, value,
};
use caprock_proto::{JsonError, MesosMessage};

fn read<T: MesosMessage>(json: &str) -> T {
    T::from_json(json.as_bytes()).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn conversion_error<T: MesosMessage>(json: &str) -> String {
    match T::from_json(json.as_bytes()) {
        Err(JsonError::Conversion(detail)) => detail,
        other => panic!("expected a conversion error, got {other:?} for {json}"),
    }
}

fn syntax_error(json: &[u8]) -> String {
    match Call::from_json(json) {
        Err(JsonError::Syntax(detail)) => detail,
        other => panic!("expected a syntax error, got {other:?}"),
    }
}

/// A resource with a scalar, as the place for a double.
fn scalar(value: &str) -> String {
    format!(r#"{{"value":{value}}}"#)
}

#[test]
fn unknown_names_and_nulls_are_as_if_absent() {
    let plain: Call = read(r#"{"type":"TEARDOWN"}"#);
    for json in [
        r#"{"type":"TEARDOWN","framework_id":null,"kill":null}"#,
        r#"{"type":"TEARDOWN","frameworkId":{"value":"f"},"slave_id":{},"x":[1]}"#,
        r#"{"type":"KILL","type":"TEARDOWN"}"#,
        " {\"type\" : \"TEARDOWN\"}\r\n",
    ] {
        assert_eq!(read::<Call>(json), plain, "{json}");
    }
}

#[test]
fn a_null_leaves_a_required_field_missing() {
    let missing = "Missing required fields: value";
    assert_eq!(
        conversion_error::<ContainerId>(r#"{"value":null}"#),
        missing
    );
}

#[test]
fn numbers_may_be_strings() {
    for json in ["7", "7.9", "\"7\"", "\" 7 \"", "\"7.9\"", "7e0"] {
        let address: Address = read(&format!(r#"{{"port":{json}}}"#));
        assert_eq!(address.port, 7, "{json}");
    }
    for (json, expected) in [
        ("1", 1.0),
        ("0.5", 0.5),
        ("\"0.5\"", 0.5),
        ("-2", -2.0),
        ("\"Infinity\"", f64::INFINITY),
        ("\"-Infinity\"", f64::NEG_INFINITY),
    ] {
        assert_eq!(
            read::<value::Scalar>(&scalar(json)).value,
            expected,
            "{json}"
        );
    }
}

#[test]
fn integers_keep_all_their_bits() {
    let range = read::<value::Range>(r#"{"begin":18446744073709551615,"end":"9007199254740993"}"#);
    assert_eq!((range.begin, range.end), (u64::MAX, 9_007_199_254_740_993));
    assert_eq!(read::<Address>(r#"{"port":-1}"#).port, -1);
}

#[test]
fn booleans_may_be_strings() {
    for (json, expected) in [("true", true), ("\"true\"", true), ("\"false\"", false)] {
        let command: CommandInfo = read(&format!(r#"{{"shell":{json}}}"#));
        assert_eq!(command.shell, Some(expected), "{json}");
    }
}

#[test]
fn an_unknown_enum_name_unsets_the_field_unless_it_is_required() {
    assert_eq!(read::<Call>(r#"{"type":"DANCE"}"#).r#type, None);
    assert_eq!(
        conversion_error::<TaskStatus>(r#"{"task_id":{"value":"t"},"state":"TASK_DANCING"}"#),
        "Failed to find enum for 'TASK_DANCING'"
    );
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    for roles in [r#""a""#, r#"["a"]"#, r#"[null,"a"]"#, r#"[["a"]]"#] {
        let framework: FrameworkInfo =
            read(&format!(r#"{{"user":"u","name":"n","roles":{roles}}}"#));
        assert_eq!(framework.roles, ["a"], "{roles}");
    }
    let call: Call = read(r#"{"decline":{"offer_ids":{"value":"o"}}}"#);
    assert_eq!(
        call.decline.map(|decline| decline.offer_ids),
        Some(vec!["o".into()])
    );
}

#[test]
fn maps_are_objects() {
    let json =
        r#"{"min_allocatable_resources":{"quantities":{"quantities":{"cpus":{"value":1}}}}}"#;
    let filters: OfferFilters = read(json);
    let quantities = &filters
        .min_allocatable_resources
        .expect("it was given")
        .quantities[0];
    assert_eq!(quantities.quantities["cpus"], value::Scalar { value: 1.0 });

    let missing = "Missing required fields: quantities[0].value.value";
    use caprock_proto::mesos::v1::offer_filters::ResourceQuantities;
    for cpus in ["null", "{}"] {
        let json = format!(r#"{{"quantities":{{"cpus":{cpus}}}}}"#);
        assert_eq!(conversion_error::<ResourceQuantities>(&json), missing);
    }
}

#[test]
fn a_oneof_takes_one_of_its_members() {
    use caprock_proto::mesos::v1::scheduler::attribute_constraint::selector::Selector;
    let json = r#"{"role_constraints":{"eng":{"groups":[{"attribute_constraints":[
        {"selector":{"attribute_name":"disk"},"predicate":{"exists":{}}}]}]}}}"#;
    let constraints: OfferConstraints = read(json);
    let constraint = &constraints.role_constraints["eng"].groups[0].attribute_constraints[0];
    assert_eq!(
        constraint.selector.selector,
        Some(Selector::AttributeName("disk".to_owned()))
    );
}

#[test]
fn bytes_are_base64() {
    let status = r#"{"task_id":{"value":"t"},"state":"TASK_RUNNING","data":"aGk"}"#;
    assert_eq!(read::<TaskStatus>(status).data.as_deref(), Some(&b"hi"[..]));
    assert_eq!(
        conversion_error::<TaskStatus>(r#"{"data":"a-b"}"#),
        "Failed to base64 decode bytes field 'data': Invalid character '-'"
    );
}

#[test]
fn a_value_of_another_type_is_an_error() {
    for (json, detail) in [
        ("[]", "Expecting a JSON object"),
        ("1", "Expecting a JSON object"),
        ("null", "Expecting a JSON object"),
        ("\"x\"", "Expecting a JSON object"),
        (
            r#"{"name":{}}"#,
            "Not expecting a JSON object for field 'name'",
        ),
        (
            r#"{"name":[]}"#,
            "Not expecting a JSON array for field 'name'",
        ),
        (
            r#"{"name":["a"]}"#,
            "Not expecting a JSON array for field 'name'",
        ),
        (
            r#"{"name":1}"#,
            "Not expecting a JSON number for field 'name'",
        ),
        (
            r#"{"name":true}"#,
            "Not expecting a JSON boolean for field 'name'",
        ),
        (
            r#"{"type":0}"#,
            "Not expecting a JSON number for field 'type'",
        ),
        (
            r#"{"scalar":"x"}"#,
            "Not expecting a JSON string for field 'scalar'",
        ),
        (
            r#"{"scalar":1}"#,
            "Not expecting a JSON number for field 'scalar'",
        ),
        (
            r#"{"scalar":false}"#,
            "Not expecting a JSON boolean for field 'scalar'",
        ),
        (
            r#"{"scalar":{"value":true}}"#,
            "Not expecting a JSON boolean for field 'value'",
        ),
        (
            r#"{"reservations":[1]}"#,
            "Not expecting a JSON number for field 'reservations'",
        ),
    ] {
        assert_eq!(conversion_error::<Resource>(json), detail, "{json}");
    }
}

#[test]
fn a_string_that_is_no_number_or_boolean_is_an_error() {
    let prefix = "Failed to parse 'x' as a JSON number for field 'port': ";
    assert!(conversion_error::<Address>(r#"{"port":"x"}"#).starts_with(prefix));
    assert_eq!(
        conversion_error::<Address>(r#"{"port":"true"}"#),
        "Failed to parse 'true' as a JSON number for field 'port': Unexpected JSON type parsed"
    );
    assert_eq!(
        conversion_error::<CommandInfo>(r#"{"shell":"1"}"#),
        "Failed to parse '1' as a JSON boolean for field 'shell': Unexpected JSON type parsed"
    );
    assert!(conversion_error::<CommandInfo>(r#"{"shell":"yes"}"#).contains("JSON boolean"));
    assert!(conversion_error::<Address>(r#"{"port":"Infinity"}"#).contains("JSON number"));
}

#[test]
fn missing_fields_are_listed_with_their_paths() {
    for (json, missing) in [
        (
            r#"{"kill":{},"message":{}}"#,
            vec![
                "kill.task_id",
                "message.agent_id",
                "message.executor_id",
                "message.data",
            ],
        ),
        (
            r#"{"subscribe":{"framework_info":{"name":"n"}}}"#,
            vec!["subscribe.framework_info.user"],
        ),
        (
            r#"{"accept":{"operations":[{"launch":{"task_infos":[{"name":"a"}]}}]}}"#,
            vec![
                "accept.operations[0].launch.task_infos[0].task_id",
                "accept.operations[0].launch.task_infos[0].agent_id",
            ],
        ),
    ] {
        let expected = format!("Missing required fields: {}", missing.join(", "));
        assert_eq!(conversion_error::<Call>(json), expected);
    }
    assert_eq!(
        conversion_error::<Offer>("{}"),
        "Missing required fields: id, framework_id, agent_id, hostname"
    );
}

#[test]
fn what_is_no_json_is_a_syntax_error() {
    for json in [
        "",
        " ",
        "{",
        "{\"type\":}",
        "{'type':1}",
        "nul",
        "{\"a\":Infinity}",
    ] {
        syntax_error(json.as_bytes());
    }
    syntax_error(b"{\"user\":\"\xff\"}");
    assert_eq!(
        syntax_error(b"{} {}"),
        "Parsed JSON included non-whitespace trailing characters: {}"
    );
    assert!(syntax_error(b"{}x").ends_with("trailing characters: x"));
}

#[test]
fn the_quote_of_what_trails_is_short() {
    let body = format!("{{}}{}", "y".repeat(100_000));
    assert!(syntax_error(body.as_bytes()).len() < 200);
}

#[test]
fn lists_of_messages() {
    let resources = Resource::list_from_json(br#"[{"name":"cpus","type":"SCALAR"}]"#);
    assert_eq!(resources.map(|resources| resources.len()), Ok(1));
    assert_eq!(
        Resource::list_from_json(b"{}"),
        Err(JsonError::Conversion("Expecting a JSON array".to_owned()))
    );
    assert_eq!(
        Resource::list_from_json(br#"[{"name":"cpus"}]"#),
        Err(JsonError::Conversion(
            "Missing required fields: type".to_owned()
        ))
    );
    assert_eq!(Value::list_from_json(b"[]"), Ok(vec![]));
}
