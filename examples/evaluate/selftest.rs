//! The statistical self-test: how long the sequential tests really run until a false alarm, held against the bound
//! 10^(h/10) that they are chosen by, and what becomes of it where the assumptions do not hold.
//!
//! This is the one place that reads the detectors' probabilities: it is they that are tested. Streams are fed to the
//! same `Cusum` that the detectors use; the cap for each network and the own mix of servers are left out, which both
//! can only make false alarms rarer.

use std::io::{self, Write};

use smtphound::detect::{Cusum, DetectSettings};
use smtphound::time::Ts;

use crate::rng::Rng;
use crate::stats::{mean, percentile};

/// Thresholds, in dB.
const THRESHOLDS: [f64; 3] = [20.0, 30.0, 50.0];
/// Observations spent on a cell at most, and alarms after which it is known well enough.
const OBSERVATIONS_MAX: u64 = 30_000_000;
const ALARMS_MAX: u64 = 400;
/// Mails of one honest client that share a mood, in beta-binomial streams, and how alike they are.
const BLOCK: u64 = 20;
const ALIKE: f64 = 0.1;

/// A test: what it is called, the weights of its outcomes, their probabilities in honest use.
struct Test {
    name: &'static str,
    z: Vec<f64>,
    honest: Vec<f64>,
    worm: Vec<f64>,
}

fn weigh(p1: f64, p0: f64, most: f64) -> f64 {
    (10.0 * (p1 / p0).log10()).clamp(-most, most)
}

fn two(name: &'static str, p0: f64, p1: f64) -> Test {
    Test {
        name,
        z: vec![weigh(1.0 - p1, 1.0 - p0, f64::MAX), weigh(p1, p0, f64::MAX)],
        honest: vec![1.0 - p0, p0],
        worm: vec![1.0 - p1, p1],
    }
}

/// The first outcome is the good one.
fn tests() -> Vec<Test> {
    let settings = DetectSettings::default();
    let d1 = &settings.outcome_burst;
    let d3 = &settings.connect_failures;
    vec![
        Test {
            name: "D1 outcomes",
            z: d1.p1.iter().zip(&d1.p0).map(|(p1, p0)| weigh(*p1, *p0, d1.z_max)).collect(),
            honest: d1.p0.to_vec(),
            worm: d1.p1.to_vec(),
        },
        two("D3 contacts", 1.0 - d3.success_honest, 1.0 - d3.success_worm),
        two("D4 null senders", settings.ndr_flood.p0, settings.ndr_flood.p1),
        two("D7 logins", settings.accounts.p0, settings.accounts.p1),
        two("D8 recipients", settings.harvest.p0, settings.harvest.p1),
        two("D11 refusals", settings.replies_in_time.p0, settings.replies_in_time.p1),
    ]
}

/// How outcomes come about.
#[derive(Clone, Copy)]
enum Stream {
    /// Independent, the share of bad outcomes multiplied.
    Independent(f64),
    /// The share of bad outcomes is drawn anew for each block of mails, with the right mean.
    InMoods,
}

/// The probabilities with the bad ones multiplied.
fn scaled(honest: &[f64], by: f64) -> Vec<f64> {
    let bad: f64 = honest[1..].iter().sum();
    let now = (bad * by).min(1.0);
    let mut scaled: Vec<f64> = honest.iter().map(|p| p * now / bad).collect();
    scaled[0] = 1.0 - now;
    scaled
}

fn draw(rng: &mut Rng, p: &[f64]) -> usize {
    let mut left = rng.unit();
    for (outcome, share) in p.iter().enumerate() {
        if left < *share {
            return outcome;
        }
        left -= share;
    }
    p.len() - 1
}

/// Mean run length to an alarm, and how many alarms it rests on; with none, the observations made.
fn run_length(test: &Test, stream: Stream, threshold: f64, rng: &mut Rng) -> (f64, u64) {
    let (mut alarms, mut observations) = (0, 0);
    let mut sum = Cusum::default();
    let bad: f64 = test.honest[1..].iter().sum();
    let mut p = scaled(&test.honest, if let Stream::Independent(by) = stream { by } else { 1.0 });
    while alarms < ALARMS_MAX && observations < OBSERVATIONS_MAX {
        if let Stream::InMoods = stream
            && observations % BLOCK == 0
        {
            // Beta with mean `bad` and intra-class correlation `ALIKE`.
            let weight = 1.0 / ALIKE - 1.0;
            let (a, b) = (rng.gamma(bad * weight), rng.gamma((1.0 - bad) * weight));
            p = scaled(&test.honest, a / (a + b) / bad);
        }
        observations += 1;
        sum.add(test.z[draw(rng, &p)], Ts::EPOCH);
        if sum.value() >= threshold {
            alarms += 1;
            sum = Cusum::default();
        }
    }
    (observations as f64 / alarms.max(1) as f64, alarms)
}

/// Mails until the alarm: mean and 95th percentile.
fn delay(test: &Test, p: impl Fn(&mut Rng) -> Vec<f64>, threshold: f64, rng: &mut Rng) -> (f64, f64) {
    let mut all: Vec<f64> = (0..4_000)
        .map(|_| {
            let (mut sum, mut mails, p) = (Cusum::default(), 0, p(rng));
            while sum.value() < threshold && mails < 10_000 {
                sum.add(test.z[draw(rng, &p)], Ts::EPOCH);
                mails += 1;
            }
            f64::from(mails)
        })
        .collect();
    all.sort_by(f64::total_cmp);
    (mean(&all).unwrap_or_default(), percentile(&all, 0.95).unwrap_or_default())
}

fn cell((length, alarms): (f64, u64)) -> String {
    let length = if length < 1_000.0 { format!("{length:.0}") } else { format!("{length:.1e}") };
    match alarms {
        0 => format!("> {length}"),
        n if n < ALARMS_MAX => format!("{length} ({n} alarms)"),
        _ => length,
    }
}

/// Prints both tables.
pub(crate) fn report(out: &mut impl Write) -> io::Result<()> {
    let mut rng = Rng::new(1, "self-test");
    writeln!(out, "### Run length to a false alarm, in observations\n")?;
    writeln!(
        out,
        "| test | h, dB | bound 10^(h/10) | p0 as assumed | failures 50 % rarer | failures 50 % more frequent | in moods |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for test in &tests() {
        for threshold in THRESHOLDS {
            let cells: Vec<String> =
                [Stream::Independent(1.0), Stream::Independent(0.5), Stream::Independent(1.5), Stream::InMoods]
                    .into_iter()
                    .map(|stream| cell(run_length(test, stream, threshold, &mut rng)))
                    .collect();
            let bound = 10_f64.powf(threshold / 10.0);
            writeln!(out, "| {} | {threshold} | {bound:.0} | {} |", test.name, cells.join(" | "))?;
        }
    }
    writeln!(out, "\n### Observations to a true alarm: mean / 95th percentile\n")?;
    writeln!(out, "| test | h, dB | under p1 | worms as the scenarios draw them |")?;
    writeln!(out, "|---|---|---|---|")?;
    for (i, test) in tests().iter().enumerate() {
        for threshold in THRESHOLDS {
            let (mean, high) = delay(test, |_| test.worm.clone(), threshold, &mut rng);
            let drawn = if i == 0 {
                let (mean, high) = delay(test, |rng| crate::d1::Worm::mix(rng).to_vec(), threshold, &mut rng);
                format!("{mean:.1} / {high:.0}")
            } else {
                "-".to_owned()
            };
            writeln!(out, "| {} | {threshold} | {mean:.1} / {high:.0} | {drawn} |", test.name)?;
        }
    }
    Ok(())
}
