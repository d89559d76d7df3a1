//! The health of the capture: what was read, what was not looked at and why, what was lost, and what that means.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail;
use super::page::Page;
use crate::output::{Counts, FLOODS_MAX};
use crate::tui::app::App;
use crate::tui::text::{clean, grouped, short, span};

/// Draws the view.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    detail::draw(app, "what was read, and what was lost", &[left(app), right(app)], area, buffer);
}

fn left(app: &App) -> Page {
    let (theme, snapshot) = (&app.theme, &app.snapshot);
    let facts = &snapshot.facts;
    let mut page = Page::default();
    let mut fact = |label: &str, text: String, bad: bool| {
        page.hanging(format!("{label:24}"), theme.dim, clean(&text), if bad { theme.bad } else { theme.text });
    };
    let first = facts.inputs.iter().filter_map(|input| input.first_ts).min();
    if let Some(first) = first {
        fact("since", format!("{} ({})", first.plain(), span(snapshot.now.since(first))), false);
    }
    fact("frames", grouped(facts.frames.total), false);
    fact("of SMTP", grouped(facts.frames.smtp), false);
    if let Some(rate) = app.rate() {
        fact("frames a second", short(rate.round() as u64), false);
    }
    fact("connections that ended", grouped(snapshot.ended), false);
    if let Some(live) = &snapshot.live {
        fact("bytes", short(live.bytes), false);
        fact("dropped by the kernel", grouped(live.kernel_drops), live.kernel_drops > 0);
        fact("dropped by the device", grouped(live.interface_drops), live.interface_drops > 0);
        fact("dropped by the queue", grouped(live.queue_drops), live.queue_drops > 0);
        fact("waiting for judgement", grouped(live.waiting), false);
        fact("device went away", format!("{} times", live.outages), live.down);
    }
    fact("gaps in connections", grouped(facts.gaps), facts.gaps > 0);
    fact("bytes missing in them", grouped(facts.missed_bytes), facts.missed_bytes > 0);
    fact("copies of frames", grouped(facts.duplicates), false);
    fact("between strangers", format!("{} connections", grouped(snapshot.foreign)), false);
    let dropped = facts.drops.total();
    if dropped > 0 {
        page.gap();
        let text = "Frames were lost on the way in: mails may be missing, and what is found is surer than what is not. A larger \
                    --buffer, fewer tunnels or a filter help.";
        page.hanging("", theme.text, text, theme.doubtful);
    }
    if !snapshot.floods.is_empty() {
        page.heading("Floods", theme.heading);
        for flood in snapshot.floods.iter().take(FLOODS_MAX) {
            page.hanging("", theme.text, clean(&flood.says()), theme.bad);
        }
    }
    page
}

fn right(app: &App) -> Page {
    let (theme, facts) = (&app.theme, &app.snapshot.facts);
    let mut page = Page::default();
    let mut table = |title: &str, counts: &Counts| {
        if !counts.is_empty() {
            page.heading(title, theme.heading);
            for (name, count) in counts.iter() {
                page.line([(format!("{:32} ", name.replace('_', " ")), theme.dim), (grouped(count), theme.text)]);
            }
        }
    };
    table("Frames that are none of ours", &facts.frames.ignored);
    table("Frames that could not be read", &facts.frames.undecoded);
    table("Limits that were reached", &facts.limits_hit);
    page
}
