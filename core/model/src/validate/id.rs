//! The rule for ids that others choose: they become names of folders.

use super::{Validity, ensure};

/// The longest file name of the usual file systems.
const BYTES_MAX: usize = 255;

/// Whether text may be the id of a task, executor, framework or volume.
pub fn id(text: &str) -> Validity {
    ensure(!text.is_empty(), "ID must not be empty")?;
    ensure(
        text.len() <= BYTES_MAX,
        "ID must not be greater than 255 characters",
    )?;
    ensure(
        text != "." && text != "..",
        format!("'{text}' is disallowed"),
    )?;
    let invalid = |byte: u8| byte.is_ascii_control() || byte == b'/' || byte == b'\\';
    ensure(
        !text.bytes().any(invalid),
        format!("'{text}' contains invalid characters"),
    )
}

/// Whether bytes are a UUID of a version that there is.
pub fn uuid(bytes: &[u8]) -> Validity {
    let known = bytes.len() == 16 && matches!(bytes[6] >> 4, 1..=5);
    ensure(known, "Not a valid UUID")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for text in ["a", "a b:c", "é", "...", &"x".repeat(255)] {
            assert_eq!(id(text), Ok(()), "{text}");
        }
        assert_eq!(id(""), Err("ID must not be empty".into()));
        assert_eq!(id(".."), Err("'..' is disallowed".into()));
        assert_eq!(id("a/b"), Err("'a/b' contains invalid characters".into()));
        assert_eq!(
            id(&"x".repeat(256)),
            Err("ID must not be greater than 255 characters".into())
        );
        for text in [".", "a\\b", "a\nb", "\x7f", "\0"] {
            assert!(id(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn uuids() {
        let mut bytes = [7u8; 16];
        bytes[6] = 0x4d;
        assert_eq!(uuid(&bytes), Ok(()));
        assert!(uuid(&bytes[..15]).is_err());
        bytes[6] = 0x0d;
        assert!(uuid(&bytes).is_err());
    }
}
