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

/// Every place of a text is looked up by its first bytes in filters of bits; hardly any passes that is no beginning, and
/// for those the beginnings are compared, each as one number. (An automaton for the two thousand of the built-in rules
/// takes 20 ms to build.)
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    /// The first three bytes of all beginnings; of shorter ones with any byte after them.
    likely: Filter,
    /// For each of [`KEY_LENS`]: a mask of so many bytes, and the beginnings that are looked up by them.
    keys: [(u64, Filter); KEY_LENS.len()],
    /// Beginnings by their first bytes, as many as [`KEY_LENS`] allows.
    beginnings: HashMap<u64, Vec<Beginning>, RandomState>,
    /// The rules that are always candidates: those without a text, or whose text may begin with anything.
    always: Set,
}

/// The bytes of a beginning in lower case, the first one lowest, and the rules that it may be one of.
#[derive(Clone, Debug)]
struct Beginning {
    bytes: u128,
    mask: u128,
    rules: Set,
}

/// Bytes by which beginnings are looked up: the more, the fewer are to be compared.
const KEY_LENS: [usize; 3] = [6, 3, BEGINNING_MIN];

/// Bytes of the number that a beginning is.
const WINDOW: usize = size_of::<u128>();
const _: () = assert!(BEGINNING_MAX < WINDOW);

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
        let keys = KEY_LENS.map(|len| (first(u128::MAX, len), Filter::new()));
        let mut found = Self { likely: Filter::new(), keys, beginnings: HashMap::default(), always };
        for (beginning, rules) in by_beginning {
            let bytes = beginning.iter().rev().fold(0, |number, &byte| number << 8 | u128::from(byte));
            let mask = (1 << (8 * beginning.len())) - 1;
            let fits = |(_, len): &(usize, usize)| *len <= beginning.len();
            let Some((nth, len)) = KEY_LENS.into_iter().enumerate().find(fits) else { continue };
            let key = first(bytes, len);
            found.keys[nth].1.insert(key);
            if beginning.len() == BEGINNING_MIN {
                (0..=u64::from(u8::MAX)).for_each(|any| found.likely.insert(key | any << 16));
            } else {
                found.likely.insert(first(bytes, 3));
            }
            found.beginnings.entry(key).or_default().push(Beginning { bytes, mask, rules });
        }
        found
    }

    /// The places of the rules that may fit, ascending.
    pub(super) fn in_text(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let mut set = self.always.clone();
        let mut lower = [0; TEXT_MAX + WINDOW];
        let len = text.len().min(TEXT_MAX);
        lower[..len].copy_from_slice(&text[..len]);
        lower[..len].make_ascii_lowercase();
        for at in 0..=len.saturating_sub(BEGINNING_MIN) {
            let Some(window) = lower.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let window = u128::from_le_bytes(*window);
            if !self.likely.may_hold(first(window, 3)) {
                continue;
            }
            for (mask, keys) in &self.keys {
                let key = window as u64 & mask;
                if !keys.may_hold(key) {
                    continue;
                }
                for beginning in self.beginnings.get(&key).into_iter().flatten() {
                    if window & beginning.mask == beginning.bytes {
                        set.iter_mut().zip(&beginning.rules).for_each(|(word, more)| *word |= more);
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

/// The first `len` bytes, fewer than eight.
const fn first(window: u128, len: usize) -> u64 {
    window as u64 & ((1 << (8 * len)) - 1)
}

/// One bit a key, by its hash.
#[derive(Clone, Debug)]
struct Filter(Box<[u64; 1 << (FILTER_BITS - 6)]>);

/// The hash's bits: a filter takes 8 KB. Two thousand beginnings let one place in thirty pass that is none.
const FILTER_BITS: u32 = 16;

impl Filter {
    fn new() -> Self {
        Self(Box::new([0; _]))
    }

    /// The word of a key, and its bit in it.
    #[inline]
    const fn place(key: u64) -> (usize, u64) {
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
        (hash as usize >> 6, 1 << (hash % 64))
    }

    fn insert(&mut self, key: u64) {
        let (word, bit) = Self::place(key);
        self.0[word] |= bit;
    }

    #[inline]
    fn may_hold(&self, key: u64) -> bool {
        let (word, bit) = Self::place(key);
        self.0[word] & bit != 0
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
    fn a_beginning_is_found_wherever_it_stands() {
        let rules = crate::detect::replies::file::read(
            "[[rule]]\nid = \"two\"\nclass = \"policy\"\ntext = 'ab'\n\
             [[rule]]\nid = \"three\"\nclass = \"policy\"\ntext = 'xyz'\n\
             [[rule]]\nid = \"long\"\nclass = \"policy\"\ntext = 'blocked'\n",
        );
        let candidates = Candidates::of(&rules.unwrap());
        let found = |text: &str| candidates.in_text(text.as_bytes()).collect::<Vec<_>>();
        for (text, wanted) in [
            ("AB", &[0][..]),
            ("ab at the beginning", &[0]),
            ("at the end ab", &[0]),
            ("xYz", &[1]),
            ("xy", &[]),
            ("is blocked", &[2]),
            ("Blocked, Xyz, Ab.", &[0, 1, 2]),
            ("blocke", &[]),
            ("a", &[]),
            ("", &[]),
        ] {
            assert_eq!(found(text), wanted, "{text}");
        }
        let long = format!("{}ab", "-".repeat(TEXT_MAX - 2));
        assert_eq!(found(&long), [0]);
    }

    #[test]
    fn few_built_in_rules_with_a_text_are_always_candidates() {
        let rules = crate::detect::replies::ReplyRules::builtin();
        let always = rules.rules().iter().filter(|rule| rule.text.as_deref().is_some_and(|t| beginnings(t).is_none()));
        let ids: Vec<&str> = always.map(|rule| rule.id.as_str()).collect();
        assert!(ids.len() <= 2, "{ids:?}");
    }
}
