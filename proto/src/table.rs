//! Static tables of the fields of each message, generated from the `.proto` files. They carry
//! what prost's structs do not: names, and which fields are required.

use std::fmt;

/// The tables themselves, one static per message and enum.
pub(crate) mod generated {
    #![allow(warnings, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/tables.rs"));
}

/// A struct that has a table.
pub trait Described {
    /// The fields of this message.
    const TABLE: &'static Message;
}

/// The fields of one message.
pub struct Message {
    /// The full name, such as `mesos.v1.scheduler.Call`.
    pub name: &'static str,
    /// In the order of declaration.
    pub fields: &'static [Field],
}

/// One field of a message.
#[derive(Debug)]
pub struct Field {
    /// The number on the wire.
    pub number: u32,
    /// The name in JSON.
    pub name: &'static str,
    /// The type of the field or of its elements.
    pub kind: Kind,
    /// How often the field occurs.
    pub label: Label,
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Exactly once.
    Required,
    /// At most once.
    Optional,
    /// Any number of times.
    Repeated,
    /// Any number of times, as pairs of a key (field 1) and a value (field 2).
    Map,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "they are the scalar types of protobuf")]
pub enum Kind {
    Bool,
    Bytes,
    Double,
    Int32,
    Int64,
    String,
    Uint32,
    Uint64,
    Enum(&'static Enum),
    Message(&'static Message),
}

/// The values of an enum.
pub struct Enum {
    /// The full name, such as `mesos.v1.TaskState`.
    pub name: &'static str,
    /// Names and numbers in the order of declaration.
    pub values: &'static [(&'static str, i32)],
}

impl Message {
    /// The name without its scope: `Call`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    pub(crate) fn field_named(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field and its place in the table.
    pub(crate) fn field_numbered(&self, number: u32) -> Option<(usize, &'static Field)> {
        self.fields
            .iter()
            .enumerate()
            .find(|(_, field)| field.number == number)
    }
}

impl Field {
    pub(crate) fn is_repeated(&self) -> bool {
        matches!(self.label, Label::Repeated | Label::Map)
    }
}

impl Enum {
    /// The name of a value, if this enum knows it.
    #[must_use]
    pub fn name_of(&self, number: i32) -> Option<&'static str> {
        self.values
            .iter()
            .find(|value| value.1 == number)
            .map(|value| value.0)
    }

    /// The value of a name, if this enum knows it.
    #[must_use]
    pub fn number_of(&self, name: &str) -> Option<i32> {
        self.values
            .iter()
            .find(|value| value.0 == name)
            .map(|value| value.1)
    }
}

// Only the name: a message may contain itself.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Enum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
