//! What a command and its answer do to the mail transaction: a pure table.
//!
//! It is read in the order of the replies, so at each row all that came before is known, as it was for the server.

use crate::smtp::{Reply, Sent};
use crate::weird::Weird;

/// Where the mail transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Envelope {
    /// There is none.
    Closed,
    /// MAIL was refused; what follows it in a pipelined group still belongs to it.
    Refused,
    /// MAIL was accepted, or its answer was not seen.
    Open,
}

/// What the server said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Answer {
    /// 2xx, 3xx
    Done,
    /// 4xx, 5xx, and whatever else.
    Refused,
    /// Not seen.
    Unseen,
}

impl Answer {
    pub(super) fn of(reply: Option<&Reply>) -> Self {
        match reply {
            None => Self::Unseen,
            Some(reply) if reply.is_positive() || reply.is_intermediate() => Self::Done,
            Some(_) => Self::Refused,
        }
    }
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// The open transaction ends and another begins.
    Begin,
    /// A transaction began without a MAIL that we saw.
    BeginUnseen,
    /// A refused MAIL is a transaction of its own; the open one goes on.
    Aside,
    /// The command is the open transaction's.
    Add,
    /// The open transaction ends.
    End,
}

/// The table. Commands that are not listed do nothing.
#[rustfmt::skip]
#[expect(clippy::match_same_arms, reason = "a row a rule, in the order of the RFC")]
pub(super) const fn rule(envelope: Envelope, sent: &Sent, answer: Answer) -> (Effect, Option<Weird>) {
    use Answer::{Done, Refused, Unseen};
    use Effect::{Add, Aside, Begin, BeginUnseen, End, Nothing};
    use Envelope::{Closed, Open};
    match (sent, envelope, answer) {
        // RFC 5321 4.1.1.2, 4.1.4: MAIL begins; 503 and no effect inside a transaction
        (Sent::Mail { .. }, Open, Refused)            => (Aside, Some(Weird::NestedMail)),
        (Sent::Mail { .. }, Open, Done)               => (Begin, Some(Weird::NestedMail)),
        (Sent::Mail { .. }, _, _)                     => (Begin, None),

        // RFC 5321 4.1.1.3, 4.1.1.4, 4.1.4: RCPT and DATA belong to a transaction; RFC 3030 2: so does BDAT
        (Sent::Rcpt { .. } | Sent::Data | Sent::Bdat { .. }, Closed, Refused) => (Nothing, Some(Weird::OutOfSequence)),
        (Sent::Rcpt { .. } | Sent::Data | Sent::Bdat { .. }, Closed, Done | Unseen) => (BeginUnseen, Some(Weird::OutOfSequence)),
        (Sent::Rcpt { .. } | Sent::Data | Sent::Bdat { .. }, _, _) => (Add, None),
        (Sent::EndOfData(_), Closed, _)               => (Nothing, None),
        (Sent::EndOfData(_), _, _)                    => (Add, None),

        // RFC 5321 4.1.1.5: RSET; 4.1.4: EHLO and HELO as if RSET, but a refused one leaves all as it was
        (Sent::Rset | Sent::Hello { .. }, _, Done | Unseen) => (End, None),
        (Sent::Rset | Sent::Hello { .. }, _, Refused) => (Nothing, None),

        // RFC 5321 4.1.1.10: QUIT
        (Sent::Quit, _, _)                            => (End, None),

        _                                             => (Nothing, None),
    }
}
