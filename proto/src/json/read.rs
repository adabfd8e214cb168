//! Reads JSON by rewriting it in protobuf's wire format, from which prost decodes it. So one
//! table-driven walk serves all messages, and one check of required fields both encodings.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Number, Value};

use super::{JsonError, base64};
use crate::table::{Field, Kind, Label, Message};

/// How many messages may be inside each other; what prost decodes at most.
const MAX_DEPTH: usize = 100;

/// Encodes the message that a JSON object describes. Required fields may still be missing.
pub fn to_wire(table: &Message, value: &Value) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    match value {
        Value::Object(object) => put_fields(table, object, &mut out, 0),
        _ => Err("Expecting a JSON object".to_owned()),
    }
    .map_err(JsonError::Conversion)?;
    Ok(out)
}

fn put_fields(
    table: &Message,
    object: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("Messages are nested more than {MAX_DEPTH} deep"));
    }
    for (name, value) in object {
        // Unknown names are ignored: clients send fields of other versions.
        if let Some(field) = table.field_named(name) {
            put(field, value, out, depth)?;
        }
    }
    Ok(())
}

fn put(field: &Field, value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
    match (value, field.kind) {
        (Value::Null, _) => Ok(()),
        (Value::Array(items), _) if field.is_repeated() => items
            .iter()
            .try_for_each(|item| put(field, item, out, depth)),
        (Value::Object(object), Kind::Message(entry)) if field.label == Label::Map => {
            put_map(field, entry, object, out, depth)
        }
        (Value::Object(object), Kind::Message(submessage)) => {
            let mut body = Vec::new();
            put_fields(submessage, object, &mut body, depth + 1)?;
            put_delimited(field, &body, out);
            Ok(())
        }
        (Value::String(text), _) => put_string(field, text, out),
        (Value::Number(number), _) => put_number(field, number, out),
        (Value::Bool(value), Kind::Bool) => {
            put_varint(field, u64::from(*value), out);
            Ok(())
        }
        (Value::Array(_), _) => Err(unexpected("array", field)),
        (Value::Object(_), _) => Err(unexpected("object", field)),
        (Value::Bool(_), _) => Err(unexpected("boolean", field)),
    }
}

fn put_map(
    field: &Field,
    entry: &Message,
    object: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), String> {
    let [key_field, value_field] = entry.fields else {
        return Err(unexpected("object", field));
    };
    for (key, value) in object {
        let mut body = Vec::new();
        put_string(key_field, key, &mut body)?;
        match (value, value_field.kind) {
            // As in Mesos, the pair is there; its value will miss its required fields.
            (Value::Null, Kind::Message(_)) => put_delimited(value_field, &[], &mut body),
            // The pair is one more level of nesting than the JSON shows.
            _ => put(value_field, value, &mut body, depth + 1)?,
        }
        put_delimited(field, &body, out);
    }
    Ok(())
}

fn put_string(field: &Field, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    match field.kind {
        Kind::String => put_delimited(field, text.as_bytes(), out),
        Kind::Bytes => {
            let bytes = base64::decode(text).map_err(|error| {
                format!(
                    "Failed to base64 decode bytes field '{}': {error}",
                    field.name
                )
            })?;
            put_delimited(field, &bytes, out);
        }
        Kind::Enum(values) => match values.number_of(text) {
            Some(number) => put_varint(field, i64::from(number).cast_unsigned(), out),
            None if field.label == Label::Required => {
                return Err(format!("Failed to find enum for '{text}'"));
            }
            // A name from a newer version: the field stays unset, as proto2 has it on the wire.
            None => {}
        },
        Kind::Double if text == "Infinity" => put_double(field, f64::INFINITY, out),
        Kind::Double if text == "-Infinity" => put_double(field, f64::NEG_INFINITY, out),
        Kind::Double | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
            let Value::Number(number) = parse_quoted(field, text, "number")? else {
                return Err(quoted_error(field, text, "number", UNEXPECTED_TYPE));
            };
            put_number(field, &number, out)?;
        }
        Kind::Bool => {
            let Value::Bool(value) = parse_quoted(field, text, "boolean")? else {
                return Err(quoted_error(field, text, "boolean", UNEXPECTED_TYPE));
            };
            put_varint(field, u64::from(value), out);
        }
        Kind::Message(_) => return Err(unexpected("string", field)),
    }
    Ok(())
}

const UNEXPECTED_TYPE: &str = "Unexpected JSON type parsed";

/// Parses a number or boolean that was sent as a string.
fn parse_quoted(field: &Field, text: &str, r#type: &str) -> Result<Value, String> {
    super::parse(text.as_bytes())
        .map_err(|error| quoted_error(field, text, r#type, &error.to_string()))
}

fn quoted_error(field: &Field, text: &str, r#type: &str, detail: &str) -> String {
    format!(
        "Failed to parse '{text}' as a JSON {type} for field '{}': {detail}",
        field.name
    )
}

fn put_number(field: &Field, number: &Number, out: &mut Vec<u8>) -> Result<(), String> {
    match field.kind {
        Kind::Double => put_double(field, number.as_f64().unwrap_or_default(), out),
        Kind::Int64 => put_varint(field, signed(number).cast_unsigned(), out),
        Kind::Uint64 => put_varint(field, unsigned(number), out),
        // Mesos casts, so that a number out of range wraps around.
        Kind::Int32 => put_varint(field, i64::from(signed(number) as i32).cast_unsigned(), out),
        Kind::Uint32 => put_varint(field, u64::from(unsigned(number) as u32), out),
        Kind::Bool | Kind::Bytes | Kind::String | Kind::Enum(_) | Kind::Message(_) => {
            return Err(unexpected("number", field));
        }
    }
    Ok(())
}

/// A fraction is cut off.
fn signed(number: &Number) -> i64 {
    let unsigned = || number.as_u64().map(u64::cast_signed);
    number
        .as_i64()
        .or_else(unsigned)
        .unwrap_or(number.as_f64().unwrap_or_default() as i64)
}

fn unsigned(number: &Number) -> u64 {
    let signed = || number.as_i64().map(i64::cast_unsigned);
    number
        .as_u64()
        .or_else(signed)
        .unwrap_or(number.as_f64().unwrap_or_default() as u64)
}

fn put_varint(field: &Field, value: u64, out: &mut Vec<u8>) {
    encode_key(field.number, WireType::Varint, out);
    encode_varint(value, out);
}

fn put_double(field: &Field, value: f64, out: &mut Vec<u8>) {
    encode_key(field.number, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_delimited(field: &Field, body: &[u8], out: &mut Vec<u8>) {
    encode_key(field.number, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}

fn unexpected(r#type: &str, field: &Field) -> String {
    format!("Not expecting a JSON {type} for field '{}'", field.name)
}
