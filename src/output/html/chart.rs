//! Charts as inline SVG: shapes alone. Their words stand beside them in HTML, so that they stay readable when a narrow
//! screen makes the drawing narrow.

use std::io::{self, Write};

use super::super::text::{Clock, grouped};
use super::super::timeline::{Bar, Timeline};
use super::text::Text;
use crate::incident::Incident;
use crate::time::{Span, Ts};

/// Units of a drawing's height.
const HEIGHT: f64 = 100.0;

/// Writes the mails of an incident's host over the time of the run, those it sent and those brought to it.
pub(super) fn mails(out: &mut dyn Write, timeline: &Timeline, incident: &Incident) -> io::Result<()> {
    let (Some(bars), Some(begin)) = (timeline.of(incident.host), timeline.begin()) else { return Ok(()) };
    let width = timeline.used();
    let mut any = false;
    for (what, bars) in [("sent by it", &bars.sent), ("brought to it", &bars.taken)] {
        let most = bars.iter().map(|bar| bar.total()).max().unwrap_or(0);
        if most == 0 {
            continue;
        }
        any = true;
        let stretch = in_words(timeline.stretch());
        writeln!(out, "<h3>Mails {what}</h3>")?;
        let says = format!("Mails {what} over time; at most {} in {stretch}", grouped(u64::from(most)));
        writeln!(
            out,
            r#"<svg class="chart" viewBox="0 0 {width} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{}">"#,
            Text(&says)
        )?;
        span(out, timeline, begin, incident)?;
        for (place, bar) in bars.iter().enumerate() {
            column(out, place, *bar, most)?;
        }
        writeln!(out, "</svg>")?;
        let end = begin
            + Span::from_nanos(timeline.stretch().as_nanos().saturating_mul(i64::try_from(width).unwrap_or(i64::MAX)));
        axis(out, begin, end, &format!("highest bar: {} in {stretch}", grouped(u64::from(most))))?;
    }
    if any {
        writeln!(
            out,
            r#"<p class="key small soft"><span><i class="ok"></i>accepted</span><span><i class="no"></i>refused</span><span><i class="none"></i>no connection</span></p>"#
        )?;
    }
    Ok(())
}

/// The time of the incident, behind the bars.
fn span(out: &mut dyn Write, timeline: &Timeline, begin: Ts, incident: &Incident) -> io::Result<()> {
    let units = |ts: Ts| ts.since(begin).as_secs_f64() / timeline.stretch().as_secs_f64();
    let from = units(incident.first).clamp(0.0, timeline.used() as f64);
    let to = units(incident.last).clamp(from, timeline.used() as f64);
    writeln!(out, r#"<rect class="span" x="{from:.2}" y="0" width="{:.2}" height="{HEIGHT}"/>"#, (to - from).max(0.3))
}

/// One bar: what was refused stands on what was accepted, what came to nothing on both.
fn column(out: &mut dyn Write, place: usize, bar: Bar, most: u32) -> io::Result<()> {
    let mut top = HEIGHT;
    for (class, count) in [("ok", bar.accepted), ("no", bar.refused), ("none", bar.failed)] {
        if count == 0 {
            continue;
        }
        let height = f64::from(count) / f64::from(most) * (HEIGHT - 4.0);
        top -= height;
        writeln!(
            out,
            r#"<rect class="{class}" x="{:.1}" y="{top:.1}" width="0.8" height="{height:.1}"/>"#,
            place as f64 + 0.1
        )?;
    }
    Ok(())
}

/// Writes when each incident was, all on one scale.
pub(super) fn overview(out: &mut dyn Write, incidents: &[&Incident], first: Ts, last: Ts) -> io::Result<()> {
    let whole = last.since(first).as_secs_f64().max(1e-9);
    let units = |ts: Ts| (ts.since(first).as_secs_f64() / whole * 1000.0).clamp(0.0, 1000.0);
    for (number, incident) in (1..).zip(incidents) {
        let (from, to) = (units(incident.first), units(incident.last));
        let width = (to - from).max(4.0);
        let class = if incident.class.is_victim() { " victim" } else { "" };
        writeln!(
            out,
            r##"<div class="lane"><span class="small"><a href="#i{number}">{}</a> <span class="soft">{}</span></span><svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="from {} to {}"><rect class="mark{class}" x="{:.1}" y="1" width="{width:.1}" height="8" rx="2"/></svg></div>"##,
            Text(incident.host),
            Text(incident.class.name()),
            Text(incident.first),
            Text(incident.last),
            from.min(1000.0 - width),
        )?;
    }
    axis(out, first, last, "")
}

/// The two ends of the scale in words.
fn axis(out: &mut dyn Write, first: Ts, last: Ts, between: &str) -> io::Result<()> {
    let (begin, end) = (Clock::of(first), Clock::of(last));
    let one_day = begin.date == end.date;
    let shown = |clock: Clock| if one_day { clock.time } else { format!("{} {}", clock.date, clock.time) };
    writeln!(
        out,
        r#"<div class="axis"><span>{}</span><span>{}</span><span>{} UTC</span></div>"#,
        Text(shown(begin)),
        Text(between),
        Text(shown(end))
    )
}

/// A stretch of whole seconds, in the largest unit that says enough.
fn in_words(stretch: Span) -> String {
    match stretch.as_nanos() / 1_000_000_000 {
        secs @ ..120 => format!("{secs} s"),
        secs @ ..7200 => format!("{:.0} min", secs as f64 / 60.0),
        secs => format!("{:.1} h", secs as f64 / 3600.0),
    }
}
