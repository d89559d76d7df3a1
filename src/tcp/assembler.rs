//! One side's bytes, put in order.
//!
//! What comes in order passes through without being copied or kept; what comes early is held until the bytes before it
//! came or are given up. First bytes win: a byte that was handed on or is held is never replaced (design section 3, promise
//! 7); whether later ones differ is told to the caller.
//!
//! The memory of one side is bounded by its caller, who looks at [`Assembler::cost`] and [`Assembler::held`] after each
//! piece. An early piece costs its length and [`CHUNK_OVERHEAD`], so that a sender of single bytes pays for the bookkeeping,
//! too: at 512 KiB a flow it may hold 7,100 of them by bytes and 1,024 by count, whichever is less. Bytes that were handed on
//! are gone except for the last [`TAIL`]: enough to notice that a retransmitted command or reply is not the one that was sent
//! first (the usual forgery), at one cache line a side and a segment. To notice the same in mail data would take all of the
//! window; a hash of each of the last segments would cost more to make, and says nothing where boundaries differ.
//!
//! Not done here: sequence numbers (offsets count from the first byte of the stream), acknowledgements, patience.

use std::collections::VecDeque;

/// Delivered bytes that are remembered for comparison.
pub(super) const TAIL: usize = 64;

/// What holding a piece costs beside its bytes: the chunk itself and the allocator's header and rounding.
pub(super) const CHUNK_OVERHEAD: usize = size_of::<Chunk>() + 32;

/// A run of one side's stream: bytes, or the knowledge that they were cut off before they reached us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Run<'a> {
    /// At least one byte.
    Bytes(&'a [u8]),
    /// So many bytes, at least one, that the capture holds not.
    Lost(u32),
}

impl Run<'_> {
    fn len(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Lost(len) => u64::from(len),
        }
    }

    /// The run without its first `n` of at least `n` units, and those.
    fn split(self, n: u64) -> (Self, Self) {
        match self {
            Self::Bytes(bytes) => {
                let (head, tail) = bytes.split_at((n as usize).min(bytes.len()));
                (Self::Bytes(head), Self::Bytes(tail))
            }
            Self::Lost(len) => (Self::Lost(n as u32), Self::Lost(len.saturating_sub(n as u32))),
        }
    }
}

/// A run that is held.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Where it begins in the stream.
    pub(super) offset: u64,
    /// The acknowledgement that came with it, as an offset of the other side's stream.
    pub(super) acked: u64,
    /// Bytes, or none where they are lost.
    bytes: Box<[u8]>,
    /// How many are lost.
    lost: u32,
    /// It lay where the receiver had not allowed anything.
    pub(super) stray: bool,
}

impl Chunk {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.run().len()
    }

    pub(super) fn run(&self) -> Run<'_> {
        if self.lost > 0 { Run::Lost(self.lost) } else { Run::Bytes(&self.bytes) }
    }

    fn cost(&self) -> usize {
        self.bytes.len() + CHUNK_OVERHEAD
    }
}

/// What became of bytes before the place where the stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Overlap {
    /// Some of them differ from the first ones, as far as those are remembered.
    pub(super) disagrees: bool,
}

/// Where at most [`TAIL`] bytes at an offset stand in the tail: from a place on, and the rest of them from its beginning on.
fn in_ring(offset: u64, bytes: &[u8]) -> (usize, &[u8], &[u8]) {
    let at = (offset % TAIL as u64) as usize;
    let (until_end, from_begin) = bytes.split_at(bytes.len().min(TAIL - at));
    (at, until_end, from_begin)
}

/// See the head of the module.
///
/// Invariants: `held` is sorted and without overlaps; every chunk is at least one unit long and begins at or after `next`;
/// `cost` is the sum of the chunks' costs; `tail` holds the last `tail_len` bytes before `next`, each at its offset modulo
/// [`TAIL`]. The order of the fields matters to [`Half`](super::half::Half).
#[repr(C)]
pub(super) struct Assembler {
    next: u64,
    cost: u32,
    tail_len: u8,
    tail: [u8; TAIL],
    held: VecDeque<Chunk>,
}

impl Assembler {
    pub(super) const fn new() -> Self {
        Self { next: 0, held: VecDeque::new(), cost: 0, tail_len: 0, tail: [0; TAIL] }
    }

    /// See [`Flow::touch_tail`](super::flow::Flow::touch_tail).
    pub(super) const fn touch_tail(&self) -> u64 {
        self.tail[TAIL - 1] as u64
    }

    /// How far the stream has been handed on, gaps included.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// What the held chunks cost in bytes.
    pub(super) const fn cost(&self) -> u32 {
        self.cost
    }

    /// Whether anything is held.
    pub(super) const fn is_holding(&self) -> bool {
        self.cost > 0
    }

    /// How many chunks are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The first held chunk. Nearly always there is none, which shows where all else is needed anyway.
    pub(super) fn front(&self) -> Option<&Chunk> {
        if self.is_holding() { self.held.front() } else { None }
    }

    /// Whether a run of `len` at `next` meets nothing that is held, so that it may pass through.
    pub(super) fn is_free(&self, len: u64) -> bool {
        !self.is_holding() || self.ends_before_held(len)
    }

    /// Out of the way: looked at beside it, `held` would be waited for with every segment.
    #[cold]
    #[inline(never)]
    fn ends_before_held(&self, len: u64) -> bool {
        self.held.front().is_none_or(|chunk| self.next + len <= chunk.offset)
    }

    /// Compares bytes that end at or before `next` with what is remembered of the first ones.
    pub(super) fn compare_old(&self, offset: u64, bytes: &[u8]) -> Overlap {
        let tail_start = self.next - u64::from(self.tail_len);
        let from = tail_start.max(offset);
        let to = self.next.min(offset + bytes.len() as u64);
        let disagrees = from < to && {
            let bytes = &bytes[(from - offset) as usize..(to - offset) as usize];
            let (at, until_end, from_begin) = in_ring(from, bytes);
            self.tail[at..][..until_end.len()] != *until_end || self.tail[..from_begin.len()] != *from_begin
        };
        Overlap { disagrees }
    }

    /// The bytes at `next` were handed on.
    pub(super) fn advance(&mut self, bytes: &[u8]) {
        self.next += bytes.len() as u64;
        let kept = bytes.len().min(TAIL);
        let (at, until_end, from_begin) = in_ring(self.next - kept as u64, &bytes[bytes.len() - kept..]);
        self.tail[at..][..until_end.len()].copy_from_slice(until_end);
        if !from_begin.is_empty() {
            self.tail[..from_begin.len()].copy_from_slice(from_begin);
        }
        self.tail_len = (usize::from(self.tail_len) + kept).min(TAIL) as u8;
    }

    /// Gives up the bytes from `next` to `offset`, before which nothing is held.
    pub(super) fn skip_to(&mut self, offset: u64) {
        debug_assert!(self.held.front().is_none_or(|chunk| chunk.offset >= offset));
        self.next = self.next.max(offset);
        self.tail_len = 0;
    }

    /// Holds a run that begins at or after `next`, except for what is held already.
    pub(super) fn hold(&mut self, mut offset: u64, mut run: Run<'_>, acked: u64, stray: bool) -> Overlap {
        let mut disagrees = false;
        // Nearly always it goes to the end.
        let mut at = match self.held.back() {
            Some(last) if last.end() > offset => self.held.partition_point(|chunk| chunk.end() <= offset),
            _ => self.held.len(),
        };
        while run.len() > 0 {
            let room = match self.held.get(at) {
                Some(chunk) if chunk.offset <= offset => {
                    let (over, rest) = run.split(run.len().min(chunk.end() - offset));
                    if let (Run::Bytes(new), Run::Bytes(old)) = (over, chunk.run()) {
                        disagrees |= new != &old[(offset - chunk.offset) as usize..][..new.len()];
                    }
                    offset += over.len();
                    run = rest;
                    at += 1;
                    continue;
                }
                Some(chunk) => chunk.offset - offset,
                None => u64::MAX,
            };
            let (new, rest) = run.split(run.len().min(room));
            let (bytes, lost) = match new {
                Run::Bytes(bytes) => (Box::from(bytes), 0),
                Run::Lost(lost) => (Box::default(), lost),
            };
            let chunk = Chunk { offset, acked, bytes, lost, stray };
            self.cost += chunk.cost() as u32;
            self.held.insert(at, chunk);
            offset += new.len();
            run = rest;
            at += 1;
        }
        Overlap { disagrees }
    }

    /// Takes the first chunk if it begins at `next`. The stream then stands behind it.
    pub(super) fn take_next(&mut self) -> Option<Chunk> {
        self.held.front().filter(|chunk| chunk.offset == self.next)?;
        let chunk = self.held.pop_front()?;
        self.cost -= chunk.cost() as u32;
        if self.held.is_empty() && self.held.capacity() > 16 {
            // A queue that once was long must not keep its room for the rest of the connection.
            self.held = VecDeque::new();
        }
        match chunk.run() {
            Run::Bytes(bytes) => self.advance(bytes),
            Run::Lost(lost) => self.skip_to(self.next + u64::from(lost)),
        }
        Some(chunk)
    }

    /// Drops what is held and says how much that was; `next` stays.
    pub(super) fn clear(&mut self) -> u64 {
        if !self.is_holding() {
            return 0;
        }
        let dropped = self.held.iter().map(|chunk| chunk.run().len()).sum();
        self.held = VecDeque::new();
        self.cost = 0;
        dropped
    }
}

#[cfg(test)]
mod tests;
