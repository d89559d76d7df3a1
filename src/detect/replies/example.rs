//! Rules prove themselves: each carries replies that it must take, and replies that it must leave to others.

use std::fmt;

use crate::detect::replies::{ReplyRules, Stage};
use crate::smtp::{EnhancedStatus, Reply};
use crate::wire::Wire;

/// An example that is not classified as its rule says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The rule with the example.
    pub rule: String,
    /// The example.
    pub example: String,
    /// The rule that took it.
    pub taken_by: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken_by = self.taken_by.as_deref().unwrap_or("no rule");
        write!(f, "rule `{}`: `{}` is taken by {taken_by}", self.rule, self.example)
    }
}

pub(super) fn mismatches(rules: &ReplyRules) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for rule in rules.rules() {
        // An example is given at the first stage that the rule asks for; most refusals come at RCPT.
        let stage = rule.stage.first().copied().unwrap_or(Stage::Rcpt);
        for (example, own) in
            rule.examples.iter().map(|line| (line, true)).chain(rule.not.iter().map(|line| (line, false)))
        {
            let taken_by = rules.classify(&reply(example), stage).rule;
            if (taken_by == Some(&rule.id)) != own {
                let (rule, example) = (rule.id.clone(), example.clone());
                found.push(Mismatch { rule, example, taken_by: taken_by.map(str::to_owned) });
            }
        }
    }
    found
}

/// The reply that an example stands for: lines with or without code and status, as on the wire.
pub(super) fn reply(example: &str) -> Reply {
    let (mut code, mut status) = (None, None);
    let mut texts = Vec::new();
    for line in example.lines() {
        let mut rest = line;
        if let Some((digits, after)) = line.split_at_checked(3)
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (after.is_empty() || after.starts_with([' ', '-']))
        {
            code = code.or(digits.parse().ok());
            rest = after.get(1..).unwrap_or_default();
        }
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(found) = enhanced(word) {
            status = status.or(Some(found));
            rest = after;
        }
        texts.push(rest);
    }
    Reply { code, status, text: Wire::from(texts.join("\n").as_str()) }
}

fn enhanced(word: &str) -> Option<EnhancedStatus> {
    let mut parts = word.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && matches!(class, "2" | "4" | "5");
    whole.then_some(EnhancedStatus {
        class: class.parse().ok()?,
        subject: subject.parse().ok()?,
        detail: detail.parse().ok()?,
    })
}
