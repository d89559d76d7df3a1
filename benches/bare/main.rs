//! `bench-bare FILE`: the bare libpcap loop that every figure of the
//! benchmarks is a multiple of.
//!
//! It opens a saved capture, takes each frame (`pcap_next_ex`), counts frames
//! and captured bytes, and prints the two sums. It looks at nothing else, so
//! what it costs is what reading the file through libpcap costs.

use std::error::Error;
use std::io::{self, Write};

use pcap::Capture;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: bench-bare FILE")?;
    let mut capture = Capture::from_file(path)?;
    let (mut frames, mut bytes) = (0_u64, 0_u64);
    loop {
        match capture.next_packet() {
            Ok(frame) => {
                frames += 1;
                bytes += u64::from(frame.header.caplen);
            }
            Err(pcap::Error::NoMorePackets) => break,
            Err(error) => return Err(error.into()),
        }
    }
    writeln!(io::stdout(), "{frames} frames {bytes} bytes")?;
    Ok(())
}
