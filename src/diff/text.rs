//! What changed, for people.

use std::io::{self, Write};

use super::{Change, Pair, Period, Story, Traffic};
use crate::detect::Rounded;
use crate::output::{counted, paragraph, period};

/// A difference of rates below this is no news: short captures differ by as much from one to the next.
const NEWS_FACTOR: f64 = 1.5;
/// The same for shares.
const NEWS_SHARE: f64 = 0.05;

/// Writes everything.
pub(super) fn write(out: &mut dyn Write, change: &Change<'_>, columns: usize) -> io::Result<()> {
    paragraph(out, "", &format!("Before: {}. After: {}.", told(&change.before), told(&change.after)), columns)?;
    writeln!(out)?;
    let better = change.closed.len();
    let heading = match (better, change.opened.len(), change.still.len()) {
        (0, 0, 0) => "No incident, before or after.".to_owned(),
        (0, 0, still) => {
            format!("Nothing got better: {} there.", counted(still as u64, "incident is still", "incidents are still"))
        }
        (closed, opened, still) => {
            let mut parts = vec![format!("{} gone", counted(closed as u64, "incident is", "incidents are"))];
            if still > 0 {
                parts.push(format!("{} still there", counted(still as u64, "is", "are")));
            }
            if opened > 0 {
                parts.push(format!("{} new", counted(opened as u64, "is", "are")));
            }
            format!("{}.", parts.join(", "))
        }
    };
    paragraph(out, "", &heading, columns)?;
    for story in &change.closed {
        paragraph(out, " - ", &closed(story), columns)?;
    }
    for story in &change.still {
        let tier = if story.tier_before == story.tier_after {
            story.tier_after.name().to_owned()
        } else {
            format!("{}, {} before", story.tier_after.name(), story.tier_before.name())
        };
        paragraph(out, " - ", &format!("Still there: {} of {} ({tier}).", story.class, story.host), columns)?;
    }
    for story in &change.opened {
        let text = format!("New: {} of {} ({}). {}", story.class, story.host, story.tier.name(), story.summary);
        paragraph(out, " - ", &text, columns)?;
    }
    let mut told_any = false;
    for host in &change.hosts {
        for sentence in sentences(&host.ip.to_string(), &host.traffic) {
            if !std::mem::replace(&mut told_any, true) {
                writeln!(out, "\nTraffic:")?;
            }
            paragraph(out, " - ", &sentence, columns)?;
        }
    }
    for sentence in sentences("The whole site", &change.all) {
        if !std::mem::replace(&mut told_any, true) {
            writeln!(out, "\nTraffic:")?;
        }
        paragraph(out, " - ", &sentence, columns)?;
    }
    Ok(())
}

fn told(period_of: &Period<'_>) -> String {
    let files = match period_of.files.as_slice() {
        [] => "nothing".to_owned(),
        [file] => (*file).to_owned(),
        [first, .., last] => format!("{} files ({first} ... {last})", period_of.files.len()),
    };
    match period_of.first_ts.zip(period_of.last_ts) {
        Some((first, last)) => format!("{files}, {}", period(first, last)),
        None => files,
    }
}

fn closed(story: &Story<'_>) -> String {
    let Story { class, host, tier, .. } = story;
    let why = if story.host_is_there {
        "it still uses port 25, and this speaks against it no more"
    } else {
        "it does not show on port 25 any more"
    };
    format!("Gone: {class} of {host} ({} before): {why}.", tier.name())
}

fn sentences(who: &str, traffic: &Traffic) -> Vec<String> {
    let mut told = Vec::new();
    if let Some((before, after)) = both(&traffic.mails) {
        let rates = format!("{} mails a minute before, {} after", number(before), number(after));
        if after == 0.0 && before > 0.0 {
            told.push(format!("{who} sends no mail any more: {rates}."));
        } else if after > 0.0 && before / after >= NEWS_FACTOR {
            told.push(format!("{who} sends {} times less: {rates}.", number(before / after)));
        } else if before > 0.0 && after / before >= NEWS_FACTOR {
            told.push(format!("{who} sends {} times more: {rates}.", number(after / before)));
        }
    }
    if let Some((before, after)) = both(&traffic.null_senders)
        && (before - after).abs() >= NEWS_SHARE
    {
        told.push(format!(
            "Of what {who} sends, non-delivery reports and other mail without a sender were {} before, and are {} now.",
            percent(before),
            percent(after)
        ));
    }
    if let Some((before, after)) = both(&traffic.refused)
        && (before - after).abs() >= NEWS_SHARE
    {
        let verdict = match (after == 0.0, after < before) {
            (true, _) => ": its mail flows again",
            (_, true) => ": it gets better",
            _ => ": it gets worse",
        };
        told.push(format!("{who} was refused {} of its mails, and now {}{verdict}.", percent(before), percent(after)));
    }
    told
}

fn both(pair: &Pair) -> Option<(f64, f64)> {
    let Rounded(before) = pair.before?;
    let Rounded(after) = pair.after?;
    Some((before, after))
}

/// Two digits are enough to compare.
fn number(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
