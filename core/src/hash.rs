//! A fast hash for our own keys: random ids made by this installation, never text from outside.

use std::hash::{BuildHasherDefault, Hasher};

pub(crate) type FastMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FoldHasher>>;
pub(crate) type FastSet<K> = std::collections::HashSet<K, BuildHasherDefault<FoldHasher>>;

/// Multiplies and folds eight bytes at a time. No defence against chosen keys, which ids are not.
#[derive(Default, Clone, Copy)]
pub(crate) struct FoldHasher(u64);

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl FoldHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word) ^ FACTOR);
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(u64::from(value) ^ FACTOR);
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value ^ FACTOR);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
