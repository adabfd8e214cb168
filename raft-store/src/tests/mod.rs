//! Tests of the whole crate, by topic.

mod cluster;
mod crash;
mod formation;
mod single;
mod suite;
