//! `bench-inputs A|B|C|D|E [--scale N/D] [--seed S] OUT.pcap`: makes the inputs
//! of the benchmarks, and what is true of them in `OUT.pcap.truth.json`.
//!
//! | input | what |
//! |---|---|
//! | A | 100,000 whole SMTP sessions of 10,000 clients with 50,000 servers, 5,000 open at a time |
//! | B | a mirror port: 3 % of the frames are SMTP as in A, the rest other TCP and UDP |
//! | C | ten million SYNs of one internal host to as many addresses, port 25 |
//! | D | half a million short sessions of a worm, each recipient refused |
//! | E | 65,536 machines of ours that send as in D, 16 sessions each, and a million strangers at 256 of them |
//!
//! The same input, scale and seed give the same bytes, anywhere. A scale
//! multiplies frames, sessions, flows and hosts (not what is open at a time,
//! but below 1, where it shrinks along), and the time the capture spans.
//! Memory does not grow with the scale beyond the tables of hosts.

#![expect(
    clippy::cast_possible_truncation,
    reason = "wire fields are cut from wider numbers on purpose, sizes are far below their limits"
)]

mod hosts;
mod inputs;
mod rng;
mod schedule;
mod smtp;
mod tcp;
mod text;
mod traffic;
mod truth;
mod wire;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::inputs::{Input, Scale};

const USAGE: &str = "usage: bench-inputs A|B|C|D|E [--scale N/D] [--seed S] OUT.pcap";

/// The seed of the inputs that the published figures are about.
const SEED: u64 = 25;

/// Writes of this size cost little beside their copy.
const BUFFER: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut scale, mut seed, mut plain) = (Scale::default(), SEED, Vec::new());
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--scale") => scale = value(args.next())?.parse()?,
            Some("--seed") => seed = value(args.next())?.parse()?,
            _ => plain.push(arg),
        }
    }
    let [input, path] = plain.as_slice() else {
        return Err(USAGE.into());
    };
    let input: Input = input.to_str().ok_or(USAGE)?.parse()?;
    let path = PathBuf::from(path);

    let mut out = BufWriter::with_capacity(BUFFER, File::create(&path)?);
    let truth = inputs::write(&mut out, input, scale, seed)?;
    out.flush()?;
    let mut beside = path.into_os_string();
    beside.push(".truth.json");
    let mut out = BufWriter::new(File::create(beside)?);
    truth.write(&mut out)?;
    out.flush()?;
    Ok(())
}

/// The value after a flag.
fn value(arg: Option<OsString>) -> Result<String, Box<dyn Error>> {
    arg.and_then(|arg| arg.into_string().ok()).ok_or_else(|| USAGE.into())
}
