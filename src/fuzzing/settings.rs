//! What an operator writes: the configuration file and the rules for replies.

use std::path::Path;

use super::is_harmless;
use crate::config::FileConfig;
use crate::detect::replies::ReplyRules;

/// Any text. What is wrong with it is said in one line that could be printed to any terminal.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match FileConfig::parse(text, Path::new("smtphound.toml")) {
        Ok(config) => assert_eq!(FileConfig::parse(text, Path::new("smtphound.toml")).ok(), Some(config)),
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("smtphound.toml, line ") && is_harmless(&said), "{said:?}");
            let line = said.trim_start_matches("smtphound.toml, line ").split(':').next().unwrap_or_default();
            let lines = text.split('\n').count();
            assert!(line.parse().is_ok_and(|line: usize| (1..=lines).contains(&line)), "{said:?} of {lines}");
        }
    }
    if let Err(error) = ReplyRules::from_toml(text) {
        let said = error.to_string();
        assert!(is_harmless(&said), "{said:?}");
    }
}
