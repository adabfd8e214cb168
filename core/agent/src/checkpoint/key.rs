//! Keys of the checkpoint store. Their byte form keeps the order of the typed form: one byte
//! for the kind, then each id with 0x00 escaped and a terminator below every other byte, and
//! numbers in big-endian.

use bytes::{BufMut, Bytes, BytesMut};
use caprock_model::{ContainerId, ExecutorId, FrameworkId, TaskId};

/// The name of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Who the agent is.
    Identity,
    /// The highest term that the agent has obeyed.
    Fence,
    /// A framework that runs something here, or still has updates to receive.
    Framework(FrameworkId),
    /// The run of an executor.
    Run(FrameworkId, ExecutorId),
    /// A task that is live, or over and not yet acknowledged.
    Task(FrameworkId, TaskId),
    /// One entry of the update stream of a task: a pending update or an acknowledged uuid.
    Update(FrameworkId, TaskId, u64),
    /// A task that is over and acknowledged.
    Finished(FrameworkId, TaskId),
    /// A container that is being destroyed without an executor to belong to.
    Orphan(ContainerId),
    /// An operation on the agent's resources, by its uuid.
    Operation(Bytes),
    /// The agent's resources as operations left them.
    Converted,
    /// The agent is being drained.
    Drain,
}

const END: [u8; 2] = [0x00, 0x01];
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xff];

impl Key {
    /// The key as the store has it.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Key::Identity => out.put_u8(0x01),
            Key::Fence => out.put_u8(0x02),
            Key::Framework(framework) => {
                out.put_u8(0x10);
                put_text(&mut out, framework);
            }
            Key::Run(framework, executor) => {
                out.put_u8(0x11);
                put_text(&mut out, framework);
                put_text(&mut out, executor);
            }
            Key::Task(framework, task) => {
                out.put_u8(0x12);
                put_text(&mut out, framework);
                put_text(&mut out, task);
            }
            Key::Update(framework, task, sequence) => {
                out.put_u8(0x13);
                put_text(&mut out, framework);
                put_text(&mut out, task);
                out.put_u64(*sequence);
            }
            Key::Finished(framework, task) => {
                out.put_u8(0x14);
                put_text(&mut out, framework);
                put_text(&mut out, task);
            }
            Key::Orphan(container) => {
                out.put_u8(0x15);
                put_text(&mut out, container);
            }
            Key::Operation(uuid) => {
                out.put_u8(0x20);
                put_bytes(&mut out, uuid);
            }
            Key::Converted => out.put_u8(0x21),
            Key::Drain => out.put_u8(0x22),
        }
        out.freeze()
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    for &byte in bytes {
        if byte == 0 {
            out.put_slice(&ESCAPED_ZERO);
        } else {
            out.put_u8(byte);
        }
    }
    out.put_slice(&END);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let id = "[ab\u{0}\u{1}/]{0,3}";
        prop_oneof![
            Just(Key::Identity),
            Just(Key::Fence),
            Just(Key::Converted),
            Just(Key::Drain),
            id.prop_map(|f| Key::Framework(f.into())),
            (id, id).prop_map(|(f, e)| Key::Run(f.into(), e.into())),
            (id, id).prop_map(|(f, t)| Key::Task(f.into(), t.into())),
            (id, id, 0u64..600).prop_map(|(f, t, n)| Key::Update(f.into(), t.into(), n)),
            (id, id).prop_map(|(f, t)| Key::Finished(f.into(), t.into())),
            id.prop_map(|c| Key::Orphan(c.into())),
            proptest::collection::vec(0u8..3, 0..3).prop_map(|b| Key::Operation(b.into())),
        ]
    }

    proptest! {
        #[test]
        fn bytes_keep_the_order_of_keys(a in any_key(), b in any_key()) {
            prop_assert_eq!(a.cmp(&b), a.encode().cmp(&b.encode()));
        }
    }
}
