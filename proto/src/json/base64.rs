//! Base64 as Mesos reads it: white space is skipped, the first `=` ends the text, padding is
//! optional (Mesos: 3rdparty/stout/include/stout/base64.hpp).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Decodes, or says what is wrong in the words of Mesos.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut symbols = Vec::with_capacity(text.len());
    for c in text.chars().take_while(|c| *c != '=') {
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' => symbols.push(c as u8),
            ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r' => {}
            _ => return Err(format!("Invalid character '{c}'")),
        }
    }
    // A single symbol has too few bits for a byte, and Mesos drops it.
    if symbols.len() % 4 == 1 {
        symbols.pop();
    }
    LENIENT.decode(symbols).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient_where_mesos_is() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("aGVsbG8=", b"hello"),
            ("aGVsbG8", b"hello"),
            ("aGV\n sbG8=", b"hello"),
            ("aGVsbG8=!!", b"hello"),
            ("aGVsb", b"hel"),
            ("aGVsbG9=", b"hello"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_characters_are_errors() {
        assert_eq!(decode("aG-s"), Err("Invalid character '-'".to_owned()));
        assert_eq!(decode("aé"), Err("Invalid character 'é'".to_owned()));
    }
}
