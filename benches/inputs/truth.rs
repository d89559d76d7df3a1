//! What is in an input, counted while it is made, and written beside it.

use std::io::{self, Write};

use crate::wire::Micros;

/// The truth about one input. All numbers are whole-file sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    /// The letter of the input.
    pub(crate) input: String,
    /// The scale as given: `1`, `1/100`, `8`.
    pub(crate) scale: String,
    pub(crate) seed: u64,
    pub(crate) frames: u64,
    /// The size of the file.
    pub(crate) bytes: u64,
    pub(crate) first_ts: Micros,
    pub(crate) last_ts: Micros,
    /// Frames from or to port 25.
    pub(crate) smtp_frames: u64,
    /// Connections to port 25 that were established.
    pub(crate) sessions: u64,
    /// Connections to port 25 that stayed at a SYN.
    pub(crate) unanswered: u64,
    pub(crate) transactions: u64,
    /// Messages the server took with 250 after the final dot.
    pub(crate) messages_accepted: u64,
    /// Bytes of mail data, dot stuffing and the final line included.
    pub(crate) message_bytes: u64,
    pub(crate) recipients: u64,
    pub(crate) recipients_accepted: u64,
    pub(crate) recipients_rejected: u64,
    pub(crate) null_senders: u64,
    /// Segments seen twice.
    pub(crate) retransmitted: u64,
    /// Pairs of segments in the wrong order.
    pub(crate) reordered: u64,
    /// Internal hosts that opened a connection to port 25.
    pub(crate) clients: u64,
    /// Addresses to whose port 25 a connection was opened or tried.
    pub(crate) distinct_destinations: u64,
    /// Most conversations open at a time, those not on port 25 included.
    pub(crate) open_max: u64,
    /// Conversations that have nothing to do with port 25.
    pub(crate) other_flows: u64,
}

impl Truth {
    /// Writes the truth as a JSON object, a line a field.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{{")?;
        // Letters, digits and a slash: nothing to escape.
        writeln!(out, "  \"input\": \"{}\",", self.input)?;
        writeln!(out, "  \"scale\": \"{}\",", self.scale)?;
        let numbers = [
            ("seed", self.seed),
            ("frames", self.frames),
            ("bytes", self.bytes),
            ("first_ts_us", self.first_ts),
            ("last_ts_us", self.last_ts),
            ("smtp_frames", self.smtp_frames),
            ("sessions", self.sessions),
            ("unanswered", self.unanswered),
            ("transactions", self.transactions),
            ("messages_accepted", self.messages_accepted),
            ("message_bytes", self.message_bytes),
            ("recipients", self.recipients),
            ("recipients_accepted", self.recipients_accepted),
            ("recipients_rejected", self.recipients_rejected),
            ("null_senders", self.null_senders),
            ("retransmitted", self.retransmitted),
            ("reordered", self.reordered),
            ("clients", self.clients),
            ("distinct_destinations", self.distinct_destinations),
            ("open_max", self.open_max),
        ];
        for (name, number) in numbers {
            writeln!(out, "  \"{name}\": {number},")?;
        }
        writeln!(out, "  \"other_flows\": {}", self.other_flows)?;
        writeln!(out, "}}")
    }
}
