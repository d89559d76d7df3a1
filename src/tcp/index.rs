//! Places by the hash of a key.
//!
//! Every segment is looked for here, and under a flood of SYNs each one puts a place in and takes another one out, mostly where
//! the processor has not been for long. So a place stands beside its hash in one cache line with six others, and one line is
//! all that a search, an insertion or a removal nearly always touches. What finds its line full stands in the next one that is
//! not; each line counts how many passed it by, so that a search knows where to end, and what is removed leaves nothing that
//! would have to be swept out (`docs/adr/0020-an-index-of-lines.md`).
//!
//! Hashes are made with a random seed: nobody can choose keys that meet.

/// Places by hash; a hash may have several.
pub(super) struct Index {
    /// None, or a power of two of them.
    lines: Vec<Line>,
    len: usize,
}

/// Places of a line.
const TOGETHER: usize = 7;

/// There are more lines as soon as so many places are taken in each on average: then one in nine is full, and one place in
/// fifty stands further on than it belongs.
const LOAD_MAX: usize = 4;

/// Lines of an index with anything in it, at least.
const LINES_MIN: usize = 16;

#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Line {
    /// A byte for each place: seven bits of its hash and [`TAKEN`], or nothing where it is free. The last byte says how many
    /// that belong here, or in a line before, stand further on; from 255 on, nobody knows.
    tags: [u8; TOGETHER + 1],
    hashes: [u32; TOGETHER],
    slots: [u32; TOGETHER],
}

const _: () = assert!(size_of::<Line>() == 64, "a cache line of nearly all processors");

/// The bit of a tag that says that its place is taken.
const TAKEN: u8 = 0x80;

/// The same of all tags of a line.
const ALL_TAKEN: u64 = 0x0080_8080_8080_8080;

/// Which byte says how many passed by.
const PASSED: usize = TOGETHER;

impl Line {
    const fn word(&self) -> u64 {
        u64::from_le_bytes(self.tags)
    }

    /// The places of this hash.
    #[inline]
    fn places(&self, hash: u32) -> impl Iterator<Item = usize> {
        let ones = u64::from_le_bytes([1; 8]);
        let apart = self.word() ^ (ones * u64::from(tag(hash)));
        // A byte is zero where taking one from it borrows. The one above it may be taken for zero, too: the hash tells.
        let equal = apart.wrapping_sub(ones) & !apart & ALL_TAKEN;
        places(equal).filter(move |place| self.hashes[*place] == hash)
    }

    /// All places that are taken.
    fn taken(&self) -> impl Iterator<Item = usize> {
        places(self.word() & ALL_TAKEN)
    }

    /// The first free place, if there is one.
    fn free(&self) -> Option<usize> {
        places(!self.word() & ALL_TAKEN).next()
    }

    /// One passes by.
    const fn pass(&mut self) {
        self.tags[PASSED] = self.tags[PASSED].saturating_add(1);
    }

    /// One that passed by is gone.
    const fn unpass(&mut self) {
        if self.tags[PASSED] < u8::MAX {
            self.tags[PASSED] -= 1;
        }
    }
}

/// What of a hash stands in its tag: the bits that do not say into which line it belongs.
const fn tag(hash: u32) -> u8 {
    TAKEN | (hash >> 25) as u8
}

/// The places whose bytes have the bit [`TAKEN`], where none has another one.
fn places(bytes: u64) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(bytes), |bytes| Some(bytes & bytes.wrapping_sub(1)))
        .take_while(|bytes| *bytes != 0)
        .map(|bytes| bytes.trailing_zeros() as usize / 8)
}

/// The lines in which a hash may stand, of so many, from the one where it belongs on.
fn way(lines: usize, hash: u32) -> impl Iterator<Item = usize> {
    (0..lines).map(move |step| (hash as usize).wrapping_add(step) & lines.wrapping_sub(1))
}

impl Index {
    pub(super) const fn new() -> Self {
        Self { lines: Vec::new(), len: 0 }
    }

    /// A place of this hash that is the one looked for.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        for at in way(self.lines.len(), hash) {
            let line = &self.lines[at];
            let found = line.places(hash).map(|place| line.slots[place]).find(|slot| is_it(*slot));
            if found.is_some() || line.tags[PASSED] == 0 {
                return found;
            }
        }
        None
    }

    /// Puts a place in that is not there yet.
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if self.len >= self.lines.len() * LOAD_MAX {
            let lines = (self.lines.len() * 2).max(LINES_MIN);
            let old = std::mem::replace(&mut self.lines, vec![Line::default(); lines]);
            for line in old {
                line.taken().for_each(|place| self.put(line.hashes[place], line.slots[place]));
            }
        }
        self.len += 1;
        self.put(hash, slot);
    }

    /// Takes a place out.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        let lines = self.lines.len();
        for at in way(lines, hash) {
            let line = &mut self.lines[at];
            let found = line.places(hash).find(|place| line.slots[*place] == slot);
            if let Some(place) = found {
                line.tags[place] = 0;
                self.len -= 1;
                way(lines, hash).take_while(|before| *before != at).for_each(|before| self.lines[before].unpass());
                return;
            }
            if line.tags[PASSED] == 0 {
                return;
            }
        }
    }

    /// In the first line on its way that is not full; some are not, because there is room for more than are let in.
    fn put(&mut self, hash: u32, slot: u32) {
        for at in way(self.lines.len(), hash) {
            let line = &mut self.lines[at];
            if let Some(place) = line.free() {
                (line.tags[place], line.hashes[place], line.slots[place]) = (tag(hash), hash, slot);
                return;
            }
            line.pass();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(index: &Index, hash: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        index.find(hash, |slot| {
            slots.push(slot);
            false
        });
        slots.sort_unstable();
        slots
    }

    #[test]
    fn an_empty_index_knows_nothing() {
        let mut index = Index::new();
        index.remove(1, 1);
        assert_eq!(index.find(0, |_| true), None);
    }

    #[test]
    fn many_of_one_hash_are_all_found_and_leave_nothing_behind() {
        let hash = u32::MAX; // belongs into the last line: the way goes on in the first one
        for many in [100, 5_000] {
            let mut index = Index::new();
            (0..many).for_each(|slot| index.insert(hash, slot));
            assert_eq!(all(&index, hash), (0..many).collect::<Vec<_>>());
            (0..many).for_each(|slot| index.remove(hash, slot));
            assert_eq!((index.len, index.find(hash, |_| true)), (0, None));
            let standing = index.lines.iter().filter(|line| line.word() != 0);
            assert_eq!(
                standing.count() > 0,
                many > 255,
                "where more passed by than are counted, it is not known how many"
            );
        }
    }

    proptest! {
        /// Whatever is put in and taken out: what a set of pairs holds is found, and nothing else.
        #[test]
        fn a_set_of_pairs_agrees(
            // Few hashes, most of which belong into few lines; `u32::MAX` is a number like another.
            steps in prop::collection::vec((any::<bool>(), 0_u32..40, prop::sample::select(vec![0, 1, 2, 7, u32::MAX])), 0..400),
        ) {
            let (mut index, mut pairs) = (Index::new(), BTreeSet::new());
            for (insert, hash, slot) in steps {
                let hash = hash % 8 * 64 + hash / 8;
                if !insert {
                    index.remove(hash, slot);
                    pairs.remove(&(hash, slot));
                } else if pairs.insert((hash, slot)) {
                    index.insert(hash, slot);
                }
                let found: Vec<_> = pairs.range((hash, 0)..=(hash, u32::MAX)).map(|(_, slot)| *slot).collect();
                prop_assert_eq!(all(&index, hash), found);
                prop_assert_eq!(index.len, pairs.len());
            }
            for (hash, slot) in &pairs {
                index.remove(*hash, *slot);
            }
            prop_assert!(index.lines.iter().all(|line| line.word() == 0));
        }
    }
}
