//! The lower pane, or the whole screen when it is zoomed: pages side by side where there is room, else one after the
//! other; what does not fit is scrolled to.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::page::{Page, Piece, put};
use crate::tui::app::App;
use crate::tui::text::{fit, width};

/// Two columns from so many cells on: each then has more than half of an ordinary terminal.
const WIDE: u16 = 110;
/// Between them.
const GUTTER: u16 = 2;

/// Draws pages under a title.
pub(super) fn draw(app: &App, title: &str, pages: &[Page], area: Rect, buffer: &mut Buffer) {
    let theme = &app.theme;
    if area.height == 0 {
        return;
    }
    let rule = format!("── {title} ");
    let rule = rule.clone() + &"─".repeat(usize::from(area.width).saturating_sub(width(&rule)));
    put(buffer, Rect { height: 1, ..area }, &[(fit(&rule, area.width.into(), false), theme.heading)]);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let columns: Vec<(Rect, Vec<Vec<Piece>>)> = if area.width >= WIDE && pages.len() > 1 {
        let each = (area.width - GUTTER) / 2;
        let right = Rect { x: body.x + each + GUTTER, width: area.width - each - GUTTER, ..body };
        let left = Rect { width: each, ..body };
        let mut rest = pages.get(1..).unwrap_or_default().iter();
        let first = pages.first().map(|page| page.lines(left.width.into())).unwrap_or_default();
        let second = rest.by_ref().flat_map(|page| page.lines(right.width.into())).collect();
        vec![(left, first), (right, second)]
    } else {
        let mut lines: Vec<Vec<Piece>> = Vec::new();
        for page in pages {
            let more = page.lines(body.width.into());
            if !lines.is_empty() && !more.is_empty() && lines.last().is_some_and(|line| !line.is_empty()) {
                lines.push(Vec::new());
            }
            lines.extend(more);
        }
        vec![(body, lines)]
    };
    let longest = columns.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
    let room = usize::from(body.height);
    let scrolled = app.scrolled.get().min(longest.saturating_sub(room));
    app.scrolled.set(scrolled);
    app.page.set(room.saturating_sub(1).max(1));
    for (column, lines) in &columns {
        for (row, line) in lines.iter().skip(scrolled).take(room).enumerate() {
            put(buffer, Rect { y: column.y + row as u16, height: 1, ..*column }, line);
        }
    }
    // How much more there is stands in the rule.
    let below = longest.saturating_sub(scrolled + room);
    if below > 0 || scrolled > 0 {
        let open = app.bindings.first(crate::tui::keys::Action::Open);
        let more =
            if app.zoomed { format!(" {below} more lines ↓ ") } else { format!(" {below} more lines: {open} ") };
        let cells = width(&more) as u16;
        if cells + 8 < area.width {
            let place = Rect { x: area.right() - cells - 2, y: area.y, width: cells, height: 1 };
            put(buffer, place, &[(more, theme.dim)]);
        }
    }
}
