//! The answer for people: who, how sure, why and what to do, then what could not be seen.
//!
//! A reader who never saw an SMTP transcript must understand it. The worst comes first; where there is nothing to tell,
//! it says so, and what it looked at.

pub(super) mod ranking;
pub(super) mod story;
pub(super) mod unseen;

use std::io::{self, Write};

use super::facts::Results;
use super::floods::FLOODS_MAX;
use super::text::{Style, Tone, counted, paragraph, period, safe};
use crate::site::Site;

/// Incidents told in full: more would not be read; the report has all.
const STORIES_MAX: usize = 50;

/// Writes everything for people.
pub fn write(out: &mut dyn Write, results: &Results<'_>, style: Style) -> io::Result<()> {
    paragraph(out, "", &looked_at(results), style.columns())?;
    let incidents = &results.judgement.incidents;
    if results.judgement.hosts.is_empty() {
        nobody_of_ours(out, results, style)?;
    } else if incidents.is_empty() {
        nothing_found(out, results, style)?;
    } else {
        writeln!(out)?;
        ranking::write(out, results, style)?;
        for (number, incident) in incidents.iter().take(STORIES_MAX).enumerate() {
            writeln!(out)?;
            story::write(out, results, number + 1, incident, style)?;
        }
        if incidents.len() > STORIES_MAX {
            let more = counted((incidents.len() - STORIES_MAX) as u64, "more incident stands", "more incidents stand");
            paragraph(out, "\n", &format!("{more} in the report (--report FILE)."), style.columns())?;
        }
    }
    floods(out, results, style)?;
    unseen::write(out, results, style)
}

/// Who floods, which is no incident of a host: made-up addresses are nobody's.
fn floods(out: &mut dyn Write, results: &Results<'_>, style: Style) -> io::Result<()> {
    let floods = results.floods();
    if floods.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.paint(Tone::Heading, "Floods:"))?;
    for flood in floods.iter().take(FLOODS_MAX) {
        paragraph(out, " - ", &flood.says(), style.columns())?;
    }
    if floods.len() > FLOODS_MAX {
        let more = counted((floods.len() - FLOODS_MAX) as u64, "more stands", "more stand");
        paragraph(out, " - ", &format!("{more} in the report (--report FILE)"), style.columns())?;
    }
    Ok(())
}

/// What was read, in a sentence.
pub(super) fn looked_at(results: &Results<'_>) -> String {
    let facts = results.facts;
    let names: Vec<String> = facts
        .inputs
        .iter()
        .map(|input| if input.file == "-" { "standard input".to_owned() } else { safe(&input.file).into_owned() })
        .collect();
    let of = match names.as_slice() {
        [] => String::new(),
        [name] => format!(" of {name}"),
        [first, .., last] if names.len() > 3 => format!(" of {} files ({first} ... {last})", names.len()),
        names => format!(" of {}", names.join(", ")),
    };
    let first = facts.inputs.iter().filter_map(|input| input.first_ts).min();
    let last = facts.inputs.iter().filter_map(|input| input.last_ts).max();
    let when = first.zip(last).map(|(first, last)| format!(", {}", period(first, last))).unwrap_or_default();
    let lines: Vec<u64> = facts.inputs.iter().filter_map(|input| input.lines).collect();
    if !lines.is_empty() {
        return format!("Read {}{of}{when}.", counted(lines.iter().sum(), "session line", "session lines"));
    }
    format!(
        "Read {}{of}{when}; {} of SMTP.",
        counted(facts.frames.total, "frame", "frames"),
        if facts.frames.smtp == 0 { "none".to_owned() } else { super::text::grouped(facts.frames.smtp) }
    )
}

/// No address of a home network had anything to do with SMTP.
fn nobody_of_ours(out: &mut dyn Write, results: &Results<'_>, style: Style) -> io::Result<()> {
    let foreign = results.judge.stats().foreign;
    let text = if foreign == 0 && results.candidates.is_empty() {
        "There is no SMTP connection in it. Is the capture from the right place? If mail is spoken on another port, name \
         it with --port."
            .to_owned()
    } else {
        let seen = match foreign {
            0 => "all SMTP connections have".to_owned(),
            _ => counted(foreign, "SMTP connection has", "SMTP connections have"),
        };
        let nets = home_nets(results.judge.site());
        format!(
            "No machine of yours appears in it: {seen} both ends outside {nets}, and nothing was judged. If some of the \
             addresses are yours, say so."
        )
    };
    writeln!(out)?;
    paragraph(out, "", &style.paint(Tone::Heading, "Nothing judged."), usize::MAX)?;
    paragraph(out, "", &text, style.columns())?;
    if !results.candidates.is_empty() {
        writeln!(out, "\nThese take part in most connections and look like yours:")?;
        for (host, share) in results.candidates {
            let bits = if host.is_v4() { 32 } else { 128 };
            writeln!(out, "  --home-net {host}/{bits}   ({:.0} % of connections)", share * 100.0)?;
        }
    }
    Ok(())
}

fn home_nets(site: &Site) -> String {
    if site.home_nets_given {
        let nets: Vec<String> = site.home_nets.iter().map(ToString::to_string).collect();
        format!("your networks ({})", nets.join(", "))
    } else {
        "the private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and their like)".to_owned()
    }
}

/// All quiet.
fn nothing_found(out: &mut dyn Write, results: &Results<'_>, style: Style) -> io::Result<()> {
    let hosts = &results.judgement.hosts;
    let sum = |count: fn(&crate::ledger::HostRow) -> u64| hosts.iter().map(|host| count(&host.row)).sum();
    writeln!(out)?;
    writeln!(out, "{}", style.paint(Tone::Heading, "No incident."))?;
    let text = format!(
        "Nothing speaks against any host of yours in {} from and {} to them, with {} sent.",
        counted(sum(|row| row.counts.connections), "connection", "connections"),
        counted(sum(|row| row.served), "connection", "connections"),
        counted(sum(|row| row.counts.transactions), "mail", "mails"),
    );
    paragraph(out, "", &text, style.columns())?;
    ranking::others(out, results, "Looked at", style)
}

#[cfg(test)]
mod tests;
