//! What each part of the judgement is worth: the same captures without it.
//!
//! A family is taken away by settings that leave it without weight. Where there is no such setting, the row says so.

use std::io::{self, Write};

use smtphound::detect::Class;
use smtphound::time::Span;

use crate::run::{Outcome, Setup};
use crate::stats::{Share, mean, percentile};
use crate::{Args, evaluate};

type Change = fn(&mut Setup);

/// What is taken away, one at a time.
const ALL: [(&str, Change); 15] = [
    ("nothing", |_| {}),
    ("D1 outcomes", |setup| {
        let d1 = &mut setup.settings.outcome_burst;
        d1.p1 = d1.p0;
        d1.fresh_db = 0.0;
    }),
    ("D1 second channel", |setup| setup.settings.outcome_burst.fresh_db = 0.0),
    ("D2 direct to MX", |setup| {
        let d2 = &mut setup.settings.direct_to_mx;
        (d2.some_db, d2.many_db) = (0.0, 0.0);
    }),
    ("D3 connect failures", |setup| {
        let d3 = &mut setup.settings.connect_failures;
        d3.success_worm = d3.success_honest;
    }),
    ("D4 matched triggers", |setup| setup.settings.ndr_flood.trigger_db = 0.0),
    ("D8 harvest seen from inside", |setup| setup.settings.harvest.outbound_db = 0.0),
    ("D9 context", |setup| setup.settings.blocklisted.context_db = 0.0),
    ("D12 protocol", |setup| {
        let d12 = &mut setup.settings.protocol;
        (d12.early_talk_db, d12.foreign_db, d12.pipelining_db, d12.bare_lf_db) = (0.0, 0.0, 0.0, 0.0);
    }),
    ("D12 HELO", |setup| {
        let helo = &mut setup.settings.helo;
        (helo.bare_db, helo.borrowed_db, helo.many_db) = (0.0, 0.0, 0.0);
    }),
    ("D14 MX look-ups", |setup| {
        let d14 = &mut setup.settings.mx_lookups;
        (d14.mx_db, d14.guess_db) = (0.0, 0.0);
    }),
    ("the cap of 12 dB a network", |setup| setup.settings.outcome_burst.site_cap_db = f64::MAX),
    // There is no switch: a filter that holds one mail forgets each at the next but one.
    ("triplet dedupe (by a filter of one mail)", |setup| setup.limits.detect.triplets_max = 1),
    // No host can fail at more than every attempt.
    ("the egress guard", |setup| setup.settings.connect_failures.outage_share = f64::INFINITY),
    ("dead servers counted once", |setup| setup.settings.connect_failures.dead_window = Span::secs(1)),
];

/// Prints the table.
pub(crate) fn report(args: &Args, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "| without | found of (+) | alarms in (-) | mass mailers found | guilty ranked 1st | mails to `likely`: mean / p95 | changed |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    let mut whole: Option<Vec<Outcome>> = None;
    for (name, change) in ALL {
        let mut setup = Setup::default();
        change(&mut setup);
        let outcomes = evaluate(args, &setup);
        let row = row(&outcomes);
        let changed = whole.as_ref().map_or_else(String::new, |whole| changes(whole, &outcomes));
        writeln!(out, "| {name} | {row} | {changed} |")?;
        out.flush()?;
        whole.get_or_insert(outcomes);
    }
    Ok(())
}

fn row(outcomes: &[Outcome]) -> String {
    let labels: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.checked).collect();
    let found = labels.iter().filter(|label| label.found).count();
    let minus: Vec<_> = outcomes.iter().filter(|outcome| !outcome.plus).collect();
    let alarms = minus.iter().filter(|outcome| !outcome.false_alarms.is_empty()).count();
    let mailers: Vec<_> = labels.iter().filter(|label| label.class == Some(Class::MassMailer)).collect();
    let caught = mailers.iter().filter(|label| label.found).count();
    let first = mailers.iter().filter(|label| label.rank == Some(1)).count();
    let mut mails: Vec<f64> = mailers.iter().filter_map(|label| Some(label.delay?.mails as f64)).collect();
    mails.sort_by(f64::total_cmp);
    format!(
        "{} | {} of {} | {} | {} | {:.1} / {:.0}",
        Share { part: found, of: labels.len() },
        alarms,
        minus.len(),
        Share { part: caught, of: mailers.len() },
        Share { part: first, of: mailers.len() },
        mean(&mails).unwrap_or_default(),
        percentile(&mails, 0.95).unwrap_or_default(),
    )
}

/// Scenarios that went another way than with everything in place, with the number of seeds.
fn changes(whole: &[Outcome], now: &[Outcome]) -> String {
    let mut changed: Vec<(&str, usize, usize)> = Vec::new();
    for (before, after) in whole.iter().zip(now) {
        if before.is_right() == after.is_right() {
            continue;
        }
        if changed.last().is_none_or(|last| last.0 != before.scenario) {
            changed.push((before.scenario, 0, 0));
        }
        if let Some(last) = changed.last_mut() {
            if before.is_right() { last.1 += 1 } else { last.2 += 1 }
        }
    }
    let words: Vec<String> = changed
        .into_iter()
        .map(|(name, worse, better)| match (worse, better) {
            (worse, 0) => format!("{name} worse in {worse}"),
            (0, better) => format!("{name} better in {better}"),
            (worse, better) => format!("{name} worse in {worse}, better in {better}"),
        })
        .collect();
    words.join("; ")
}
