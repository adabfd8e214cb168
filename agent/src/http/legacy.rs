//! The JSON documents of the time before the v1 API.

use std::collections::BTreeMap;

use caprock_http::{Reply, reply};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Context, Refusal, state};
use crate::version;

type Query = BTreeMap<String, String>;

/// `/state`
pub async fn state(
    context: &Context,
    headers: &HeaderMap,
    query: &Query,
) -> Result<Reply, Refusal> {
    let view = context.view().await?;
    let document = state::document(context, &view);
    Ok(write(headers, query, &document))
}

/// `/flags`
pub fn flags(context: &Context, headers: &HeaderMap, query: &Query) -> Reply {
    write(headers, query, &json!({ "flags": context.config.flags() }))
}

/// `/version`
pub fn version(headers: &HeaderMap, query: &Query) -> Reply {
    write(headers, query, &Value::Object(version::fields()))
}

/// `/containerizer/debug`: what the containerizer waits for; nothing can be stuck that is
/// not already reported as a container that is being launched.
pub fn containerizer_debug(headers: &HeaderMap, query: &Query) -> Reply {
    write(headers, query, &json!({ "pending": [] }))
}

/// A JSON document, or a call of the function that the query names.
pub fn write(headers: &HeaderMap, query: &Query, document: &Value) -> Reply {
    reply::json(
        headers,
        query.get("jsonp").map(String::as_str),
        document.to_string(),
    )
}
