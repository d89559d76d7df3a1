//! How many distinct things there were, in bounded room.

use xxhash_rust::xxh3::xxh3_64;

use crate::net::HostKey;

/// A count of distinct things: hashes up to 128, which is as good as exact, then HyperLogLog with 2^14 registers (standard
/// error 0.8 %) or another power of two, told by the bytes that they take.
///
/// Every host of ours has several, and every session adds to most of them. So one thing more touches one place among the
/// registers and no other memory than the count itself, and that place can be asked for ahead of time.
///
/// Hashing is fixed, because the count stands in reports.
#[derive(Clone)]
pub struct Distinct<const BYTES: usize = 12_288>(Kept<BYTES>);

/// A count for which 3 % are enough beyond 128 things, in a sixteenth of the room (0.8 KB).
pub type Rough = Distinct<768>;

#[derive(Clone)]
enum Kept<const BYTES: usize> {
    Hashes(Vec<u32>),
    Registers(Registers<BYTES>),
}

/// Hashes that are kept one by one.
const HASHES_MAX: usize = 128;

impl<const BYTES: usize> Distinct<BYTES> {
    /// Counts a host in.
    pub fn insert(&mut self, host: HostKey) {
        self.insert_hash(hash_of(host));
    }

    /// Counts anything else in, by its bytes.
    pub fn insert_bytes(&mut self, bytes: &[u8]) {
        self.insert_hash(xxh3_64(bytes));
    }

    /// Counts in what has this hash ([`hash_of`]).
    pub fn insert_hash(&mut self, hash: u64) {
        self.note(Registers::<BYTES>::encode(hash));
    }

    /// Asks memory for the place of a hash, ahead of time. It changes nothing; the number means nothing.
    pub fn fetch(&self, hash: u64) -> u64 {
        match &self.0 {
            Kept::Hashes(hashes) => hashes.last().map_or(0, |last| u64::from(*last)),
            Kept::Registers(registers) => {
                registers.rank(Registers::<BYTES>::index(Registers::<BYTES>::encode(hash))).into()
            }
        }
    }

    /// Counts in what another one has seen.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Kept::Hashes(hashes)) => {
                for hash in hashes {
                    self.note(*hash);
                }
            }
            (Kept::Hashes(hashes), Kept::Registers(registers)) => {
                let mut merged = registers.clone();
                for hash in hashes {
                    merged.note(*hash);
                }
                self.0 = Kept::Registers(merged);
            }
            (Kept::Registers(registers), Kept::Registers(others)) => registers.merge(others),
        }
    }

    /// Begins anew; a few are counted without asking for memory again.
    pub fn clear(&mut self) {
        match &mut self.0 {
            Kept::Hashes(hashes) => hashes.clear(),
            Kept::Registers(_) => *self = Self::default(),
        }
    }

    /// How many distinct ones there were, about.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Kept::Hashes(hashes) => hashes.len() as u64,
            Kept::Registers(registers) => registers.count(),
        }
    }

    fn note(&mut self, hash: u32) {
        match &mut self.0 {
            Kept::Registers(registers) => registers.note(hash),
            Kept::Hashes(hashes) if hashes.contains(&hash) => {}
            Kept::Hashes(hashes) if hashes.len() < HASHES_MAX => {
                // Most counts end at a few.
                if hashes.len() == hashes.capacity() {
                    hashes.reserve_exact(hashes.len().max(2));
                }
                hashes.push(hash);
            }
            Kept::Hashes(hashes) => {
                let mut registers = Registers::new();
                for hash in hashes {
                    registers.note(*hash);
                }
                registers.note(hash);
                self.0 = Kept::Registers(registers);
            }
        }
    }
}

/// The hash by which a host is counted.
pub fn hash_of(host: HostKey) -> u64 {
    xxh3_64(&host.octets())
}

impl<const BYTES: usize> Default for Distinct<BYTES> {
    fn default() -> Self {
        Self(Kept::Hashes(Vec::new()))
    }
}

impl<const BYTES: usize> std::fmt::Debug for Distinct<BYTES> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "~{}", self.count())
    }
}

/// HyperLogLog (Flajolet, Fusy, Gandouet and Meunier 2007): each hash belongs to one of many registers, and a register keeps
/// the highest rank of its hashes, the length of the run of ones in which the rest of a hash ends, and one.
#[derive(Clone)]
struct Registers<const BYTES: usize> {
    /// Six bits each.
    ranks: Box<[u8; BYTES]>,
    /// How many are zero, and the sum of 2^-rank over all: what a count is made of. Some ask for it with every mail.
    zeros: u32,
    sum: f32,
}

/// Bits of a rank: a hash of 64 bits has no longer runs.
const RANK_BITS: u32 = 6;
const RANK_MAX: u32 = (1 << RANK_BITS) - 1;
/// Bits of a hash that are kept beside the rank: more than tell registers apart, so that few hashes are taken for others as
/// long as they are kept one by one.
const INDEX_BITS: u32 = 25;
/// The ranks of four registers fill three bytes.
const TOGETHER: (usize, usize) = (4, 3);

impl<const BYTES: usize> Registers<BYTES> {
    const NUMBER: usize = BYTES / TOGETHER.1 * TOGETHER.0;

    fn new() -> Self {
        Self { ranks: Box::new([0; BYTES]), zeros: Self::NUMBER as u32, sum: Self::NUMBER as f32 }
    }

    /// The part of a hash that is kept.
    const fn encode(hash: u64) -> u32 {
        let rank = (hash >> Self::NUMBER.trailing_zeros()).trailing_ones() + 1;
        (hash as u32 & ((1 << INDEX_BITS) - 1)) << RANK_BITS | rank
    }

    /// The register of a hash.
    const fn index(encoded: u32) -> usize {
        (encoded >> RANK_BITS) as usize % Self::NUMBER
    }

    fn note(&mut self, encoded: u32) {
        self.raise(Self::index(encoded), encoded & RANK_MAX);
    }

    fn raise(&mut self, index: usize, rank: u32) {
        let before = self.rank(index);
        if rank <= before {
            return;
        }
        let (at, shift) = Self::place(index);
        let changed = ((before ^ rank) << shift).to_le_bytes();
        for (byte, changed) in self.ranks[at..at + TOGETHER.1].iter_mut().zip(changed) {
            *byte ^= changed;
        }
        // 2^-rank, put together from its exponent: nothing is divided.
        let weight = |rank| f32::from_bits((f32::MAX_EXP as u32 - 1 - rank) << (f32::MANTISSA_DIGITS - 1));
        self.zeros -= u32::from(before == 0);
        self.sum -= weight(before);
        self.sum += weight(rank);
    }

    fn rank(&self, index: usize) -> u32 {
        let (at, shift) = Self::place(index);
        let bytes = &self.ranks[at..at + TOGETHER.1];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) >> shift & RANK_MAX
    }

    /// Where the bytes begin that a register is in, and where it begins among their bits.
    const fn place(index: usize) -> (usize, u32) {
        (index / TOGETHER.0 * TOGETHER.1, (index % TOGETHER.0) as u32 * RANK_BITS)
    }

    fn merge(&mut self, other: &Self) {
        for index in 0..Self::NUMBER {
            self.raise(index, other.rank(index));
        }
    }

    /// Qin, Kim and Tung, *LogLog-Beta and More* (2016): the polynomial corrects what HyperLogLog is wrong by, which
    /// depends on how many registers are zero.
    fn count(&self) -> u64 {
        let (number, zeros) = (Self::NUMBER as f64, f64::from(self.zeros));
        let alpha = 0.7213 / (1.0 + 1.079 / number);
        let log = (zeros + 1.0).ln();
        let [first, others @ ..] = if Self::NUMBER == 1 << 10 { BETA_10 } else { BETA_14 };
        let beta = others.into_iter().rev().fold(0.0, |sum, factor| (sum + factor) * log) + first * zeros;
        (alpha * (number * (number - zeros)) / (f64::from(self.sum) + beta) + 0.5) as u64
    }
}

/// The factors of the polynomial for 2^10 registers.
const BETA_10: [f64; 8] = [
    -0.259_354_006_707_900_4,
    -0.525_983_019_998_058_1,
    1.489_330_349_258_768_4,
    -1.296_427_140_849_935_7,
    0.622_847_562_172_216_2,
    -0.156_723_267_702_510_4,
    0.020_544_159_038_785_63,
    -0.001_124_884_839_255_02,
];
/// The same for 2^14.
const BETA_14: [f64; 8] = [
    -0.371_009_760_230_692,
    0.009_788_119_412_075_09,
    0.185_796_293_324_165,
    0.203_015_527_328_432,
    -0.116_710_521_803_686,
    0.043_110_669_949_282,
    -0.005_995_835_405_118_31,
    0.000_449_704_299_509_437,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(numbers: std::ops::Range<u32>) -> impl Iterator<Item = HostKey> {
        numbers.map(|n| HostKey::v4(n.to_be_bytes()))
    }

    fn of<const BYTES: usize>(numbers: std::ops::Range<u32>) -> Distinct<BYTES> {
        let mut distinct = Distinct::default();
        hosts(numbers).for_each(|host| distinct.insert(host));
        distinct
    }

    #[test]
    fn a_few_are_counted_exactly() {
        for n in 0..=HASHES_MAX as u32 {
            let mut servers: Rough = of(0..n);
            hosts(0..n).for_each(|host| servers.insert(host));
            assert_eq!(servers.count(), u64::from(n));
        }
    }

    #[test]
    fn what_was_cleared_counts_anew() {
        for n in [3, 1_000] {
            let mut servers: Rough = of(0..n);
            servers.clear();
            assert_eq!(servers.count(), 0);
            hosts(n..n + 7).for_each(|host| servers.insert(host));
            assert_eq!(servers.count(), 7);
        }
    }

    #[test]
    fn many_are_counted_within_the_stated_error() {
        for n in [129, 500, 2_000, 16_000, 100_000, 1_000_000_u32] {
            let (servers, rough): (Distinct, Rough) = (of(0..n), of(0..n));
            assert!(servers.count().abs_diff(n.into()) <= u64::from(n / 50), "{servers:?} of {n}");
            assert!(rough.count().abs_diff(n.into()) <= u64::from(n / 10), "{rough:?} of {n}");
        }
    }

    #[test]
    fn what_was_counted_twice_counts_once() {
        for [(from, to), (then, end)] in [
            [(0, 3), (1, 5)],
            [(0, 100), (50, 200)],
            [(0, 5), (1, 1000)],
            [(0, 1000), (9, 12)],
            [(0, 9999), (7, 20_000)],
        ] {
            let (mut one, other, all): (Distinct, Distinct, Distinct) =
                (of(from..to), of(then..end), of(from..end.max(to)));
            one.merge(&other);
            one.merge(&other);
            assert!(one.count().abs_diff(all.count()) <= 1, "{one:?} and {all:?}"); // sums of other orders
        }
    }

    #[test]
    fn every_register_keeps_the_highest_rank_and_leaves_its_neighbours_alone() {
        let mut registers = Registers::<768>::new();
        let rank = |index: usize| (index % RANK_MAX as usize) as u32;
        for index in 0..Registers::<768>::NUMBER {
            registers.raise(index, rank(index));
            registers.raise(index, rank(index) / 2);
        }
        assert!((0..Registers::<768>::NUMBER).all(|index| registers.rank(index) == rank(index)));
    }
}
