//! `evaluate`: how good the judgement is, measured on generated captures of known truth.
//!
//! ```text
//! cargo run --release --example evaluate -- [--seeds N] [--only NAME,...] [--variations] [--jobs N] [--json FILE]
//! cargo run --release --example evaluate -- --self-test
//! cargo run --release --example evaluate -- --ablation [--seeds N]
//! cargo run --release --example evaluate -- --write DIR [--seeds N] [--only NAME,...]
//! ```
//!
//! The scenarios are those of the design: for each detector one that must be found and two that must not, and the six
//! reports of administrators. Each is a day of an office's mail with the trouble in it, as Ethernet frames that go the
//! whole way from bytes to incidents. Nothing here reads a constant of a detector, except the self-test, which is about
//! them. The report goes to standard output as Markdown.

#![expect(clippy::cast_possible_wrap, reason = "lengths and microseconds of a few days, far below their limits")]
#![expect(clippy::unused_self, reason = "replies are asked of a mail system, and moments of a world, used or not")]

mod ablation;
mod baseline;
mod d1;
mod d10;
mod d11;
mod d12;
mod d13;
mod d14;
mod d2;
mod d3;
mod d4;
mod d5;
mod d6;
mod d7;
mod d8;
mod d9;
mod office;
mod output;
mod reports;
mod rng;
mod run;
mod scenario;
mod selftest;
mod stats;
mod talk;
mod texts;
mod wire;
mod world;
mod write;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::run::{Outcome, Setup};
use crate::scenario::Scenario;
use crate::world::Vary;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Args {
    seeds: u64,
    only: Vec<String>,
    variations: Vec<Vary>,
    jobs: usize,
    json: Option<PathBuf>,
    write: Option<PathBuf>,
    explain: bool,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Evaluate,
    SelfTest,
    Ablation,
}

impl Args {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            seeds: 30,
            only: Vec::new(),
            variations: vec![Vary::BASE],
            jobs: 1,
            json: None,
            write: None,
            explain: false,
            mode: Mode::Evaluate,
        };
        while let Some(flag) = given.next() {
            let mut value = || given.next().ok_or(format!("{flag} wants a value"));
            let number = |text: String| text.parse().map_err(|_| format!("{text} is no number"));
            match flag.as_str() {
                "--seeds" => args.seeds = number(value()?)?,
                "--jobs" => args.jobs = number(value()?)?.max(1) as usize,
                "--only" => args.only.extend(value()?.split(',').map(str::to_owned)),
                "--variations" => args.variations = Vary::ALL.to_vec(),
                "--variation" => {
                    let name = value()?;
                    let found = Vary::ALL.iter().find(|vary| vary.name == name);
                    let all = || Vary::ALL.map(|vary| vary.name).join("; ");
                    args.variations = vec![*found.ok_or_else(|| format!("no variation {name}: {}", all()))?];
                }
                "--json" => args.json = Some(value()?.into()),
                "--write" => args.write = Some(value()?.into()),
                "--explain" => args.explain = true,
                "--self-test" => args.mode = Mode::SelfTest,
                "--ablation" => args.mode = Mode::Ablation,
                _ => return Err(format!("{flag} is not known: see the head of examples/evaluate/main.rs")),
            }
        }
        Ok(args)
    }

    /// The scenarios that are meant.
    fn scenarios(&self) -> Vec<&'static Scenario> {
        let meant = |name: &str| self.only.is_empty() || self.only.iter().any(|only| name == only);
        scenario::ALL.iter().filter(|scenario| meant(scenario.name)).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse(std::env::args().skip(1))?;
    let mut out = std::io::stdout().lock();
    if let Some(folder) = &args.write {
        return Ok(write::all(folder, &args)?);
    }
    match args.mode {
        Mode::SelfTest => selftest::report(&mut out)?,
        Mode::Ablation => ablation::report(&args, &mut out)?,
        Mode::Evaluate => {
            let outcomes = evaluate(&args, &Setup::default());
            output::markdown(&outcomes, &args.variations, args.explain, &mut out)?;
            if let Some(file) = &args.json {
                std::fs::write(file, serde_json::to_vec_pretty(&output::json(&outcomes))?)?;
            }
        }
    }
    Ok(out.flush()?)
}

/// Every scenario in every variation with every seed, in that order whatever the number of threads.
pub(crate) fn evaluate(args: &Args, setup: &Setup) -> Vec<Outcome> {
    let tasks: Vec<(Vary, &Scenario, u64)> = args
        .variations
        .iter()
        .flat_map(|vary| args.scenarios().into_iter().map(move |scenario| (*vary, scenario)))
        .flat_map(|(vary, scenario)| (1..=args.seeds).map(move |seed| (vary, scenario, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::with_capacity(tasks.len()));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((vary, scenario, seed)) = tasks.get(place) else { return };
                    let outcome = run::run(scenario, *seed, *vary, setup);
                    if let Ok(mut done) = done.lock() {
                        done.push((place, outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}
