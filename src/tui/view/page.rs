//! Text in lines of styled pieces, made for a width: what details, help and capture health are written on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::text::{cells_of, fit, width, wrap};

/// A piece of a line.
pub(super) type Piece = (String, Style);

/// Lines to be.
#[derive(Default)]
pub(super) struct Page {
    parts: Vec<Part>,
}

/// Makes lines once their width is known.
type Maker = Box<dyn Fn(usize) -> Vec<Vec<Piece>>>;

enum Part {
    /// One line, cut where it is too long.
    Line(Vec<Piece>),
    /// Pieces that go on in the next line where they do not fit.
    Flow(Vec<Piece>),
    /// A text that goes on below its beginning.
    Hanging { lead: Piece, text: Piece },
    /// What is drawn to the width.
    Made(Maker),
}

impl Page {
    /// A line of pieces; what does not fit is cut.
    pub(super) fn line(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.parts.push(Part::Line(pieces.into_iter().collect()));
    }

    /// Pieces two blanks apart; those that do not fit any more go on in the next line.
    pub(super) fn flow(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.parts.push(Part::Flow(pieces.into_iter().filter(|(text, _)| !text.is_empty()).collect()));
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

    /// Lines that depend on the width.
    pub(super) fn made(&mut self, make: impl Fn(usize) -> Vec<Vec<Piece>> + 'static) {
        self.parts.push(Part::Made(Box::new(make)));
    }

    /// An empty line, but none on top of another.
    pub(super) fn gap(&mut self) {
        if !self.ends_blank() {
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
            Some(Part::Flow(_) | Part::Hanging { .. } | Part::Made(_)) => false,
        }
    }

    /// The lines at a width.
    pub(super) fn lines(&self, cells: usize) -> Vec<Vec<Piece>> {
        let mut lines = Vec::new();
        for part in &self.parts {
            match part {
                Part::Line(pieces) => lines.push(pieces.clone()),
                Part::Made(make) => lines.extend(make(cells)),
                Part::Flow(pieces) => {
                    let (mut line, mut used) = (Vec::new(), 0);
                    for (text, style) in pieces {
                        let wide = width(text);
                        if used > 0 && used + 2 + wide > cells {
                            lines.push(std::mem::take(&mut line));
                            used = 0;
                        }
                        let gap = if used > 0 { "  " } else { "" };
                        line.push((format!("{gap}{text}"), *style));
                        used += gap.len() + wide;
                    }
                    lines.push(line);
                }
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

/// Writes a line of pieces into the cells of one line; nothing beyond them, and one character a cell: what terminals make
/// of several together is theirs to decide, and they differ.
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
        let cut = (width(text) > room).then(|| fit(text, room, false));
        for c in cut.as_deref().unwrap_or(text).chars() {
            let Some(cells) = cells_of(c) else { continue };
            let Some(cell) = buffer.cell_mut((x, area.y)) else { break };
            cell.set_char(c).set_style(*style);
            for beside in 1..cells as u16 {
                if let Some(cell) = buffer.cell_mut((x + beside, area.y)) {
                    cell.reset();
                    cell.set_style(*style);
                }
            }
            x += cells as u16;
        }
    }
}

/// Fills a line with a style.
pub(super) fn paint(buffer: &mut Buffer, area: Rect, style: Style) {
    buffer.set_style(area, style);
}
