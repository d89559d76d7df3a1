//! What an SMTP reply means: one class for each refusal, the blocklist and the provider it names, and the address it
//! says it sees.
//!
//! Read first: RFC 5321 sections 4.2 and 4.3 (reply codes), RFC 3463 and the IANA registry of enhanced status codes
//! (RFC 5248). Codes alone mislead - 5.7.1 is used for everything - so that rules look at the text first. The rules are
//! data, `replies.toml`, built in and replaceable; `docs/replies.md` tells how they are read. This room does not judge:
//! whether a refusal speaks against the client is for the detectors. It trusts no text: a server may write what it
//! likes, the cost is linear in the first [`TEXT_MAX`] bytes, and nothing here panics.

mod address;
mod candidates;
mod class;
mod example;
mod file;
mod rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::OnceLock;

use crate::smtp::Reply;

pub use address::seen_ip;
pub use class::{OutcomeClass, ReplyClass, Stage};
pub use example::Mismatch;
pub use file::RulesError;
pub use rule::{CodePattern, Rule, StatusPattern};

/// Bytes of a reply's text that are looked at. A line has at most 512 (RFC 5321 section 4.5.3.1.5); the longest refusals
/// that providers write, of five or six lines, stay below 700.
pub const TEXT_MAX: usize = 1024;

/// The rules in their order.
#[derive(Clone, Debug)]
pub struct ReplyRules {
    rules: Vec<Rule>,
    /// Made at the first refusal: many a capture has none.
    candidates: OnceLock<candidates::Candidates>,
}

/// What a reply means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict<'r> {
    /// The class.
    pub class: ReplyClass,
    /// The id of the rule that said so; `None` for positive replies and where no rule fits.
    pub rule: Option<&'r str>,
    /// Whose words these are: the mail system or the mail provider, where the rule knows.
    pub provider: Option<&'r str>,
    /// The blocklist that the reply names.
    pub list: Option<&'r str>,
    /// The address that the reply names as the one it refuses or sees. A claim of the server, not a fact.
    pub named_ip: Option<IpAddr>,
    /// The reply says "not now" (4xx).
    pub transient: bool,
}

impl Verdict<'_> {
    /// The outcome that this reply is, where it decides one.
    ///
    /// As [`ReplyClass::outcome`], but a refusal for now which says nothing about the client (a full disk, a route that
    /// is down) is pending: the client will try again, and only its last word counts.
    pub fn outcome(&self) -> OutcomeClass {
        match self.class.outcome() {
            OutcomeClass::Other if self.transient => OutcomeClass::Pending,
            outcome => outcome,
        }
    }
}

impl ReplyRules {
    /// The rules that are built in.
    ///
    /// # Panics
    ///
    /// Never: a test reads the same text.
    pub fn builtin() -> Self {
        Self::of(file::read_builtin().expect("the built-in rules are correct"))
    }

    /// Reads rules; the format is told in `docs/replies.md`.
    ///
    /// # Errors
    ///
    /// [`RulesError`] names the rule, the key and the line of the first mistake.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        Ok(Self::of(file::read(text)?))
    }

    const fn of(rules: Vec<Rule>) -> Self {
        Self { rules, candidates: OnceLock::new() }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What `reply`, given at `stage`, means: the first rule that fits. A positive code (2xx, 3xx) is
    /// [`ReplyClass::Ok`] at once, whatever its text says.
    pub fn classify(&self, reply: &Reply, stage: Stage) -> Verdict<'_> {
        let transient = reply.is_transient();
        let mut verdict =
            Verdict { class: ReplyClass::Ok, rule: None, provider: None, list: None, named_ip: None, transient };
        if reply.is_positive() || reply.is_intermediate() {
            return verdict;
        }
        let mut buffer = [0; TEXT_MAX];
        let text = one_line(reply.text.as_bytes(), &mut buffer);
        verdict.named_ip = address::named_ip(text);
        verdict.class = ReplyClass::Other;
        let candidates = self.candidates.get_or_init(|| candidates::Candidates::of(&self.rules));
        let mut candidates = candidates.in_text(text).filter_map(|at| self.rules.get(at));
        if let Some(rule) = candidates.find(|rule| rule.fits(reply, stage, text)) {
            verdict.class = rule.class;
            verdict.rule = Some(&rule.id);
            verdict.provider = rule.provider.as_deref();
            verdict.list = rule.list.as_deref();
        }
        verdict
    }

    /// The examples that are not classified as their rule says: an `examples` line that another rule takes, or a `not`
    /// line that its own rule takes. Empty for the built-in rules.
    pub fn mismatches(&self) -> Vec<Mismatch> {
        example::mismatches(self)
    }
}

/// The text as rules see it: cut to [`TEXT_MAX`], lines joined, runs of white space and control characters one space.
/// Servers fold their sentences where they like; expressions need not care.
fn one_line<'b>(text: &'b [u8], buffer: &'b mut [u8; TEXT_MAX]) -> &'b [u8] {
    let text = text.get(..TEXT_MAX).unwrap_or(text);
    if is_one_line(text) {
        return text;
    }
    let mut len = 0;
    let mut space = true;
    for &byte in text {
        let blank = byte <= b' ' || byte == 0x7f;
        if blank && space {
            continue;
        }
        if let Some(slot) = buffer.get_mut(len) {
            *slot = if blank { b' ' } else { byte };
            len += 1;
        }
        space = blank;
    }
    &buffer[..len]
}

/// Whether nothing is to be done, as mostly. Without a branch a byte: the compiler looks at many at once.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler looks at many at once")]
fn is_one_line(text: &[u8]) -> bool {
    let controls = text.iter().fold(false, |any, &byte| any | (byte < b' ') | (byte == 0x7f));
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    let doubled = pairs.fold(false, |any, (&byte, &next)| any | ((byte == b' ') & (next == b' ')));
    !controls && !doubled && text.first() != Some(&b' ')
}
