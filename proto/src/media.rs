//! The two forms that a message has on the wire.

use std::fmt;

/// How a message is encoded in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

impl MediaType {
    /// The value of a `Content-Type` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The media type that a `Content-Type` header names. It is compared as a whole: Mesos answers
    /// 415 to `application/json; charset=utf-8` (Mesos: src/master/http.cpp).
    #[must_use]
    pub fn from_content_type(value: &str) -> Option<Self> {
        [Self::Json, Self::Protobuf]
            .into_iter()
            .find(|media| media.as_str() == value)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_compared_as_a_whole() {
        assert_eq!(
            MediaType::from_content_type("application/json"),
            Some(MediaType::Json)
        );
        assert_eq!(
            MediaType::from_content_type("application/x-protobuf"),
            Some(MediaType::Protobuf)
        );
        for other in [
            "application/json; charset=utf-8",
            "Application/JSON",
            "text/plain",
            "",
        ] {
            assert_eq!(MediaType::from_content_type(other), None, "{other}");
        }
    }
}
