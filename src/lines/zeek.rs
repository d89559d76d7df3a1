//! Zeek's `conn.log` and `smtp.log` in JSON, as far as their fields go.
//!
//! A connection of `conn.log` to an SMTP port is told as one of ours; the mails are those of `smtp.log` with its `uid`.
//! Of replies Zeek keeps the last one of each mail: it decides the outcome where it can only belong to the mail. There are no
//! frames, so findings name lines of `conn.log` in their place. Not in these logs, and so not judged: greetings, logins, what
//! each recipient was told, DNS questions, shapes of SYNs, times of commands.
//!
//! Everything is held at once, because `smtp.log` and `conn.log` have orders of their own.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use smallvec::SmallVec;

use super::file::{LineError, Lines};
use super::{Feed, LinesRead};
use crate::frame::{At, FrameNo};
use crate::net::{Endpoint, HostKey, LinkFacts, Mac};
use crate::session::{
    MailFacts, Outcome, Recipient, Session, SessionEvent, SessionEventKind, SessionHead, SmtpFacts, Tls, TlsState,
    Transaction, Transfer,
};
use crate::smtp::Reply;
use crate::smtp::reply::parse_words;
use crate::tcp::{Attempt, ConnId, ConnState, Connection, SynSignature};
use crate::time::{Span, Ts};
use crate::weird::WeirdSet;
use crate::wire::Wire;

/// Reply to QUIT (RFC 5321 section 4.2.3): the last one of a connection, and no verdict on a mail.
const BYE: u16 = 221;

/// What a file of lines holds, by its first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Our own lines.
    Native,
    /// Zeek's `conn.log`.
    ZeekConn,
    /// Zeek's `smtp.log`.
    ZeekSmtp,
}

/// The keys that tell the kinds apart.
#[derive(Deserialize)]
struct Marks {
    conn_state: Option<serde::de::IgnoredAny>,
    trans_depth: Option<serde::de::IgnoredAny>,
    frames: Option<serde::de::IgnoredAny>,
}

/// Looks at the first line of a file.
pub fn kind(path: &Path) -> Result<Kind, LineError> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let Ok(line) = line else { break };
        if line.trim_ascii().is_empty() {
            continue;
        }
        return Ok(match serde_json::from_slice::<Marks>(line) {
            Ok(Marks { frames: None, conn_state: Some(_), .. }) => Kind::ZeekConn,
            Ok(Marks { frames: None, trans_depth: Some(_), .. }) => Kind::ZeekSmtp,
            _ => Kind::Native,
        });
    }
    Ok(Kind::Native)
}

/// A time as Zeek writes it: seconds since the epoch, or a text.
#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum Time {
    Seconds(f64),
    Text(Ts),
}

impl Time {
    /// To the microsecond, which is what Zeek's number holds.
    fn ts(self) -> Ts {
        match self {
            Self::Seconds(seconds) => Ts::from_nanos(((seconds * 1e6).round() as i64).saturating_mul(1000)),
            Self::Text(ts) => ts,
        }
    }
}

#[derive(Deserialize)]
struct ConnLine {
    ts: Time,
    uid: String,
    #[serde(rename = "id.orig_h")]
    orig_h: HostKey,
    #[serde(rename = "id.orig_p")]
    orig_p: u16,
    #[serde(rename = "id.resp_h")]
    resp_h: HostKey,
    #[serde(rename = "id.resp_p")]
    resp_p: u16,
    proto: String,
    service: Option<String>,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    orig_bytes: u64,
    #[serde(default)]
    resp_bytes: u64,
    conn_state: ConnState,
    #[serde(default)]
    missed_bytes: u64,
    #[serde(default)]
    history: String,
    #[serde(default)]
    orig_pkts: u64,
    #[serde(default)]
    resp_pkts: u64,
    orig_l2_addr: Option<Mac>,
    resp_l2_addr: Option<Mac>,
    vlan: Option<u16>,
}

#[derive(Deserialize)]
struct SmtpLine {
    ts: Time,
    uid: String,
    #[serde(default)]
    trans_depth: u32,
    helo: Option<String>,
    mailfrom: Option<String>,
    #[serde(default)]
    rcptto: Vec<String>,
    msg_id: Option<String>,
    last_reply: Option<String>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    fuids: Vec<serde::de::IgnoredAny>,
}

/// Zeek's logs of one or several files.
pub struct ZeekLogs {
    path: PathBuf,
    events: VecDeque<SessionEvent>,
    read: LinesRead,
}

impl ZeekLogs {
    /// Reads all of them. `ports`: SMTP ports; a service that Zeek found to be SMTP counts wherever it is.
    pub fn open(conns: &[PathBuf], smtps: &[PathBuf], ports: &[u16]) -> Result<Self, LineError> {
        let mut read = LinesRead::default();
        let mut mails: HashMap<String, Vec<SmtpLine>> = HashMap::new();
        for path in smtps {
            each(path, &mut read, |_, line: SmtpLine| mails.entry(line.uid.clone()).or_default().push(line))?;
        }
        let mut events = Vec::new();
        for path in conns {
            each(path, &mut read, |number, line: ConnLine| {
                let is_smtp =
                    line.service.as_deref().is_some_and(|service| service.split(',').any(|one| one == "smtp"));
                if line.proto == "tcp" && (is_smtp || ports.contains(&line.resp_p)) {
                    let mails = mails.remove(&line.uid).unwrap_or_default();
                    tell(&line, mails, number, &mut events);
                }
            })?;
        }
        read.unseen.zeek_connections = events.iter().map(SessionEvent::connections_ended).sum();
        // Stable: what happened at once stays in the order of the log.
        events.sort_by_key(|event| event.at.ts);
        (read.first_ts, read.last_ts) =
            (events.first().map(|event| event.at.ts), events.last().map(|event| event.at.ts));
        let path = conns.iter().chain(smtps).next().cloned().unwrap_or_default();
        Ok(Self { path, events: events.into(), read })
    }
}

/// Reads the lines of a file.
fn each<T: for<'de> Deserialize<'de>>(
    path: &Path,
    read: &mut LinesRead,
    mut take: impl FnMut(u64, T),
) -> Result<(), LineError> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let parsed = line.and_then(|line| serde_json::from_slice::<T>(line).map_err(|error| error.to_string()));
        match parsed {
            Ok(line) => {
                read.lines += 1;
                take(lines.number, line);
            }
            Err(wrong) => {
                let number = lines.number;
                let wrong = wrong.split(" at line ").next().unwrap_or_default();
                let damaged = read.damaged.get_or_insert_with(|| (0, format!("line {number}: {wrong}")));
                damaged.0 += 1;
            }
        }
    }
    read.bytes += lines.bytes;
    Ok(())
}

impl Feed for ZeekLogs {
    fn next_event(&mut self) -> Result<Option<SessionEvent>, LineError> {
        Ok(self.events.pop_front())
    }

    fn read(&self) -> &LinesRead {
        &self.read
    }

    fn path(&self) -> &PathBuf {
        &self.path
    }
}

/// The events of a connection.
fn tell(line: &ConnLine, mut mails: Vec<SmtpLine>, number: u64, out: &mut Vec<SessionEvent>) {
    mails.sort_by_key(|mail| mail.trans_depth);
    let frame = FrameNo(number);
    let id = ConnId {
        ts: line.ts.ts(),
        orig: Endpoint { host: line.orig_h, port: line.orig_p },
        resp: Endpoint { host: line.resp_h, port: line.resp_p },
    };
    let duration = Span::from_nanos((line.duration * 1e9).round() as i64);
    let over = At { ts: id.ts + duration, frame };
    let link =
        LinkFacts { macs: line.orig_l2_addr.zip(line.resp_l2_addr), vlans: [line.vlan, None], ..LinkFacts::default() };
    if line.conn_state == ConnState::S0 && mails.is_empty() {
        let syns = u32::try_from(line.orig_pkts).unwrap_or(u32::MAX);
        let syn = SynSignature::default();
        let attempt = Attempt { id, first: frame, last: over, syns, link, syn, cut_short: false };
        out.push(SessionEvent { at: over, kind: SessionEventKind::Unanswered(Box::new(attempt)) });
        return;
    }
    let helo = mails.iter().rev().find_map(|mail| mail.helo.as_deref()).map(Wire::from);
    let hidden = mails.iter().any(|mail| mail.tls);
    // Zeek tells of SMTP only where the server spoke it: the words of the greeting are not kept.
    let spoke = !mails.is_empty() || line.service.is_some();
    let greeting = spoke.then(|| Reply { code: Some(220), status: None, text: Wire::default() });
    let head = Arc::new(SessionHead {
        id,
        first: frame,
        link,
        greeting: greeting.clone(),
        helo: helo.clone(),
        lossy: line.missed_bytes > 0,
    });
    if spoke {
        out.push(SessionEvent { at: At { ts: id.ts, frame }, kind: SessionEventKind::Greeted(Arc::clone(&head)) });
    }
    let last_reply = mails.last().and_then(|mail| mail.last_reply.as_deref()).map(|text| parse_words(text.as_bytes()));
    let mut transactions = SmallVec::new();
    let ends: Vec<Ts> = mails.iter().skip(1).map(|mail| mail.ts.ts()).chain([over.ts]).collect();
    for (mail, end) in mails.into_iter().zip(ends) {
        let Some(tx) = transaction(&mail, At { ts: end.max(id.ts), frame }) else { continue };
        let tx = Arc::new(tx);
        let kind = SessionEventKind::Transaction(Arc::clone(&head), Arc::clone(&tx));
        out.push(SessionEvent { at: tx.ended, kind });
        transactions.push(tx);
    }
    let smtp = SmtpFacts {
        greeting,
        greeted: spoke.then_some(At { ts: id.ts, frame }),
        helo,
        tls: Tls { state: if hidden { TlsState::Starttls } else { TlsState::None }, ..Tls::default() },
        transactions_total: transactions.len() as u32,
        transactions,
        last_reply,
        ..SmtpFacts::default()
    };
    let conn = Connection {
        id,
        state: line.conn_state,
        history: line.history.as_str().into(),
        duration,
        orig_bytes: line.orig_bytes,
        resp_bytes: line.resp_bytes,
        missed_bytes: line.missed_bytes,
        gaps: u32::from(line.missed_bytes > 0),
        first: frame,
        last: frame,
        frames: line.orig_pkts.saturating_add(line.resp_pkts),
        link,
        syn: None,
        one_sided: false,
        cut_short: false,
        weird: WeirdSet::default(),
    };
    let session = Session { conn, smtp, outer: None };
    out.push(SessionEvent { at: over, kind: SessionEventKind::Closed(Arc::new(session)) });
}

/// A mail of `smtp.log`; `None` for a record without MAIL.
fn transaction(mail: &SmtpLine, ended: At) -> Option<Transaction> {
    let path = |text: &str| Wire::from(text.trim_start_matches('<').trim_end_matches('>'));
    let mailfrom = path(mail.mailfrom.as_deref()?);
    let reply =
        mail.last_reply.as_deref().map(|text| parse_words(text.as_bytes())).filter(|reply| reply.code != Some(BYE));
    // A header was seen: mail data were sent, and the last reply is the one to them.
    let with_data = mail.msg_id.is_some() || !mail.fuids.is_empty();
    let mut rcptto: SmallVec<[Recipient; 1]> =
        mail.rcptto.iter().map(|to| Recipient { to: path(to), reply: None }).collect();
    let verdict = |reply: &Reply| match reply {
        reply if reply.is_permanent() => Outcome::Rejected,
        reply if reply.is_transient() => Outcome::Deferred,
        _ => Outcome::Incomplete,
    };
    let (mut mail_reply, mut data_reply, mut rejected) = (None, None, 0);
    let outcome = match reply {
        Some(reply) if with_data => {
            let outcome = if reply.is_positive() { Outcome::Accepted } else { verdict(&reply) };
            data_reply = Some(reply);
            outcome
        }
        Some(reply) if reply.is_permanent() || reply.is_transient() => {
            let outcome = verdict(&reply);
            match rcptto.last_mut() {
                Some(last) => {
                    last.reply = Some(reply);
                    rejected = 1;
                }
                None => mail_reply = Some(reply),
            }
            // Of several recipients the others may have been accepted.
            if rcptto.len() > 1 { Outcome::Incomplete } else { outcome }
        }
        _ => Outcome::Incomplete,
    };
    let taken = if outcome == Outcome::Accepted { rcptto.len() as u32 } else { 0 };
    Some(Transaction {
        trans_depth: mail.trans_depth,
        began: At { ts: mail.ts.ts(), frame: ended.frame },
        ended,
        null_sender: mailfrom.is_empty(),
        mailfrom,
        declared_size: None,
        mail_reply,
        rcpt_total: rcptto.len() as u32,
        rcpt_accepted: taken,
        rcpt_rejected: rejected,
        rcptto,
        transfer: with_data.then_some(Transfer::Data),
        data_cmd_reply: None,
        data_reply,
        size: 0,
        complete: with_data,
        outcome: if mail.tls && outcome == Outcome::Incomplete { Outcome::Hidden } else { outcome },
        content: mail.msg_id.as_deref().map(|id| {
            let id = id.trim_start_matches('<').trim_end_matches('>');
            Box::new(MailFacts { msg_id: Some(id.into()), ..MailFacts::default() })
        }),
    })
}
