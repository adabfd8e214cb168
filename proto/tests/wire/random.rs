//! Random messages of every shape, built by walking the field tables: what is read is printed and
//! encoded again without loss.

use caprock_proto::MesosMessage;
use caprock_proto::mesos::v1::{
    FrameworkInfo, Offer, TaskInfo, agent, executor, maintenance, master, quota, resource_provider,
    scheduler,
};
use caprock_proto::table::{Field, Kind, Label, Message};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::value::assert_contains;

/// Optional fields stop here, so that messages stay small; required ones go on.
const MAX_DEPTH: u32 = 6;

/// Messages whose optional fields exclude each other.
const WITH_ONEOF: [&str; 3] = [
    "mesos.v1.Volume.Source.CSIVolume.VolumeCapability",
    "mesos.v1.scheduler.AttributeConstraint.Predicate",
    "mesos.v1.scheduler.AttributeConstraint.Selector",
];

/// A small generator (splitmix64): the case must depend on the seed only, so that it can be
/// replayed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn message(&mut self, table: &Message, depth: u32) -> Value {
        let only = WITH_ONEOF
            .contains(&table.name)
            .then(|| self.below(table.fields.len() as u64) as usize);
        let mut object = Map::new();
        for (index, field) in table.fields.iter().enumerate() {
            let wanted = match only {
                Some(only) => only == index,
                None => depth < MAX_DEPTH && self.below(u64::from(depth) + 2) == 0,
            };
            if field.label == Label::Required || wanted {
                object.insert(field.name.to_owned(), self.field(field, depth));
            }
        }
        Value::Object(object)
    }

    fn field(&mut self, field: &Field, depth: u32) -> Value {
        let count = 1 + self.below(2);
        match (field.label, field.kind) {
            (Label::Map, Kind::Message(entry)) => {
                let pairs =
                    (0..count).map(|_| (self.text(), self.one(entry.fields[1].kind, depth)));
                Value::Object(pairs.collect())
            }
            (Label::Repeated, kind) => (0..count).map(|_| self.one(kind, depth)).collect(),
            (_, kind) => self.one(kind, depth),
        }
    }

    fn one(&mut self, kind: Kind, depth: u32) -> Value {
        match kind {
            Kind::Bool => json!(self.below(2) == 0),
            Kind::Bytes => json!(["", "AA==", "aGVsbG8=", "+/+/"][self.below(4) as usize]),
            Kind::Double => json!(self.double()),
            Kind::Int32 => json!(self.roll() as i32),
            Kind::Int64 => json!(self.roll() as i64),
            Kind::String => json!(self.text()),
            Kind::Uint32 => json!(self.roll() as u32),
            Kind::Uint64 => json!(self.roll()),
            Kind::Enum(table) => {
                json!(table.values[self.below(table.values.len() as u64) as usize].0)
            }
            Kind::Message(table) => self.message(table, depth + 1),
        }
    }

    fn double(&mut self) -> f64 {
        match self.below(4) {
            0 => 0.0,
            1 => self.below(1000) as f64 / 8.0,
            // Any bits at all, unless they are no number.
            _ => Some(f64::from_bits(self.roll()))
                .filter(|value| value.is_finite())
                .unwrap_or(1.0),
        }
    }

    fn text(&mut self) -> String {
        let pieces = ["", "a", "eng/ops", "\"\\\n", "\u{2603}", "\0", "*"];
        let count = self.below(3);
        (0..count)
            .map(|_| pieces[self.below(pieces.len() as u64) as usize])
            .collect()
    }
}

fn check<T: MesosMessage>(seed: u64) {
    let json = Dice(seed).message(T::TABLE, 0);
    let message = T::from_json_value(&json).unwrap_or_else(|error| panic!("{error} in {json}"));

    let text = message.to_json();
    let printed = serde_json::from_str(&text).expect("it prints JSON");
    assert_contains(&printed, &json, T::TABLE.name);
    // Printed defaults are set when they are read again, so compare the text.
    let again = T::from_json(text.as_bytes()).expect("what was printed can be read");
    assert_eq!(again.to_json(), text);

    let decoded = T::decode_checked(message.encode_to_vec());
    assert_eq!(decoded.as_ref(), Ok(&message));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn every_message_survives_both_encodings(seed: u64) {
        check::<scheduler::Call>(seed);
        check::<scheduler::Event>(seed);
        check::<scheduler::Response>(seed);
        check::<executor::Call>(seed);
        check::<executor::Event>(seed);
        check::<master::Call>(seed);
        check::<master::Event>(seed);
        check::<master::Response>(seed);
        check::<agent::Call>(seed);
        check::<agent::Response>(seed);
        check::<resource_provider::Call>(seed);
        check::<resource_provider::Event>(seed);
        check::<maintenance::Schedule>(seed);
        check::<quota::QuotaConfig>(seed);
        check::<FrameworkInfo>(seed);
        check::<TaskInfo>(seed);
        check::<Offer>(seed);
    }
}
