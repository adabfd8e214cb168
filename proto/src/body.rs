//! The body of a request or answer: one message in one of the media types. The texts of
//! [`BadBody`] are those that Mesos answers with status 400.

use bytes::Bytes;

use crate::json::JsonError;
use crate::media::MediaType;
use crate::message::MesosMessage;

/// Reads the message in the body of a request.
pub fn decode<T: MesosMessage>(media: MediaType, body: impl Into<Bytes>) -> Result<T, BadBody> {
    let message = T::TABLE.short_name();
    match media {
        MediaType::Protobuf => T::decode_checked(body).map_err(|_| BadBody::Protobuf { message }),
        MediaType::Json => T::from_json(&body.into()).map_err(|error| match error {
            JsonError::Syntax(detail) => BadBody::JsonSyntax { detail },
            JsonError::Conversion(detail) => BadBody::JsonConversion { message, detail },
        }),
    }
}

/// Appends a message to the body of an answer.
pub fn encode<T: MesosMessage>(media: MediaType, message: &T, out: &mut Vec<u8>) {
    match media {
        MediaType::Json => message.write_json(out),
        MediaType::Protobuf => message.encode(out).expect("a vector grows as needed"),
    }
}

/// A body that is not the expected message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// It is no protobuf of that message, or lacks required fields. Mesos does not say which.
    #[error("Failed to parse body into {message} protobuf")]
    Protobuf {
        /// The short name of the message.
        message: &'static str,
    },
    /// It is no JSON.
    #[error("Failed to parse body into JSON: {detail}")]
    JsonSyntax {
        /// What the parser says.
        detail: String,
    },
    /// It is JSON, of something else.
    #[error("Failed to convert JSON into {message} protobuf: {detail}")]
    JsonConversion {
        /// The short name of the message.
        message: &'static str,
        /// What does not fit.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesos::v1::scheduler::{Call, call};

    fn error(media: MediaType, body: &'static str) -> String {
        decode::<Call>(media, body)
            .expect_err("the body is bad")
            .to_string()
    }

    #[test]
    fn both_media_types_carry_a_call() {
        let call = Call {
            r#type: Some(call::Type::Teardown.into()),
            ..Default::default()
        };
        for media in [MediaType::Json, MediaType::Protobuf] {
            let mut body = Vec::new();
            encode(media, &call, &mut body);
            assert_eq!(decode(media, body), Ok(call.clone()));
        }
    }

    #[test]
    fn a_bad_body_is_reported_in_the_words_of_mesos() {
        assert_eq!(
            error(MediaType::Protobuf, "x"),
            "Failed to parse body into Call protobuf"
        );
        assert!(error(MediaType::Json, "{").starts_with("Failed to parse body into JSON: "));
        assert_eq!(
            error(MediaType::Json, "[]"),
            "Failed to convert JSON into Call protobuf: Expecting a JSON object"
        );
        assert_eq!(
            error(MediaType::Json, r#"{"kill":{}}"#),
            "Failed to convert JSON into Call protobuf: Missing required fields: kill.task_id"
        );
    }

    #[test]
    fn protobuf_without_a_required_field_is_refused() {
        // Call { kill { } }
        assert_eq!(
            decode::<Call>(MediaType::Protobuf, &[0x32, 0][..]),
            Err(BadBody::Protobuf { message: "Call" })
        );
    }
}
