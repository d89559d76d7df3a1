//! 'Was this seen lately?' in fixed memory: two Bloom filters that take turns.
//!
//! A key counts as seen for at least one window and at most two. A false 'seen' only ever leaves out an observation;
//! with the sizes here that happens to about one key in a thousand until the filter is at its design load, and the
//! filters turn early when that is reached.

use xxhash_rust::xxh3::xxh3_64;

use crate::net::{HostKey, fold_words, mix};
use crate::time::{Span, Ts};

/// Keys seen within a window of event time.
#[derive(Debug)]
pub struct Recent {
    window: Span,
    turned: Option<Ts>,
    filters: Filters,
    load: usize,
    /// Keys in the previous filter.
    previous_load: usize,
    load_max: usize,
    early_turns: u64,
}

/// Bits a key: one false 'seen' in about 1,500 keys at full load.
const BITS_PER_KEY: usize = 16;

/// A Bloom filter whose bits for one key lie in one block of 256 bits, two in each of its four words, one in each half
/// (Putze, Sanders and Singler, *Cache-, Hash- and Space-Efficient Bloom Filters*, 2007; the layout of Apache Parquet's
/// filters). A look-up touches one cache line, where a plain filter touches one a hash function; under a flood that is
/// what counts.
///
/// Hashing is fixed: what a filter says reaches the report, and a report must be the same in every run.
///
/// The current filter's blocks and the previous one's stand side by side, both in one cache line, because both are
/// asked for nearly every key. Until there is a previous one, which in most captures there never is, the current one's
/// blocks stand alone, in half the memory.
#[derive(Debug)]
struct Filters {
    /// Blocks or pairs of them from `begin` on, which is where a cache line begins.
    words: Vec<u64>,
    begin: usize,
    blocks: usize,
    /// Words from one key's block or pair to the next: [`BLOCK`] or [`PAIR`].
    stride: usize,
    /// Which half of each pair is the current filter's.
    current: usize,
}

/// Bits of a block.
const BLOCK_BITS: usize = 256;
/// Words of a block.
const BLOCK: usize = BLOCK_BITS / 64;
/// Words of a pair: 64 bytes.
const PAIR: usize = 2 * BLOCK;

/// Odd constants that make eight independent hashes out of one (Parquet's filter specification).
const SALTS: [[u32; 2]; BLOCK] =
    [[0x47b6_137b, 0x4497_4d91], [0x8824_ad5b, 0xa2b7_289d], [0x7054_95c7, 0x2df1_424b], [0x9efc_4947, 0x5c6b_fb31]];

impl Filters {
    /// For so many keys; room is taken with the first.
    fn new(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
        Self { words: Vec::new(), begin: 0, blocks, stride: BLOCK, current: 0 }
    }

    /// Empty ones, and their room.
    fn with_room(blocks: usize, stride: usize) -> Self {
        let words = vec![0; blocks * stride + PAIR];
        let begin = words.as_ptr().align_offset(size_of::<u64>() * PAIR).min(PAIR);
        Self { words, begin, blocks, stride, current: 0 }
    }

    fn mask(hash: u64) -> [u64; BLOCK] {
        let bit = |salt: u32| (hash as u32).wrapping_mul(salt) >> 27;
        let mut mask = [0; BLOCK];
        for i in 0..BLOCK {
            mask[i] = 1 << bit(SALTS[i][0]) | 1 << (32 + bit(SALTS[i][1]));
        }
        mask
    }

    /// Where the block of a key begins, or the pair.
    fn place(&self, hash: u64) -> usize {
        // The upper half picks the block, the lower half the bits in it.
        self.begin + (((hash >> 32) * self.blocks as u64) >> 32) as usize * self.stride
    }

    /// The blocks of a key: the current filter's, and the previous one's if there is one.
    fn blocks(&mut self, hash: u64) -> (&mut [u64; BLOCK], Option<&mut [u64; BLOCK]>) {
        let (at, current) = (self.place(hash), self.current);
        let (first, second) = self.words[at..at + self.stride].as_chunks_mut().0.split_at_mut(1);
        match (&mut first[0], second.first_mut()) {
            (odd, Some(even)) if current == 1 => (even, Some(odd)),
            alone_or_even => alone_or_even,
        }
    }

    /// Whether the key is in the current filter, and in the previous one.
    fn contains(&mut self, hash: u64) -> (bool, bool) {
        let mask = Self::mask(hash);
        let (current, previous) = self.blocks(hash);
        (holds(current, &mask), previous.is_some_and(|previous| holds(previous, &mask)))
    }

    /// Puts the key into the current filter; whether it was in that, and in the previous one.
    fn insert(&mut self, hash: u64) -> (bool, bool) {
        if self.words.is_empty() {
            *self = Self::with_room(self.blocks, self.stride);
        }
        let mask = Self::mask(hash);
        let (current, previous) = self.blocks(hash);
        let held = (holds(current, &mask), previous.is_some_and(|previous| holds(previous, &mask)));
        // Written only where it changes anything: a line that was not written need not go back to memory.
        if !held.0 {
            for i in 0..BLOCK {
                current[i] |= mask[i];
            }
        }
        held
    }

    /// Begins an empty filter; the current one becomes the previous one, or is forgotten as well.
    fn turn(&mut self, forget: bool) {
        if forget {
            self.words.fill(0);
            return;
        }
        if self.stride == BLOCK {
            self.pair_up();
        }
        self.current = 1 - self.current;
        for half in self.words[self.begin..].chunks_exact_mut(BLOCK).skip(self.current).step_by(2) {
            half.fill(0);
        }
    }

    /// Makes room for a previous filter.
    fn pair_up(&mut self) {
        let mut pairs = Self::with_room(self.blocks, PAIR);
        let blocks = self.words[self.begin..].chunks_exact(BLOCK);
        for (pair, block) in pairs.words[pairs.begin..].chunks_exact_mut(PAIR).zip(blocks) {
            pair[..BLOCK].copy_from_slice(block);
        }
        *self = pairs;
    }
}

/// Whether a block has all bits of a mask.
fn holds(block: &[u64; BLOCK], mask: &[u64; BLOCK]) -> bool {
    let mut missing = 0;
    for i in 0..BLOCK {
        missing |= mask[i] & !block[i];
    }
    missing == 0
}

impl Recent {
    /// Remembers keys for `window`, up to `load_max` in each half.
    pub fn new(window: Span, load_max: usize) -> Self {
        Self {
            window,
            turned: None,
            filters: Filters::new(load_max),
            load: 0,
            previous_load: 0,
            load_max,
            early_turns: 0,
        }
    }

    /// Notes a key; true if it was not seen within the window.
    pub fn insert(&mut self, parts: &[&[u8]], now: Ts) -> bool {
        self.insert_hash(key(parts), now)
    }

    /// As [`Recent::insert`], by the key's hash.
    pub fn insert_hash(&mut self, hash: u64, now: Ts) -> bool {
        self.turn(now);
        let (in_current, in_previous) = self.filters.insert(hash);
        self.load += usize::from(!in_current);
        !in_current && !in_previous
    }

    /// Whether a key was seen within the window.
    pub fn contains(&mut self, parts: &[&[u8]], now: Ts) -> bool {
        self.contains_hash(key(parts), now)
    }

    /// As [`Recent::contains`], by the key's hash.
    pub fn contains_hash(&mut self, hash: u64, now: Ts) -> bool {
        self.turn(now);
        // Filters of rare things are mostly empty.
        self.load + self.previous_load > 0 && {
            let (in_current, in_previous) = self.filters.contains(hash);
            in_current || in_previous
        }
    }

    /// Asks memory for what is known of a key, ahead of time. It changes nothing; the number means nothing.
    ///
    /// Filters lie far from the processor, and a look-up waits for them; several at once wait hardly longer than one.
    pub fn fetch(&self, hash: u64) -> u64 {
        if self.load + self.previous_load == 0 { 0 } else { self.filters.words[self.filters.place(hash)] }
    }

    /// How often the filters turned before their time because they were full.
    pub const fn early_turns(&self) -> u64 {
        self.early_turns
    }

    /// Begins a new filter if it is time.
    #[inline]
    fn turn(&mut self, now: Ts) {
        let age = now.since(*self.turned.get_or_insert(now));
        let full = self.load >= self.load_max;
        if age >= self.window || full {
            self.begin_new(now, age, full);
        }
    }

    #[cold]
    fn begin_new(&mut self, now: Ts, age: Span, full: bool) {
        // What was noted two windows ago is forgotten, too.
        let forget = age.as_nanos() >= self.window.as_nanos().saturating_mul(2);
        if self.load + self.previous_load > 0 {
            self.filters.turn(forget);
        }
        self.previous_load = if forget { 0 } else { self.load };
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

/// A hash that goes on from `begun` with a host.
#[inline]
pub(crate) fn key_host(begun: u64, host: HostKey) -> u64 {
    go_on(begun, host.words())
}

/// A hash that goes on from `begun` with bytes as they are.
pub(crate) fn key_exact(begun: u64, bytes: &[u8]) -> u64 {
    fold_words(with_len(begun, bytes), bytes, go_on)
}

/// A hash that goes on from `begun` with a name in lower case.
pub(crate) fn key_lower(begun: u64, name: &[u8]) -> u64 {
    fold_words(with_len(begun, name), name, |hash, words| {
        let [one, other] = words;
        go_on(hash, [lower(one), lower(other)])
    })
}

const fn with_len(begun: u64, bytes: &[u8]) -> u64 {
    begun.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes.len() as u64
}

#[inline]
const fn go_on(hash: u64, [one, other]: [u64; 2]) -> u64 {
    // Nothing is lost where bytes were chosen so that a factor is zero.
    hash.rotate_left(23) ^ mix(hash ^ one, other) ^ one ^ other.rotate_left(32)
}

/// Eight bytes with the capital letters among them (ASCII) made small.
const fn lower(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Sums of seven bits do not carry into the next byte.
    let seven = bytes & (0x7f * EACH);
    let (from_a, past_z) = (seven + (0x80 - b'A' as u64) * EACH, seven + (0x7f - b'Z' as u64) * EACH);
    let capitals = (from_a & !past_z & !bytes) & (0x80 * EACH);
    bytes | capitals >> 2
}

#[cfg(test)]
mod tests {
    use super::super::observation::pair_key;
    use super::*;

    proptest::proptest! {
        /// The case of letters does not count, all else does.
        #[test]
        fn names_are_alike_but_for_their_case(name in proptest::collection::vec(0_u8.., 0..70), at in 0..70_usize, other: u8) {
            let key = |name: &[u8]| key_lower(7, name);
            proptest::prop_assert_eq!(key(&name), key(&name.to_ascii_uppercase()));
            let mut changed = name.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte = other;
            }
            let alike = changed.eq_ignore_ascii_case(&name);
            proptest::prop_assert_eq!(key(&name) == key(&changed), alike);
            proptest::prop_assert_ne!(key(&name), key(&[&name[..], &[other]].concat()));
            proptest::prop_assert_ne!(key(&name), key_lower(8, &name));
            // Of bytes as they are, case counts as well.
            proptest::prop_assert_eq!(key_exact(7, &name) == key_exact(7, &changed), changed == name);
        }
    }

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
    fn what_is_known_stays_known_when_a_previous_filter_comes_about() {
        let mut seen = Recent::new(Span::mins(30), 1000);
        let (early, late) = (Ts::EPOCH, Ts::EPOCH + Span::mins(31));
        let keys: Vec<_> = (0..900_u32).map(u32::to_le_bytes).collect();
        let new = |seen: &mut Recent, now| keys.iter().filter(|key| seen.insert(&[&key[..]], now)).count();
        assert!(!seen.contains(&[b"a"], early));
        assert!(seen.filters.words.is_empty(), "who holds nothing needs no room");
        assert!(new(&mut seen, early) > 890);
        let before = seen.filters.words.len();
        assert_eq!(new(&mut seen, late), 0);
        assert!(seen.filters.words.len() > 2 * before - 2 * PAIR, "one filter took half the room");
        assert_eq!(new(&mut seen, late + Span::mins(29)), 0);
        assert!(new(&mut seen, late + Span::mins(200)) > 890);
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

    /// Networks are scanned in order, by hosts that stand beside each other: keys that differ in a bit or two are no more alike.
    #[test]
    fn few_hosts_in_a_row_are_taken_for_each_other() {
        for shift in [0, 8, 16] {
            let mut seen = Recent::new(Span::hours(4), 10_000);
            let host = |n: u32| HostKey::v4((0xc0a8_0000 + n).to_be_bytes());
            let pairs = (0..20).flat_map(|client| (0..500).map(move |server| (host(client), host(server << shift))));
            let wrong = pairs.filter(|pair| !seen.insert_hash(pair_key(pair.0, pair.1), Ts::EPOCH)).count();
            assert!(wrong < 20, "{wrong} of 10,000, {shift} bits apart");
        }
    }
}
