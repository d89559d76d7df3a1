//! Which rules may fit a text at all: one pass over the text for the strings that expressions begin with.
//!
//! One automaton for all expressions at once ([`regex::RegexSet`]) is as fast on what mail systems write, but its states
//! are sets of positions in a hundred expressions; a text made for it costs a new state for each byte, milliseconds for
//! a kilobyte (measured: 7 ms on average). So the expressions are run one by one, each small, and only those whose
//! beginnings occur.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::Extractor;
use smallvec::SmallVec;

use crate::detect::replies::Rule;

/// Beginnings of fewer bytes occur everywhere: a rule with such a one is always a candidate.
const BEGINNING_MIN: usize = 2;

/// Bytes of a beginning that are looked for; more tells hardly more.
const BEGINNING_MAX: usize = 12;

/// Beginnings of one expression. The longest built-in one has some 200.
const BEGINNINGS_MAX: usize = 1000;

/// A set of rules, by their places: four words hold 256 rules without an allocation.
type Set = SmallVec<[u64; 4]>;

#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// The beginnings, each once.
    beginnings: AhoCorasick,
    /// The rules of each beginning.
    rules: Vec<Set>,
    /// The rules that are always candidates: those without a text, or whose text may begin with anything.
    always: Set,
}

impl Candidates {
    pub(super) fn of(rules: &[Rule]) -> Result<Self, String> {
        let mut always: Set = smallvec::smallvec![0; rules.len().div_ceil(64)];
        let mut by_beginning: BTreeMap<Vec<u8>, Set> = BTreeMap::new();
        let empty = always.clone();
        for (at, rule) in rules.iter().enumerate() {
            match rule.text.as_deref().and_then(beginnings) {
                None => insert(&mut always, at),
                Some(beginnings) => {
                    for beginning in beginnings {
                        insert(by_beginning.entry(beginning).or_insert_with(|| empty.clone()), at);
                    }
                }
            }
        }
        let beginnings = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .build(by_beginning.keys())
            .map_err(|error| error.to_string())?;
        Ok(Self { beginnings, rules: by_beginning.into_values().collect(), always })
    }

    /// The places of the rules that may fit, ascending.
    pub(super) fn in_text(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let mut set = self.always.clone();
        for found in self.beginnings.find_overlapping_iter(text) {
            if let Some(rules) = self.rules.get(found.pattern().as_usize()) {
                set.iter_mut().zip(rules).for_each(|(word, more)| *word |= more);
            }
        }
        set.into_iter().enumerate().flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }
}

fn insert(set: &mut Set, at: usize) {
    if let Some(word) = set.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

/// The strings, in lower case, with one of which every match of the expression begins; `None` where there is no such
/// list, or where it would sort out nothing.
fn beginnings(text: &str) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(text).ok()?;
    let mut extractor = Extractor::new();
    extractor.limit_literal_len(BEGINNING_MAX).limit_total(BEGINNINGS_MAX);
    let found = extractor.extract(&hir);
    let beginnings: Vec<Vec<u8>> =
        found.literals()?.iter().map(|literal| literal.as_bytes().to_ascii_lowercase()).collect();
    beginnings.iter().all(|beginning| beginning.len() >= BEGINNING_MIN).then_some(beginnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Vec<String>> {
        Some(beginnings(text)?.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect())
    }

    #[test]
    fn every_match_begins_with_one_of_them() {
        assert_eq!(of("Spam(cop|haus)"), Some(vec!["spamcop".to_owned(), "spamhaus".to_owned()]));
        assert_eq!(of(r"\b(dbl|surbl)\b.*listed"), Some(vec!["dbl".to_owned(), "surbl".to_owned()]));
        assert_eq!(of("(a|bc)d"), Some(vec!["ad".to_owned(), "bcd".to_owned()]));
    }

    #[test]
    fn an_expression_that_may_begin_with_anything_has_none() {
        assert_eq!(of(r"\S+ blocked"), None);
        assert_eq!(of("(spam)?"), None);
        assert_eq!(of("x.*y"), None);
    }

    #[test]
    fn few_built_in_rules_with_a_text_are_always_candidates() {
        let rules = crate::detect::replies::ReplyRules::builtin();
        let always = rules.rules().iter().filter(|rule| rule.text.as_deref().is_some_and(|t| beginnings(t).is_none()));
        let ids: Vec<&str> = always.map(|rule| rule.id.as_str()).collect();
        assert!(ids.len() <= 2, "{ids:?}");
    }
}
