//! The JSON form of the large answers, in which the lists appear even when they are empty
//! (Mesos: src/master/readonly_handler.cpp writes them by hand; clients index into them).

use caprock_proto::mesos::v1::master::{Response, response};
use caprock_proto::{MediaType, MesosMessage};

/// Encodes an answer of the operator API.
pub fn write_response(media: MediaType, answer: &Response) -> Vec<u8> {
    let mut out = Vec::new();
    match media {
        MediaType::Protobuf => caprock_proto::encode(media, answer, &mut out),
        MediaType::Json => write_json(answer, &mut out),
    }
    out
}

fn write_json(answer: &Response, out: &mut Vec<u8>) {
    let (name, body) = match answer.r#type() {
        response::Type::GetState => ("get_state", answer.get_state.as_ref().map(state)),
        response::Type::GetTasks => ("get_tasks", answer.get_tasks.as_ref().map(tasks)),
        response::Type::GetExecutors => (
            "get_executors",
            answer.get_executors.as_ref().map(executors),
        ),
        response::Type::GetFrameworks => (
            "get_frameworks",
            answer.get_frameworks.as_ref().map(frameworks),
        ),
        response::Type::GetAgents => ("get_agents", answer.get_agents.as_ref().map(agents)),
        response::Type::GetOperations => (
            "get_operations",
            answer.get_operations.as_ref().map(operations),
        ),
        _ => return answer.write_json(out),
    };
    let kind = answer.r#type().as_str_name();
    out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"{name}\":").as_bytes());
    out.extend_from_slice(&body.unwrap_or_else(|| b"{}".to_vec()));
    out.push(b'}');
}

/// GET_STATE, also inside the first event of an operator stream.
pub fn state(state: &response::GetState) -> Vec<u8> {
    let mut fields = Vec::new();
    let parts = [
        ("get_tasks", state.get_tasks.as_ref().map(tasks)),
        ("get_executors", state.get_executors.as_ref().map(executors)),
        (
            "get_frameworks",
            state.get_frameworks.as_ref().map(frameworks),
        ),
        ("get_agents", state.get_agents.as_ref().map(agents)),
    ];
    for (name, body) in parts {
        if let Some(body) = body {
            fields.push((name, body));
        }
    }
    object(fields)
}

fn tasks(tasks: &response::GetTasks) -> Vec<u8> {
    object(vec![
        ("tasks", array(&tasks.tasks)),
        ("unreachable_tasks", array(&tasks.unreachable_tasks)),
        ("completed_tasks", array(&tasks.completed_tasks)),
    ])
}

fn executors(executors: &response::GetExecutors) -> Vec<u8> {
    object(vec![("executors", array(&executors.executors))])
}

fn frameworks(frameworks: &response::GetFrameworks) -> Vec<u8> {
    object(vec![
        ("frameworks", array(&frameworks.frameworks)),
        (
            "completed_frameworks",
            array(&frameworks.completed_frameworks),
        ),
    ])
}

fn agents(agents: &response::GetAgents) -> Vec<u8> {
    object(vec![
        ("agents", array(&agents.agents)),
        ("recovered_agents", array(&agents.recovered_agents)),
    ])
}

fn operations(operations: &response::GetOperations) -> Vec<u8> {
    object(vec![("operations", array(&operations.operations))])
}

fn object(fields: Vec<(&str, Vec<u8>)>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (index, (name, value)) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        out.extend_from_slice(&value);
    }
    out.push(b'}');
    out
}

fn array<M: MesosMessage>(items: &[M]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item.write_json(&mut out);
    }
    out.push(b']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(answer: &Response) -> serde_json::Value {
        serde_json::from_slice(&write_response(MediaType::Json, answer)).unwrap()
    }

    #[test]
    fn empty_lists_are_written() {
        let answer = Response {
            r#type: Some(response::Type::GetState as i32),
            get_state: Some(response::GetState {
                get_tasks: Some(response::GetTasks::default()),
                get_agents: Some(response::GetAgents::default()),
                ..response::GetState::default()
            }),
            ..Response::default()
        };
        let json = json(&answer);
        assert_eq!(json["type"], "GET_STATE");
        let tasks = &json["get_state"]["get_tasks"];
        for list in ["tasks", "unreachable_tasks", "completed_tasks"] {
            assert_eq!(tasks[list], serde_json::json!([]), "{list}");
        }
        assert_eq!(
            json["get_state"]["get_agents"]["agents"],
            serde_json::json!([])
        );
    }

    #[test]
    fn other_answers_follow_the_general_rules() {
        let answer = Response {
            r#type: Some(response::Type::GetHealth as i32),
            get_health: Some(response::GetHealth { healthy: true }),
            ..Response::default()
        };
        let expected = serde_json::json!({"type": "GET_HEALTH", "get_health": {"healthy": true}});
        assert_eq!(json(&answer), expected);
    }
}
