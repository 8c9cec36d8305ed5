//! Randomness that a seed repeats.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// That many cards in random order, each kind before any comes again.
    pub fn deck<T: Copy>(&mut self, kinds: &[T], count: usize) -> Vec<T> {
        let mut deck = Vec::new();
        while deck.len() < count {
            let mut all = kinds.to_vec();
            while !all.is_empty() {
                deck.push(all.swap_remove(self.below(all.len() as u64) as usize));
            }
        }
        deck.truncate(count);
        deck
    }
}

pub fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Dice(since.as_nanos() as u64).roll() % 1_000_000
}
