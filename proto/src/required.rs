//! The check for proto2's required fields. prost does not make it, and after decoding a required
//! number that was absent looks like a zero; so the check walks the encoded bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::table::{Field, Kind, Label, Message};

/// Bytes that are not an encoding of any message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A key, a length or a value that cannot be.
    #[error(transparent)]
    Field(#[from] prost::DecodeError),
    /// A submessage that is longer than what contains it.
    #[error("a submessage is longer than its message")]
    Overrun,
}

/// The required fields that are absent from an encoded message, with dotted names such as
/// `accept.operations[0].launch.task_infos[0].name`, in the order of protobuf's
/// `InitializationErrorString`: those of a message before those of its submessages.
///
/// The depth of the message must have been bounded before, by decoding it.
pub fn missing_fields(table: &Message, bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    // Nearly all messages are complete: make sure of that without allocating anything.
    if is_complete(table, bytes)? {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    collect_missing(table, bytes, &mut String::new(), &mut missing)?;
    Ok(missing)
}

/// Whether all required fields are there. It may err on the side of `false` when a submessage
/// comes in several parts, which is legal and which no encoder does.
fn is_complete(table: &Message, mut bytes: &[u8]) -> Result<bool, Malformed> {
    let mut seen = Seen::default();
    while let Some(item) = next_item(table, &mut bytes)? {
        if let Some((submessage, body)) = item.submessage
            && !is_complete(submessage, body)?
        {
            return Ok(false);
        }
        seen.add(&item);
    }
    Ok(seen.missing(table).next().is_none())
}

fn collect_missing(
    table: &Message,
    mut bytes: &[u8],
    prefix: &mut String,
    missing: &mut Vec<String>,
) -> Result<(), Malformed> {
    let mut seen = Seen::default();
    let mut children: BTreeMap<u32, (&Field, &Message, Vec<Vec<u8>>)> = BTreeMap::new();
    while let Some(item) = next_item(table, &mut bytes)? {
        seen.add(&item);
        let Some((submessage, body)) = item.submessage else {
            continue;
        };
        let (field, _, bodies) = children
            .entry(item.field.number)
            .or_insert_with(|| (item.field, submessage, Vec::new()));
        match bodies.last_mut() {
            // The parts of a singular submessage are merged, which is what joining them means.
            Some(first) if !field.is_repeated() => first.extend_from_slice(body),
            _ => bodies.push(body.to_vec()),
        }
    }
    missing.extend(
        seen.missing(table)
            .map(|field| format!("{prefix}{}", field.name)),
    );

    let length = prefix.len();
    for (field, submessage, bodies) in children.values() {
        for (index, body) in bodies.iter().enumerate() {
            prefix.push_str(field.name);
            if field.is_repeated() {
                let _ = write!(prefix, "[{index}]");
            }
            prefix.push('.');
            collect_missing(submessage, body, prefix, missing)?;
            prefix.truncate(length);
        }
    }
    Ok(())
}

/// A known field as it was found in the bytes.
struct Item<'a> {
    index: usize,
    field: &'static Field,
    submessage: Option<(&'static Message, &'a [u8])>,
    /// False for a number that the enum does not have: proto2 takes such a field for unset.
    is_known: bool,
}

/// Which fields of a table were found, as bits by their place in it.
#[derive(Default)]
struct Seen(u64);

impl Seen {
    fn add(&mut self, item: &Item<'_>) {
        if item.is_known && item.field.label == Label::Required {
            self.0 |= 1 << item.index;
        }
    }

    fn missing<'a>(&'a self, table: &'a Message) -> impl Iterator<Item = &'static Field> + 'a {
        let required = |field: &Field| field.label == Label::Required;
        let fields = table.fields.iter().enumerate();
        fields
            .filter(move |(i, field)| required(field) && self.0 & (1 << i) == 0)
            .map(|(_, f)| f)
    }
}

fn next_item<'a>(table: &Message, bytes: &mut &'a [u8]) -> Result<Option<Item<'a>>, Malformed> {
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(bytes)?;
        let Some((index, field)) = table.field_numbered(number) else {
            skip_field(wire_type, number, bytes, DecodeContext::default())?;
            continue;
        };
        let mut item = Item {
            index,
            field,
            submessage: None,
            is_known: true,
        };
        match (field.kind, wire_type) {
            (Kind::Message(submessage), WireType::LengthDelimited) => {
                item.submessage = Some((submessage, take_delimited(bytes)?));
            }
            (Kind::Enum(values), WireType::Varint) => {
                let number = i32::try_from(decode_varint(bytes)?.cast_signed());
                item.is_known = number.is_ok_and(|number| values.name_of(number).is_some());
            }
            _ => skip_field(wire_type, number, bytes, DecodeContext::default())?,
        }
        return Ok(Some(item));
    }
    Ok(None)
}

fn take_delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(decode_varint(bytes)?).map_err(|_| Malformed::Overrun)?;
    let (body, rest) = bytes.split_at_checked(length).ok_or(Malformed::Overrun)?;
    *bytes = rest;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::mesos::v1::{Address, ContainerId, Offer, scheduler};
    use crate::table::Described;

    fn missing<T: Described>(bytes: &[u8]) -> Vec<String> {
        missing_fields(T::TABLE, bytes).expect("the bytes are well-formed")
    }

    #[test]
    fn an_empty_message_misses_its_required_fields_in_the_order_of_declaration() {
        assert_eq!(
            missing::<Offer>(&[]),
            ["id", "framework_id", "agent_id", "hostname"]
        );
        assert!(missing::<scheduler::Call>(&[]).is_empty());
    }

    #[test]
    fn a_zero_that_was_sent_is_not_missing() {
        let address = Address {
            port: 0,
            ..Default::default()
        }
        .encode_to_vec();
        assert!(missing::<Address>(&address).is_empty());
        assert_eq!(missing::<Address>(&[]), ["port"]);
    }

    #[test]
    fn nested_fields_have_dotted_names_and_indices() {
        // accept { operations { } operations { type: LAUNCH launch { task_infos { } } } }
        let call = [0x22, 10, 0x12, 0, 0x12, 6, 0x08, 1, 0x12, 2, 0x0a, 0];
        let prefix = "accept.operations[1].launch.task_infos[0]";
        let names = ["name", "task_id", "agent_id"].map(|name| format!("{prefix}.{name}"));
        assert_eq!(missing::<scheduler::Call>(&call), names);
    }

    #[test]
    fn the_parts_of_a_singular_submessage_are_taken_together() {
        // parent { } parent { value: "p" } value: "c"
        let container = [0x12, 0, 0x12, 3, 0x0a, 1, b'p', 0x0a, 1, b'c'];
        assert!(ContainerId::decode(&container[..]).is_ok());
        assert!(missing::<ContainerId>(&container).is_empty());
    }

    #[test]
    fn a_number_that_a_required_enum_does_not_have_counts_as_missing() {
        // mesos.v1.TaskStatus { task_id { value: "t" } state: 99 }
        let status = [0x0a, 3, 0x0a, 1, b't', 0x10, 99];
        assert_eq!(missing::<crate::mesos::v1::TaskStatus>(&status), ["state"]);
    }

    #[test]
    fn an_overrun_is_an_error() {
        assert!(missing_fields(Offer::TABLE, &[0x0a, 5, 0]).is_err());
        assert!(missing_fields(Offer::TABLE, &[0x0a]).is_err());
    }
}
