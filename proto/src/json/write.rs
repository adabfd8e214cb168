//! The parts that the generated `Serialize` implementations are made of, and the number format of
//! the JSON library that Mesos uses.

use std::io;
use std::ops::Range;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use crate::table::Enum;

/// Appends the JSON form of a message.
pub fn message<T: crate::MesosMessage>(message: &T, out: &mut Vec<u8>) {
    let mut serializer = serde_json::Serializer::with_formatter(out, MesosFormatter);
    message
        .serialize(&mut serializer)
        .expect("names are strings and a vector grows as needed");
}

/// Writes a field if there is something to write.
pub fn field<M: SerializeMap, T: Serialize>(
    object: &mut M,
    name: &'static str,
    value: Option<T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => object.serialize_entry(name, &value),
        None => Ok(()),
    }
}

/// The names of a repeated enum, without values that this version does not know.
pub fn names(table: &'static Enum, numbers: &[i32]) -> Option<Vec<&'static str>> {
    let names: Vec<_> = numbers
        .iter()
        .filter_map(|number| table.name_of(*number))
        .collect();
    (!names.is_empty()).then_some(names)
}

/// Bytes, printed as base64 with padding.
pub struct Base64<'a>(pub &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// A double. JSON has no infinity: see [`MesosFormatter`] for the positive one, which clients do
/// use as a timeout; the negative one is printed as the string that Mesos reads.
pub struct Double(pub f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            value if value.is_nan() => serializer.serialize_str("NaN"),
            value => serializer.serialize_f64(value),
        }
    }
}

/// Prints doubles as Mesos does, which has them from RapidJSON.
struct MesosFormatter;

/// RapidJSON prints an exponent outside of this range only.
const PLAIN: Range<f64> = 1e-6..1e21;
/// Where serde_json, which is faster than Rust's own formatting, prints the same.
const PLAIN_IN_SERDE: Range<f64> = 1e-4..1e15;

impl Formatter for MesosFormatter {
    /// serde_json has no other way to print an infinite double than `null`. A message has no other
    /// `null` (an unset field is left out), so this must be one.
    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"Infinity")
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 || PLAIN_IN_SERDE.contains(&size) {
            CompactFormatter.write_f64(writer, value)
        } else if !PLAIN.contains(&size) {
            write!(writer, "{value:e}")
        } else if value.fract() == 0.0 {
            write!(writer, "{value}.0")
        } else {
            write!(writer, "{value}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(value: f64) -> String {
        let mut out = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, MesosFormatter);
        Double(value)
            .serialize(&mut serializer)
            .expect("a vector grows as needed");
        String::from_utf8(out).expect("serde_json writes UTF-8 only")
    }

    #[test]
    fn doubles_are_printed_as_rapidjson_does() {
        for (value, text) in [
            (15.0, "15.0"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "10000000000000000.0"),
            (-1.5e20, "-150000000000000000000.0"),
            (1e21, "1e21"),
            (-1.5e21, "-1.5e21"),
            (123456789012345.6, "123456789012345.6"),
            (1234567890123456.7, "1234567890123456.8"),
            (1.5e-5, "0.000015"),
            (1.5e-6, "0.0000015"),
            (1.5e-7, "1.5e-7"),
            (1767225601.25, "1767225601.25"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(print(value), text);
        }
    }

    #[test]
    fn a_value_of_a_newer_version_has_no_name() {
        let table = &crate::table::generated::mesos__v1__TaskState;
        assert_eq!(names(table, &[1, 999]), Some(vec!["TASK_RUNNING"]));
        assert_eq!(names(table, &[999]), None);
    }
}
