//! Text for a grid of cells: what is shown takes exactly the room that is counted for it, whatever it is.
//!
//! What comes here from the wire is escaped already (`crate::wire`). Here goes what would still make a terminal and this
//! program count differently: characters without a width of their own that join others, and pairs that terminals draw as
//! one. Read Unicode's UAX #11 for widths.

pub(super) use crate::output::{counted, grouped};
use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use crate::time::{Span, Ts};
use crate::wire::escape;

/// Marks where something was cut off.
const CUT: char = '…';

/// Cells that a character takes, or `None` where terminals do not agree.
pub(super) fn cells_of(c: char) -> Option<usize> {
    match c {
        // Regional indicators pair up to flags, skin tones join the one before.
        '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}' => None,
        // One letter of Khmer takes three by the book, and terminals draw it in one.
        _ => c.width().filter(|width| (1..=2).contains(width)),
    }
}

/// A text of which each character stands in cells of its own.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if cells_of(c).is_some() { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Bytes of the wire as a line.
pub(super) fn line_of(bytes: &[u8]) -> String {
    clean(&escape(bytes))
}

/// Cells that a clean text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| cells_of(c).unwrap_or(1)).sum()
}

/// A clean text in exactly so many cells: cut with a mark, or filled up with blanks on the right (on the left if it is
/// set to the right).
pub(super) fn fit(text: &str, cells: usize, right: bool) -> String {
    let total = width(text);
    if total <= cells {
        let blanks = " ".repeat(cells - total);
        return if right { blanks + text } else { text.to_owned() + &blanks };
    }
    let mut kept = String::with_capacity(cells * 3);
    let mut used = 0;
    for c in text.chars() {
        let more = cells_of(c).unwrap_or(1);
        if used + more + 1 > cells {
            break;
        }
        used += more;
        kept.push(c);
    }
    if used < cells {
        kept.push(CUT);
        used += 1;
    }
    kept.push_str(&" ".repeat(cells.saturating_sub(used)));
    kept
}

/// A clean text in lines of at most so many cells, broken at blanks, long words where the line ends.
pub(super) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for word in text.split_whitespace() {
        let mut rest = word;
        loop {
            let wide = width(rest);
            let gap = usize::from(used > 0);
            if used + gap + wide <= cells {
                if gap > 0 {
                    line.push(' ');
                }
                line.push_str(rest);
                used += gap + wide;
                break;
            }
            if used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
                continue;
            }
            // Longer than a line.
            let mut taken = 0;
            let mut end = 0;
            for (place, c) in rest.char_indices() {
                let more = cells_of(c).unwrap_or(1);
                if taken > 0 && taken + more > cells {
                    break;
                }
                taken += more;
                end = place + c.len_utf8();
            }
            lines.push(rest.get(..end).unwrap_or_default().to_owned());
            rest = rest.get(end..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A count in at most five cells: `999`, `1.2k`, `34k`, `5.6M`.
pub(super) fn short(count: u64) -> String {
    const UNITS: [(u64, char); 4] = [(1_000_000_000_000, 'T'), (1_000_000_000, 'G'), (1_000_000, 'M'), (1_000, 'k')];
    for (unit, letter) in UNITS {
        if count >= unit {
            let tenths = count / (unit / 10);
            return if tenths < 100 {
                format!("{}.{}{letter}", tenths / 10, tenths % 10)
            } else {
                format!("{}{letter}", tenths / 10)
            };
        }
    }
    count.to_string()
}

/// Of a hundred, or a dash where there was nothing.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.0}%", part as f64 * 100.0 / whole as f64) }
}

/// The hour of a stamp, or its day where that is another one than today's.
pub(super) fn clock(at: Ts, now: Ts) -> String {
    let (at, now) = (at.to_string(), now.to_string());
    let part = |text: &str, range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    if at.get(..10) == now.get(..10) {
        part(&at, 11..19)
    } else {
        format!("{} {}", part(&at, 5..10), part(&at, 11..16))
    }
}

/// A length of time in a word.
pub(super) fn span(span: Span) -> String {
    let secs = span.as_nanos() / 1_000_000_000;
    match secs {
        ..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs / 60),
        3600..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// Bars from nothing to full, an eighth more each.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Numbers as a row of bars, as high as `max`; anything at all is seen.
pub(super) fn sparkline(values: impl IntoIterator<Item = u32>, max: u32) -> String {
    let max = u64::from(max.max(1));
    values
        .into_iter()
        .map(|value| BARS[if value == 0 { 0 } else { (u64::from(value) * 8 / max).clamp(1, 8) as usize }])
        .collect()
}

/// A horizontal bar of `value` out of `max` in at most so many cells, to an eighth of a cell.
pub(super) fn bar(value: f64, max: f64, cells: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = if max > 0.0 { (value / max).clamp(0.0, 1.0) * (cells * 8) as f64 } else { 0.0 };
    let eighths = (eighths.round() as usize).max(usize::from(value > 0.0));
    let mut text = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        let _ = write!(text, "{}", EIGHTHS[eighths % 8]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_counts_stay_short() {
        for (count, text) in
            [(0, "0"), (999, "999"), (1_000, "1.0k"), (12_345, "12k"), (999_999, "999k"), (1_234_567, "1.2M")]
        {
            assert_eq!(short(count), text);
        }
        assert!(width(&short(u64::MAX)) <= 9);
    }

    #[test]
    fn cut_texts_show_it() {
        assert_eq!(fit("192.168.10.23", 8, false), "192.168…");
        assert_eq!(fit("日本語", 4, false), "日… ");
        assert_eq!(fit("x", 3, true), "  x");
        assert_eq!(fit("xyz", 0, false), "");
    }

    #[test]
    fn what_joins_or_turns_is_gone() {
        assert_eq!(clean("e\u{301}\u{fe0f}🇩🇪"), "e\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(line_of("a\u{202e}b\x1b[2J".as_bytes()), "a\\xe2\\x80\\xaeb\\x1b[2J");
    }

    #[test]
    fn bars_show_anything_that_is_not_nothing() {
        assert_eq!(sparkline([0, 1, 400, 800], 800), " ▁▄█");
        assert_eq!(
            (bar(0.0, 10.0, 4), bar(0.01, 10.0, 4), bar(10.0, 10.0, 4)),
            (String::new(), "▏".into(), "████".into())
        );
        assert_eq!(bar(5.0, 10.0, 4), "██");
    }

    proptest! {
        #[test]
        fn texts_fit_and_lines_hold(text in any::<String>(), cells in 0_usize..40) {
            let text = clean(&text);
            prop_assert_eq!(width(&fit(&text, cells, false)), cells);
            prop_assert_eq!(width(&fit(&text, cells, true)), cells);
            for line in wrap(&text, cells) {
                // A wide character does not fit into one cell, and nowhere else either.
                prop_assert!(width(&line) <= cells.max(2));
            }
        }
    }
}
