//! What every message of the Mesos API can do: be decoded strictly, be read from JSON and be
//! printed as JSON.

use std::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::json::{self, JsonError};
use crate::required::{Malformed, missing_fields};
use crate::table::Described;

/// A message of the Mesos API. Implemented for all of them.
pub trait MesosMessage:
    prost::Message + Default + Clone + PartialEq + Debug + Serialize + Described + 'static
{
    /// Decodes a protobuf body and, unlike prost's `decode`, checks that all required fields of
    /// the message and of its submessages are there.
    fn decode_checked(bytes: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let bytes = bytes.into();
        // Decoding comes first because it bounds the depth of what the check walks.
        let message = Self::decode(bytes.clone())?;
        let missing = missing_fields(Self::TABLE, &bytes)?;
        if missing.is_empty() {
            Ok(message)
        } else {
            Err(DecodeError::MissingFields(missing))
        }
    }

    /// Reads the JSON form of a message, by the rules of Mesos (see [`json`]).
    fn from_json(bytes: &[u8]) -> Result<Self, JsonError> {
        Self::from_json_value(&json::parse(bytes)?)
    }

    /// Reads a message from JSON that has been parsed already.
    fn from_json_value(value: &Value) -> Result<Self, JsonError> {
        let bytes = Bytes::from(json::read::to_wire(Self::TABLE, value)?);
        Self::decode_checked(bytes).map_err(|error| JsonError::Conversion(error.to_string()))
    }

    /// Reads a list of messages, such as the resources in a form field of `/reserve`.
    fn list_from_json(bytes: &[u8]) -> Result<Vec<Self>, JsonError> {
        match json::parse(bytes)? {
            Value::Array(items) => items.iter().map(Self::from_json_value).collect(),
            _ => Err(JsonError::Conversion("Expecting a JSON array".to_owned())),
        }
    }

    /// Appends the JSON form of this message.
    fn write_json(&self, out: &mut Vec<u8>) {
        json::write::message(self, out);
    }

    /// The JSON form of this message.
    fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8(out).expect("serde_json writes UTF-8 only")
    }
}

impl<T> MesosMessage for T where
    T: prost::Message + Default + Clone + PartialEq + Debug + Serialize + Described + 'static
{
}

/// Why bytes are not the protobuf form of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no protobuf, or the types do not fit.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Required fields are absent.
    #[error("Missing required fields: {}", .0.join(", "))]
    MissingFields(Vec<String>),
}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(Malformed::Field(error))
    }
}
