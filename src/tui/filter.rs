//! What of a list is shown: words that must all be there, some of them of one thing only.
//!
//! `host:192.168.` (address, name or hardware address), `class:mass`, `tier:confirmed`, `score>10`, `score<0`; any other
//! word is looked for everywhere. Large and small letters are the same.

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

/// What a line of a list is known by. All texts are in small letters.
#[derive(Clone, Default, Debug)]
pub(super) struct Subject {
    /// Addresses and names.
    pub(super) who: String,
    /// Classes.
    pub(super) classes: String,
    /// The tier.
    pub(super) tier: &'static str,
    /// The score, if it has one.
    pub(super) score: Option<f64>,
    /// Anything else that is shown.
    pub(super) more: String,
}

impl Subject {
    /// Knows nothing again, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.who.clear();
        self.classes.clear();
        self.more.clear();
        (self.tier, self.score) = ("", None);
    }
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

    /// Whether a line is shown.
    pub(super) fn shows(&self, line: &Subject) -> bool {
        self.terms.iter().all(|term| match term {
            Term::Host(text) => line.who.contains(text),
            Term::Class(text) => line.classes.contains(text),
            Term::Tier(text) => line.tier.starts_with(text.as_str()),
            Term::Above(least) => line.score.is_some_and(|score| score > *least),
            Term::Below(most) => line.score.is_some_and(|score| score < *most),
            Term::Any(text) => {
                line.who.contains(text)
                    || line.classes.contains(text)
                    || line.tier.contains(text.as_str())
                    || line.more.contains(text)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_must_be_there() {
        let line = Subject {
            who: "192.168.10.23 pc-accounts 00:1c:c4:3a:10:23".to_owned(),
            classes: "mass_mailer".to_owned(),
            tier: "confirmed",
            score: Some(39.0),
            more: String::new(),
        };
        for (text, shown) in [
            ("", true),
            ("host:192.168.10", true),
            ("host:PC-ACC", true),
            ("host:mass", false),
            ("class:mass score>10", true),
            ("class:mass score>40", false),
            ("score<40 tier:conf", true),
            ("tier:onf", false),
            ("accounts mailer", true),
            ("score>", false),
            ("score>x", false),
        ] {
            assert_eq!(Filter::parse(text).shows(&line), shown, "{text}");
        }
        assert!(!Filter::parse("score>0").shows(&Subject::default()));
    }
}
