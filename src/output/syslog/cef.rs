//! ArcSight's Common Event Format, version 0, behind a header of RFC 3164.

use std::fmt::Write;

use super::{fitting, plain, priority};
use crate::detect::Severity;
use crate::incident::Incident;
use crate::time::Ts;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// One incident.
pub(super) fn message(host: &str, event: &str, ts: Ts, incident: &Incident) -> String {
    let class = incident.class.name();
    let mut text = format!(
        "<{}>{} {host} CEF:0|smtphound|smtphound|{}|{}|{} on {}|{}|",
        priority(incident.severity),
        stamp(ts),
        env!("CARGO_PKG_VERSION"),
        header(class),
        header(class),
        header(&incident.host.to_string()),
        weight(incident.severity)
    );
    // Addresses of version 6 have keys of their own.
    let address = incident.host.to_string();
    let (source, label) = if incident.host.is_v4() { ("src", None) } else { ("c6a2", Some("Source IPv6 Address")) };
    let score = incident.score_db.map(|score| format!("{score:.1}"));
    for (name, value) in [
        ("act", Some(event.to_owned())),
        ("cat", Some(class.to_owned())),
        ("externalId", Some(incident.id.to_string())),
        ("rt", Some(millis(ts))),
        ("start", Some(millis(incident.first))),
        ("end", Some(millis(incident.last))),
        (source, Some(address)),
        ("c6a2Label", label.map(str::to_owned)),
        ("suser", incident.accounts.first().map(|account| account.to_string().chars().take(256).collect())),
        ("cs1Label", Some("tier".to_owned())),
        ("cs1", Some(incident.tier.name().to_owned())),
        ("cs2Label", incident.kind.map(|_| "kind".to_owned())),
        ("cs2", incident.kind.map(str::to_owned)),
        ("cfp1Label", score.as_ref().map(|_| "scoreDb".to_owned())),
        ("cfp1", score),
    ] {
        if let Some(value) = value {
            let _ = write!(text, "{name}={} ", extension(&value));
        }
    }
    text.push_str("msg=");
    let summary = extension(&incident.summary);
    // A cut behind a lone backslash would escape what a receiver adds.
    let fits = fitting(&summary, &text);
    let slashes = fits.len() - fits.trim_end_matches('\\').len();
    let fits = fits.get(..fits.len() - slashes % 2).unwrap_or(fits);
    text.push_str(fits);
    text
}

/// In the header the bar and the backslash are escaped.
fn header(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// In the extension the backslash and the equals sign are escaped.
fn extension(text: &str) -> String {
    plain(text).replace('\\', "\\\\").replace('=', "\\=")
}

/// From 0 to 10.
const fn weight(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 10,
        Severity::High => 8,
        Severity::Medium => 6,
        Severity::Low => 3,
        Severity::Info => 1,
    }
}

fn millis(ts: Ts) -> String {
    (ts.as_nanos() / 1_000_000).to_string()
}

/// RFC 3164 section 4.1.2: `Mmm dd hh:mm:ss`, the day with a blank for a missing digit; here in UTC.
fn stamp(ts: Ts) -> String {
    let text = ts.to_string();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<usize>().ok());
    let month = number(5..7).and_then(|month| MONTHS.get(month.wrapping_sub(1))).unwrap_or(&"Jan");
    format!("{month} {:>2} {}", number(8..10).unwrap_or(1), text.get(11..19).unwrap_or("00:00:00"))
}
