//! RFC 5424.

use std::fmt::Write;

use super::{fitting, plain, priority};
use crate::incident::Incident;
use crate::time::Ts;

/// The name of our structured data. There is no number of our own in IANA's list of enterprises; this one is set aside
/// for what has none (RFC 5612).
const ELEMENT: &str = "smtphound@32473";

/// One incident.
pub(super) fn message(host: &str, event: &str, ts: Ts, incident: &Incident) -> String {
    let class = incident.class.name();
    let mut text = format!("<{}>1 {} {host} smtphound - {class} [{ELEMENT}", priority(incident.severity), stamp(ts));
    let score = incident.score_db.map(|score| format!("{score:.1}"));
    for (name, value) in [
        ("event", Some(event.to_owned())),
        ("incident", Some(incident.id.to_string())),
        ("class", Some(class.to_owned())),
        ("kind", incident.kind.map(str::to_owned)),
        ("tier", Some(incident.tier.name().to_owned())),
        ("severity", Some(incident.severity.name().to_owned())),
        ("confidence", Some(incident.confidence.name().to_owned())),
        ("host", Some(incident.host.to_string())),
        ("score_db", score),
        ("first_ts", Some(incident.first.to_string())),
        ("last_ts", Some(incident.last.to_string())),
        ("account", incident.accounts.first().map(|account| account.to_string().chars().take(256).collect())),
    ] {
        if let Some(value) = value {
            let _ = write!(text, " {name}=\"{}\"", value_of(&value));
        }
    }
    // The mark says that the text is UTF-8 (section 6.4).
    text.push_str("] \u{feff}");
    let summary = plain(&incident.summary);
    text.push_str(fitting(&summary, &text));
    text
}

/// Section 6.3.3: the quote, the backslash and the closing bracket are escaped.
fn value_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Section 6.2.3: six digits of a second at most.
fn stamp(ts: Ts) -> String {
    let text = ts.to_string();
    match text.trim_end_matches('Z').split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}Z", fraction.get(..6).unwrap_or(fraction)),
        None => text,
    }
}
