//! What the HTTP endpoints of masters and agents have in common: Mesos' rules for paths,
//! media types, request bodies, answers and event streams. It knows no call and no message.
//!
//! ```text
//!   request ──► path (which route?) ──► body (bounded, gunzipped) ──► the endpoint
//!                                        accept (JSON or protobuf?)        │
//!   answer  ◄── reply (text, JSON, 202, 405, ...) ◄────────────────────────┤
//!   stream  ◄── stream (one RecordIO record, one HTTP chunk) ◄─────────────┘
//! ```
//!
//! Reading order: [`path`], [`accept`], [`body`], [`reply`], [`stream`].

pub mod accept;
pub mod body;
pub mod path;
pub mod query;
pub mod reply;
pub mod stream;

/// The body of every answer: bytes at once, or a stream of records.
pub type Body = http_body_util::combinators::BoxBody<bytes::Bytes, std::convert::Infallible>;

/// An answer.
pub type Reply = http::Response<Body>;
