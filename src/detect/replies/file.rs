//! Reading rules. The text comes from an operator who wants to know where the mistake is, hence every key is looked at
//! with its place.

use std::ops::Range;
use std::sync::OnceLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::detect::replies::{CodePattern, ReplyClass, Rule, Stage, StatusPattern, rule};
use crate::wire::visible;

/// The rules that are built in.
const BUILTIN: &str = include_str!("../replies.toml");

/// A mistake in rules.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}{}{}{}", .line.map(|line| format!("line {line}: ")).unwrap_or_default(),
    .rule.as_ref().map(|rule| format!("rule `{}`: ", visible(rule))).unwrap_or_default(),
    .key.as_ref().map(|key| format!("key `{}`: ", visible(key))).unwrap_or_default(), visible(message))]
pub struct RulesError {
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The id of the rule, or `#3` where it has none.
    pub rule: Option<String>,
    /// The key.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl RulesError {
    /// A mistake that has no place.
    pub(super) fn whole(message: String) -> Self {
        Self { line: None, rule: None, key: None, message }
    }
}

/// Reads the rules of an operator in their order; the built-in ones follow where `extends = true`.
pub(super) fn read(text: &str) -> Result<Vec<Rule>, RulesError> {
    read_from(&Reader { text, compiles: true })
}

/// Reads the built-in rules. Their expressions are compiled when they are first needed.
pub(super) fn read_builtin() -> Result<Vec<Rule>, RulesError> {
    read_from(&Reader { text: BUILTIN, compiles: false })
}

fn read_from(reader: &Reader<'_>) -> Result<Vec<Rule>, RulesError> {
    let text = reader.text;
    let document = DeTable::parse(text).map_err(|error| RulesError {
        line: error.span().map(|span| reader.line(&span)),
        ..RulesError::whole(error.message().trim().replace('\n', ", "))
    })?;
    let mut rules = Vec::new();
    let mut extends = false;
    for (key, value) in document.get_ref() {
        let place = Place { reader, rule: None, key: key.get_ref(), span: value.span() };
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("rule", DeValue::Array(list)) => {
                for (at, item) in list.iter().enumerate() {
                    let DeValue::Table(table) = item.get_ref() else {
                        return Err(place.error("write each rule as [[rule]]"));
                    };
                    rules.push(reader.rule(table, at + 1, item.span())?);
                }
            }
            ("rule", _) => return Err(place.error("write each rule as [[rule]]")),
            ("extends", DeValue::Boolean(value)) => extends = *value,
            ("extends", _) => return Err(place.error("must be true or false")),
            _ => return Err(place.error("unknown key; known are extends, rule")),
        }
    }
    if extends {
        rules.extend(read_builtin()?);
    }
    let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find_map(|pair| (pair[0] == pair[1]).then_some(pair[0])) {
        let line = reader.last_line_with(twice);
        let (rule, key) = (Some(twice.to_owned()), Some("id".to_owned()));
        let message = "another rule has this id".to_owned();
        return Err(RulesError { line, rule, key, message });
    }
    if rules.is_empty() {
        return Err(RulesError::whole("there is no [[rule]]".to_owned()));
    }
    Ok(rules)
}

struct Reader<'t> {
    text: &'t str,
    /// Expressions are compiled at once, so that mistakes in them are told.
    compiles: bool,
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        memchr::memchr_iter(b'\n', before).count() + 1
    }

    fn last_line_with(&self, word: &str) -> Option<usize> {
        self.text.rfind(&format!("\"{word}\"")).map(|at| self.line(&(at..at)))
    }

    fn rule(&self, table: &DeTable<'_>, number: usize, span: Range<usize>) -> Result<Rule, RulesError> {
        let id = table.iter().find(|(key, _)| key.get_ref() == "id").and_then(|(_, value)| value.get_ref().as_str());
        let name = id.map_or_else(|| format!("#{number}"), str::to_owned);
        let whole = |key| Place { reader: self, rule: Some(&name), key, span: span.clone() };
        let mut class = None;
        let mut rule = Rule {
            id: id.unwrap_or_default().to_owned(),
            class: ReplyClass::Other,
            provider: None,
            list: None,
            codes: Vec::new(),
            status: Vec::new(),
            stage: Vec::new(),
            text: None,
            regex: OnceLock::new(),
            source: String::new(),
            examples: Vec::new(),
            not: Vec::new(),
        };
        for (key, value) in table {
            let place = Place { reader: self, rule: Some(&name), key: key.get_ref(), span: value.span() };
            match key.get_ref().as_ref() {
                "id" => {
                    let id = place.string(value)?;
                    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
                    if id.is_empty() || !id.bytes().all(plain) {
                        return Err(place.error("must be of a-z, 0-9, `-`, `_` and `.`"));
                    }
                }
                "class" => {
                    let name = place.string(value)?;
                    class = Some(ReplyClass::from_name(&name).ok_or_else(|| {
                        let known: Vec<&str> = ReplyClass::ALL.iter().map(|class| class.as_str()).collect();
                        place.error(&format!("unknown class `{name}`; known are {}", known.join(", ")))
                    })?);
                }
                "provider" => rule.provider = Some(place.string(value)?),
                "list" => rule.list = Some(place.string(value)?),
                "source" => rule.source = place.string(value)?,
                "examples" => rule.examples = place.strings(value)?,
                "not" => rule.not = place.strings(value)?,
                "codes" => {
                    rule.codes = place.patterns(value, CodePattern::parse, "a code such as 550, 55x or 5xx")?;
                }
                "status" => {
                    let wanted = "a status such as 5.7.1, x.7.1, 5.7.x or 5.7.606-649";
                    rule.status = place.patterns(value, StatusPattern::parse, wanted)?;
                }
                "stage" => {
                    let known: Vec<&str> = Stage::ALL.iter().map(|stage| stage.as_str()).collect();
                    rule.stage = place.patterns(value, Stage::from_name, &format!("one of {}", known.join(", ")))?;
                }
                "text" => {
                    let text = place.string(value)?;
                    if self.compiles {
                        let regex = rule::compile(&text).map_err(|error| place.error(&error.to_string()))?;
                        rule.regex = OnceLock::from(Some(regex));
                    }
                    rule.text = Some(text);
                }
                _ => {
                    let known = "id, class, provider, list, codes, status, stage, text, source, examples, not";
                    return Err(place.error(&format!("unknown key; known are {known}")));
                }
            }
        }
        if id.is_none() {
            return Err(whole("id").error("is missing"));
        }
        rule.class = class.ok_or_else(|| whole("class").error("is missing"))?;
        if rule.codes.is_empty() && rule.status.is_empty() && rule.text.is_none() {
            return Err(whole("text").error("a rule needs at least one of codes, status, text"));
        }
        Ok(rule)
    }
}

/// Where a value stands, for errors.
struct Place<'p> {
    reader: &'p Reader<'p>,
    rule: Option<&'p str>,
    key: &'p str,
    span: Range<usize>,
}

impl Place<'_> {
    fn error(&self, message: &str) -> RulesError {
        RulesError {
            line: Some(self.reader.line(&self.span)),
            rule: self.rule.map(str::to_owned),
            key: Some(self.key.to_owned()),
            message: message.to_owned(),
        }
    }

    fn string(&self, value: &Spanned<DeValue<'_>>) -> Result<String, RulesError> {
        value.get_ref().as_str().map(str::to_owned).ok_or_else(|| self.error("must be a string"))
    }

    fn strings(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, RulesError> {
        self.patterns(value, |text| Some(text.to_owned()), "a string")
    }

    fn patterns<T>(
        &self,
        value: &Spanned<DeValue<'_>>,
        parse: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Result<Vec<T>, RulesError> {
        let DeValue::Array(list) = value.get_ref() else {
            return Err(self.error("must be a list of strings"));
        };
        let mut found = Vec::with_capacity(list.len());
        for item in list {
            let place = Place { reader: self.reader, rule: self.rule, key: self.key, span: item.span() };
            let text = place.string(item)?;
            found.push(parse(&text).ok_or_else(|| place.error(&format!("`{text}` is not {wanted}")))?);
        }
        Ok(found)
    }
}
