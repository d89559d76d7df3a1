//! How the client's bytes are to be read: the machine of both sides as one pure table.
//!
//! Read first: RFC 5321 section 4.3 (sequencing), RFC 2920 section 3.1 (pipelining), RFC 3030 section 2 (BDAT), RFC 3207
//! section 4 (STARTTLS), RFC 4954 section 4 (AUTH). The table only says how the next bytes are read. What a transaction
//! came to is the session builder's business.

use crate::net::Side;
use crate::weird::Weird;

/// How the client's next bytes are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// Nothing of the client was seen yet.
    Start,
    /// Not known: the capture began in the middle, or bytes are missing. Lines count only if they surely are commands.
    Unsure,
    /// As command lines.
    Command,
    /// DATA was said and not answered: what follows is held back until it is known what it is.
    DataAsked,
    /// As mail data up to CRLF.CRLF.
    Data,
    /// As a chunk of known size.
    Chunk,
    /// XEXCH50 was said and not answered: held back too.
    BlobAsked,
    /// As XEXCH50's blob of known size.
    Blob,
    /// AUTH, or a line of its exchange, was sent and not answered: the next line is of the exchange unless it surely is a
    /// command.
    AuthAsked,
    /// The server asked for a line of the exchange: whatever the next line says, it is that.
    AuthLine,
    /// STARTTLS was said and not answered.
    TlsAsked,
    /// STARTTLS was granted: the next byte tells whether TLS follows.
    TlsGranted,
    /// As TLS records.
    Tls,
}

/// What a command does to the way in which bytes are read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    /// DATA
    Data,
    /// BDAT with a size.
    Bdat,
    /// BDAT whose size is no number: how many bytes follow is unknown.
    BadBdat,
    /// XEXCH50 with a size.
    Xexch50,
    /// AUTH, or a line of its exchange.
    Auth,
    /// STARTTLS
    StartTls,
    /// Nothing.
    Other,
}

/// What a reply means for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Class {
    /// 2xx
    Done,
    /// 354 (and 3xx other than 334): go on with the data.
    GoOn,
    /// 334: go on with the exchange.
    Challenge,
    /// 500 and 502: the server does not know the command, or has not got it (RFC 5321 section 4.2.2).
    Unknown,
    /// 4xx, other 5xx, and whatever else.
    Refused,
}

/// A step of the dialogue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Step {
    /// The client said a command (in [`Phase::Unsure`]: one that surely is one).
    Said(Kind),
    /// The client sent a line of an AUTH exchange.
    SaidAuthLine,
    /// What was held back after DATA or XEXCH50 can only be what they announce.
    Assumed,
    /// What was held back begins with a command: the server must have refused.
    Declined,
    /// The data, the chunk or the blob is whole.
    Ended,
    /// A line begins like a TLS record.
    TlsBytes,
    /// The first byte is that of a line.
    PlainBytes,
    /// Bytes of the client are missing.
    Gap,
    /// A reply to a command of that kind.
    Answered(Kind, Class),
    /// A reply to which no command is known.
    Stray(Class),
    /// A reply that took a dot line of another form for the end of the data.
    TookOtherEnd,
    /// A reply to an end of the data that a gap hides.
    TookLostEnd,
    /// Plain SMTP of the server, although the client speaks TLS.
    PlainReply,
}

/// The table. What is not listed leaves the phase as it is; a reply that answers nothing is weird.
#[rustfmt::skip]
#[expect(clippy::match_same_arms, reason = "a row a rule, in the order of the dialogue")]
pub(super) const fn next(phase: Phase, side: Side, step: Step) -> (Phase, Option<Weird>) {
    use Class::{Challenge, Done, GoOn, Refused, Unknown};
    use Kind::{Auth, BadBdat, Bdat, Data as DataKind, Other, StartTls, Xexch50};
    use Phase::{AuthAsked, AuthLine, Blob, BlobAsked, Chunk, Command, Data, DataAsked, Start, Tls, TlsAsked, TlsGranted, Unsure};
    use Side::{Orig, Resp};
    use Step::{Answered, Assumed, Declined, Ended, Gap, PlainBytes, PlainReply, Said, SaidAuthLine, Stray, TlsBytes, TookLostEnd, TookOtherEnd};
    match (phase, side, step) {
        // The client's commands
        (_, Orig, Said(DataKind))                    => (DataAsked, None),  // RFC 5321 4.1.1.4
        (_, Orig, Said(Bdat))                        => (Chunk, None),      // RFC 3030 2: the chunk follows at once
        (_, Orig, Said(BadBdat))                     => (Unsure, Some(Weird::BadChunkSize)), // RFC 3030 2
        (_, Orig, Said(Xexch50))                     => (BlobAsked, None),  // [MS-XEXCH50]
        (_, Orig, Said(Auth) | SaidAuthLine)         => (AuthAsked, None),  // RFC 4954 4
        (_, Orig, Said(StartTls))                    => (TlsAsked, None),   // RFC 3207 4
        (_, Orig, Said(Other))                       => (Command, None),    // RFC 5321 4.1.1

        // What follows them
        (DataAsked, Orig, Assumed)                   => (Data, None),       // RFC 5321 4.1.1.4
        (BlobAsked, Orig, Assumed)                   => (Blob, None),
        (DataAsked | BlobAsked, Orig, Declined)      => (Command, None),
        (Data | Chunk | Blob, Orig, Ended)           => (Command, None),    // RFC 5321 4.1.1.4, RFC 3030 2
        (DataAsked, Orig, Gap)                       => (Data, None),       // the gap hides data more often than not
        (BlobAsked, Orig, Gap)                       => (Unsure, None),
        (Data | Chunk | Blob | Tls, Orig, Gap)       => (phase, None),
        (_, Orig, Gap)                               => (Unsure, None),

        // TLS
        (Start, Orig, TlsBytes)                      => (Tls, None),        // RFC 8314 3: implicit TLS
        (TlsAsked | TlsGranted, Orig, TlsBytes)      => (Tls, None),        // RFC 3207 4
        (Unsure, Orig, TlsBytes)                     => (Tls, None),        // STARTTLS went by unseen
        (_, Orig, TlsBytes)                          => (Unsure, Some(Weird::BadTls)),
        (Start | TlsAsked | TlsGranted, Orig, PlainBytes) => (Command, None), // decrypted in place, or pipelined
        (Tls, Resp, PlainReply)                      => (Unsure, Some(Weird::BadTls)),

        // The server's answers
        (DataAsked | Data, Resp, Answered(DataKind, GoOn)) => (Data, None), // RFC 5321 4.3.2: I 354
        (DataAsked, Resp, Answered(DataKind, _))     => (Command, None),    // RFC 5321 4.3.2: E, and 2xx of no meaning
        (Data, Resp, Answered(DataKind, _))          => (Unsure, None),     // data were assumed, and are commands
        // Who does not know BDAT reads on for commands, whatever size was announced. All others skip a refused chunk (RFC 3030 2).
        (Chunk, Resp, Answered(Bdat, Unknown))       => (Unsure, None),
        (BlobAsked | Blob, Resp, Answered(Xexch50, GoOn)) => (Blob, None),
        (BlobAsked, Resp, Answered(Xexch50, _))      => (Command, None),
        (AuthAsked, Resp, Answered(Auth, Challenge)) => (AuthLine, None),   // RFC 4954 4: 334
        (AuthAsked, Resp, Answered(Auth, _))         => (Command, None),    // RFC 4954 6: 235, 4yz, 5yz
        (Tls, Resp, Answered(StartTls, _))           => (Tls, None),        // the 220 came late
        (TlsAsked, Resp, Answered(StartTls, Refused | Unknown | GoOn | Challenge)) => (Command, None), // RFC 3207 4: 454, 501
        (_, Resp, Answered(StartTls, Done))          => (TlsGranted, None), // RFC 3207 4: 220

        // RFC 5321 4.2.5: a final reply after 354 means that the server saw the end of the data
        (Data, Resp, TookOtherEnd)                   => (Command, Some(Weird::NonstandardEndOfData)),
        (Data, Resp, TookLostEnd)                    => (Unsure, None),

        // A reply tells where the client stands
        (Unsure, Resp, Stray(GoOn))                  => (Data, None),
        (Unsure, Resp, Stray(Challenge))             => (AuthLine, None),
        (Unsure, Resp, Stray(_) | Answered(_, _))    => (Command, None),
        // RFC 5321 4.2: every reply answers a command
        (_, Resp, Stray(_))                          => (phase, Some(Weird::UnexpectedReply)),

        _ => (phase, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 13] = [
        Phase::Start,
        Phase::Unsure,
        Phase::Command,
        Phase::DataAsked,
        Phase::Data,
        Phase::Chunk,
        Phase::BlobAsked,
        Phase::Blob,
        Phase::AuthAsked,
        Phase::AuthLine,
        Phase::TlsAsked,
        Phase::TlsGranted,
        Phase::Tls,
    ];

    #[test]
    fn no_reply_but_the_answer_to_starttls_or_a_plain_one_touches_tls() {
        for class in [Class::Done, Class::GoOn, Class::Challenge, Class::Unknown, Class::Refused] {
            for kind in [Kind::Data, Kind::Bdat, Kind::Xexch50, Kind::Auth, Kind::Other] {
                assert_eq!(next(Phase::Tls, Side::Resp, Step::Answered(kind, class)), (Phase::Tls, None));
                for phase in PHASES {
                    let (after, _) = next(phase, Side::Resp, Step::Answered(kind, class));
                    assert!(after == phase || !matches!(after, Phase::Tls | Phase::TlsGranted), "{phase:?} {kind:?}");
                }
            }
        }
    }

    #[test]
    fn mail_data_begin_only_where_the_server_or_the_client_says_so() {
        for phase in PHASES {
            for kind in [Kind::Data, Kind::Bdat, Kind::Xexch50, Kind::Auth, Kind::StartTls, Kind::Other] {
                assert_ne!(next(phase, Side::Orig, Step::Said(kind)).0, Phase::Data);
            }
            let (after, weird) = next(phase, Side::Resp, Step::Stray(Class::GoOn));
            assert_eq!(after == Phase::Data, matches!(phase, Phase::Unsure | Phase::Data), "{phase:?}");
            assert_eq!(weird.is_none(), phase == Phase::Unsure, "{phase:?}");
        }
    }

    #[test]
    fn a_gap_makes_unsure_what_has_no_bounds_of_its_own() {
        for phase in PHASES {
            let bounded = matches!(phase, Phase::Data | Phase::Chunk | Phase::Blob | Phase::Tls);
            let expected = if bounded {
                phase
            } else if phase == Phase::DataAsked {
                Phase::Data
            } else {
                Phase::Unsure
            };
            assert_eq!(next(phase, Side::Orig, Step::Gap), (expected, None));
        }
    }
}
