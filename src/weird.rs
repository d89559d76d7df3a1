//! What a stream did that the RFCs do not allow, or that a careful reader wants to know. Never an error: a fact that is
//! counted, reported and may count as evidence. Names are Zeek's or Suricata's where they have one (style: snake case).

use serde::{Serialize, Serializer};

macro_rules! weirds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One kind of oddity.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Weird { $($(#[$doc])* $variant,)* }

        impl Weird {
            /// Every kind, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in outputs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

weirds! {
    // TCP
    /// Overlapping segments carry different bytes: the first ones were kept.
    OverlapDisagrees = "rexmit_inconsistency",
    /// Data in a SYN segment (RFC 9293 section 3.10.7.2 allows it; only TCP Fast Open uses it).
    SynData = "syn_data",
    /// A second SYN with another sequence number inside an open connection.
    SynInsideConnection = "SYN_inside_connection",
    /// SYN and RST, or SYN and FIN, in one segment.
    BadFlags = "bad_TCP_flags",
    /// Data after the side's FIN.
    DataAfterFin = "data_after_FIN",
    /// A RST outside the window: not followed.
    ResetOutOfWindow = "RST_out_of_window",
    /// A FIN beyond the bytes seen: not followed until the bytes before it came.
    FinOutOfWindow = "FIN_out_of_window",
    /// The urgent pointer was used.
    UrgentData = "urgent_data",
    /// An acknowledgement of bytes that were never seen.
    AckedUnseen = "ack_above_hole",
    /// A segment far outside the window.
    OutOfWindow = "segment_out_of_window",
    // SMTP lines
    /// A line ended by LF alone.
    BareLf = "bare_LF",
    /// A CR that no LF follows.
    BareCr = "bare_CR",
    /// A line longer than the limit; the rest of it was skipped.
    LineTooLong = "line_too_long",
    /// A NUL byte in a command or reply.
    NulByte = "NUL_in_line",
    /// Bytes above 0x7f in a command where SMTPUTF8 was not asked for.
    EightBit = "8bit_in_line",
    // SMTP dialogue
    /// A line that is no command of any known grammar.
    UnknownCommand = "invalid_command",
    /// A known command whose arguments do not parse.
    BadArguments = "invalid_arguments",
    /// A line on the server's side that is no reply.
    InvalidReply = "invalid_reply",
    /// A reply to which no command is known.
    UnexpectedReply = "unexpected_reply",
    /// The lines of one reply carry different codes.
    MixedReplyCodes = "mixed_reply_codes",
    /// The client spoke before the greeting was complete.
    EarlyTalker = "early_talker",
    /// A command sent before the reply that must come first (RFC 2920 section 3.1).
    IllegalPipelining = "invalid_pipelined_sequence",
    /// MAIL inside a mail transaction.
    NestedMail = "nested_mail_transaction",
    /// RCPT or DATA without MAIL.
    OutOfSequence = "command_out_of_sequence",
    /// Mail data ended where the server said so, by a line that is not CRLF.CRLF.
    NonstandardEndOfData = "nonstandard_end_of_data",
    /// A dot line of another form inside mail data, followed by what looks like a command.
    SmugglingPattern = "smtp_smuggling_pattern",
    /// BDAT with a size that is no number, or too large to be one.
    BadChunkSize = "invalid_chunk_size",
    /// The reply text of every command is masked by a firewall (`220 ****`).
    MaskedBanner = "masked_banner",
    /// A command masked by a firewall (`XXXX`).
    MaskedCommand = "masked_command",
    /// TLS bytes without STARTTLS, or a broken TLS record after it.
    BadTls = "invalid_tls_record",
    /// More recipients, commands or transactions than are kept for one connection.
    SessionLimit = "session_limit_reached",
    /// A command of another protocol (HTTP verbs, header lines) before or instead of SMTP.
    ForeignProtocol = "foreign_protocol",
}

impl Weird {
    /// The kind of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|weird| weird.name() == name).copied()
    }

    /// Whether TCP tells it, or the dialogue.
    pub const fn is_of_tcp(self) -> bool {
        self as u8 <= Self::OutOfWindow as u8
    }
}

impl Serialize for Weird {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// The kinds that were seen, each once: a bit a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct WeirdSet(u64);

const _: () = assert!(Weird::ALL.len() <= 64, "a WeirdSet has 64 bits");

impl WeirdSet {
    /// Adds a kind.
    pub const fn insert(&mut self, weird: Weird) {
        self.0 |= 1 << weird as u8;
    }

    /// Adds all of another set.
    pub const fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the kind was seen.
    pub const fn contains(self, weird: Weird) -> bool {
        self.0 & (1 << weird as u8) != 0
    }

    /// Whether none was seen.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Weird> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let weird = Weird::ALL.get(left.trailing_zeros() as usize).copied()?;
            left &= left - 1;
            Some(weird)
        })
    }
}

impl std::fmt::Debug for WeirdSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for WeirdSet {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_each_kind_once_and_in_order() {
        let mut set = WeirdSet::default();
        set.insert(Weird::BareLf);
        set.insert(Weird::OverlapDisagrees);
        set.insert(Weird::BareLf);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Weird::OverlapDisagrees, Weird::BareLf]);
        assert!(!set.contains(Weird::SynData));
    }
}
