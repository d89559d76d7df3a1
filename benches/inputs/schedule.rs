//! Many conversations at once: plays a fixed number of scripts, always the
//! earliest frame first, and opens the next when one ends. Memory is what the
//! open scripts hold, however long the file grows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use crate::truth::Truth;
use crate::wire::{FILE_HEADER, Micros, START, Script, write_file_header};

/// Plays scripts into a capture file.
///
/// - `open`: how many conversations are under way at a time;
/// - `ramp`: the time over which the first of them start;
/// - `next`: renders the conversation that starts at the given time into an
///   empty script; one left empty says that there are no more.
pub(crate) fn play(
    out: &mut impl Write,
    truth: &mut Truth,
    open: usize,
    ramp: Micros,
    mut next: impl FnMut(&mut Script, Micros, &mut Truth),
) -> io::Result<()> {
    write_file_header(out)?;
    truth.bytes += FILE_HEADER as u64;
    let mut slots: Vec<Script> = Vec::with_capacity(open);
    let mut heap = BinaryHeap::with_capacity(open);
    for slot in 0..open {
        let mut script = Script::default();
        let start = START + ramp * slot as u64 / open as u64;
        next(&mut script, start, truth);
        // Slots break ties, so that equal times have one order.
        heap.extend(script.time(0).map(|at| Reverse((at, slot, 0_usize))));
        slots.push(script);
    }
    truth.open_max = heap.len() as u64;
    if let Some(Reverse((at, ..))) = heap.peek() {
        truth.first_ts = *at;
    }
    while let Some(Reverse((at, slot, index))) = heap.pop() {
        let script = &mut slots[slot];
        out.write_all(script.record(index))?;
        truth.last_ts = at;
        let mut index = index + 1;
        if index == script.len() {
            truth.frames += script.len() as u64;
            truth.bytes += script.size() as u64;
            script.clear();
            next(script, at + 1, truth);
            index = 0;
        }
        heap.extend(script.time(index).map(|at| Reverse((at, slot, index))));
    }
    Ok(())
}
