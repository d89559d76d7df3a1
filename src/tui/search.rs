//! What the lines of a list are found by, made once with the snapshot: looking for a word in a hundred thousand lines must
//! not hold up the screen.

use std::fmt::Write;

use memchr::memmem::Finder;

use super::standing::Standing;
use crate::wire::Wire;

/// Bytes of one name that are looked at: no screen shows more of it, and hosts may call themselves anything.
const NAME_MAX: usize = 256;
/// Between the texts of two lines. Neither what is shown nor what is looked for has one in it.
const END: char = '\n';

/// Texts of many lines in small letters, one after the other in one piece of memory: a word is looked for in all of them
/// in one go, and nothing is made for it.
#[derive(Default, Debug)]
pub(super) struct Texts {
    text: String,
    /// Where the text of each line ends, its [`END`] included.
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a word of ours to the line that is being written.
    pub(super) fn word(&mut self, word: &str) {
        self.text.push_str(word);
        self.text.push(' ');
    }

    /// Adds an address or a number.
    pub(super) fn shown(&mut self, what: impl std::fmt::Display) {
        let _ = write!(self.text, "{what} ");
    }

    /// Adds words of the wire.
    pub(super) fn wire(&mut self, wire: Option<&Wire>) {
        let Some(wire) = wire else { return };
        let name = wire.escaped();
        self.word(&name[..name.floor_char_boundary(NAME_MAX)]);
    }

    /// Ends the line.
    pub(super) fn end(&mut self) {
        let begin = self.ends.last().copied().unwrap_or(0);
        match self.text.get_mut(begin..) {
            Some(text) if text.is_ascii() => text.make_ascii_lowercase(),
            _ => {
                let small = self.text.split_off(begin).to_lowercase();
                self.text.push_str(&small);
            }
        }
        self.text.push(END);
        self.ends.push(self.text.len());
    }

    /// Marks the lines that a word stands in.
    pub(super) fn mark(&self, word: &str, found: &mut [bool]) {
        if word.is_empty() {
            found.fill(true);
            return;
        }
        let (finder, bytes) = (Finder::new(word), self.text.as_bytes());
        let mut lines = self.ends.iter().zip(found);
        let mut at = 0;
        while let Some(hit) = bytes.get(at..).and_then(|rest| finder.find(rest)) {
            let Some((end, found)) = lines.find(|(end, _)| **end > at + hit) else { break };
            *found = true;
            at = *end;
        }
    }
}

/// What the lines of one list are found by.
#[derive(Default, Debug)]
pub(super) struct Lines {
    /// Addresses and names.
    pub(super) who: Texts,
    /// Classes.
    pub(super) classes: Texts,
    /// Anything else that is shown.
    pub(super) more: Texts,
    /// How each stands.
    pub(super) standing: Vec<Standing>,
    /// The score of each, if it has one.
    pub(super) score: Vec<Option<f64>>,
}

impl Lines {
    /// Of lines that stand so; `describe` writes what one is known by, and gives its score.
    pub(super) fn of<T>(items: &[T], standing: Vec<Standing>, describe: fn(&T, &mut Self) -> Option<f64>) -> Self {
        let mut lines = Self { standing, ..Self::default() };
        for item in items {
            let score = describe(item, &mut lines);
            lines.score.push(score);
            [&mut lines.who, &mut lines.classes, &mut lines.more].into_iter().for_each(Texts::end);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(lines: &[String]) -> Texts {
        let mut texts = Texts::default();
        for line in lines {
            texts.word(line);
            texts.end();
        }
        texts
    }

    fn found(lines: &[String], word: &str) -> Vec<bool> {
        let mut found = vec![false; lines.len()];
        texts(lines).mark(word, &mut found);
        found
    }

    #[test]
    fn words_do_not_reach_from_one_line_into_the_next() {
        let lines = ["ab", "ba", "", "AB ab"].map(str::to_owned);
        assert_eq!(found(&lines, "ab"), [true, false, false, true]);
        assert_eq!(found(&lines, "bba"), [false; 4]);
        assert_eq!(found(&lines, ""), [true; 4]);
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let mut texts = Texts::default();
        let name = "ä".repeat(10_000);
        texts.wire(Some(&name.as_str().into()));
        texts.end();
        assert!(texts.text.len() <= NAME_MAX + 2);
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_each_line_contains(
            lines in proptest::collection::vec("[a-cA-CÄß ]{0,6}", 0..20),
            word in "[a-cäß]{0,3}",
        ) {
            let each: Vec<bool> = lines.iter().map(|line| line.to_lowercase().contains(&word)).collect();
            prop_assert_eq!(found(&lines, &word), each);
        }
    }
}
