//! What Caprock says on the wire: the Mesos v1 API and Caprock's own protocols.
//!
//! This crate holds messages and their encodings only. It opens no connection, knows no HTTP
//! status, and gives no message a meaning.
//!
//! ```text
//!   .proto files --(build.rs)--> structs and gRPC services   mesos::v1, caprock
//!                           \--> field tables                table
//!                           \--> JSON writers                json
//!
//!   body of a request                               body of an answer
//!        |                                                  ^
//!        v                                                  |
//!   body::decode -- JSON --> json::read --+           body::encode -- JSON --> json::write
//!        |                                v                 |
//!        +------ protobuf -------> message::decode          +------ protobuf --> prost
//!                                  (+ required)             |
//!                                                           v
//!                                                  recordio, for streams
//! ```
//!
//! To read it: [`message`] (what all messages can do), [`body`] and [`media`] (what an HTTP shell
//! needs), [`json`], [`table`] and [`required`] (how), [`recordio`], [`id`].

pub mod body;
pub mod id;
pub mod json;
pub mod media;
pub mod message;
pub mod recordio;
pub mod required;
pub mod table;

pub use body::{BadBody, decode, encode};
pub use json::JsonError;
pub use media::MediaType;
pub use message::{DecodeError, MesosMessage};

mod generated {
    #![allow(warnings, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}

mod writers {
    #![allow(warnings, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/writers.rs"));
}

pub use generated::{caprock, google, mesos};
