//! Text in lines of styled pieces, made for a width: what details, help and capture health are written on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::text::{fit, width, wrap};

/// A piece of a line.
pub(super) type Piece = (String, Style);

/// Lines to be.
#[derive(Default, Debug)]
pub(super) struct Page {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// One line, cut where it is too long.
    Line(Vec<Piece>),
    /// A text that goes on below its beginning.
    Hanging { lead: Piece, text: Piece },
}

impl Page {
    /// A line of pieces; what does not fit is cut.
    pub(super) fn line(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.parts.push(Part::Line(pieces.into_iter().collect()));
    }

    /// A text of any length beside a lead.
    pub(super) fn hanging(
        &mut self,
        lead: impl Into<String>,
        lead_style: Style,
        text: impl Into<String>,
        style: Style,
    ) {
        self.parts.push(Part::Hanging { lead: (lead.into(), lead_style), text: (text.into(), style) });
    }

    /// An empty line, but none on top of another.
    pub(super) fn gap(&mut self) {
        if !matches!(self.parts.last(), None | Some(Part::Line(_)) if self.ends_blank()) {
            self.parts.push(Part::Line(Vec::new()));
        }
    }

    /// A heading after a gap.
    pub(super) fn heading(&mut self, text: &str, style: Style) {
        self.gap();
        self.line([(text.to_owned(), style)]);
    }

    fn ends_blank(&self) -> bool {
        match self.parts.last() {
            None => true,
            Some(Part::Line(pieces)) => pieces.is_empty(),
            Some(Part::Hanging { .. }) => false,
        }
    }

    /// The lines at a width.
    pub(super) fn lines(&self, cells: usize) -> Vec<Vec<Piece>> {
        let mut lines = Vec::new();
        for part in &self.parts {
            match part {
                Part::Line(pieces) => lines.push(pieces.clone()),
                Part::Hanging { lead, text } => {
                    let indent = width(&lead.0).min(cells / 2);
                    for (n, line) in wrap(&text.0, cells - indent).into_iter().enumerate() {
                        let before = if n == 0 { fit(&lead.0, indent, false) } else { " ".repeat(indent) };
                        lines.push(vec![(before, lead.1), (line, text.1)]);
                    }
                }
            }
        }
        lines
    }
}

/// Writes a line of pieces into the cells of one line; nothing beyond them.
pub(super) fn put(buffer: &mut Buffer, area: Rect, pieces: &[Piece]) {
    let (mut x, end) = (area.x, area.right());
    if area.height == 0 {
        return;
    }
    for (text, style) in pieces {
        let room = usize::from(end.saturating_sub(x));
        if room == 0 {
            break;
        }
        let shown = if width(text) <= room { text.clone() } else { fit(text, room, false) };
        (x, _) = buffer.set_stringn(x, area.y, &shown, room, *style);
    }
}

/// Fills a line with a style.
pub(super) fn paint(buffer: &mut Buffer, area: Rect, style: Style) {
    buffer.set_style(area, style);
}
