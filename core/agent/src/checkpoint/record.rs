//! Values of the checkpoint store: one protobuf message with the version of its format.

use bytes::Bytes;
use caprock_proto::caprock::checkpoint;
use prost::Message;

/// Version of the records that this agent writes.
pub const FORMAT: u32 = 1;

/// A record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("checkpoint of format {found}, this agent reads up to {FORMAT}")]
    Newer { found: u32 },
    #[error("damaged checkpoint: {0}")]
    Damaged(String),
}

/// The bytes of a record.
pub fn encode(record: checkpoint::record::Record) -> Bytes {
    checkpoint::Record {
        format: FORMAT,
        record: Some(record),
    }
    .encode_to_vec()
    .into()
}

/// The record in these bytes.
pub fn decode(bytes: &[u8]) -> Result<checkpoint::record::Record, DecodeError> {
    let outer = checkpoint::Record::decode(bytes)
        .map_err(|error| DecodeError::Damaged(error.to_string()))?;
    if outer.format > FORMAT {
        return Err(DecodeError::Newer {
            found: outer.format,
        });
    }
    outer
        .record
        .ok_or_else(|| DecodeError::Damaged("no known record".to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(highest_term: u64) -> checkpoint::record::Record {
        checkpoint::record::Record::Fence(checkpoint::Fence { highest_term })
    }

    #[test]
    fn a_record_survives_the_disk() {
        assert_eq!(decode(&encode(fence(7))), Ok(fence(7)));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let bytes = checkpoint::Record {
            format: FORMAT + 1,
            record: Some(fence(1)),
        };
        assert_eq!(
            decode(&bytes.encode_to_vec()),
            Err(DecodeError::Newer { found: FORMAT + 1 })
        );
    }

    #[test]
    fn damage_is_told() {
        assert!(matches!(
            decode(&[0xff, 0xff]),
            Err(DecodeError::Damaged(_))
        ));
        assert!(matches!(decode(&[]), Err(DecodeError::Damaged(_))));
    }
}
