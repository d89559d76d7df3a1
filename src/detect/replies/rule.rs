//! One rule, and the patterns of codes and statuses in it.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

use crate::detect::replies::{ReplyClass, Said, Stage};
use crate::smtp::EnhancedStatus;

/// Bytes that one expression may take when compiled: enough for a page of alternatives, and a typing error such as
/// `{1000}{1000}` is told at once.
const EXPRESSION_MAX: usize = 1 << 20;

/// A rule. It fits a reply that meets every condition it has; of the values of one condition, one is enough.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name; unique.
    pub id: String,
    /// What a reply means that this rule fits.
    pub class: ReplyClass,
    /// The mail system or mail provider that writes so.
    pub provider: Option<String>,
    /// The blocklist named.
    pub list: Option<String>,
    /// Condition: the code.
    pub codes: Vec<CodePattern>,
    /// Condition: the enhanced status.
    pub status: Vec<StatusPattern>,
    /// Condition: the stage.
    pub stage: Vec<Stage>,
    /// Condition: a regular expression that is found in the text.
    pub text: Option<String>,
    /// The same, compiled when it is first asked: compiling all of them takes longer than many a capture.
    pub(super) regex: OnceLock<Option<Regex>>,
    /// Where the fact comes from.
    pub source: String,
    /// Replies that this rule must be the first to fit.
    pub examples: Vec<String>,
    /// Replies that this rule must not be the first to fit.
    pub not: Vec<String>,
}

impl Rule {
    /// Whether all conditions are met.
    pub(super) fn fits(&self, Said { code, status, stage, text }: Said<'_>) -> bool {
        (self.stage.is_empty() || self.stage.contains(&stage))
            && (self.codes.is_empty() || self.codes.iter().any(|pattern| pattern.matches(code, status)))
            && (self.status.is_empty() || status.is_some_and(|s| self.status.iter().any(|p| p.matches(s))))
            && self.text.as_deref().is_none_or(|expression| self.is_found(expression, text))
    }

    fn is_found(&self, expression: &str, text: &[u8]) -> bool {
        // Expressions of the operator are checked when they are read, the built-in ones by a test.
        let regex = self.regex.get_or_init(|| compile(expression).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Compiles the expression of a rule. Unicode is off: texts are bytes, and the automata are a fraction of the size.
pub(super) fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).unicode(false).size_limit(EXPRESSION_MAX).build()
}

/// A pattern of reply codes: `550`, or `55x`, or `5xx`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodePattern {
    low: u16,
    high: u16,
}

impl CodePattern {
    /// Reads a pattern: three places, of which the last or the last two may be `x`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches('x');
        let free = match (text.len(), digits.len()) {
            (3, 1) => 99,
            (3, 2) => 9,
            (3, 3) => 0,
            _ => return None,
        };
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok())??;
        let low = number * (free + 1);
        Some(Self { low, high: low + free })
    }

    /// Whether the reply has such a code. A reply without a code counts by the class of its status, so that `5xx` meets
    /// a bare `5.7.1 text`.
    pub fn matches(self, code: Option<u16>, status: Option<EnhancedStatus>) -> bool {
        match (code, status) {
            (Some(code), _) => (self.low..=self.high).contains(&code),
            (None, Some(status)) => {
                let class = u16::from(status.class) * 100;
                self.low == class && self.high == class + 99
            }
            (None, None) => false,
        }
    }
}

/// A pattern of enhanced statuses: `5.7.1`, `x.7.1` (4 or 5), `5.7.606-649`, `5.7.x`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatusPattern {
    class: Option<u8>,
    subject: u16,
    low: u16,
    high: u16,
}

impl StatusPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Option<Self> {
        fn number(text: &str) -> Option<u16> {
            let plain = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| text.parse().ok())?
        }
        let mut parts = text.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let class = match class {
            "4" => Some(4),
            "5" => Some(5),
            "x" => None,
            _ => return None,
        };
        let (low, high) = match detail.split_once('-') {
            Some((low, high)) => (number(low)?, number(high)?),
            None if detail == "x" => (0, 999),
            None => (number(detail)?, number(detail)?),
        };
        (low <= high).then_some(())?;
        Some(Self { class, subject: number(subject)?, low, high })
    }

    /// Whether the status is such a one.
    pub fn matches(self, status: EnhancedStatus) -> bool {
        self.class.map_or(matches!(status.class, 4 | 5), |class| class == status.class)
            && self.subject == status.subject
            && (self.low..=self.high).contains(&status.detail)
    }
}
