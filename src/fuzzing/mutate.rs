//! Real captures, damaged on purpose: a seeded mutator that knows how capture files are built.
//!
//! A few hundred damaged files belong to `cargo test`; any number is one command (see `fuzz/README.md`). Each file must end
//! without a panic, under a second a MiB, within bounded memory, and with every frame in its place
//! ([`capture`](super::capture) checks these).

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use super::capture_file;

/// `SplitMix64` (Steele, Lea and Flood 2014): small, and the same everywhere.
pub(super) struct Rng(pub(super) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end as u64).max(1)) as usize
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// What a length, a stamp or a type is replaced by.
const ODD: [u32; 12] = [0, 1, 3, 4, 15, 24, 64, 65_535, 262_144, 16 << 20, i32::MAX as u32, u32::MAX];

const LINKS: [u32; 14] = [0, 1, 9, 12, 14, 50, 101, 108, 113, 127, 228, 229, 276, 0xffff];

/// A capture file in its parts: a header that is kept in front, then records or blocks.
struct Parts {
    head: Vec<u8>,
    records: Vec<Vec<u8>>,
    /// Where in a record its numbers stand: stamp, lengths, types.
    fields: Range<usize>,
    big_endian: bool,
}

impl Parts {
    fn of(file: &[u8]) -> Option<Self> {
        match file.first_chunk::<4>()? {
            [0xd4, 0xc3 | 0x3c, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1] => Some(Self::pcap(file, false)),
            [0xa1, 0xb2, 0xc3 | 0x3c, 0xd4 | 0x4d] => Some(Self::pcap(file, true)),
            [0x0a, 0x0d, 0x0d, 0x0a] => Some(Self::pcapng(file)),
            _ => None,
        }
    }

    fn pcap(file: &[u8], big_endian: bool) -> Self {
        let (head, mut left) = file.split_at(file.len().min(24));
        let mut records = Vec::new();
        while let Some(captured) = u32_at(left, 8, big_endian)
            && let Some((record, rest)) = left.split_at_checked(16 + captured as usize)
        {
            records.push(record.to_vec());
            left = rest;
        }
        Self { head: head.to_vec(), records, fields: 0..16, big_endian }
    }

    fn pcapng(file: &[u8]) -> Self {
        let big_endian = file.get(8) == Some(&0x1a);
        let (mut left, mut records) = (file, Vec::new());
        while let Some(length) = u32_at(left, 4, big_endian).filter(|length| *length >= 12)
            && let Some((block, rest)) = left.split_at_checked(length as usize)
        {
            records.push(block.to_vec());
            left = rest;
        }
        let head = if records.is_empty() { left.to_vec() } else { records.remove(0) };
        Self { head, records, fields: 0..28, big_endian }
    }

    fn joined(&self) -> Vec<u8> {
        let mut file = self.head.clone();
        for record in &self.records {
            file.extend_from_slice(record);
        }
        file
    }

    fn number(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// One mutation of records.
    fn mutate(&mut self, rng: &mut Rng) {
        if self.records.is_empty() {
            flip(&mut self.head, rng);
            return;
        }
        let at = rng.below(self.records.len());
        let near = (at + rng.below(20)).min(self.records.len() - 1);
        match rng.below(9) {
            0 => {
                let copy = self.records[at].clone();
                self.records.insert(near, copy);
            }
            1 => {
                self.records.remove(at);
            }
            2 => self.records.swap(at, near),
            3 => self.records[at..=near].reverse(),
            // A number of its header: length, stamp, interface.
            4 => {
                let place = (self.fields.start + rng.below(self.fields.len() / 4) * 4).min(self.records[at].len());
                let value = self.number(rng.of(&ODD));
                overwrite(&mut self.records[at], place, &value);
            }
            // What is in it, with the lengths left as they are.
            5 => {
                let from = self.fields.end.min(self.records[at].len());
                flip(&mut self.records[at][from..], rng);
            }
            // The beginnings of two frames change places with what follows: headers of one, payload of the other.
            6 => {
                let cut = (self.fields.end + rng.below(60)).min(self.records[at].len()).min(self.records[near].len());
                let (one, other) = (self.records[at].clone(), self.records[near].clone());
                let from = self.fields.end.min(cut);
                self.records[at][from..cut].copy_from_slice(&other[from..cut]);
                self.records[near][from..cut].copy_from_slice(&one[from..cut]);
            }
            // Another link type: in the header of pcap, in the description of an interface of pcapng.
            7 => {
                let link = self.number(rng.of(&LINKS));
                if self.head.len() == 24 {
                    overwrite(&mut self.head, 20, &link);
                } else if let Some(block) = self.records.first_mut() {
                    overwrite(block, 8, &link[..2]);
                }
            }
            // A run of one byte over a part of it.
            _ => {
                let record = &mut self.records[at];
                let from = rng.below(record.len());
                let to = (from + rng.below(64)).min(record.len());
                let byte = rng.of(&[0, 0xff, b'\n', b'\r', b'.', b' ', b'A']);
                record[from..to].fill(byte);
            }
        }
    }
}

fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let number = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u32::from_be_bytes(number) } else { u32::from_le_bytes(number) })
}

fn overwrite(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (place, byte) in bytes.iter_mut().skip(at).zip(value) {
        *place = *byte;
    }
}

/// One to sixteen bits.
fn flip(bytes: &mut [u8], rng: &mut Rng) {
    for _ in 0..=rng.below(16) {
        let at = rng.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << rng.below(8);
        }
    }
}

/// The file with some damage.
pub(super) fn mutate(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match Parts::of(file) {
        Some(mut parts) => {
            for _ in 0..=rng.below(12) {
                parts.mutate(rng);
            }
            parts.joined()
        }
        None => file.to_vec(),
    };
    match rng.below(8) {
        0 => bytes.truncate(rng.below(bytes.len())),
        1 => flip(&mut bytes, rng),
        // Something in the middle is missing, so that all that follows stands in the wrong place.
        2 => {
            let from = rng.below(bytes.len());
            let to = (from + rng.below(40)).min(bytes.len());
            bytes.drain(from..to);
        }
        _ => {}
    }
    bytes
}

/// Peak resident memory of this process in KiB since it was last forgotten; `None` where the system does not tell. The
/// kernel counts for each processor and adds up late, so that it can be some pages off.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The processor's time that this process has taken, in seconds: a busy machine makes everything slow but this.
fn processor_secs() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A file that is slower than this by the clock, in proportion to what it may take of the processor, hangs.
const HANGS: f64 = 60.0;

/// Runs so many mutations of `files` from `seed` on; a line for each that breaks a promise, and the frames of all. Time and
/// memory can be told where the process is `alone`, which is where it does nothing else.
#[expect(clippy::disallowed_methods, reason = "how long a file takes is what is tested")]
fn run(files: &[PathBuf], seed: u64, count: usize, keep: &Path, alone: bool) -> (String, u64) {
    let read: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let (mut broken, mut frames) = (String::new(), 0);
    // Without optimisation all is some ten times as slow.
    let secs_per_mib = if cfg!(debug_assertions) { 10.0 } else { 1.0 };
    for n in 0..count {
        let which = n % files.len();
        let seed = seed.wrapping_add(n as u64);
        let mutated = mutate(&read[which], &mut Rng(seed));
        let path = keep.join(format!("mutation-{seed}"));
        fs::write(&path, &mutated).unwrap();
        if alone {
            _ = fs::write("/proc/self/clear_refs", "5");
        }
        let (before, began, busy) = (peak_kib(), Instant::now(), processor_secs());
        let ran = std::panic::catch_unwind(|| capture_file(&path));
        // Once on one thread, once on three.
        let (clock, secs) = (began.elapsed().as_secs_f64() / 2.0, (processor_secs() - busy) / 2.0);
        let mib = (mutated.len() as f64 / f64::from(1 << 20)).max(1.0);
        let grown = peak_kib().zip(before).filter(|_| alone).map_or(0, |(after, before)| after.saturating_sub(before));
        let trouble = match &ran {
            Err(_) => Some("a promise was broken".to_owned()),
            Ok(_) if alone && secs > secs_per_mib * mib => Some(format!("{secs:.1} s for {mib:.1} MiB")),
            Ok(_) if clock > HANGS * secs_per_mib * mib => Some(format!("hung for {clock:.1} s")),
            // The tables of one run with the limits of these tests, and what the file itself can make it hold.
            Ok(_) if grown > (256 << 10) + 16 * (mutated.len() as u64 >> 10) => Some(format!("{grown} KiB more")),
            Ok(read) => {
                frames += read;
                None
            }
        };
        match trouble {
            Some(trouble) => _ = writeln!(broken, "{} of {}: {trouble}", path.display(), files[which].display()),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    (broken, frames)
}

/// The captures below a directory, whatever they are called; nothing that is obviously something else.
fn captures(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(captures(&path));
        } else if !path.extension().is_some_and(|ext| ext == "toml" || ext == "json" || ext == "md" || ext == "txt") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn of_the_repository() -> Vec<PathBuf> {
    captures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))
}

#[test]
fn damaged_captures_keep_every_promise() {
    let dir = tempfile::tempdir().unwrap();
    // The beginnings of captures: short, so that most mutations meet a dialogue.
    let shortened: Vec<PathBuf> = of_the_repository()
        .iter()
        .map(|file| {
            let short = dir.path().join(file.file_name().unwrap());
            let bytes = fs::read(file).unwrap();
            fs::write(&short, &bytes[..bytes.len().min(12_000)]).unwrap();
            short
        })
        .collect();
    let (broken, frames) = run(&shortened, 25, 300, dir.path(), false);
    assert!(broken.is_empty(), "{broken}");
    assert!(frames > 5_000, "{frames} frames were read: the mutations leave too little");
}

#[test]
fn the_mutator_knows_both_formats_and_is_the_same_everywhere() {
    let file = fs::read(&of_the_repository()[0]).unwrap();
    let parts = Parts::of(&file).unwrap();
    assert_eq!(parts.joined(), file);
    assert!(parts.records.len() > 100);
    assert_eq!(mutate(&file, &mut Rng(7)), mutate(&file, &mut Rng(7)));
    assert_ne!(mutate(&file, &mut Rng(7)), mutate(&file, &mut Rng(8)));
    let section =
        [&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a][..], &[0; 12], &[28, 0, 0, 0]].concat();
    let block = [1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0];
    let parts = Parts::of(&[&section[..], &block].concat()).unwrap();
    assert_eq!((parts.head, parts.records), (section, vec![block.to_vec()]));
}

/// `SMTPHOUND_MUTATIONS` files (100,000 if it is not set) from `SMTPHOUND_SEED` on, of `captures/` and of the corpus.
#[test]
#[ignore = "takes an hour or more; see fuzz/README.md"]
fn many_damaged_captures_keep_every_promise() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let count = number("SMTPHOUND_MUTATIONS").unwrap_or(100_000) as usize;
    let seed = number("SMTPHOUND_SEED").unwrap_or(1_000_000);
    let mut files = of_the_repository();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let corpus = std::env::var_os("SMTPHOUND_CORPUS").map_or(beside, PathBuf::from);
    if corpus.is_dir() {
        files.extend(captures(&corpus));
    }
    // What breaks is kept.
    let keep = std::env::temp_dir().join("smtphound-mutations");
    fs::create_dir_all(&keep).unwrap();
    let (broken, frames) = run(&files, seed, count, &keep, true);
    assert!(broken.is_empty(), "{broken}");
    assert!(frames > count as u64, "{frames} frames in {count} files");
}
