//! What the keys are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail;
use super::page::Page;
use crate::tui::app::App;
use crate::tui::text::fit;

/// Cells of the keys, and of a column with what they do.
const KEYS: usize = 17;
const COLUMN: usize = 40;

/// Draws the help.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let table = app.bindings.table();
    let mut page = Page::default();
    page.made(move |cells| {
        let columns = (cells / COLUMN).clamp(1, 3);
        let lines = table.len().div_ceil(columns);
        let piece = |place: usize| {
            let (keys, does) = table.get(place).map_or(("", ""), |(keys, does)| (keys.as_str(), *does));
            [(fit(keys, KEYS, false) + " ", theme.heading), (fit(does, COLUMN - KEYS - 1, false), theme.text)]
        };
        (0..lines).map(|line| (0..columns).flat_map(|column| piece(column * lines + line)).collect()).collect()
    });
    page.gap();
    for (lead, text) in [
        ("filter  ", "host:192.168. class:mass tier:confirmed score>10, or any word"),
        ("tiers   ", "CONFIRMED: proof, or strong evidence of two kinds; likely: more than not"),
        ("early   ", "a suspicion younger than half a minute: a mail server looks so at first"),
        ("dB      ", "what speaks for it: 10 more make it ten times as likely, 0 is even"),
        ("REF%    ", "recipients refused; SRVS: servers tried; RATE: the last 90 s"),
    ] {
        page.hanging(lead, theme.heading, text, theme.text);
    }
    detail::draw(app, "keys", &[page], area, buffer);
}
