//! Tests of the agent from outside: scripted inputs, asserted effects.

mod attach;
mod checks;
mod command;
mod custom;
mod drain;
mod fence;
mod launch;
mod life;
mod operations;
mod pods;
mod recovery;
mod retire;
mod rig;
mod updates;
