//! Writes `impl Serialize` for each message, in the form that Mesos prints
//! (Mesos: 3rdparty/stout/include/stout/protobuf.hpp, `json`).

use std::fmt::Write;

use heck::ToUpperCamelCase;

use crate::schema::{
    Field, Kind, Message, Presence, Schema, Unsupported, ident, module_path, rust_path,
};
use crate::tables::table_ident;

const IMPORTS: &str = "use serde::ser::{Serialize, SerializeMap, Serializer};
use crate::json::write;
use crate::table::generated as tables;
";

const SIGNATURE: &str =
    "    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
";

pub fn generate(schema: &Schema) -> Result<String, Unsupported> {
    let mut out = String::from(IMPORTS);
    let with_struct = |message: &&Message| !message.is_map_entry;
    for message in schema.messages.iter().filter(with_struct) {
        let _ = writeln!(out, "\nimpl Serialize for {} {{", rust_path(&message.name));
        out.push_str(SIGNATURE);
        for field in &message.fields {
            let value = value(schema, message, field)?;
            let _ = writeln!(
                out,
                "        write::field(&mut object, {:?}, {value})?;",
                field.name
            );
        }
        let _ = writeln!(out, "        object.end()\n    }}\n}}");
    }
    Ok(out)
}

/// An expression of type `Option<impl Serialize>`: what to print for a field, if anything.
fn value(schema: &Schema, message: &Message, field: &Field) -> Result<String, Unsupported> {
    let place = format!("self.{}", field.ident());
    let unsupported = || {
        Unsupported(format!(
            "presence and type of {}.{}",
            message.name, field.name
        ))
    };
    let value = match &field.presence {
        Presence::Required => required(&field.kind, &place),
        Presence::Optional => optional(&field.kind, &place),
        Presence::Implicit => match field.kind {
            Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
                format!("({place} != 0).then_some({place})")
            }
            _ => return Err(unsupported()),
        },
        Presence::Repeated => match &field.kind {
            Kind::Enum(name) => {
                let table = table_ident(name);
                format!("write::names(&tables::{table}, &{place})")
            }
            Kind::Bytes | Kind::Double => return Err(unsupported()),
            _ => format!("(!{place}.is_empty()).then_some(&{place})"),
        },
        Presence::Map => {
            let Kind::Message(entry) = &field.kind else {
                return Err(unsupported());
            };
            let entry = schema.message(entry).ok_or_else(unsupported)?;
            match entry
                .fields
                .iter()
                .map(|field| &field.kind)
                .collect::<Vec<_>>()[..]
            {
                [Kind::String, Kind::String | Kind::Message(_)] => {
                    format!("(!{place}.is_empty()).then_some(&{place})")
                }
                _ => return Err(unsupported()),
            }
        }
        Presence::Oneof(oneof) => {
            let member = format!(
                "{}::{}::{}",
                module_path(&message.name),
                oneof.to_upper_camel_case(),
                field.variant()
            );
            let value = by_reference(&field.kind, "value");
            format!(
                "match &self.{} {{ Some({member}(value)) => {value}, _ => None }}",
                ident(oneof)
            )
        }
    };
    Ok(match &field.printed_default {
        Some(default) if matches!(field.presence, Presence::Optional) => {
            format!("{value}.or(Some({}))", literal(&field.kind, default))
        }
        _ => value,
    })
}

fn required(kind: &Kind, place: &str) -> String {
    match kind {
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
            format!("Some({place})")
        }
        Kind::String | Kind::Message(_) => format!("Some(&{place})"),
        Kind::Bytes => format!("Some(write::Base64(&{place}))"),
        Kind::Double => format!("Some(write::Double({place}))"),
        Kind::Enum(name) => format!("tables::{}.name_of({place})", table_ident(name)),
    }
}

fn optional(kind: &Kind, place: &str) -> String {
    match kind {
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => place.to_owned(),
        Kind::String => format!("{place}.as_deref()"),
        Kind::Message(_) => format!("{place}.as_ref()"),
        Kind::Bytes => format!("{place}.as_deref().map(write::Base64)"),
        Kind::Double => format!("{place}.map(write::Double)"),
        Kind::Enum(name) => {
            format!(
                "{place}.and_then(|value| tables::{}.name_of(value))",
                table_ident(name)
            )
        }
    }
}

fn by_reference(kind: &Kind, value: &str) -> String {
    match kind {
        Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::String
        | Kind::Message(_) => format!("Some({value})"),
        Kind::Bytes => format!("Some(write::Base64({value}))"),
        Kind::Double => format!("Some(write::Double(*{value}))"),
        Kind::Enum(name) => format!("tables::{}.name_of(*{value})", table_ident(name)),
    }
}

/// A default as a Rust expression of the type that `optional` yields.
fn literal(kind: &Kind, default: &str) -> String {
    match kind {
        Kind::String | Kind::Enum(_) => format!("{default:?}"),
        Kind::Double => format!("write::Double({default} as f64)"),
        Kind::Bytes => format!("write::Base64({default:?}.as_bytes())"),
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Message(_) => {
            default.to_owned()
        }
    }
}
