//! Incidents as lines of syslog: RFC 5424, or CEF behind the header of RFC 3164 that its readers expect.
//!
//! Whatever the wire said, one incident is one message of one line: control characters are gone (wire text is escaped
//! already), and each format's own marks are escaped by its rules. A message has 2048 bytes at most, which every
//! receiver must take (RFC 5424 section 6.1); only its text is cut for that.

mod cef;
mod channel;
mod rfc5424;

use std::io;

pub use channel::{Address, Channel};

use crate::detect::Severity;
use crate::error::Error;
use crate::incident::Incident;
use crate::time::Ts;

/// How a message looks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// RFC 5424, with the incident's keys as structured data.
    #[default]
    Rfc5424,
    /// ArcSight's Common Event Format, version 0.
    Cef,
}

/// Where incidents go, and how they look there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// Where to.
    pub address: Address,
    /// How.
    pub format: Format,
}

impl Destination {
    /// An error of sending to it.
    pub fn error(&self, source: io::Error) -> Error {
        Error::Write { target: self.address.to_string(), source }
    }
}

/// Bytes of a message that every receiver must be able to take.
const MESSAGE_MAX: usize = 2048;

/// `authpriv` (RFC 5424 section 6.2.1): who may not read mail logs need not read who mailed what.
const FACILITY: u8 = 10;

/// A destination that was opened.
#[derive(Debug)]
pub struct Syslog {
    format: Format,
    channel: Channel,
    /// The name of this machine, `-` where it is not known.
    host: String,
}

impl Syslog {
    /// Opens a destination. Where rights are given up afterwards, a TCP connection cannot be opened again.
    pub fn open(to: &Destination) -> io::Result<Self> {
        Ok(Self { format: to.format, channel: Channel::open(&to.address)?, host: host_name() })
    }

    /// Tells an incident: what happened to it (`found`, `opened`, `raised`, `closed`), and when.
    pub fn tell(&mut self, event: &str, ts: Ts, incident: &Incident) -> io::Result<()> {
        let message = match self.format {
            Format::Rfc5424 => rfc5424::message(&self.host, event, ts, incident),
            Format::Cef => cef::message(&self.host, event, ts, incident),
        };
        self.channel.send(&message)
    }
}

/// Facility and severity as one number (RFC 5424 section 6.2.1).
fn priority(severity: Severity) -> u8 {
    let level = match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    };
    FACILITY * 8 + level
}

/// Text without anything that could end a line or turn it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if crate::wire::is_hidden(c) { ' ' } else { c }).collect()
}

/// As much of a text as fits behind what is there, whole characters only.
fn fitting<'a>(text: &'a str, before: &str) -> &'a str {
    let room = MESSAGE_MAX.saturating_sub(before.len());
    text.get(..text.floor_char_boundary(room)).unwrap_or(text)
}

/// The name of this machine as far as a header may hold it (RFC 5424 section 6.2.4).
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests;
