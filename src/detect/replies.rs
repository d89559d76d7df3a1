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
mod memo;
mod rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::OnceLock;

use memchr::memchr;

use crate::smtp::{EnhancedStatus, Reply};

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
    memo: memo::Memo,
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

    fn of(rules: Vec<Rule>) -> Self {
        Self { rules, candidates: OnceLock::new(), memo: memo::Memo::default() }
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
        let found = self.memo.get_or(reply, stage, |said| self.find(said));
        verdict.named_ip = found.named_ip;
        verdict.class = ReplyClass::Other;
        if let Some(rule) = found.rule.and_then(|at| self.rules.get(at)) {
            verdict.class = rule.class;
            verdict.rule = Some(&rule.id);
            verdict.provider = rule.provider.as_deref();
            verdict.list = rule.list.as_deref();
        }
        verdict
    }

    /// The first rule that fits, and the address that the text names.
    fn find(&self, said: Said<'_>) -> memo::Found {
        let candidates = self.candidates.get_or_init(|| candidates::Candidates::of(&self.rules));
        let fits = |at: &usize| self.rules.get(*at).is_some_and(|rule| rule.fits(said));
        memo::Found { rule: candidates.in_text(said.text).find(fits), named_ip: address::named_ip(said.text) }
    }

    /// The examples that are not classified as their rule says: an `examples` line that another rule takes, or a `not`
    /// line that its own rule takes. Empty for the built-in rules.
    pub fn mismatches(&self) -> Vec<Mismatch> {
        example::mismatches(self)
    }
}

/// What rules see of a reply.
#[derive(Clone, Copy, Debug)]
struct Said<'a> {
    code: Option<u16>,
    status: Option<EnhancedStatus>,
    stage: Stage,
    /// See [`plain`].
    text: &'a [u8],
}

/// The text as rules see it: cut to [`TEXT_MAX`], lines joined, runs of white space and control characters one space, and
/// mailboxes in angle brackets without what is in them.
///
/// Servers fold their sentences where they like; expressions need not care. A mailbox is the client's own word sent
/// back, and must not say what the server means.
fn plain(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let text = text.get(..TEXT_MAX).unwrap_or(text);
    if is_one_line(text) {
        out.extend_from_slice(text);
    } else {
        let mut space = true;
        for &byte in text {
            let blank = byte <= b' ' || byte == 0x7f;
            if !(blank && space) {
                out.push(if blank { b' ' } else { byte });
            }
            space = blank;
        }
    }
    empty_mailboxes(out);
}

/// Leaves `<@>` of every `<user@host.example>`.
fn empty_mailboxes(text: &mut Vec<u8>) {
    let mut from = 0;
    while let Some(open) = text.get(from..).and_then(|rest| memchr(b'<', rest)).map(|at| from + at + 1) {
        // Nothing with another bracket or a blank in it is a mailbox.
        let Some(len) = text[open..].iter().position(|byte| matches!(byte, b'<' | b'>' | b' ')) else { break };
        if text[open + len] == b'>' && text[open..open + len].contains(&b'@') {
            text.splice(open..open + len, *b"@");
            from = open + 2;
        } else {
            from = open + len;
        }
    }
}

/// Whether nothing is to be done, as mostly. Without a branch a byte: the compiler looks at many at once.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler looks at many at once")]
fn is_one_line(text: &[u8]) -> bool {
    let controls = text.iter().fold(false, |any, &byte| any | (byte < b' ') | (byte == 0x7f));
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    let doubled = pairs.fold(false, |any, (&byte, &next)| any | ((byte == b' ') & (next == b' ')));
    !controls && !doubled && text.first() != Some(&b' ')
}
