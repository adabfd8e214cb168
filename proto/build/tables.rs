//! Writes the static tables that the JSON reader and the check for required fields walk.

use std::fmt::Write;

use crate::schema::{Field, Kind, Message, Presence, Schema, Unsupported, rust_path};

/// `required.rs` keeps the required fields that it has seen as bits of a `u64`.
const MAX_REQUIRED_INDEX: usize = 63;

pub fn generate(schema: &Schema) -> Result<String, Unsupported> {
    let mut out =
        String::from("use crate::table::{Described, Enum, Field, Kind, Label, Message};\n");
    for r#enum in &schema.enums {
        let id = table_ident(&r#enum.name);
        let _ = writeln!(
            out,
            "\npub static {id}: Enum = Enum {{ name: {:?}, values: &{:?} }};",
            r#enum.name, r#enum.values
        );
    }
    for message in &schema.messages {
        write_message(&mut out, message)?;
    }
    Ok(out)
}

fn write_message(out: &mut String, message: &Message) -> Result<(), Unsupported> {
    let id = table_ident(&message.name);
    let _ = writeln!(
        out,
        "\npub static {id}: Message = Message {{\n    name: {:?},\n    fields: &[",
        message.name
    );
    for (index, field) in message.fields.iter().enumerate() {
        if matches!(field.presence, Presence::Required) && index > MAX_REQUIRED_INDEX {
            return Err(Unsupported(format!(
                "{index} fields before {}.{}",
                message.name, field.name
            )));
        }
        let _ = writeln!(
            out,
            "        Field {{ number: {}, name: {:?}, kind: {}, label: {} }},",
            field.number,
            field.name,
            kind(field),
            label(field)
        );
    }
    let _ = writeln!(out, "    ],\n}};");
    if !message.is_map_entry {
        let _ = writeln!(
            out,
            "impl Described for {} {{\n    const TABLE: &'static Message = &{id};\n}}",
            rust_path(&message.name)
        );
    }
    Ok(())
}

/// The name of a table; dots become double underscores so that no two names collide.
pub fn table_ident(name: &str) -> String {
    name.replace('.', "__")
}

fn kind(field: &Field) -> String {
    match &field.kind {
        Kind::Bool => "Kind::Bool".to_owned(),
        Kind::Bytes => "Kind::Bytes".to_owned(),
        Kind::Double => "Kind::Double".to_owned(),
        Kind::Int32 => "Kind::Int32".to_owned(),
        Kind::Int64 => "Kind::Int64".to_owned(),
        Kind::String => "Kind::String".to_owned(),
        Kind::Uint32 => "Kind::Uint32".to_owned(),
        Kind::Uint64 => "Kind::Uint64".to_owned(),
        Kind::Enum(name) => format!("Kind::Enum(&{})", table_ident(name)),
        Kind::Message(name) => format!("Kind::Message(&{})", table_ident(name)),
    }
}

fn label(field: &Field) -> &'static str {
    match field.presence {
        Presence::Required => "Label::Required",
        Presence::Optional | Presence::Implicit | Presence::Oneof(_) => "Label::Optional",
        Presence::Repeated => "Label::Repeated",
        Presence::Map => "Label::Map",
    }
}
