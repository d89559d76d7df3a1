//! 'Was this seen lately?' in fixed memory: two Bloom filters that take turns.
//!
//! A key counts as seen for at least one window and at most two. A false 'seen' only ever leaves out an observation;
//! with the sizes here that happens to fewer than one key in a thousand until the filter is at its design load, and the
//! filters turn early when that is reached.

use fastbloom::BloomFilter;
use xxhash_rust::xxh3::xxh3_64;

use crate::time::{Span, Ts};

/// Keys seen within a window of event time.
#[derive(Debug)]
pub struct Recent {
    window: Span,
    turned: Option<Ts>,
    current: BloomFilter,
    previous: BloomFilter,
    load: usize,
    load_max: usize,
    early_turns: u64,
}

/// Bits a key and hash functions: 15 bits and 10 functions give one false 'seen' in about 1,300 at full load.
const BITS_PER_KEY: usize = 15;
const HASHES: u32 = 10;

/// The filters take the stable hash of [`key`] as it is: what a filter says reaches the report, and a report must be
/// the same in every run.
fn filter(load_max: usize) -> BloomFilter {
    BloomFilter::with_num_bits(load_max * BITS_PER_KEY).seed(&0).hashes(HASHES)
}

impl Recent {
    /// Remembers keys for `window`, up to `load_max` in each half.
    pub fn new(window: Span, load_max: usize) -> Self {
        let (current, previous) = (filter(load_max), filter(load_max));
        Self { window, turned: None, current, previous, load: 0, load_max, early_turns: 0 }
    }

    /// Notes a key; true if it was not seen within the window.
    pub fn insert(&mut self, parts: &[&[u8]], now: Ts) -> bool {
        self.turn(now);
        let hash = key(parts);
        let known = self.current.contains_hash(hash) || self.previous.contains_hash(hash);
        if !self.current.insert_hash(hash) {
            self.load += 1;
        }
        !known
    }

    /// Whether a key was seen within the window.
    pub fn contains(&mut self, parts: &[&[u8]], now: Ts) -> bool {
        self.turn(now);
        let hash = key(parts);
        self.current.contains_hash(hash) || self.previous.contains_hash(hash)
    }

    /// How often the filters turned before their time because they were full.
    pub const fn early_turns(&self) -> u64 {
        self.early_turns
    }

    fn turn(&mut self, now: Ts) {
        let age = now.since(*self.turned.get_or_insert(now));
        let full = self.load >= self.load_max;
        if age < self.window && !full {
            return;
        }
        if age.as_nanos() >= self.window.as_nanos().saturating_mul(2) {
            self.previous.clear();
        } else {
            std::mem::swap(&mut self.current, &mut self.previous);
        }
        self.current.clear();
        self.early_turns += u64::from(full);
        (self.turned, self.load) = (Some(now), 0);
    }
}

/// One hash of several parts; each part's length goes in, so that no two lists of parts look alike.
pub(crate) fn key(parts: &[&[u8]]) -> u64 {
    let mut hash = 0_u64;
    for part in parts {
        hash = xxh3_64(part) ^ hash.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_a_window() {
        let mut seen = Recent::new(Span::mins(30), 1000);
        let at = |minute: i64| Ts::EPOCH + Span::mins(minute);
        assert!(seen.insert(&[b"a", b"b"], at(0)));
        assert!(!seen.insert(&[b"a", b"b"], at(29)));
        assert!(seen.insert(&[b"ab", b""], at(29)), "parts are kept apart");
        assert!(!seen.insert(&[b"a", b"b"], at(31)));
        assert!(seen.insert(&[b"a", b"b"], at(200)));
    }

    #[test]
    fn few_new_keys_are_taken_for_old_ones() {
        let mut seen = Recent::new(Span::hours(4), 10_000);
        let wrong = (0..10_000_u32).filter(|n| !seen.insert(&[&n.to_le_bytes()], Ts::EPOCH)).count();
        assert!(wrong < 10, "{wrong} of 10,000");
        (10_000..30_000_u32).for_each(|n| {
            seen.insert(&[&n.to_le_bytes()], Ts::EPOCH);
        });
        assert!(seen.early_turns() >= 1);
    }
}
