//! The JSON form of a message as Mesos reads and prints it, which is neither the canonical mapping
//! of proto3 nor what serde would derive (Mesos: 3rdparty/stout/include/stout/protobuf.hpp).
//! Reading goes through the wire format, by the tables; printing streams out of the structs.

pub(crate) mod base64;
pub(crate) mod read;
pub(crate) mod write;

use serde_json::{Deserializer, Value};

/// How much of a body an error quotes.
const MAX_QUOTED_CHARS: usize = 80;

/// Why JSON is not the expected message. The texts are details of an answer's text, which the
/// HTTP shell composes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is no JSON value, or not one only.
    #[error("{0}")]
    Syntax(String),
    /// The value does not fit the message.
    #[error("{0}")]
    Conversion(String),
}

/// Parses one JSON value. Anything but white space after it is an error, and so is nesting that
/// is deeper than 128.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let syntax = |error: serde_json::Error| JsonError::Syntax(error.to_string());
    let mut values = Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match values.next() {
        Some(value) => value.map_err(syntax)?,
        // No value at all: let serde_json word the error.
        None => serde_json::from_slice(bytes).map_err(syntax)?,
    };
    let rest = bytes
        .get(values.byte_offset()..)
        .unwrap_or_default()
        .trim_ascii();
    if rest.is_empty() {
        return Ok(value);
    }
    let rest: String = String::from_utf8_lossy(rest)
        .chars()
        .take(MAX_QUOTED_CHARS)
        .collect();
    Err(JsonError::Syntax(format!(
        "Parsed JSON included non-whitespace trailing characters: {rest}"
    )))
}
