//! What could not be seen: every loss that may have hidden something, in a few lines.

use std::io::{self, Write};

use super::super::facts::{Counts, Results};
use super::super::text::{Style, Tone, counted, grouped, paragraph, safe};

/// Reasons that are named of each kind of loss.
const REASONS_MAX: usize = 3;
/// Damaged files that are named.
const FILES_MAX: usize = 5;

/// Said where there is no loss.
pub(in crate::output) const NOTHING: &str = "Nothing was lost or hidden: every frame was read, no stream has a gap.";

/// Writes what was lost, or that nothing was.
pub(super) fn write(out: &mut dyn Write, results: &Results<'_>, style: Style) -> io::Result<()> {
    let losses = losses(results);
    writeln!(out)?;
    if losses.is_empty() {
        return paragraph(
            out,
            "",
            if results.facts.inputs.iter().any(|input| input.lines.is_some()) {
                "Nothing was lost or hidden: every line was read, and no stream has a gap."
            } else {
                NOTHING
            },
            style.columns(),
        );
    }
    writeln!(out, "{}", style.paint(Tone::Heading, "What could not be seen:"))?;
    losses.iter().try_for_each(|loss| paragraph(out, " - ", loss, style.columns()))
}

pub(in crate::output) fn losses(results: &Results<'_>) -> Vec<String> {
    let facts = results.facts;
    let mut losses = Vec::new();
    let damaged: Vec<_> = facts.inputs.iter().filter(|input| input.truncated || input.error.is_some()).collect();
    for input in damaged.iter().take(FILES_MAX) {
        let why = input.error.as_deref().unwrap_or("it ends in the middle of a frame");
        losses.push(format!("{} could not be read to its end: {}", safe(&input.file), safe(why)));
    }
    if damaged.len() > FILES_MAX {
        losses.push(format!("{} more files could not be read to their ends", damaged.len() - FILES_MAX));
    }
    if !facts.drops.is_empty() {
        losses.push(format!("{} dropped while capturing ({})", frames(facts.drops.total()), reasons(&facts.drops)));
    }
    if facts.gaps > 0 {
        let gaps = counted(facts.gaps, "gap", "gaps");
        losses.push(format!("{gaps} in the conversations: {} missing from the capture", bytes(facts.missed_bytes)));
    }
    let hidden = results.judgement.hosts.iter().map(|host| host.row.counts.hidden).sum();
    if hidden > 0 {
        let sessions = counted(hidden, "conversation", "conversations");
        losses.push(format!("{sessions} of your hosts went on under TLS: what was mailed there is hidden"));
    }
    let undecoded = &facts.frames.undecoded;
    if !undecoded.is_empty() {
        losses.push(format!("{} could not be decoded ({})", frames(undecoded.total()), reasons(undecoded)));
    }
    for (kind, count) in facts.unseen.iter() {
        losses.push(match kind {
            "attempts_in_sums" => {
                let attempts = counted(count, "attempt stands in sums", "attempts stand in sums");
                format!("{attempts} of the lines: how many, but not to whom, so that they are not judged")
            }
            "mails_not_listed" => {
                let mails = counted(count, "mail stands in no line", "mails stand in no line");
                format!("{mails}: their sessions had more than a line lists")
            }
            "zeek_connections" => {
                let connections = counted(count, "connection comes", "connections come");
                format!(
                    "{connections} from Zeek's logs, which hold neither greetings, logins, DNS questions, shapes of SYNs and \
                     times of commands, nor any reply of a mail but the last"
                )
            }
            other => format!("{other}: {}", grouped(count)),
        });
    }
    let limits = results.limits_hit();
    if !limits.is_empty() {
        losses.push(format!("limits were reached {} ({})", counted(limits.total(), "time", "times"), reasons(&limits)));
    }
    losses
}

fn frames(count: u64) -> String {
    counted(count, "frame", "frames")
}

fn bytes(count: u64) -> String {
    counted(count, "byte", "bytes")
}

/// The most frequent reasons.
fn reasons(counts: &Counts) -> String {
    let mut sorted: Vec<(&str, u64)> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let named: Vec<String> =
        sorted.iter().take(REASONS_MAX).map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
    let more = if sorted.len() > REASONS_MAX { ", ..." } else { "" };
    format!("{}{more}", named.join(", "))
}
