//! What goes over the wire, seen from outside: the rules of Mesos' JSON, examples, and random
//! messages and garbage.

mod examples;
mod garbage;
mod printing;
mod random;
mod reading;
mod value;
