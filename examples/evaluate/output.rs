//! The report: Markdown for people, JSON for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};
use smtphound::detect::{Class, Tier};
use smtphound::net::HostKey;

use crate::baseline::{LISTED_RULE, MAILER_RULES};
use crate::run::{Checked, Outcome};
use crate::stats::{Share, Tally, mean, percentile};
use crate::world::Vary;

/// Prints the whole report.
pub(crate) fn markdown(outcomes: &[Outcome], varies: &[Vary], explain: bool, out: &mut impl Write) -> io::Result<()> {
    for vary in varies {
        let own: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.vary == vary.name).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(out, "## {}\n", vary.name)?;
        scenarios(&own, out)?;
        classes(&own, out)?;
        if *vary == Vary::BASE {
            confusion(&own, out)?;
            delays(&own, out)?;
        }
        baselines(&own, out)?;
        if explain {
            stories(&own, out)?;
        }
    }
    if varies.len() > 1 {
        overview(outcomes, varies, out)?;
    }
    Ok(())
}

/// In the order of their first appearance.
fn by_scenario<'a>(outcomes: &[&'a Outcome]) -> Vec<(&'static str, Vec<&'a Outcome>)> {
    let mut groups: Vec<(&'static str, Vec<&Outcome>)> = Vec::new();
    for outcome in outcomes {
        match groups.last_mut() {
            Some((name, group)) if *name == outcome.scenario => group.push(outcome),
            _ => groups.push((outcome.scenario, vec![outcome])),
        }
    }
    groups
}

fn scenarios(outcomes: &[&Outcome], out: &mut impl Write) -> io::Result<()> {
    let frames: usize = outcomes.iter().map(|outcome| outcome.frames).sum();
    writeln!(out, "{} captures, {frames} frames.\n", outcomes.len())?;
    writeln!(out, "| scenario | right in | missed | false alarms | suspicions beside |\n|---|---|---|---|---|")?;
    for (name, group) in by_scenario(outcomes) {
        let right = group.iter().filter(|outcome| outcome.is_right()).count();
        let mut missed: BTreeMap<String, usize> = BTreeMap::new();
        let mut alarms: BTreeMap<String, usize> = BTreeMap::new();
        let mut suspicions: BTreeMap<String, usize> = BTreeMap::new();
        for outcome in &group {
            for check in &outcome.checked {
                if !check.found {
                    *missed.entry(check.what.to_owned()).or_default() += 1;
                } else if !check.kind_right {
                    *missed.entry(format!("{} of another kind", check.what)).or_default() += 1;
                }
            }
            for wrong in &outcome.verdicts_wrong {
                *missed.entry(wrong.clone()).or_default() += 1;
            }
            for (_, class, ..) in &outcome.false_alarms {
                *alarms.entry(class.name().to_owned()).or_default() += 1;
            }
            for (_, class, _) in &outcome.suspicions {
                *suspicions.entry(class.name().to_owned()).or_default() += 1;
            }
        }
        writeln!(
            out,
            "| {name} | {right} of {} | {} | {} | {} |",
            group.len(),
            words(&missed),
            words(&alarms),
            words(&suspicions)
        )?;
    }
    writeln!(out)
}

fn words(counts: &BTreeMap<String, usize>) -> String {
    let words: Vec<String> = counts.iter().map(|(what, count)| format!("{what} ({count})")).collect();
    words.join("; ")
}

/// Of each class that is asked for at `likely` or above: hits, misses, false alarms.
fn tallies(outcomes: &[&Outcome]) -> BTreeMap<Class, Tally> {
    let mut tallies: BTreeMap<Class, Tally> = BTreeMap::new();
    for outcome in outcomes {
        for check in &outcome.checked {
            let Some(class) = check.class.filter(|_| check.asked >= Tier::Likely) else { continue };
            let tally = tallies.entry(class).or_default();
            if check.found || check.tier >= Some(Tier::Likely) { tally.hits += 1 } else { tally.misses += 1 }
        }
        for (_, class, ..) in &outcome.false_alarms {
            tallies.entry(*class).or_default().false_alarms += 1;
        }
    }
    tallies
}

fn classes(outcomes: &[&Outcome], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| class | hits | misses | false alarms | precision (95 %) | recall (95 %) | F1 |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    let tallies = tallies(outcomes);
    for (class, tally) in &tallies {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            class.name(),
            tally.hits,
            tally.misses,
            tally.false_alarms,
            tally.precision(),
            tally.recall(),
            number(tally.f1(), 3)
        )?;
    }
    let scores: Vec<f64> = tallies.values().filter_map(|tally| tally.f1()).collect();
    let (alarms, days) = alarm_rate(outcomes);
    writeln!(
        out,
        "\nMacro average of F1: {}. False alarms: {alarms} in {days:.0} benign host-days, {:.2} in 1,000.\n",
        number(mean(&scores), 3),
        1_000.0 * alarms as f64 / days.max(1.0)
    )
}

fn alarm_rate(outcomes: &[&Outcome]) -> (usize, f64) {
    let alarms = outcomes.iter().map(|outcome| outcome.false_alarms.len()).sum();
    (alarms, outcomes.iter().map(|outcome| outcome.host_days).sum())
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What is true against what was said, at `likely` or above (at the tier asked for, where that is lower).
fn confusion(outcomes: &[&Outcome], out: &mut impl Write) -> io::Result<()> {
    let mut table: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for outcome in outcomes {
        for check in &outcome.checked {
            let row = table.entry(check.what).or_default();
            if check.found {
                *row.entry(check.what).or_default() += 1;
            } else {
                *row.entry("nothing of it").or_default() += 1;
            }
            for class in check.classes.iter().filter(|class| Some(**class) != check.class) {
                *row.entry(class.name()).or_default() += 1;
            }
        }
        for (_, class, ..) in &outcome.false_alarms {
            *table.entry("(nothing)").or_default().entry(class.name()).or_default() += 1;
        }
    }
    writeln!(
        out,
        "Confusion: what is true of a host, and what was said of the same host (several may be true at once).\n"
    )?;
    writeln!(out, "| true | said |\n|---|---|")?;
    for (what, row) in table {
        let said: Vec<String> = row.iter().map(|(said, count)| format!("{said} {count}")).collect();
        writeln!(out, "| {what} | {} |", said.join(", "))?;
    }
    writeln!(out)
}

fn delays(outcomes: &[&Outcome], out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "| scenario, class | rank 1 | rank 1 to 3 | mails to detection: median / p95 | seconds: median / p95 | D1 at 30 dB: mean / p95 |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for (name, group) in by_scenario(outcomes) {
        let count = group.first().map_or(0, |outcome| outcome.checked.len());
        for i in 0..count {
            let checks: Vec<&Checked> = group.iter().filter_map(|outcome| outcome.checked.get(i)).collect();
            let Some(first) = checks.first() else { continue };
            let ranked = checks.iter().any(|check| check.rank.is_some());
            let share = |most: usize| {
                let part = checks.iter().filter(|check| check.rank.is_some_and(|rank| rank <= most)).count();
                if ranked { Share { part, of: checks.len() }.to_string() } else { "-".to_owned() }
            };
            let sorted = |of: fn(&Checked) -> Option<f64>| {
                let mut values: Vec<f64> = checks.iter().filter_map(|check| of(check)).collect();
                values.sort_by(f64::total_cmp);
                values
            };
            let mails = sorted(|check| Some(check.delay?.mails as f64));
            let secs = sorted(|check| Some(check.delay?.secs));
            let at_30 = sorted(|check| Some(check.mails_to_30_db? as f64));
            writeln!(
                out,
                "| {name}, {} | {} | {} | {} / {} | {} / {} | {} / {} |",
                first.what,
                share(1),
                share(3),
                number(percentile(&mails, 0.5), 0),
                number(percentile(&mails, 0.95), 0),
                number(percentile(&secs, 0.5), 0),
                number(percentile(&secs, 0.95), 0),
                number(mean(&at_30), 1),
                number(percentile(&at_30, 0.95), 0),
            )?;
        }
    }
    writeln!(out)
}

/// Who mass-mails, and who is listed: this program and simpler rules on the same captures, by host.
fn baselines(outcomes: &[&Outcome], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| rule | hits | misses | false alarms | precision (95 %) | recall (95 %) | F1 |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    let mailers: fn(&Outcome) -> &BTreeSet<HostKey> = |outcome| &outcome.mailers;
    let listed: fn(&Outcome) -> &BTreeSet<HostKey> = |outcome| &outcome.listed;
    let rules = std::iter::once(("smtphound", mailers))
        .chain(MAILER_RULES.map(|rule| (rule, mailers)))
        .chain([("smtphound, listed", listed), (LISTED_RULE, listed)]);
    for (rule, truth) in rules {
        let tally = judge_rule(outcomes, rule, truth);
        writeln!(
            out,
            "| {rule} | {} | {} | {} | {} | {} | {} |",
            tally.hits,
            tally.misses,
            tally.false_alarms,
            tally.precision(),
            tally.recall(),
            number(tally.f1(), 3)
        )?;
    }
    writeln!(out)
}

fn judge_rule(outcomes: &[&Outcome], rule: &str, truth: fn(&Outcome) -> &BTreeSet<HostKey>) -> Tally {
    let mut tally = Tally::default();
    let nobody = BTreeSet::new();
    for outcome in outcomes {
        let called = outcome.called.get(rule).unwrap_or(&nobody);
        let truth = truth(outcome);
        tally.hits += truth.intersection(called).count();
        tally.misses += truth.difference(called).count();
        // Who is suspected by design (D2's laptop) is neither a hit nor a false alarm.
        tally.false_alarms += called.difference(truth).filter(|host| !outcome.spared.contains(host)).count();
    }
    tally
}

/// One line a variation.
fn overview(outcomes: &[Outcome], varies: &[Vary], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "## All variations\n")?;
    writeln!(out, "| variation | captures | right | found (95 %) | false alarms | per 1,000 host-days | macro F1 |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for vary in varies {
        let own: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.vary == vary.name).collect();
        let checks: Vec<&Checked> = own.iter().flat_map(|outcome| &outcome.checked).collect();
        let found = Share { part: checks.iter().filter(|check| check.found).count(), of: checks.len() };
        let right = own.iter().filter(|outcome| outcome.is_right()).count();
        let (alarms, days) = alarm_rate(&own);
        let scores: Vec<f64> = tallies(&own).values().filter_map(|tally| tally.f1()).collect();
        writeln!(
            out,
            "| {} | {} | {right} | {found} | {alarms} | {:.2} | {} |",
            vary.name,
            own.len(),
            1_000.0 * alarms as f64 / days.max(1.0),
            number(mean(&scores), 3)
        )?;
    }
    writeln!(out, "\nAll variations in the clear together (those with TLS left out):\n")?;
    let clear: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.vary.starts_with("TLS")).collect();
    classes(&clear, out)
}

/// What was said where it was wrong.
fn stories(outcomes: &[&Outcome], out: &mut impl Write) -> io::Result<()> {
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_right()) {
        writeln!(out, "### {} seed {} ({})\n\n```text", outcome.scenario, outcome.seed, outcome.vary)?;
        for check in &outcome.checked {
            writeln!(out, "{} found {} at {:?}, kind right {}", check.what, check.found, check.tier, check.kind_right)?;
        }
        for wrong in &outcome.verdicts_wrong {
            writeln!(out, "{wrong}")?;
        }
        for line in &outcome.story {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "```\n")?;
    }
    Ok(())
}

/// Every run, with all that was found.
pub(crate) fn json(outcomes: &[Outcome]) -> Value {
    let runs: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            let checked: Vec<Value> = outcome
                .checked
                .iter()
                .map(|check| {
                    json!({
                        "what": check.what,
                        "found": check.found,
                        "kind_right": check.kind_right,
                        "asked": check.asked.name(),
                        "tier": check.tier.map(Tier::name),
                        "rank": check.rank,
                        "mails": check.delay.map(|delay| delay.mails),
                        "seconds": check.delay.map(|delay| delay.secs),
                        "mails_to_30_db": check.mails_to_30_db,
                    })
                })
                .collect();
            let alarms: Vec<Value> = outcome
                .false_alarms
                .iter()
                .map(|(host, class, tier, says)| {
                    json!({ "host": host.to_string(), "class": class.name(), "tier": tier.name(), "says": says })
                })
                .collect();
            let suspicions: Vec<Value> = outcome
                .suspicions
                .iter()
                .map(|(host, class, says)| json!({ "host": host.to_string(), "class": class.name(), "says": says }))
                .collect();
            let forbidden: Vec<&str> = outcome.forbidden.iter().map(|class| class.name()).collect();
            json!({
                "scenario": outcome.scenario,
                "variation": outcome.vary,
                "seed": outcome.seed,
                "frames": outcome.frames,
                "right": outcome.is_right(),
                "checked": checked,
                "false_alarms": alarms,
                "suspicions": suspicions,
                "forbidden": forbidden,
                "verdicts_checked": outcome.verdicts_checked,
                "verdicts_wrong": outcome.verdicts_wrong,
                "benign_host_days": outcome.host_days,
            })
        })
        .collect();
    json!({ "runs": runs })
}
