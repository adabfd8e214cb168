//! Headers between members and gateways, beside those of Mesos.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// Names the member that forwarded the request: it is not forwarded a second time.
pub const FORWARDED_BY: HeaderName = HeaderName::from_static("caprock-forwarded-by");
/// On a 503: the member that answers does not lead, the request was not looked at.
pub const NOT_LEADER: HeaderName = HeaderName::from_static("caprock-not-leader");
/// On the answer to SUBSCRIBE: the term of the leader that has the stream. On a forwarded
/// call: the term that it is meant for; another leadership refuses it.
pub const TERM: HeaderName = HeaderName::from_static("caprock-term");
/// The same for every attempt to get one call through, which is carried out once. Gateways
/// choose one for each call; a scheduler that repeats calls by itself may do so, too.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("caprock-idempotency-key");
/// On a SUBSCRIBE: a gateway goes on with a stream that it holds.
pub const RESUMES: HeaderName = HeaderName::from_static("caprock-resumes");
/// Longest key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Media type of an ACCEPT together with the offers of former leaders that it names
/// (`caprock.gateway.VouchedAccept`). Only gateways send it.
pub const VOUCHED_ACCEPT: &str = "application/x-caprock-vouched-accept";

/// The value of a header, if it is text.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The term that the headers name.
pub fn term(headers: &HeaderMap) -> Option<u64> {
    text(headers, &TERM)?.parse().ok()
}

/// A key that no other call has.
pub fn new_key() -> HeaderValue {
    let key = uuid::Uuid::new_v4().to_string();
    HeaderValue::from_str(&key).expect("a UUID is visible ASCII")
}
