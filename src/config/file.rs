//! The TOML file: its keys, and errors that name the file, the line, and what was meant. Thresholds of detectors stand in
//! tables of their own, `[detect.ndr_flood]` and so on; their keys and defaults are those of `docs/detectors/`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::bytecount;
use crate::cli::ThemeName;
use crate::detect::{DetectSettings, WrongSetting};
use crate::error::Error;
use crate::tui::Bindings;
use crate::values::{NetSource, parse_domain, parse_mail_server, parse_net_source, parse_port};
use crate::wire::shown;

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    home_nets: Option<Vec<Spanned<String>>>,
    mail_servers: Option<Vec<Spanned<String>>>,
    local_domains: Option<Vec<Spanned<String>>>,
    relay_domains: Option<Vec<Spanned<String>>>,
    relay_networks: Option<Vec<Spanned<String>>>,
    ports: Option<Vec<Spanned<i64>>>,
    reply_rules: Option<PathBuf>,
    detect: Option<DetectSettings>,
    theme: Option<ThemeName>,
    mouse: Option<bool>,
    bindings: Option<Spanned<BTreeMap<String, OneOrMore>>>,
}

/// A key, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What a configuration file says, each value valid; `None` where it says nothing.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct FileConfig {
    /// Networks of ours.
    pub home_nets: Option<Vec<NetSource>>,
    /// Mail servers of ours.
    pub mail_servers: Option<Vec<IpAddr>>,
    /// Domains of ours.
    pub local_domains: Option<Vec<String>>,
    /// Domains of others for which we take mail and pass it on.
    pub relay_domains: Option<Vec<String>>,
    /// Outside networks that may relay through us.
    pub relay_networks: Option<Vec<NetSource>>,
    /// SMTP ports.
    pub ports: Option<Vec<u16>>,
    /// Rules for replies; a relative path starts at the configuration file's directory.
    pub reply_rules: Option<PathBuf>,
    /// Thresholds of the detectors, those that are not named at their defaults.
    pub detect: Option<DetectSettings>,
    /// Colours of the screen.
    pub theme: Option<ThemeName>,
    /// The screen takes the mouse.
    pub mouse: Option<bool>,
    /// Which key does what on the screen.
    pub bindings: Option<Bindings>,
}

impl FileConfig {
    /// Reads the text of a file; `path` is its name, for messages and for what is relative to it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            wrong(text, path, span.start, explain(&error, text))
        })?;
        // Nothing would be judged, or nothing read: surely not what was meant.
        if raw.home_nets.as_ref().is_some_and(Vec::is_empty) {
            return Err(empty(text, path, "home_nets", "the private networks"));
        }
        if raw.ports.as_ref().is_some_and(Vec::is_empty) {
            return Err(empty(text, path, "ports", "port 25"));
        }
        if let Some(Err(wrong)) = raw.detect.as_ref().map(DetectSettings::check) {
            return Err(wrong_setting(text, path, &wrong));
        }
        Ok(Self {
            home_nets: list(raw.home_nets, text, path, "home_nets", |net| net_source(&net, path))?,
            mail_servers: list(raw.mail_servers, text, path, "mail_servers", |ip| parse_mail_server(&ip))?,
            local_domains: list(raw.local_domains, text, path, "local_domains", |name| parse_domain(&name))?,
            relay_domains: list(raw.relay_domains, text, path, "relay_domains", |name| parse_domain(&name))?,
            relay_networks: list(raw.relay_networks, text, path, "relay_networks", |net| net_source(&net, path))?,
            ports: list(raw.ports, text, path, "ports", parse_port)?,
            reply_rules: raw.reply_rules.map(|rules| path.parent().unwrap_or(Path::new("")).join(rules)),
            detect: raw.detect,
            theme: raw.theme,
            mouse: raw.mouse,
            bindings: match raw.bindings {
                Some(table) => Some(bindings(table, text, path)?),
                None => None,
            },
        })
    }
}

/// A network or a file of them; a relative path starts at the configuration file's directory.
fn net_source(net: &str, path: &Path) -> Result<NetSource, String> {
    Ok(match parse_net_source(net)? {
        NetSource::File(file) => NetSource::File(path.parent().unwrap_or(Path::new("")).join(file)),
        net @ NetSource::Net(_) => net,
    })
}

/// Keys over the default ones, an action at a time.
fn bindings(table: Spanned<BTreeMap<String, OneOrMore>>, text: &str, path: &Path) -> Result<Bindings, Error> {
    let start = table.span().start;
    let mut bindings = Bindings::default();
    for (action, keys) in table.into_inner() {
        let keys = match keys {
            OneOrMore::One(key) => vec![key],
            OneOrMore::More(keys) => keys,
        };
        bindings.rebind(&action, &keys).map_err(|message| wrong(text, path, start, format!("bindings: {message}")))?;
    }
    Ok(bindings)
}

/// Checks each value of a list; the first wrong one is named with its line.
fn list<T, U>(
    values: Option<Vec<Spanned<T>>>,
    text: &str,
    path: &Path,
    key: &str,
    parse: impl Fn(T) -> Result<U, String>,
) -> Result<Option<Vec<U>>, Error> {
    let Some(values) = values else { return Ok(None) };
    let parsed = values.into_iter().map(|value| {
        let start = value.span().start;
        parse(value.into_inner()).map_err(|message| wrong(text, path, start, format!("{key}: {message}")))
    });
    parsed.collect::<Result<Vec<U>, Error>>().map(Some)
}

fn wrong(text: &str, path: &Path, start: usize, message: String) -> Error {
    let line = 1 + bytecount(text.as_bytes(), start);
    Error::Config { place: format!("{}, line {line}", shown(path)), message }
}

/// A threshold that cannot be, with the line where its key stands: after the name of its table, if that is written.
fn wrong_setting(text: &str, path: &Path, wrong: &WrongSetting) -> Error {
    let table = text.find(wrong.detector).unwrap_or_default();
    let start = text.get(table..).and_then(|rest| rest.find(wrong.key)).map_or(table, |key| table + key);
    self::wrong(text, path, start, format!("detect.{}.{} {}", wrong.detector, wrong.key, wrong.reason))
}

fn empty(text: &str, path: &Path, key: &str, default: &str) -> Error {
    let start = text.find(key).unwrap_or_default();
    wrong(text, path, start, format!("{key} is empty: name at least one, or leave the key out for {default}"))
}

/// An error of the parser in the words of this program.
fn explain(error: &toml::de::Error, text: &str) -> String {
    let message = error.message();
    if !message.starts_with("unknown field") {
        return message.replace('\n', ", ");
    }
    // The parser names every key that it knows in that table, each between backquotes, after the one that is wrong.
    let known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    let key = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    match nearest(key.trim_matches(['"', '\'']), &known) {
        Some(known) => format!("there is no key `{key}`: did you mean `{known}`?"),
        None => format!("there is no key `{key}`: the keys are {}", known.join(", ")),
    }
}

/// The known key that was probably meant. 0.8 lets a letter or two and a missing `s` pass, but not another word.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key = key.to_ascii_lowercase().replace('-', "_");
    let scored = known.iter().map(|known| (strsim::jaro_winkler(&key, known), *known));
    scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}
