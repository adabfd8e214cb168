//! RecordIO: how a stream is cut into messages. Each record is its length in decimal digits, a
//! line feed, and its bytes (Mesos: 3rdparty/stout/include/stout/recordio.hpp).

use std::io::Write;

use bytes::{Buf, Bytes, BytesMut};

/// No length needs more: 2^64 has 20 digits.
const MAX_DIGITS: usize = 20;

/// Appends one record.
pub fn encode(record: &[u8], out: &mut Vec<u8>) {
    writeln!(out, "{}", record.len()).expect("a vector grows as needed");
    out.extend_from_slice(record);
}

/// Cuts a stream into records, however the stream is cut into pieces.
///
/// Take all records with [`next`](Self::next) after each [`feed`](Self::feed): then what is kept
/// is at most one incomplete record, which the limit bounds.
#[derive(Debug)]
pub struct Decoder {
    max_record_bytes: usize,
    buffer: BytesMut,
    state: State,
}

#[derive(Debug)]
enum State {
    Length,
    Record { length: usize },
    Failed(RecordIoError),
}

/// Why a stream is not RecordIO, or not one that is accepted. The place where the next record
/// begins is unknown then, so that the decoder never recovers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordIoError {
    /// What should be a length has other characters than digits, or none, or too many.
    #[error("Failed to decode length '{0}'")]
    BadLength(String),
    /// A record is longer than accepted.
    #[error("Record of {length} bytes is longer than {max_record_bytes} bytes")]
    TooLong {
        /// What the stream announces.
        length: u64,
        /// The limit.
        max_record_bytes: usize,
    },
}

impl Decoder {
    /// Refuses records of more than `max_record_bytes`.
    #[must_use]
    pub fn new(max_record_bytes: usize) -> Self {
        Self {
            max_record_bytes,
            buffer: BytesMut::new(),
            state: State::Length,
        }
    }

    /// Adds the next piece of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Failed(_)) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next record, if all of it is there.
    #[expect(
        clippy::should_implement_trait,
        reason = "None means not yet, and it can fail"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, RecordIoError> {
        let length = match &self.state {
            State::Record { length } => *length,
            State::Failed(error) => return Err(error.clone()),
            State::Length => match self.take_length() {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.buffer = BytesMut::new();
                    self.state = State::Failed(error.clone());
                    return Err(error);
                }
            },
        };
        if self.buffer.len() < length {
            self.state = State::Record { length };
            return Ok(None);
        }
        self.state = State::Length;
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether the stream may end here: no record has begun.
    #[must_use]
    pub fn is_between_records(&self) -> bool {
        matches!(self.state, State::Length) && self.buffer.is_empty()
    }

    fn take_length(&mut self) -> Result<Option<usize>, RecordIoError> {
        let head = &self.buffer[..self.buffer.len().min(MAX_DIGITS + 1)];
        let end = head.iter().position(|byte| !byte.is_ascii_digit());
        let digits = &head[..end.unwrap_or(head.len())];
        let bad = |text: &[u8]| RecordIoError::BadLength(text.escape_ascii().to_string());
        match end.map(|end| head[end]) {
            None if head.len() <= MAX_DIGITS => return Ok(None),
            Some(b'\n') if !digits.is_empty() => {}
            _ => return Err(bad(&head[..end.map_or(head.len(), |end| end + 1)])),
        }
        let text = str::from_utf8(digits).map_err(|_| bad(digits))?;
        let length: u64 = text.parse().map_err(|_| bad(digits))?;
        let max_record_bytes = self.max_record_bytes;
        let accepted = usize::try_from(length)
            .ok()
            .filter(|length| *length <= max_record_bytes);
        let accepted = accepted.ok_or(RecordIoError::TooLong {
            length,
            max_record_bytes,
        })?;
        self.buffer.advance(digits.len() + 1);
        Ok(Some(accepted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(pieces: &[&[u8]], max: usize) -> (Vec<Bytes>, Option<RecordIoError>) {
        let mut decoder = Decoder::new(max);
        let mut records = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            loop {
                match decoder.next() {
                    Ok(Some(record)) => records.push(record),
                    Ok(None) => break,
                    Err(error) => return (records, Some(error)),
                }
            }
        }
        (records, None)
    }

    #[test]
    fn records_are_found_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for record in ["hello", "", "world!\n12\n"] {
            encode(record.as_bytes(), &mut stream);
        }
        assert_eq!(stream, b"5\nhello0\n10\nworld!\n12\n");
        let expected = vec![
            Bytes::from("hello"),
            Bytes::new(),
            Bytes::from("world!\n12\n"),
        ];
        for size in 1..=stream.len() {
            let pieces: Vec<_> = stream.chunks(size).collect();
            assert_eq!(
                decode_all(&pieces, 10),
                (expected.clone(), None),
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_bad_length_is_an_error_at_once() {
        for (stream, quoted) in [
            ("x", "x"),
            ("\n", "\\n"),
            ("12x", "12x"),
            (" 5\nhello", " "),
            ("-1\n", "-"),
            ("5\r\nhello", "5\\r"),
            ("111111111111111111111", "111111111111111111111"),
            ("99999999999999999999\n", "99999999999999999999"),
        ] {
            let expected = RecordIoError::BadLength(quoted.to_owned());
            assert_eq!(
                decode_all(&[stream.as_bytes()], 10),
                (vec![], Some(expected)),
                "{stream}"
            );
        }
    }

    #[test]
    fn a_long_record_is_refused_before_its_bytes_arrive() {
        let too_long = RecordIoError::TooLong {
            length: 11,
            max_record_bytes: 10,
        };
        assert_eq!(
            decode_all(&[b"2\nok11\n"], 10),
            (vec![Bytes::from("ok")], Some(too_long))
        );
    }

    #[test]
    fn a_decoder_that_failed_stays_so_and_keeps_nothing() {
        let mut decoder = Decoder::new(10);
        decoder.feed(b"x");
        let error = decoder.next().expect_err("x is no length");
        decoder.feed(b"5\nhello");
        assert_eq!(decoder.next(), Err(error));
        assert_eq!(decoder.buffer.capacity(), 0);
    }

    #[test]
    fn a_stream_may_end_between_records_only() {
        let mut decoder = Decoder::new(10);
        assert!(decoder.is_between_records());
        decoder.feed(b"2\no");
        assert_eq!(decoder.next(), Ok(None));
        assert!(!decoder.is_between_records());
        decoder.feed(b"k");
        assert_eq!(decoder.next(), Ok(Some(Bytes::from("ok"))));
        assert!(decoder.is_between_records());
    }
}
