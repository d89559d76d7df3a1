//! A table that shows as many columns as there is room for, and of its lines those around the selection.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::page::{Piece, paint, put};
use crate::tui::app::{App, View};
use crate::tui::text::{fit, width};

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Above it.
    pub(super) heading: &'static str,
    /// Cells that it takes at least, and at most where texts are longer.
    pub(super) cells: (usize, usize),
    /// Set to the right.
    pub(super) right: bool,
    /// Dropped first where it is largest; 0 is never dropped.
    pub(super) last: u8,
}

/// Draws a table; `row` gives the cells of a line, a piece a column.
pub(super) fn draw(
    app: &App,
    view: View,
    columns: &[Column],
    note: &str,
    area: Rect,
    buffer: &mut Buffer,
    row: impl Fn(usize) -> Vec<Piece>,
) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let theme = &app.theme;
    let (lines, selected) = (app.lists.order(view), app.lists.at(view));
    let room = usize::from(area.height.saturating_sub(1));
    app.page.set(room.max(1));
    // The selection stays in sight, in the middle where there is more on both sides.
    let first = selected.saturating_sub(room / 2).min(lines.len().saturating_sub(room));
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    app.drawn.set((body, first));
    let rows: Vec<Vec<Piece>> = lines.iter().skip(first).take(room).map(|&place| row(place as usize)).collect();
    let widths = widths(columns, &rows, usize::from(area.width));

    let mut heading = vec![(" ".to_owned(), theme.heading)];
    for (column, cells) in columns.iter().zip(&widths) {
        if let Some(cells) = cells {
            heading.push((fit(column.heading, *cells, column.right), theme.heading));
            heading.push((" ".to_owned(), Style::new()));
        }
    }
    if !note.is_empty() {
        heading.push((format!(" {note}"), theme.dim));
    }
    put(buffer, Rect { height: 1, ..area }, &heading);
    for (n, row) in rows.iter().enumerate() {
        let place = Rect { y: body.y + n as u16, height: 1, ..body };
        let is_selected = first + n == selected;
        let mut pieces = vec![((if is_selected { "▌" } else { " " }).to_owned(), theme.heading)];
        for ((text, style), (column, cells)) in row.iter().zip(columns.iter().zip(&widths)) {
            if let Some(cells) = cells {
                pieces.push((fit(text, *cells, column.right), *style));
                pieces.push((" ".to_owned(), Style::new()));
            }
        }
        put(buffer, place, &pieces);
        if is_selected {
            paint(buffer, place, theme.selected);
        }
    }
}

/// Cells of each column, `None` where it has no room.
fn widths(columns: &[Column], rows: &[Vec<Piece>], total: usize) -> Vec<Option<usize>> {
    let wanted: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(n, column)| {
            let longest = rows.iter().filter_map(|row| row.get(n)).map(|(text, _)| width(text)).max().unwrap_or(0);
            longest.max(width(column.heading)).clamp(column.cells.0, column.cells.1)
        })
        .collect();
    let mut widths: Vec<Option<usize>> = wanted.iter().copied().map(Some).collect();
    let used =
        |widths: &[Option<usize>]| -> usize { 1 + widths.iter().flatten().map(|cells| cells + 1).sum::<usize>() };
    // First texts are cut to what their columns need at least, then columns go; those that were cut come back to what
    // is left.
    while used(&widths) > total + 1 {
        let least: usize = 1 + columns
            .iter()
            .zip(&widths)
            .filter(|(_, cells)| cells.is_some())
            .map(|(column, _)| column.cells.0 + 1)
            .sum::<usize>();
        if least <= total + 1 {
            let over = used(&widths) - total - 1;
            let Some((place, spare)) = columns
                .iter()
                .zip(&widths)
                .enumerate()
                .filter_map(|(n, (column, cells))| cells.map(|cells| (n, cells.saturating_sub(column.cells.0))))
                .max_by_key(|(_, spare)| *spare)
            else {
                break;
            };
            if spare == 0 {
                break;
            }
            if let Some(cells) = widths.get_mut(place).and_then(Option::as_mut) {
                *cells -= spare.min(over).clamp(1, spare.div_ceil(2));
            }
        } else {
            let drop = columns.iter().zip(&widths).enumerate().filter(|(_, (_, cells))| cells.is_some());
            match drop.max_by_key(|(_, (column, _))| column.last) {
                Some((place, (column, _))) if column.last > 0 => widths[place] = None,
                _ => break,
            }
        }
    }
    widths
}
