//! The assembler against a model that is obviously right: an array of bytes, each with what is known of it.

use super::*;
use proptest::prelude::*;

/// What the model knows of one unit of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Unknown,
    Byte(u8),
    Lost,
}

/// One operation, with offsets counted from where the stream stands.
#[derive(Clone, Debug)]
enum Op {
    /// A piece: where, its bytes' seed (an equal seed means equal content), length, and whether it was cut off.
    Piece { ahead: i64, seed: u8, len: usize, lost: bool },
    /// Give up the first hole.
    Skip,
    /// Drop what is held.
    Clear,
}

/// The byte that stands at an offset, in one of many contents.
fn byte_at(offset: u64, seed: u8) -> u8 {
    (offset as u8).wrapping_mul(31).wrapping_add((offset >> 8) as u8) ^ seed
}

struct Model {
    units: Vec<Unit>,
    next: usize,
    /// Up to where the last gap reaches: bytes before it are not remembered.
    gap_end: usize,
}

impl Model {
    fn unit(&mut self, offset: usize) -> &mut Unit {
        if self.units.len() <= offset {
            self.units.resize(offset + 1, Unit::Unknown);
        }
        &mut self.units[offset]
    }

    /// The first held unit after the hole at `next`.
    fn hole_end(&self) -> Option<usize> {
        (self.next..self.units.len()).find(|&at| self.units[at] != Unit::Unknown)
    }
}

/// Applies operations to both; gives how many there were.
fn run(ops: impl IntoIterator<Item = Op>) -> u64 {
    let mut real = Assembler::new();
    let mut model = Model { units: Vec::new(), next: 0, gap_end: 0 };
    let mut count = 0;
    for op in ops {
        count += 1;
        match op {
            Op::Piece { ahead, seed, len, lost } => {
                let offset = (model.next as u64).saturating_add_signed(ahead);
                let bytes: Vec<u8> = (offset..offset + len as u64).map(|at| byte_at(at, seed)).collect();
                piece(&mut real, &mut model, offset, &bytes, lost);
            }
            Op::Skip => {
                if let Some(end) = model.hole_end().filter(|&end| end > model.next) {
                    assert_eq!(real.front().map(|chunk| chunk.offset), Some(end as u64));
                    real.skip_to(end as u64);
                    (model.next, model.gap_end) = (end, end);
                }
            }
            Op::Clear => {
                let held = model.units[model.next.min(model.units.len())..].iter();
                let held = held.filter(|unit| **unit != Unit::Unknown).count() as u64;
                assert_eq!(real.clear(), held);
                model.units.truncate(model.next);
            }
        }
        drain(&mut real, &mut model);
        check(&real, &model);
    }
    count
}

/// Offers a piece as a flow does.
fn piece(real: &mut Assembler, model: &mut Model, mut offset: u64, mut bytes: &[u8], lost: bool) {
    let next = model.next as u64;
    if offset < next {
        let (before, rest) = bytes.split_at(((next - offset) as usize).min(bytes.len()));
        if !lost {
            let remembered = model.gap_end.max(model.next.saturating_sub(TAIL)) as u64;
            let differs = (offset..).zip(before).any(|(at, byte)| {
                at >= remembered && !matches!(model.units[at as usize], Unit::Byte(first) if first == *byte)
            });
            assert_eq!(real.compare_old(offset, before).disagrees, differs);
        }
        bytes = rest;
        offset = next;
    }
    if bytes.is_empty() {
        return;
    }
    let mut differs = false;
    let mut free = true;
    for (at, &byte) in (offset as usize..).zip(bytes) {
        let unit = model.unit(at);
        match *unit {
            Unit::Unknown => *unit = if lost { Unit::Lost } else { Unit::Byte(byte) },
            Unit::Byte(first) => {
                differs |= !lost && first != byte;
                free = false;
            }
            Unit::Lost => free = false,
        }
    }
    if offset == next {
        assert_eq!(real.is_free(bytes.len() as u64), free);
    }
    if offset == next && free && !lost {
        real.advance(bytes);
        model.next += bytes.len();
    } else {
        let run = if lost { Run::Lost(bytes.len() as u32) } else { Run::Bytes(bytes) };
        assert_eq!(real.hold(offset, run, offset, false).disagrees, differs);
    }
}

/// Takes out what is in order and compares it.
fn drain(real: &mut Assembler, model: &mut Model) {
    while let Some(chunk) = real.take_next() {
        assert_eq!(chunk.offset, model.next as u64);
        match chunk.run() {
            Run::Bytes(bytes) => {
                assert!(!bytes.is_empty());
                for &byte in bytes {
                    assert_eq!(model.units[model.next], Unit::Byte(byte), "at {}", model.next);
                    model.next += 1;
                }
            }
            Run::Lost(len) => {
                assert!(len > 0);
                for _ in 0..len {
                    assert_eq!(model.units[model.next], Unit::Lost, "at {}", model.next);
                    model.next += 1;
                }
                model.gap_end = model.next;
            }
        }
    }
    assert!(model.units.get(model.next).is_none_or(|unit| *unit == Unit::Unknown), "nothing in order is left");
}

/// The invariants, and that both hold the same.
fn check(real: &Assembler, model: &Model) {
    assert_eq!(real.next(), model.next as u64);
    let mut at = model.next as u64;
    let mut cost = 0;
    for chunk in &real.held {
        assert!(chunk.offset >= at && chunk.end() > chunk.offset);
        at = chunk.end();
        cost += chunk.cost();
    }
    assert_eq!(real.cost() as usize, cost);
    assert_eq!(real.is_holding(), real.held() > 0);
    let held: u64 = real.held.iter().map(|chunk| chunk.run().len()).sum();
    let known = model.units[model.next.min(model.units.len())..].iter().filter(|unit| **unit != Unit::Unknown);
    assert_eq!(held, known.count() as u64);
}

/// A small generator (xorshift64*), so that a million operations need no more than their seeds.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn op(&mut self, reach: u64) -> Op {
        match self.below(64) {
            0 => Op::Clear,
            1..8 => Op::Skip,
            _ => Op::Piece {
                ahead: self.below(reach).cast_signed() - (reach / 3).cast_signed(),
                seed: u8::from(self.below(8) == 0),
                len: 1 + self.below(reach / 3) as usize,
                lost: self.below(12) == 0,
            },
        }
    }
}

#[test]
fn a_million_operations_agree_with_the_model() {
    let mut total = 0;
    let mut seed = 1;
    while total < 1_000_000 {
        let mut random = Random(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
        // Narrow and wide ranges: many overlaps, and many holes.
        let reach = [6, 12, 40, 150][random.below(4) as usize];
        let ops: Vec<Op> = (0..100).map(|_| random.op(reach)).collect();
        total += run(ops);
        seed += 1;
    }
}

prop_compose! {
    fn any_op()(kind in 0..20u8, ahead in -30i64..60, seed in 0..2u8, len in 1usize..40, lost in prop::bool::weighted(0.1)) -> Op {
        match kind {
            0 => Op::Clear,
            1..4 => Op::Skip,
            _ => Op::Piece { ahead, seed, len, lost },
        }
    }
}

proptest! {
    /// The same with cases that shrink.
    #[test]
    fn any_operations_agree_with_the_model(ops in prop::collection::vec(any_op(), 0..60)) {
        run(ops);
    }
}

#[test]
fn a_retransmission_is_compared_as_far_as_is_remembered() {
    let mut bytes = Assembler::new();
    bytes.advance(&[b'a'; TAIL]);
    bytes.advance(b"MAIL");
    assert!(!bytes.compare_old(TAIL as u64, b"MAIL").disagrees);
    assert!(bytes.compare_old(TAIL as u64, b"MAIX").disagrees);
    assert!(bytes.compare_old(TAIL as u64 - 1, b"xMAIL").disagrees);
    assert!(!bytes.compare_old(0, b"xxxx").disagrees, "too long ago");
    bytes.skip_to(TAIL as u64 + 10);
    assert!(!bytes.compare_old(TAIL as u64, b"XXXX").disagrees, "before a gap");
}

#[test]
fn single_bytes_cost_what_they_cost() {
    let mut bytes = Assembler::new();
    for n in 0..100 {
        bytes.hold(1 + n * 2, Run::Bytes(b"x"), 0, false);
    }
    assert_eq!((bytes.held(), bytes.cost() as usize), (100, 100 * (CHUNK_OVERHEAD + 1)));
    bytes.hold(1, Run::Bytes(&[b'x'; 199]), 0, false);
    assert_eq!(bytes.held(), 199, "only the holes are filled");
    assert_eq!(bytes.clear(), 199);
    assert_eq!((bytes.held(), bytes.cost()), (0, 0));
}

#[test]
fn a_queue_that_was_long_gives_its_room_back() {
    let mut bytes = Assembler::new();
    for n in 0..1000 {
        bytes.hold(1 + n, Run::Bytes(b"x"), 0, false);
    }
    bytes.advance(b"x");
    while bytes.take_next().is_some() {}
    assert_eq!((bytes.next(), bytes.held.capacity()), (1001, 0));
}
