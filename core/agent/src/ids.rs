//! Fresh ids. Each is a random (version 4) UUID, derived from the entropy of the step and
//! a counter, so that the same inputs give the same ids again.

use bytes::Bytes;

/// Source of ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ids {
    entropy: u128,
    counter: u64,
}

impl Ids {
    /// Starts a step.
    pub fn seed(&mut self, entropy: u128) {
        self.entropy = entropy;
    }

    /// A UUID as 16 bytes.
    pub fn uuid(&mut self) -> Bytes {
        Bytes::copy_from_slice(&self.next())
    }

    /// A UUID as text.
    pub fn uuid_text(&mut self) -> String {
        let bytes = self.next();
        let mut text = String::with_capacity(36);
        for (at, byte) in bytes.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }

    fn next(&mut self) -> [u8; 16] {
        self.counter += 1;
        let high = mix((self.entropy >> 64) as u64 ^ mix(self.counter));
        let low = mix((self.entropy as u64).wrapping_add(high));
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }
}

/// The finalizer of splitmix64: a bijection that spreads each bit over the whole word.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_version_4_uuids_and_differ() {
        let mut ids = Ids::default();
        let mut seen = BTreeSet::new();
        for entropy in 0..100 {
            ids.seed(entropy);
            for _ in 0..100 {
                let uuid = ids.uuid();
                assert_eq!((uuid[6] >> 4, uuid[8] >> 6), (4, 2));
                assert!(seen.insert(uuid));
            }
        }
    }

    #[test]
    fn text_form() {
        let mut ids = Ids::default();
        let text = ids.uuid_text();
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
