//! What happened on one connection to an SMTP port, told once and whole: the boundary between the wire and the judgement.
//!
//! Nothing after this room looks at a frame. A [`Session`] (as a session line) holds all that detectors need, so that
//! they can run on session lines as well as on frames.

mod builder;
mod flood;
mod heads;
mod twins;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::frame::{At, FrameNo};
use crate::identity::Fact;
use crate::net::{Endpoint, Ends, LinkFacts, Translation};
use crate::smtp::Reply;
use crate::tcp::{Attempt, ConnId, Connection};
use crate::time::Ts;
use crate::weird::WeirdSet;
use crate::wire::Wire;

pub use crate::smtp::{AuthAttempt, AuthResult, Dialect, Dsn, MailFacts, SmugglingFacts, Tls, TlsState};
pub use builder::{Conversation, Known, Out, SessionBuilder};
pub use flood::{Flood, Floods, TOLD_MAX};
pub use heads::HeadLog;
pub use twins::Twins;

/// What the merger hands to the judgement, in the order of the frames that caused it.
#[derive(Clone, Debug)]
pub struct SessionEvent {
    /// The frame that caused it.
    pub at: At,
    /// What.
    pub kind: SessionEventKind,
}

impl SessionEvent {
    /// Connections, attempts included, whose last event this is.
    pub fn connections_ended(&self) -> u64 {
        match &self.kind {
            SessionEventKind::Unanswered(_) | SessionEventKind::Closed(_) => 1,
            SessionEventKind::Flooded(flood) => flood.attempts,
            _ => 0,
        }
    }

    /// Reads something of what was put away long ago and will be needed to judge the event and to tell it, so that it is
    /// near by then. It changes nothing; the number means nothing.
    pub fn touch(&self) -> u64 {
        match &self.kind {
            SessionEventKind::Greeted(head) => u64::from(head.lossy),
            SessionEventKind::Transaction(head, tx) => u64::from(head.lossy) ^ tx.touch(),
            SessionEventKind::Closed(session) => {
                let smtp = &session.smtp;
                let greeting = smtp.greeting.as_ref().map_or(0, |reply| reply.text.touch());
                let helo = smtp.helo.as_ref().map_or(0, Wire::touch) ^ smtp.ehlo_keywords.last().map_or(0, Wire::touch);
                let told = smtp.transactions.iter().fold(0, |read, tx| read ^ tx.touch());
                let commands = [smtp.commands.first(), smtp.commands.last()].into_iter().flatten();
                commands.fold(greeting ^ helo ^ told, |read, log| read ^ log.said.as_nanos() as u64)
            }
            _ => 0,
        }
    }
}

/// The kinds of events; all of one connection come in this order, `Unanswered`, `Flooded` or `Closed` once and last.
#[derive(Clone, Debug)]
pub enum SessionEventKind {
    /// A connection attempt that nobody answered.
    Unanswered(Box<Attempt>),
    /// Many such attempts of one host, beyond those that were told one by one.
    Flooded(Box<Flood>),
    /// The server's greeting was complete (whatever its code).
    Greeted(Arc<SessionHead>),
    /// An AUTH exchange ended.
    Auth(Arc<SessionHead>, AuthAttempt),
    /// A mail transaction ended.
    Transaction(Arc<SessionHead>, Arc<Transaction>),
    /// The connection ended, or the capture did.
    Closed(Arc<Session>),
    /// A question to a DNS server; belongs to no connection.
    DnsQuery(Box<DnsQuery>),
    /// What machines tell of themselves; belongs to no connection.
    Told(Box<[Fact]>),
    /// Two connections are one, seen on both sides of address translation; comes before either was greeted. Told twice:
    /// when it seems so, and when it is proven.
    Translated(Translation),
}

/// A question to a DNS server that has to do with mail (see `decode::dns`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsQuery {
    /// The frame.
    pub at: At,
    /// Who asked.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// The name, in lower case, without the final dot.
    pub qname: Wire,
    /// The type (RFC 1035 section 3.2.2): 1 for A, 15 for MX, 28 for AAAA (RFC 3596).
    pub qtype: u16,
}

/// What is known of a connection once the client has introduced itself; shared by the events of one session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionHead {
    /// Ends and first stamp.
    pub id: ConnId,
    /// First frame.
    pub first: FrameNo,
    /// MACs (orig, resp), VLANs, tunnels.
    pub link: LinkFacts,
    /// The greeting, code and text.
    pub greeting: Option<Reply>,
    /// The last HELO or EHLO argument so far.
    pub helo: Option<Wire>,
    /// Parts of the dialogue before are missing: what was not seen may have been said, a login for one.
    pub lossy: bool,
}

/// One TCP connection to an SMTP port, from its first frame to its last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// What TCP knows.
    pub conn: Connection,
    /// What SMTP knows.
    pub smtp: SmtpFacts,
    /// The same connection on the other side of a gateway that translates addresses, if it was seen there too.
    pub outer: Option<Outer>,
}

/// A connection's shadow beyond address translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// The ends there.
    pub ends: Ends,
    /// When the server's answer proved it; `None` where the connection came to nothing and only looks alike.
    pub proven: Option<At>,
}

impl Session {
    /// Whether the connection came to nothing: it was seen from its SYN to its end, which came before anything was said, and
    /// nothing was hidden or lost that could have held a greeting. Where a dialogue was seen, only the capture has no
    /// greeting. By `conn_state` alone this cannot be told: to Zeek, what was met in the middle and ends with FINs is `SF`.
    pub fn failed(&self) -> bool {
        self.smtp.is_silent()
            && self.conn.history.show_begin()
            && self.conn.gaps == 0
            && !self.conn.one_sided
            && !self.conn.cut_short
            && !self.smtp.tls.state.is_hidden()
    }
}

/// The SMTP side of a session: what the dialogue came to. What each command adds to stands in front, what an introduction
/// or less behind it: of thousands of sessions under way, that much less is to be fetched from far away.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[repr(C)]
pub struct SmtpFacts {
    /// `VERB code` of each command in order (bounded): the shape of the dialogue.
    pub commands: Vec<CommandLog>,
    /// Commands, counted also beyond the bound.
    pub commands_total: u32,
    /// Mail transactions, counted also beyond the bound.
    pub transactions_total: u32,
    /// The last reply.
    pub last_reply: Option<Reply>,
    /// What was odd.
    pub weird: WeirdSet,
    /// How the client writes its commands.
    pub dialect: Dialect,
    /// `Some(true)` after EHLO, `Some(false)` after HELO.
    pub esmtp: Option<bool>,
    /// QUIT was sent.
    pub quit: bool,
    /// The client used pipelining (several commands before a reply).
    pub pipelined: bool,
    /// Mail transactions in order (bounded; see `transactions_total`).
    pub transactions: SmallVec<[Arc<Transaction>; 1]>,
    /// What the heads of its events were like.
    pub heads: HeadLog,
    /// The greeting.
    pub greeting: Option<Reply>,
    /// Frame of the greeting's last line.
    pub greeted: Option<At>,
    /// The last HELO or EHLO argument.
    pub helo: Option<Wire>,
    /// All distinct HELO or EHLO arguments beyond the first, in order (bounded).
    pub more_helos: Vec<Wire>,
    /// The first EHLO reply's keyword lines (bounded), with parameters.
    pub ehlo_keywords: Vec<Wire>,
    /// The EHLO or HELO reply's first line: servers tell here which address they see.
    pub helo_reply: Option<Reply>,
    /// AUTH exchanges in order (bounded).
    pub auth: Vec<AuthAttempt>,
    /// Where mail data hold a dot line of another form with a command behind it.
    pub smuggling: Option<Box<SmugglingFacts>>,
    /// What became of encryption.
    pub tls: Tls,
}

impl SmtpFacts {
    /// Whether no greeting, no other reply and no command was seen.
    fn is_silent(&self) -> bool {
        self.greeting.is_none() && self.last_reply.is_none() && self.commands_total == 0 && self.transactions_total == 0
    }
}

/// A command and the code that answered it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CommandLog {
    /// The verb in upper case, `.` for the end of mail data, `*` for a line of an AUTH exchange, `?` for an unknown line.
    pub verb: &'static str,
    /// The reply's code; `None` if no reply was seen.
    pub code: Option<u16>,
    /// When its last byte was sent.
    pub said: Ts,
    /// When the reply's last line was seen; `None` if no reply was.
    pub replied: Option<Ts>,
}

/// One mail transaction (RFC 5321 section 3.3): from MAIL to its end. What each RCPT adds to stands in front.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Transaction {
    /// Recipients in order (bounded; see `rcpt_total`).
    pub rcptto: SmallVec<[Recipient; 1]>,
    /// RCPT commands, counted also beyond the bound.
    pub rcpt_total: u32,
    /// Accepted ones of them, counted also beyond the bound.
    pub rcpt_accepted: u32,
    /// Refused ones of them (4xx and 5xx), counted also beyond the bound.
    pub rcpt_rejected: u32,
    /// Counts from 1 in a session (Zeek's `trans_depth`).
    pub trans_depth: u32,
    /// `MAIL FROM:<>`
    pub null_sender: bool,
    /// Mail data were seen to their end.
    pub complete: bool,
    /// How mail data were sent, if they were.
    pub transfer: Option<Transfer>,
    /// What became of it.
    pub outcome: Outcome,
    /// The reverse-path without brackets; empty if null (see `null_sender`).
    pub mailfrom: Wire,
    /// The reply to MAIL.
    pub mail_reply: Option<Reply>,
    /// `SIZE=` of MAIL.
    pub declared_size: Option<u64>,
    /// The frame with MAIL.
    pub began: At,
    /// The frame that ended it: the final reply, RSET, a new MAIL, the close, or the gap.
    pub ended: At,
    /// The reply to the DATA command itself (354, or a refusal).
    pub data_cmd_reply: Option<Reply>,
    /// The reply after the mail data (to CRLF.CRLF or to BDAT LAST).
    pub data_reply: Option<Reply>,
    /// Bytes of mail data as sent, dot-stuffing and the final dot line left out.
    pub size: u64,
    /// What the mail data's headers tell, if any were sent.
    pub content: Option<Box<MailFacts>>,
}

/// Recipients that are touched: nearly all mails have no more, and one with thousands would push out what is near already.
const TOUCHED_MAX: usize = 4;

impl Transaction {
    /// See [`SessionEvent::touch`].
    fn touch(&self) -> u64 {
        let replies = [&self.mail_reply, &self.data_cmd_reply, &self.data_reply];
        let content = self.content.as_ref().and_then(|content| content.msg_id.as_ref()).map_or(0, Wire::touch);
        let read = self.mailfrom.touch() ^ content;
        let read = replies.into_iter().flatten().fold(read, |read, reply| read ^ reply.text.touch());
        self.rcptto
            .iter()
            .take(TOUCHED_MAX)
            .fold(read, |read, rcpt| read ^ rcpt.to.touch() ^ rcpt.reply.as_ref().map_or(0, |reply| reply.text.touch()))
    }
}

/// One RCPT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient {
    /// The forward-path without brackets.
    pub to: Wire,
    /// The reply; `None` if none was seen.
    pub reply: Option<Reply>,
}

/// How mail data travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transfer {
    /// RFC 5321 section 4.1.1.4
    Data,
    /// RFC 3030
    Bdat,
}

/// What became of a transaction (design section 4, key `outcome`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The mail was taken: 2xx after its data.
    Accepted,
    /// Refused for good: 5xx to MAIL, to every RCPT, to DATA or after the data.
    Rejected,
    /// Refused for now: 4xx there.
    Deferred,
    /// The client gave it up (RSET, QUIT, new MAIL, close) although it could have gone on.
    Abandoned,
    /// A gap or the end of the capture hides how it ended.
    Incomplete,
    /// Went on under TLS.
    Hidden,
}
