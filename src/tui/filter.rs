//! What of a list is shown: words that must all be there, some of them of one thing only.
//!
//! `host:192.168.` (address, name or hardware address), `class:mass`, `tier:confirmed`, `score>10`, `score<0`; any other
//! word is looked for everywhere. Large and small letters are the same.

use super::search::Lines;

/// What is looked for.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, PartialEq, Debug)]
enum Term {
    Host(String),
    Class(String),
    Tier(String),
    Above(f64),
    Below(f64),
    Any(String),
}

impl Filter {
    /// Reads what was typed; a half-typed number is a word like any other.
    pub(super) fn parse(text: &str) -> Self {
        let terms = text.split_whitespace().map(|word| {
            let word = word.to_lowercase();
            let after = |prefix: &str| word.strip_prefix(prefix).map(str::to_owned);
            let number = |prefix: &str| word.strip_prefix(prefix).and_then(|rest| rest.parse::<f64>().ok());
            if let Some(rest) = after("host:") {
                Term::Host(rest)
            } else if let Some(rest) = after("class:") {
                Term::Class(rest)
            } else if let Some(rest) = after("tier:") {
                Term::Tier(rest)
            } else if let Some(least) = number("score>") {
                Term::Above(least)
            } else if let Some(most) = number("score<") {
                Term::Below(most)
            } else {
                Term::Any(word)
            }
        });
        Self { terms: terms.collect() }
    }

    /// Whether everything is shown.
    pub(super) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Which lines are shown.
    pub(super) fn shown(&self, lines: &Lines) -> Vec<bool> {
        let mut shown = vec![true; lines.standing.len()];
        for term in &self.terms {
            let found = term.found(lines);
            shown.iter_mut().zip(found).for_each(|(shown, found)| *shown &= found);
        }
        shown
    }
}

impl Term {
    /// The lines that it is true of.
    fn found(&self, lines: &Lines) -> Vec<bool> {
        let mut found = vec![false; lines.standing.len()];
        let mut standing = |is: &dyn Fn(&str) -> bool| {
            found.iter_mut().zip(&lines.standing).for_each(|(found, standing)| *found |= is(standing.word()));
        };
        match self {
            Self::Tier(text) => standing(&|word| word.starts_with(text.as_str())),
            Self::Any(text) => {
                standing(&|word| word.contains(text.as_str()));
                for texts in [&lines.who, &lines.classes, &lines.more] {
                    texts.mark(text, &mut found);
                }
            }
            Self::Host(text) => lines.who.mark(text, &mut found),
            Self::Class(text) => lines.classes.mark(text, &mut found),
            Self::Above(_) | Self::Below(_) => {
                let is = |score: f64| match self {
                    Self::Above(least) => score > *least,
                    Self::Below(most) => score < *most,
                    _ => false,
                };
                found.iter_mut().zip(&lines.score).for_each(|(found, score)| *found = score.is_some_and(is));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::standing::Standing;

    #[test]
    fn all_words_must_be_there() {
        let mut lines = Lines::of(&[()], vec![Standing::Confirmed], |(), line| {
            line.who.word("192.168.10.23 pc-accounts 00:1c:c4:3a:10:23");
            line.classes.word("mass_mailer");
            Some(39.0)
        });
        for (text, shown) in [
            ("", true),
            ("host:192.168.10", true),
            ("host:PC-ACC", true),
            ("host:", true),
            ("host:mass", false),
            ("class:mass score>10", true),
            ("class:mass score>40", false),
            ("score<40 tier:conf", true),
            ("tier:onf", false),
            ("accounts mailer", true),
            ("onfirm", true),
            ("score>", false),
            ("score>x", false),
        ] {
            assert_eq!(Filter::parse(text).shown(&lines), [shown], "{text}");
        }
        lines.score = vec![None];
        assert_eq!(Filter::parse("score>0").shown(&lines), [false]);
    }
}
