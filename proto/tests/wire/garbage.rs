//! Input that nobody should send: it is refused, and neither panics nor overflows the stack.

use caprock_proto::mesos::v1::{ContainerId, Offer, scheduler::Call};
use caprock_proto::recordio::Decoder;
use caprock_proto::{JsonError, MesosMessage};
use proptest::prelude::*;
use prost::Message as _;

/// A container inside `levels` others.
fn nested_json(levels: usize) -> String {
    let open = r#"{"value":"c","parent":"#.repeat(levels);
    format!(r#"{open}{{"value":"c"}}{}"#, "}".repeat(levels))
}

fn nested_bytes(levels: usize) -> Vec<u8> {
    let mut bytes = vec![0x0a, 1, b'c'];
    for _ in 0..levels {
        let mut outer = vec![0x0a, 1, b'c', 0x12];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn nesting_is_bounded_alike_in_both_encodings() {
    for levels in [0, 1, 99, 100] {
        let container = ContainerId::from_json(nested_json(levels).as_bytes());
        let container = container.unwrap_or_else(|error| panic!("{error} at {levels}"));
        assert_eq!(
            ContainerId::decode_checked(nested_bytes(levels)),
            Ok(container)
        );
    }
    for levels in [101, 120] {
        assert_eq!(
            ContainerId::from_json(nested_json(levels).as_bytes()),
            Err(JsonError::Conversion(
                "Messages are nested more than 100 deep".to_owned()
            ))
        );
        assert!(ContainerId::decode_checked(nested_bytes(levels)).is_err());
    }
}

#[test]
fn absurd_nesting_does_not_overflow_the_stack() {
    for levels in [200, 100_000] {
        let error = ContainerId::from_json(nested_json(levels).as_bytes());
        assert!(matches!(error, Err(JsonError::Syntax(_))));
        let arrays = format!("{{\"x\":{}", "[".repeat(levels));
        assert!(matches!(
            ContainerId::from_json(arrays.as_bytes()),
            Err(JsonError::Syntax(_))
        ));
    }
    assert!(ContainerId::decode_checked(nested_bytes(5_000)).is_err());
    // The same through a field that nobody knows: a group within a group.
    assert!(ContainerId::decode_checked(vec![0x7b; 100_000]).is_err());
}

fn sample() -> Vec<u8> {
    let json = include_str!("../data/scheduler_call.json");
    let calls = Call::list_from_json(json.as_bytes()).expect("the examples are good");
    calls
        .iter()
        .max_by_key(|call| call.encoded_len())
        .expect("there are some")
        .encode_to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Call::decode_checked(bytes.clone());
        let _ = Offer::decode_checked(bytes.clone());
        let _ = Call::from_json(&bytes);
    }

    #[test]
    fn a_damaged_call_is_decoded_or_refused(place: prop::sample::Index, value: u8, cut: bool) {
        let mut bytes = sample();
        let place = place.index(bytes.len());
        bytes[place] = value;
        if cut {
            bytes.truncate(place);
        }
        if let Ok(call) = Call::decode_checked(bytes) {
            let bytes = call.encode_to_vec();
            // Compared as bytes: a damaged double may be no number, which equals nothing.
            let again = Call::decode_checked(bytes.clone()).map(|call| call.encode_to_vec());
            prop_assert_eq!(again, Ok(bytes));
        }
    }

    #[test]
    fn a_stream_of_garbage_is_cut_the_same_way_in_any_pieces(
        stream in prop::collection::vec(prop_oneof![Just(b'\n'), b'0'..=b'3', any::<u8>()], 0..200),
        size in 1_usize..20,
    ) {
        let max = 12;
        let cut = |size: usize| {
            let mut decoder = Decoder::new(max);
            let mut records = Vec::new();
            for piece in stream.chunks(size) {
                decoder.feed(piece);
                loop {
                    match decoder.next() {
                        Ok(Some(record)) => records.push(record),
                        Ok(None) => break,
                        Err(_) => return (records, true),
                    }
                }
            }
            (records, false)
        };
        let (records, failed) = cut(size);
        prop_assert!(records.iter().all(|record| record.len() <= max));
        prop_assert_eq!((records, failed), cut(stream.len().max(1)));
    }
}
