//! The messages and enums that Mesos clients see, flattened out of the descriptors, with the
//! Rust names that prost gives them.

use std::fmt;

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The packages that have a JSON form.
const PACKAGES: [&str; 2] = ["mesos.v1", "google.protobuf"];

/// Rust's keywords that can be written as raw identifiers.
const KEYWORDS: &str = " abstract as async await become box break const continue do dyn else enum \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return \
    static struct trait true false try type typeof unsafe unsized use virtual where while yield ";

/// What the generators do not know how to write.
#[derive(Debug)]
pub struct Unsupported(pub String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not supported by the generators in proto/build: {}",
            self.0
        )
    }
}

impl std::error::Error for Unsupported {}

/// All messages and enums, each after those that it is nested in.
#[derive(Default)]
pub struct Schema {
    pub messages: Vec<Message>,
    pub enums: Vec<Enum>,
}

pub struct Message {
    /// Such as `mesos.v1.Offer.Operation`.
    pub name: String,
    /// In the order of declaration, which is also the order of printing.
    pub fields: Vec<Field>,
    /// One pair of a `map<>` field: prost has no struct for it.
    pub is_map_entry: bool,
}

pub struct Enum {
    pub name: String,
    pub values: Vec<(String, i32)>,
}

pub struct Field {
    pub name: String,
    pub number: i32,
    pub kind: Kind,
    pub presence: Presence,
    /// The explicit default, unless the field is deprecated: it is printed when the field is unset.
    pub printed_default: Option<String>,
}

pub enum Kind {
    Bool,
    Bytes,
    Double,
    Int32,
    Int64,
    String,
    Uint32,
    Uint64,
    /// With the name of the enum.
    Enum(String),
    /// With the name of the message.
    Message(String),
}

pub enum Presence {
    Required,
    Optional,
    /// A proto3 scalar: unset means zero.
    Implicit,
    Repeated,
    Map,
    /// With the name of the oneof.
    Oneof(String),
}

impl Schema {
    pub fn new(descriptors: &FileDescriptorSet) -> Result<Self, Unsupported> {
        let mut schema = Self::default();
        for file in &descriptors.file {
            let package = file.package();
            let is_inside = |outer: &&str| format!("{package}.").starts_with(&format!("{outer}."));
            if !PACKAGES.iter().any(is_inside) {
                continue;
            }
            let is_proto3 = file.syntax() == "proto3";
            for r#enum in &file.enum_type {
                schema.add_enum(package, r#enum);
            }
            for message in &file.message_type {
                schema.add_message(package, message, is_proto3)?;
            }
        }
        Ok(schema)
    }

    pub fn message(&self, name: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.name == name)
    }

    fn add_enum(&mut self, scope: &str, r#enum: &EnumDescriptorProto) {
        let values = r#enum
            .value
            .iter()
            .map(|value| (value.name().to_owned(), value.number()));
        let name = format!("{scope}.{}", r#enum.name());
        self.enums.push(Enum {
            name,
            values: values.collect(),
        });
    }

    fn add_message(
        &mut self,
        scope: &str,
        message: &DescriptorProto,
        is_proto3: bool,
    ) -> Result<(), Unsupported> {
        let name = format!("{scope}.{}", message.name());
        let fields = message
            .field
            .iter()
            .map(|field| Field::new(field, message, is_proto3));
        self.messages.push(Message {
            fields: fields.collect::<Result<_, _>>()?,
            is_map_entry: is_map_entry(message),
            name: name.clone(),
        });
        for r#enum in &message.enum_type {
            self.add_enum(&name, r#enum);
        }
        for nested in &message.nested_type {
            self.add_message(&name, nested, is_proto3)?;
        }
        Ok(())
    }
}

impl Field {
    fn new(
        field: &FieldDescriptorProto,
        message: &DescriptorProto,
        is_proto3: bool,
    ) -> Result<Self, Unsupported> {
        let kind = Kind::new(field)?;
        let is_deprecated = field
            .options
            .as_ref()
            .is_some_and(|options| options.deprecated());
        Ok(Self {
            name: field.name().to_owned(),
            number: field.number(),
            presence: Presence::new(field, message, is_proto3),
            printed_default: field.default_value.clone().filter(|_| !is_deprecated),
            kind,
        })
    }

    /// The name of the field in the Rust struct.
    pub fn ident(&self) -> String {
        ident(&self.name)
    }

    /// The name of the field as a variant of its oneof.
    pub fn variant(&self) -> String {
        self.name.to_upper_camel_case()
    }
}

impl Kind {
    fn new(field: &FieldDescriptorProto) -> Result<Self, Unsupported> {
        let type_name = || field.type_name().trim_start_matches('.').to_owned();
        Ok(match field.r#type() {
            Type::Bool => Self::Bool,
            Type::Bytes => Self::Bytes,
            Type::Double => Self::Double,
            Type::Int32 => Self::Int32,
            Type::Int64 => Self::Int64,
            Type::String => Self::String,
            Type::Uint32 => Self::Uint32,
            Type::Uint64 => Self::Uint64,
            Type::Enum => Self::Enum(type_name()),
            Type::Message => Self::Message(type_name()),
            other => {
                return Err(Unsupported(format!(
                    "type {other:?} of field {}",
                    field.name()
                )));
            }
        })
    }
}

impl Presence {
    fn new(field: &FieldDescriptorProto, message: &DescriptorProto, is_proto3: bool) -> Self {
        match (field.label(), field.oneof_index) {
            (Label::Required, _) => Self::Required,
            (Label::Repeated, _) => {
                let entry = field.type_name().rsplit('.').next();
                let is_map = message
                    .nested_type
                    .iter()
                    .any(|nested| Some(nested.name()) == entry && is_map_entry(nested));
                if is_map { Self::Map } else { Self::Repeated }
            }
            (Label::Optional, Some(index)) if !field.proto3_optional() => {
                let oneof = usize::try_from(index)
                    .ok()
                    .and_then(|i| message.oneof_decl.get(i));
                Self::Oneof(
                    oneof
                        .map(|oneof| oneof.name().to_owned())
                        .unwrap_or_default(),
                )
            }
            (Label::Optional, None) if is_proto3 && field.r#type() != Type::Message => {
                Self::Implicit
            }
            (Label::Optional, _) => Self::Optional,
        }
    }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
}

/// The Rust path of a message or enum: its scopes become modules.
pub fn rust_path(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((scope, name)) => format!("{}::{}", module_path(scope), name.to_upper_camel_case()),
        None => format!("crate::{}", name.to_upper_camel_case()),
    }
}

/// The module that holds what is declared inside a package or message.
pub fn module_path(scope: &str) -> String {
    scope.split('.').fold("crate".to_owned(), |path, part| {
        format!("{path}::{}", ident(part))
    })
}

pub fn ident(name: &str) -> String {
    let name = name.to_snake_case();
    if KEYWORDS.contains(&format!(" {name} ")) {
        format!("r#{name}")
    } else {
        name
    }
}
