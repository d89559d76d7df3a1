//! D13: SMTP smuggling: a second mail hidden in the data of a first, behind a dot line that one server takes for the end
//! and another does not.
//!
//! Read RFC 5321 section 4.1.1.4 (only CRLF.CRLF ends the data) and Postfix's page on SMTP smuggling (2023). The facts
//! are deterministic: the dialogue follows the server's replies, not one grammar, so it knows whether the server took
//! another end. A mail sent by BDAT has no dot lines and cannot do this.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::context::Context;
use super::finding::{Finding, Numbers, Peer, Ruling};
use super::hosts::{HostIdx, PerHost};
use super::novelty::Recent;
use super::observation::{Kind, Observation, Way, What};
use super::samples::Samples;
use super::score::{Class, Confidence, Family, Severity, Tier};
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::net::HostKey;
use crate::session::{Session, Transaction};
use crate::time::{Span, Ts};
use crate::weird::Weird;
use crate::wire::Wire;

/// The settings of D13.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// From this share of lines on that LF alone ends, a client knows no other line end: it means no harm.
    pub lf_only_share: f64,
    /// How long a body that holds a pattern is remembered, to see whether it is passed on (greylisting takes hours).
    pub passed_on_within: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lf_only_share: 0.95, passed_on_within: Span::hours(4) }
    }
}

/// Clients and servers listed in a finding.
const PEERS_MAX: usize = 10;
/// Bodies remembered in each half of the window; they are rare.
const BODIES_MAX: usize = 1 << 14;
/// An address is cut here in a sentence.
const ADDRESS_MAX: usize = 128;

/// What a session with a pattern came to, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verdict {
    /// The client ends all its lines by LF: a script, and no attack.
    LfOnly,
    /// The pattern was sent; the server took no other end than CRLF.CRLF.
    Attempted,
    /// A server of ours passed it on unchanged.
    Propagated,
    /// The server took another end, and answered the commands behind it.
    Interpreted,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::LfOnly, Self::Attempted, Self::Propagated, Self::Interpreted];

    const fn name(self) -> &'static str {
        match self {
            Self::LfOnly => "lf_only_client",
            Self::Attempted => "attempted",
            Self::Propagated => "propagated",
            Self::Interpreted => "interpreted",
        }
    }

    /// How sure it is that our host did wrong, and how bad that is. A server that was merely attacked did nothing.
    const fn ruling(self, sent_by_us: bool) -> (Tier, Severity) {
        match self {
            Self::LfOnly => (Tier::Suspect, Severity::Low),
            Self::Attempted if sent_by_us => (Tier::Confirmed, Severity::High),
            Self::Attempted => (Tier::Suspect, Severity::High),
            Self::Propagated | Self::Interpreted => (Tier::Confirmed, Severity::Critical),
        }
    }
}

/// One verdict on one host, in one direction.
#[derive(Debug)]
struct Case {
    count: u64,
    first: Ts,
    last: Ts,
    says: String,
    numbers: Numbers,
    peers: BTreeMap<HostKey, (u64, Ts, Ts)>,
    lossy: bool,
    samples: Samples,
}

#[derive(Debug, Default)]
struct HostState {
    /// By whether the host sent it, and what it came to.
    cases: BTreeMap<(bool, Verdict), Case>,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.cases.values().map(|case| case.count).sum()
    }
}

/// D13.
#[derive(Debug)]
pub struct Smuggling {
    settings: Settings,
    hosts: PerHost<HostState>,
    /// Bodies with a pattern that a server of ours took.
    bodies: Recent,
}

impl Smuggling {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        let bodies = Recent::new(settings.passed_on_within, BODIES_MAX);
        Self { settings, hosts: PerHost::default(), bodies }
    }

    fn closed(&mut self, seen: &Observation<'_>, session: &Session) {
        let (client, server) = (seen.id.orig.host, seen.id.resp.host);
        // Who sends it has it from somewhere: a client of ours is to blame before a server of ours.
        let sent_by_us = matches!(seen.way, Way::Outbound | Way::Inside);
        let (host, peer) = if sent_by_us { (seen.client, server) } else { (seen.server, client) };
        let Some(host) = host else { return };
        let verdict = self.verdict(seen, session, sent_by_us);
        if seen.way != Way::Outbound {
            for hash in bodies(session) {
                self.bodies.insert(&[&server.octets(), &hash.to_le_bytes()], seen.at.ts);
            }
        }
        let cases = &mut self.hosts.touch(host).cases;
        let case = cases.entry((sent_by_us, verdict)).or_insert_with(|| Case {
            count: 0,
            first: seen.id.ts,
            last: seen.at.ts,
            says: says(session, verdict, client, server),
            numbers: numbers(session),
            peers: BTreeMap::new(),
            lossy: false,
            samples: Samples::default(),
        });
        case.count += 1;
        case.last = case.last.max(seen.at.ts);
        case.lossy |= session.conn.gaps > 0 || session.conn.one_sided;
        let frame = session.smtp.smuggling.as_ref().map_or(session.conn.first, |facts| facts.at.frame);
        case.samples.add(seen.id, frame);
        if case.peers.len() < PEERS_MAX || case.peers.contains_key(&peer) {
            let (count, _, last) = case.peers.entry(peer).or_insert((0, seen.id.ts, seen.at.ts));
            *count += 1;
            *last = seen.at.ts;
        }
    }

    fn verdict(&mut self, seen: &Observation<'_>, session: &Session, sent_by_us: bool) -> Verdict {
        if let Some(facts) = &session.smtp.smuggling {
            let lines = facts.lf_lines + facts.crlf_lines;
            if lines > 0 && facts.lf_lines as f64 >= self.settings.lf_only_share * lines as f64 {
                return Verdict::LfOnly;
            }
        }
        if session.smtp.weird.contains(Weird::NonstandardEndOfData) && went_on(session) {
            return Verdict::Interpreted;
        }
        let client = seen.id.orig.host.octets();
        let passed_on =
            sent_by_us && bodies(session).any(|hash| self.bodies.contains(&[&client, &hash.to_le_bytes()], seen.at.ts));
        if passed_on { Verdict::Propagated } else { Verdict::Attempted }
    }
}

/// The bodies of a session's mails.
fn bodies(session: &Session) -> impl Iterator<Item = u128> {
    session.smtp.transactions.iter().filter_map(|tx| tx.content.as_ref()?.body_hash)
}

/// Whether the server answered a command of another mail after the end of one: 221 and 421 say goodbye to whatever was
/// said. Where the log of commands was cut, the
/// transactions tell.
fn went_on(session: &Session) -> bool {
    let smtp = &session.smtp;
    let after = smtp.commands.iter().skip_while(|command| command.verb != ".").skip(1);
    let answered = |verb: &str| matches!(verb, "MAIL" | "RCPT" | "DATA" | "BDAT" | "EHLO" | "HELO" | "RSET");
    after
        .into_iter()
        .any(|command| answered(command.verb) && command.code.is_some_and(|code| !matches!(code, 221 | 421)))
        || (smtp.commands.len() < smtp.commands_total as usize && smtp.transactions_total > 1)
}

fn numbers(session: &Session) -> Numbers {
    let smtp = &session.smtp;
    let mails = Numbers::new().count("mails_answered", u64::from(smtp.transactions_total));
    match &smtp.smuggling {
        Some(facts) => mails.count("crlf_lines", facts.crlf_lines).count("lf_lines", facts.lf_lines),
        None => mails,
    }
}

/// The first case, told with its bytes and both envelopes.
fn says(session: &Session, verdict: Verdict, client: HostKey, server: HostKey) -> String {
    let smtp = &session.smtp;
    let mut says = match verdict {
        Verdict::LfOnly => {
            format!("{client} ends its lines by a bare line feed, dot lines too, and {server} got commands behind one")
        }
        Verdict::Attempted => {
            format!("{client} sent {server} a mail with commands behind a false end; {server} took them for text")
        }
        Verdict::Propagated => {
            format!("{client} had taken a mail with commands behind a false end, and passed it on to {server}")
        }
        Verdict::Interpreted => {
            format!("{server} took a false end of a mail from {client} for the end, and obeyed the commands behind it")
        }
    };
    if let Some(facts) = &smtp.smuggling {
        let _ = write!(says, "; the bytes around it: {}", hex(facts.around.as_bytes()));
    }
    let mut mails = smtp.transactions.iter();
    if let Some(outer) = mails.next() {
        let _ = write!(says, "; the outer mail: {}", envelope(outer));
    }
    if verdict == Verdict::Interpreted
        && let Some(inner) = mails.next()
    {
        let _ = write!(says, "; the hidden one: {}", envelope(inner));
    }
    says
}

fn envelope(tx: &Transaction) -> String {
    let cut = |address: &Wire| Wire::capped(address.as_bytes(), ADDRESS_MAX);
    let to = tx.rcptto.first().map_or_else(Wire::default, |rcpt| cut(&rcpt.to));
    format!("from <{}> to <{to}>", cut(&tx.mailfrom))
}

/// At most 64 bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(64).fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

impl Detector for Smuggling {
    fn name(&self) -> &'static str {
        "smuggling"
    }

    fn wants(&self, _: Way, kind: Kind) -> bool {
        kind == Kind::Closed
    }

    fn handle(&mut self, seen: &Observation<'_>, _: &Context<'_>) {
        if let What::Closed(session) = seen.what
            && session.smtp.weird.contains(Weird::SmugglingPattern)
        {
            self.closed(seen, session);
        }
    }

    fn findings(&self, _: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            // The worst comes first: it names the incident.
            for verdict in Verdict::ALL.into_iter().rev() {
                for sent_by_us in [true, false] {
                    let Some(case) = state.cases.get(&(sent_by_us, verdict)) else { continue };
                    let (tier, severity) = verdict.ruling(sent_by_us);
                    let confidence = if case.lossy { Confidence::Low } else { Confidence::High };
                    let more = if case.count > 1 { format!(" ({} times)", case.count) } else { String::new() };
                    let peer = |(ip, (count, first, last)): (&HostKey, &(u64, Ts, Ts))| Peer {
                        ip: *ip,
                        role: if sent_by_us { "server" } else { "client" },
                        count: *count,
                        says: None,
                        first_ts: *first,
                        last_ts: *last,
                    };
                    out.push(Finding {
                        kind: Some(verdict.name()),
                        says: format!("{}{more}", case.says),
                        numbers: case.numbers.clone().count("sessions", case.count),
                        frames: case.samples.frames(),
                        sessions: case.samples.sessions(),
                        verdict: Some(Ruling { tier, severity, confidence }),
                        peers: case.peers.iter().map(peer).collect(),
                        ..Finding::summed(
                            self.name(),
                            host,
                            Class::SmtpSmuggling,
                            Family::Smuggling,
                            0.0,
                            case.first,
                            case.last,
                        )
                    });
                }
            }
        }
    }

    fn weight(&self, host: HostIdx) -> u64 {
        self.hosts.weight(host)
    }

    fn forget(&mut self, host: HostIdx) {
        self.hosts.forget(host);
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats { hosts: self.hosts.len(), evicted: self.hosts.evicted(), early_turns: self.bodies.early_turns() }
    }
}

#[cfg(test)]
mod tests;
