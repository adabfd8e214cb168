//! The wire types of Caprock.

mod generated {
    #![allow(warnings, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}

pub use generated::{caprock, mesos};
