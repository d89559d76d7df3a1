//! The classes of replies, the outcomes they stand for, and the stages of a dialogue.

use std::fmt;

use serde::Serialize;

/// Declares [`ReplyClass`] with its names, so that the enum, its text form and the reader of rules cannot differ.
macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $outcome:ident,)*) => {
        /// What a reply says.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ReplyClass {
            $($(#[$doc])* $variant,)*
        }

        impl ReplyClass {
            /// Every class, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, as in rules and reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The class of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The outcome that a reply of this class is for the sequential test. Connect failures have no reply.
            pub const fn outcome(self) -> OutcomeClass {
                match self { $(Self::$variant => OutcomeClass::$outcome,)* }
            }
        }
    };
}

classes! {
    /// 2xx, 3xx.
    Ok = "ok" => Accepted,
    /// The client's address stands on a blocklist, public or the provider's own.
    BlocklistIp = "blocklist_ip" => Policy,
    /// Too much mail, too many requests in a time.
    RateLimit = "rate_limit" => Policy,
    /// Too many connections at once, or in a time.
    TooManyConnections = "too_many_connections" => Policy,
    /// Greylisting, and it says so.
    Greylist = "greylist" => Pending,
    /// Refused for now; the reason is not told.
    Deferred = "deferred" => Pending,
    /// This client may not send to foreign domains here.
    RelayDenied = "relay_denied" => Policy,
    /// Log in first.
    AuthRequired = "auth_required" => Policy,
    /// User name or password refused.
    AuthFailed = "auth_failed" => Policy,
    /// No such recipient, or no such domain.
    UserUnknown = "user_unknown" => BadRecipient,
    /// The mailbox exists and takes no mail: disabled, suspended, inactive. Old address lists are full of them.
    MailboxDisabled = "mailbox_disabled" => BadRecipient,
    /// The mailbox exists and is full.
    MailboxFull = "mailbox_full" => Other,
    /// The mail's content was taken for spam, or malware.
    SpamContent = "spam_content" => Policy,
    /// The client's address has no name, or no fitting one.
    Rdns = "rdns" => Policy,
    /// The client talked before its turn.
    EarlyTalk = "early_talk" => Policy,
    /// The client broke another rule of the dialogue, or fell silent.
    Protocol = "protocol" => Other,
    /// Refused for a policy; the reason is not told, or is of no other class.
    Policy = "policy" => Policy,
    /// SPF, DKIM, DMARC.
    SenderAuth = "sender_auth" => Policy,
    /// The reverse-path or its domain is refused.
    SenderRejected = "sender_rejected" => Policy,
    /// The mail is too large, or has too many recipients.
    Size = "size" => Other,
    /// The server has a trouble of its own.
    System = "system" => Other,
    /// Use STARTTLS first.
    TlsRequired = "tls_required" => Policy,
    /// The server cannot pass the mail on: a name, a route, a loop.
    Routing = "routing" => Other,
    /// None of these.
    Other = "other" => Other,
}

impl fmt::Display for ReplyClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an attempt to send came to, as the sequential test counts it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// Taken.
    Accepted,
    /// No such recipient.
    BadRecipient,
    /// Refused for what the client or its mail is.
    Policy,
    /// No greeting came. No reply stands for it.
    ConnectFailure,
    /// Not decided yet: the client is expected to try again.
    Pending,
    /// Anything else.
    Other,
}

/// Where in the dialogue a reply stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before any command.
    Greeting,
    /// The answer to HELO or EHLO.
    Helo,
    /// The answer to AUTH or to a line of its exchange.
    Auth,
    /// The answer to MAIL.
    Mail,
    /// The answer to RCPT.
    Rcpt,
    /// The answer to the DATA command.
    Data,
    /// The answer to the mail data: after the final dot, or to BDAT.
    EndOfData,
    /// The answer to any other command, or nobody knows.
    Other,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: &'static [Self] =
        &[Self::Greeting, Self::Helo, Self::Auth, Self::Mail, Self::Rcpt, Self::Data, Self::EndOfData, Self::Other];

    /// The name, as in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Helo => "helo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end_of_data",
            Self::Other => "other",
        }
    }

    /// The stage of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|stage| stage.as_str() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
