//! The ranked table: a line a host with an incident, and one sentence for all the others.

use std::io::{self, Write};

use super::super::facts::Results;
use super::super::text::{Clock, Style, Tone, counted, cut, grouped, pad, paragraph, safe, width};
use crate::detect::Tier;
use crate::incident::RankedHost;
use crate::ledger::{HostRow, Role};

/// Rows of the table: more would not be read; the report has all.
const ROWS_MAX: usize = 100;
/// Hosts without an incident that are named.
const OTHERS_MAX: usize = 10;
/// Between two columns.
const GAP: usize = 2;

/// Headings, and whether the column is set to the right. What and who follow behind, as far as there is room.
const COLUMNS: [(&str, bool); 8] = [
    ("#", true),
    ("HOST", false),
    ("TIER", false),
    ("dB", true),
    ("MAILS", true),
    ("REFUSED", true),
    ("SERVERS", true),
    ("LAST SEEN", false),
];
/// The column with the tier, which is coloured.
const TIER: usize = 2;
/// The column with the host, which may be too long for a line.
const HOST: usize = 1;

/// Writes the table and the sentence about the others.
pub(super) fn write(out: &mut dyn Write, results: &Results<'_>, style: Style) -> io::Result<()> {
    let hosts: Vec<&RankedHost> = results.judgement.hosts.iter().filter(|host| !host.classes.is_empty()).collect();
    let shown = hosts.get(..ROWS_MAX).unwrap_or(&hosts);
    let one_day = one_day(shown);
    let rows: Vec<[String; COLUMNS.len()]> = shown.iter().map(|host| cells(results, host, one_day)).collect();

    let mut widths = COLUMNS.map(|(heading, _)| width(heading));
    for row in &rows {
        for (cells, text) in widths.iter_mut().zip(row) {
            *cells = (*cells).max(width(text));
        }
    }
    // A long IPv6 address gets a line for itself rather than push everything aside.
    let rest: usize = widths.iter().sum::<usize>() - widths[HOST] + GAP * (COLUMNS.len() - 1);
    widths[HOST] = widths[HOST].min(style.columns().saturating_sub(rest)).max(width(COLUMNS[HOST].0));
    let used: usize = widths.iter().sum::<usize>() + GAP * COLUMNS.len();

    let headings = COLUMNS.map(|(heading, _)| heading.to_owned());
    let whats: Vec<String> = shown.iter().map(|host| what(host)).collect();
    // The longest text decides for all, so that the column is there for all or for none.
    let beside = whats.iter().all(|what| used + width(what) <= style.columns());
    let heading = line(&headings, &widths, |_, text| text.to_owned()) + if beside { "  WHAT" } else { "" };
    writeln!(out, "{}", style.paint(Tone::Heading, heading.trim_end()))?;
    for ((host, row), what) in shown.iter().zip(&rows).zip(&whats) {
        let text = line(row, &widths, |column, text| {
            style.paint(if column == TIER { tone(host.tier) } else { Tone::Plain }, text)
        });
        if beside {
            writeln!(out, "{text}  {what}")?;
        } else {
            writeln!(out, "{}", text.trim_end())?;
            let indent = widths[0] + GAP;
            writeln!(out, "{:indent$}{}", "", cut(what, style.columns() - indent))?;
        }
    }
    if hosts.len() > ROWS_MAX {
        let more = counted((hosts.len() - ROWS_MAX) as u64, "more host stands", "more hosts stand");
        writeln!(out, "{more} in the report (--report FILE).")?;
    }
    others(out, results, "Nothing against", style)
}

/// One line of the table.
fn line(
    row: &[String; COLUMNS.len()],
    widths: &[usize; COLUMNS.len()],
    paint: impl Fn(usize, &str) -> String,
) -> String {
    let mut text = String::new();
    for (column, (cell, cells)) in row.iter().zip(widths).enumerate() {
        if column > 0 {
            text.push_str(&" ".repeat(GAP));
        }
        text.push_str(&paint(column, &pad(cell, *cells, COLUMNS[column].1)));
        if column == HOST && width(cell) > *cells {
            text.push('\n');
            text.push_str(&" ".repeat(widths[0] + GAP + cells));
        }
    }
    text
}

pub(in crate::output) fn cells(results: &Results<'_>, host: &RankedHost, one_day: bool) -> [String; COLUMNS.len()] {
    let counts = &host.row.counts;
    let last = Clock::of(host.row.last);
    let scored =
        results.judgement.incidents.iter().any(|incident| {
            incident.host == host.row.host && !incident.class.is_victim() && incident.score_db.is_some()
        });
    [
        host.rank.to_string(),
        host.row.host.to_string(),
        host.tier.map_or("victim", Tier::name).to_owned(),
        if scored { format!("{:.1}", host.score_db) } else { "-".to_owned() },
        counts.transactions.to_string(),
        share(counts.rcpt_rejected, counts.rcpt_accepted + counts.rcpt_rejected),
        host.row.servers.count().to_string(),
        if one_day {
            last.time
        } else {
            format!("{} {}", &last.date.get(5..).unwrap_or_default(), &last.time.get(..5).unwrap_or_default())
        },
    ]
}

/// Of a hundred; a dash where there was nothing.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.0} %", part as f64 * 100.0 / whole as f64) }
}

/// Whether all were last seen on one day: then the hour tells more than the date.
pub(in crate::output) fn one_day(hosts: &[&RankedHost]) -> bool {
    let mut days = hosts.iter().map(|host| Clock::of(host.row.last).date);
    days.next().is_none_or(|first| days.all(|day| day == first))
}

fn tone(tier: Option<Tier>) -> Tone {
    match tier {
        Some(Tier::Confirmed) => Tone::Bad,
        Some(Tier::Likely | Tier::Suspect) => Tone::Doubtful,
        None => Tone::Plain,
    }
}

/// What it did and who it is: classes, name, hardware address.
pub(in crate::output) fn what(host: &RankedHost) -> String {
    let classes: Vec<&str> = host.classes.iter().map(|class| class.name()).collect();
    let mut parts = vec![classes.join(" ")];
    parts.extend(name(&host.row).map(|name| format!("\"{name}\"")));
    parts.extend(host.row.mac().map(|mac| mac.to_string()));
    parts.join(", ")
}

/// What a host is called, escaped.
pub(super) fn name(row: &HostRow) -> Option<String> {
    row.name().map(|name| safe(&name.escaped()).into_owned())
}

/// Writes the sentence about hosts without an incident.
pub(super) fn others(out: &mut dyn Write, results: &Results<'_>, begin: &str, style: Style) -> io::Result<()> {
    let others: Vec<&RankedHost> = results.judgement.hosts.iter().filter(|host| host.classes.is_empty()).collect();
    if others.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = others
        .iter()
        .take(OTHERS_MAX)
        .map(|host| {
            let server = if host.row.role == Role::Server { "mail server, " } else { "" };
            let mails = host.row.counts.transactions;
            format!("{} ({server}{})", host.row.host, counted(mails, "mail", "mails"))
        })
        .collect();
    let more = others.len() - named.len();
    let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
    let who = counted(others.len() as u64, "host", "hosts");
    let text = format!("{begin} {who} of yours on the SMTP ports: {}{more}.", named.join(", "));
    writeln!(out)?;
    paragraph(out, "", &text, style.columns())
}
