//! Text for people: widths, wrapping at word borders, colours that are never the only signal.
//!
//! What comes here is escaped already. Should something slip through all the same, no control character passes.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::time::Ts;

/// How text for people looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    columns: usize,
    color: bool,
}

impl Style {
    /// The width where there is no terminal, and the least that is written for.
    pub const COLUMNS: usize = 80;
    /// Longer lines are hard to read.
    const COLUMNS_MAX: usize = 140;

    /// For a width, with or without colours.
    pub fn new(columns: usize, color: bool) -> Self {
        Self { columns: columns.clamp(Self::COLUMNS, Self::COLUMNS_MAX), color }
    }

    /// The width.
    pub const fn columns(self) -> usize {
        self.columns
    }

    /// A text in a tone, if there are colours.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.color => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// What a colour means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    Heading,
    Bad,
    Doubtful,
}

impl Tone {
    /// SGR parameters (ECMA-48 section 8.3.117); the sixteen colours are the terminal's own, light or dark.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1"),
            Self::Bad => Some("1;31"),
            Self::Doubtful => Some("33"),
        }
    }
}

/// Cells that a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// A text without control characters.
pub(super) fn safe(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| !(b' '..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A text on the right or the left of so many cells; a longer one stays as it is.
pub(super) fn pad(text: &str, cells: usize, right: bool) -> String {
    let blanks = " ".repeat(cells.saturating_sub(width(text)));
    if right { blanks + text } else { text.to_owned() + &blanks }
}

/// A text cut to so many cells, with a mark where something is missing.
pub(super) fn cut(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut used = 3;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= cells
    });
    kept.collect::<String>() + "..."
}

/// Writes a text in lines of at most `columns` cells, broken at blanks: the first line after `lead`, the others as far
/// in. A word too long for a line of its own is broken where the line ends.
pub(crate) fn paragraph(out: &mut dyn Write, lead: &str, text: &str, columns: usize) -> io::Result<()> {
    let indent = width(lead);
    let room = columns.saturating_sub(indent).max(1);
    let mut shown = String::with_capacity(lead.len() + text.len() + text.len() / 8 + 1);
    shown.push_str(lead);
    let mut used = 0;
    for word in safe(text).split_whitespace() {
        pieces(word, room, |piece, cells, begins| {
            let blank = usize::from(begins && used > 0);
            if used > 0 && used + blank + cells > room {
                shown.push('\n');
                shown.extend(std::iter::repeat_n(' ', indent));
                used = cells;
            } else {
                shown.push_str(if blank > 0 { " " } else { "" });
                used += blank + cells;
            }
            shown.push_str(piece);
        });
    }
    shown.push('\n');
    out.write_all(shown.as_bytes())
}

/// A word in pieces of at most `room` cells: the piece, its width, and whether the word begins with it.
fn pieces<'a>(word: &'a str, room: usize, mut each: impl FnMut(&'a str, usize, bool)) {
    if word.len() <= room && word.is_ascii() {
        return each(word, word.len(), true);
    }
    let (mut start, mut cells) = (0, 0);
    for (place, c) in word.char_indices() {
        let more = c.width().unwrap_or(0);
        if cells > 0 && cells + more > room {
            each(word.get(start..place).unwrap_or_default(), cells, start == 0);
            (start, cells) = (place, 0);
        }
        cells += more;
    }
    each(word.get(start..).unwrap_or_default(), cells, start == 0);
}

/// A count with commas between thousands.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 host`, `7 hosts`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// The parts of a stamp that people read, without its fraction.
pub(super) struct Clock {
    pub(super) date: String,
    pub(super) time: String,
}

impl Clock {
    pub(super) fn of(ts: Ts) -> Self {
        let text = ts.to_string();
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
        Self { date: part(0..10), time: part(11..19) }
    }
}

/// A stretch of time; the date is not repeated within a day.
pub(crate) fn period(first: Ts, last: Ts) -> String {
    let (first, last) = (Clock::of(first), Clock::of(last));
    if first.date != last.date {
        format!("{} {} to {} {} UTC", first.date, first.time, last.date, last.time)
    } else if first.time != last.time {
        format!("{} {} to {} UTC", first.date, first.time, last.time)
    } else {
        format!("{} {} UTC", first.date, first.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(lead: &str, text: &str, columns: usize) -> String {
        let mut out = Vec::new();
        paragraph(&mut out, lead, text, columns).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_stay_whole_and_hang_under_the_lead() {
        assert_eq!(wrapped(" - ", "one two three four", 12), " - one two\n   three\n   four\n");
        assert_eq!(wrapped("", "a 0123456789abcde x", 8), "a\n01234567\n89abcde\nx\n");
        assert_eq!(wrapped(" ", "0123456789 x", 8), " 0123456\n 789 x\n");
        assert_eq!(wrapped("> ", "", 8), "> \n");
    }

    #[test]
    fn wide_characters_count_as_they_are_shown() {
        assert_eq!(wrapped("", "日本 日本 日本", 9), "日本 日本\n日本\n");
        assert_eq!(cut("日本日本", 7), "日本...");
        assert_eq!(pad("日本", 6, true), "  日本");
    }

    #[test]
    fn no_control_character_passes() {
        assert!(!wrapped("", "a\x1b[2J \u{9b}31m \x07b", 80).contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!((counted(1, "host", "hosts"), counted(0, "host", "hosts")), ("1 host".into(), "0 hosts".into()));
    }

    #[test]
    fn colours_are_left_out_where_there_are_none() {
        assert_eq!(Style::new(80, false).paint(Tone::Bad, "confirmed"), "confirmed");
        assert_eq!(Style::new(80, true).paint(Tone::Bad, "confirmed"), "\x1b[1;31mconfirmed\x1b[0m");
        assert_eq!(Style::new(80, true).paint(Tone::Plain, "x"), "x");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_out_of_its_lines(text: String, columns in 4..200_usize) {
            let shown = wrapped("- ", &text, columns);
            for line in shown.lines() {
                // One character may be wider than what is left.
                proptest::prop_assert!(width(line) <= columns.max(2 + 2), "{line:?}");
                proptest::prop_assert!(!line.contains(char::is_control));
            }
            let words = |text: &str| text.split_whitespace().collect::<String>();
            proptest::prop_assert_eq!(words(shown.strip_prefix("- ").unwrap_or_default()), words(&safe(&text)));
        }
    }
}
