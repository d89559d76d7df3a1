//! 'Was this seen lately?' in fixed memory: two Bloom filters that take turns.
//!
//! A key counts as seen for at least one window and at most two. A false 'seen' only ever leaves out an observation;
//! with the sizes here that happens to about one key in a thousand until the filter is at its design load, and the
//! filters turn early when that is reached.

use xxhash_rust::xxh3::xxh3_64;

use crate::time::{Span, Ts};

/// Keys seen within a window of event time.
#[derive(Debug)]
pub struct Recent {
    window: Span,
    turned: Option<Ts>,
    current: SplitBlockBloom,
    previous: SplitBlockBloom,
    load: usize,
    load_max: usize,
    early_turns: u64,
}

/// Bits a key: one false 'seen' in about 1,500 keys at full load.
const BITS_PER_KEY: usize = 16;

/// A Bloom filter whose bits for one key lie in one block of 256 bits, one in each of its eight words (Putze, Sanders
/// and Singler, *Cache-, Hash- and Space-Efficient Bloom Filters*, 2007; the layout of Apache Parquet's filters). A
/// look-up touches one cache line, where a plain filter touches one a hash function; under a flood that is what counts.
///
/// Hashing is fixed: what a filter says reaches the report, and a report must be the same in every run.
#[derive(Debug)]
struct SplitBlockBloom {
    blocks: Vec<[u32; 8]>,
}

/// Odd constants that make eight independent hashes out of one (Parquet's filter specification).
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

impl SplitBlockBloom {
    fn new(keys: usize) -> Self {
        Self { blocks: vec![[0; 8]; (keys * BITS_PER_KEY).div_ceil(256).max(1)] }
    }

    fn mask(hash: u64) -> [u32; 8] {
        let mut mask = [0; 8];
        for i in 0..8 {
            mask[i] = 1 << ((hash as u32).wrapping_mul(SALTS[i]) >> 27);
        }
        mask
    }

    fn block(&self, hash: u64) -> usize {
        // The upper half picks the block, the lower half the bits in it.
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }

    // Plain loops over eight words: the compiler makes one vector operation of each.
    fn contains(&self, hash: u64) -> bool {
        let (block, mask) = (&self.blocks[self.block(hash)], Self::mask(hash));
        let mut missing = 0;
        for i in 0..8 {
            missing |= mask[i] & !block[i];
        }
        missing == 0
    }

    fn insert(&mut self, hash: u64) {
        let at = self.block(hash);
        let (block, mask) = (&mut self.blocks[at], Self::mask(hash));
        for i in 0..8 {
            block[i] |= mask[i];
        }
    }

    fn clear(&mut self) {
        self.blocks.fill([0; 8]);
    }
}

impl Recent {
    /// Remembers keys for `window`, up to `load_max` in each half.
    pub fn new(window: Span, load_max: usize) -> Self {
        let (current, previous) = (SplitBlockBloom::new(load_max), SplitBlockBloom::new(load_max));
        Self { window, turned: None, current, previous, load: 0, load_max, early_turns: 0 }
    }

    /// Notes a key; true if it was not seen within the window.
    pub fn insert(&mut self, parts: &[&[u8]], now: Ts) -> bool {
        self.turn(now);
        let hash = key(parts);
        let in_current = self.current.contains(hash);
        if !in_current {
            self.current.insert(hash);
            self.load += 1;
        }
        !in_current && !self.previous.contains(hash)
    }

    /// Whether a key was seen within the window.
    pub fn contains(&mut self, parts: &[&[u8]], now: Ts) -> bool {
        self.turn(now);
        let hash = key(parts);
        self.current.contains(hash) || self.previous.contains(hash)
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
        assert!(wrong < 20, "{wrong} of 10,000");
        (10_000..30_000_u32).for_each(|n| {
            seen.insert(&[&n.to_le_bytes()], Ts::EPOCH);
        });
        assert!(seen.early_turns() >= 1);
    }
}
