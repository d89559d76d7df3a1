//! Cells of a terminal as SVG: a rectangle where there is a background, a text for each run of one style.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Pixels of a cell, of the letters in it, and around all.
const CELL_WIDE: f64 = 8.4;
const CELL_HIGH: f64 = 18.0;
const LETTERS: f64 = 14.0;
const MARGIN: f64 = 12.0;
/// A dark terminal.
const PAPER: &str = "#16181d";
const INK: &str = "#d0d4dc";

/// The picture.
pub(crate) fn of(buffer: &Buffer) -> String {
    let (columns, lines) = (f64::from(buffer.area.width), f64::from(buffer.area.height));
    let (wide, high) = (columns * CELL_WIDE + 2.0 * MARGIN, lines * CELL_HIGH + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.1} {high:.1}\" font-family=\"ui-monospace, \
         'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{LETTERS}\">\n<rect width=\"{wide:.1}\" \
         height=\"{high:.1}\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let begin = x;
            let first = &buffer[(x, y)];
            let mut text = String::new();
            while x < buffer.area.width && same(first, &buffer[(x, y)]) {
                text.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            run(&mut svg, first, &text, f64::from(begin), f64::from(x - begin), f64::from(y));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn same(a: &Cell, b: &Cell) -> bool {
    (a.fg, a.bg, a.modifier) == (b.fg, b.bg, b.modifier)
}

fn run(svg: &mut String, cell: &Cell, text: &str, column: f64, cells: f64, line: f64) {
    let (left, top, wide) = (MARGIN + column * CELL_WIDE, MARGIN + line * CELL_HIGH, cells * CELL_WIDE);
    if let Some(paper) = color(cell.bg) {
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{CELL_HIGH}\" fill=\"{paper}\"/>"
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let ink = color(cell.fg).unwrap_or_else(|| INK.to_owned());
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let baseline = top + 13.5;
    let _ = writeln!(
        svg,
        "<text x=\"{left:.1}\" y=\"{baseline:.1}\" fill=\"{ink}\" textLength=\"{wide:.1}\" \
         lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"{bold}>{escaped}</text>"
    );
}

/// A colour of a terminal; `None` is what it has by itself.
fn color(color: Color) -> Option<String> {
    let named = match color {
        Color::Reset => return None,
        Color::Black => "#000000",
        Color::Red => "#c4302b",
        Color::Green => "#57a64a",
        Color::Yellow => "#b58900",
        Color::Blue => "#3b78c2",
        Color::Magenta => "#a347ba",
        Color::Cyan => "#3fa7b8",
        Color::Gray => "#b0b4bc",
        Color::DarkGray => "#767c88",
        Color::LightRed => "#ff6b63",
        Color::LightGreen => "#8ad67b",
        Color::LightYellow => "#f2cf63",
        Color::LightBlue => "#6cb2ff",
        Color::LightMagenta => "#d98aee",
        Color::LightCyan => "#7be0f0",
        Color::White => "#ffffff",
        Color::Rgb(r, g, b) => return Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(n) => return Some(indexed(n)),
    };
    Some(named.to_owned())
}

/// The 256 colours of xterm: after sixteen named ones a cube of six steps a side, then shades of grey.
fn indexed(n: u8) -> String {
    let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match n {
        0..16 => INK.to_owned(),
        16..232 => {
            let n = n - 16;
            format!("#{:02x}{:02x}{:02x}", step(n / 36), step(n / 6 % 6), step(n % 6))
        }
        232.. => {
            let shade = 8 + 10 * (n - 232);
            format!("#{shade:02x}{shade:02x}{shade:02x}")
        }
    }
}
