//! What the keys are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail;
use super::page::Page;
use crate::tui::app::App;

/// Draws the help.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = &app.theme;
    let keys = app.bindings.table();
    let half = keys.len().div_ceil(2);
    let mut pages = Vec::new();
    for part in keys.chunks(half.max(1)) {
        let mut page = Page::default();
        for (keys, does) in part {
            page.line([(format!("{keys:20} "), theme.heading), ((*does).to_owned(), theme.text)]);
        }
        pages.push(page);
    }
    let mut more = Page::default();
    more.gap();
    more.hanging(
        "filter    ",
        theme.heading,
        "host:192.168. class:mass tier:confirmed score>10; any other word is looked for everywhere",
        theme.text,
    );
    more.hanging(
        "tier      ",
        theme.heading,
        "CONFIRMED is proof, or strong evidence of two kinds; likely is more likely than not; suspect is worth a look",
        theme.text,
    );
    more.hanging(
        "dB        ",
        theme.heading,
        "what speaks for it: 10 dB make it ten times as likely, 0 dB are even odds",
        theme.text,
    );
    if let Some(last) = pages.last_mut() {
        // Under the right column where there are two.
        std::mem::swap(last, &mut more);
        pages.push(more);
        let count = pages.len();
        pages.swap(count - 1, count - 2);
    }
    detail::draw(app, "keys", &pages, area, buffer);
}
