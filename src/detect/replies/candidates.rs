//! Which rules may fit a text at all: one pass over the text for the strings that expressions begin with.
//!
//! One automaton for all expressions at once ([`regex::RegexSet`]) is as fast on what mail systems write, but its states
//! are sets of positions in a hundred expressions; a text made for it costs a new state for each byte, milliseconds for
//! a kilobyte (measured: 7 ms on average). So the expressions are run one by one, each small, and only those whose
//! beginnings occur.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::Extractor;
use smallvec::SmallVec;

use crate::detect::replies::{Rule, TEXT_MAX};

/// Beginnings of fewer bytes occur everywhere: a rule with such a one is always a candidate.
const BEGINNING_MIN: usize = 2;

/// Bytes of a beginning that are looked for; more tells hardly more.
const BEGINNING_MAX: usize = 12;

/// Beginnings of one expression. The longest built-in one has some 200.
const BEGINNINGS_MAX: usize = 1000;

/// A set of rules, by their places: four words hold 256 rules without an allocation.
type Set = SmallVec<[u64; 4]>;

/// What a beginning is found by: its first four bytes, or all it has, in lower case.
type Anchor = u32;

/// Flags of a pair of bytes: there is a beginning of two bytes, of three, of more.
const ANCHOR_LENS: [(u8, usize); 3] = [(1, 2), (2, 3), (4, 4)];

/// Every place of a text is looked up by two bytes in `pairs`; few pass, and for those the anchor is looked up. (An
/// automaton for some thousand strings takes 20 ms to build, and its steps cost as much as these.)
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// Flags by the first two bytes.
    pairs: Vec<u8>,
    /// Beginnings by anchor, each with its rules.
    anchors: HashMap<Anchor, Vec<(Vec<u8>, Set)>, RandomState>,
    /// The rules that are always candidates: those without a text, or whose text may begin with anything.
    always: Set,
}

impl Candidates {
    pub(super) fn of(rules: &[Rule]) -> Self {
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
        let mut found = Self { pairs: vec![0; 1 << 16], anchors: HashMap::default(), always };
        for (beginning, rules) in by_beginning {
            let (flag, len) = ANCHOR_LENS[beginning.len().clamp(BEGINNING_MIN, 4) - BEGINNING_MIN];
            found.pairs[pair(&beginning)] |= flag;
            found.anchors.entry(anchor(&beginning, len)).or_default().push((beginning, rules));
        }
        found
    }

    /// The places of the rules that may fit, ascending.
    pub(super) fn in_text(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let mut set = self.always.clone();
        let mut buffer = [0; TEXT_MAX];
        let len = text.len().min(TEXT_MAX);
        let lower = &mut buffer[..len];
        lower.copy_from_slice(&text[..len]);
        lower.make_ascii_lowercase();
        for at in 0..len.saturating_sub(1) {
            let rest = &lower[at..];
            let flags = self.pairs[pair(rest)];
            if flags == 0 {
                continue;
            }
            for (flag, len) in ANCHOR_LENS {
                if flags & flag == 0 || rest.len() < len {
                    continue;
                }
                for (beginning, rules) in self.anchors.get(&anchor(rest, len)).into_iter().flatten() {
                    if rest.starts_with(beginning) {
                        set.iter_mut().zip(rules).for_each(|(word, more)| *word |= more);
                    }
                }
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

/// The first two bytes as a number; there are two.
fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// The first `len` bytes, at most four, as a number.
fn anchor(bytes: &[u8], len: usize) -> Anchor {
    bytes[..len].iter().fold(0, |anchor, &byte| anchor << 8 | u32::from(byte))
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
