//! What a dialogue comes to, step by step: the boundary between the machine of both sides and the session's facts.

use crate::frame::At;
use crate::net::Side;
use crate::smtp::Reply;
use crate::smtp::{AuthAttempt, Dialect, MailFacts, SmugglingFacts, TlsState};
use crate::weird::Weird;
use crate::wire::Wire;

/// A step of a dialogue. Steps come in the order in which the server took the commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SmtpEvent {
    /// The greeting is complete (RFC 5321 section 3.1), whatever its code.
    Greeted {
        /// Its last line.
        at: At,
        /// The greeting.
        reply: Reply,
    },
    /// A command was answered, or it is certain that its answer was not seen.
    Answered {
        /// What the client sent.
        sent: Sent,
        /// When it sent it.
        said: At,
        /// The reply's last line, or what made certain that there is none.
        at: At,
        /// The reply; `None` if none was seen. Without what it quotes, where that may be a secret.
        reply: Option<Reply>,
    },
    /// A reply to which no command is known: a timeout, a shutdown (421), or the answer to a lost command.
    Unasked {
        /// Its last line.
        at: At,
        /// The reply. What it quotes may be a lost command's secret and is not in it.
        reply: Reply,
    },
    /// An AUTH exchange ended.
    AuthEnded(AuthAttempt),
    /// Mail data stop without an end: the connection or the capture ended, or nobody can tell any more what is data.
    DataCut {
        /// Where they stop.
        at: At,
        /// What there was.
        mail: MailEnd,
        /// The server's verdict, if it gave one before the end (RFC 5321 section 4.2.5 wants it after).
        reply: Option<Reply>,
    },
    /// Bytes of the client are missing where commands belong: what was open cannot be followed any further.
    Lost {
        /// The gap.
        at: At,
    },
    /// Something about encryption: see [`TlsState`].
    Tls {
        /// When.
        at: At,
        /// What.
        state: TlsState,
    },
    /// The client sent a command without waiting for a reply; said once.
    Pipelined,
    /// The client showed a habit that it had not shown before; all of them.
    Dialect(Dialect),
    /// Mail data hold a dot line of another form with a command behind it; said once a mail.
    Smuggling(Box<SmugglingFacts>),
    /// Something odd; each kind is said once a side at most.
    Weird {
        /// Who did it.
        side: Side,
        /// When.
        at: At,
        /// What.
        weird: Weird,
    },
}

/// What a client sent that a server answers. No secrets: lines of AUTH exchanges and unknown lines have no text here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sent {
    /// EHLO or HELO.
    Hello {
        /// EHLO.
        esmtp: bool,
        /// The argument.
        name: Wire,
    },
    /// MAIL
    Mail {
        /// The reverse-path without brackets.
        path: Wire,
        /// `SIZE=`
        size: Option<u64>,
    },
    /// RCPT
    Rcpt {
        /// The forward-path without brackets.
        path: Wire,
    },
    /// DATA
    Data,
    /// The end of mail data.
    EndOfData(MailEnd),
    /// BDAT, with its chunk.
    Bdat {
        /// Bytes of the chunk.
        size: u64,
        /// The mail's last chunk.
        last: bool,
        /// What the mail came to; with the last chunk, once that is whole.
        mail: Option<MailEnd>,
    },
    /// RSET
    Rset,
    /// STARTTLS
    StartTls,
    /// AUTH
    Auth,
    /// A line of an AUTH exchange.
    AuthLine,
    /// QUIT
    Quit,
    /// Any other, by its verb in upper case; `?` for a line that is no command.
    Other(&'static str),
}

/// What mail data came to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MailEnd {
    /// Bytes as sent, without dot-stuffing and the final dot line; missing ones are counted too.
    pub size: u64,
    /// The end was seen. (Where bytes before it are missing there is no body hash.)
    pub complete: bool,
    /// What the data tell.
    pub facts: Box<MailFacts>,
}

impl Sent {
    /// The name in the log of commands (see [`CommandLog`](crate::session::CommandLog)).
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Hello { esmtp: true, .. } => "EHLO",
            Self::Hello { esmtp: false, .. } => "HELO",
            Self::Mail { .. } => "MAIL",
            Self::Rcpt { .. } => "RCPT",
            Self::Data => "DATA",
            Self::EndOfData(_) => ".",
            Self::Bdat { .. } => "BDAT",
            Self::Rset => "RSET",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::AuthLine => "*",
            Self::Quit => "QUIT",
            Self::Other(verb) => verb,
        }
    }

    /// Whether a reply to it may quote a secret: of an AUTH exchange, and where the server does not know what was said. A
    /// client whose AUTH was refused may send its password all the same, and the server takes it for a command.
    pub const fn is_confidential(&self) -> bool {
        matches!(self, Self::Auth | Self::AuthLine | Self::Other(_))
    }

    /// Whether this must be the last command of a pipelined group: its reply changes what the client may say next.
    ///
    /// RFC 2920 section 3.1 (EHLO, DATA, VRFY, EXPN, TURN, QUIT, NOOP), RFC 3207 section 4 (STARTTLS), RFC 4954
    /// section 4 (AUTH is a dialogue of its own), RFC 5321 section 4.1.1.1 (HELO asks for a session without extensions);
    /// XEXCH50 waits for 354 like DATA.
    pub fn ends_group(&self) -> bool {
        match self {
            Self::Hello { .. } | Self::Data | Self::StartTls | Self::Auth | Self::AuthLine | Self::Quit => true,
            Self::Other(verb) => matches!(*verb, "VRFY" | "EXPN" | "TURN" | "NOOP" | "XEXCH50"),
            _ => false,
        }
    }
}
