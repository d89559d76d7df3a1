//! What a segment and a flow cost in memory, counted at the allocator: nothing is asked of it for a segment of mail data
//! that comes in order, and a flow takes what `docs/performance.md` says.
//!
//! The allocator is one that counts for each thread (`allocation-counter`), and this binary alone has it.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::engine::Engine;
use smtphound::frame::{Frame, FrameNo, LinkType};
use smtphound::limits::Limits;
use smtphound::site::Site;
use smtphound::time::{Span, Ts};

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;

/// The first client; the others have the addresses after its own.
const CLIENT: [u8; 4] = [192, 168, 10, 66];
const SERVER: [u8; 4] = [192, 0, 2, 25];

/// A segment of SMTP data as long as Ethernet allows, made of lines of a body.
const FULL: usize = 1_460;

/// The engine, and a wire that leads to it.
struct Wire {
    engine: Engine,
    bytes: Vec<u8>,
    now: Ts,
    no: FrameNo,
}

impl Wire {
    fn new() -> Self {
        let limits = Limits::default();
        let rules = Arc::new(ReplyRules::builtin());
        let judge = Judge::new(Site::default(), rules, &DetectSettings::default(), &limits.detect);
        let mut bytes = vec![0; 54];
        bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        bytes[14] = 0x45;
        bytes[22..24].copy_from_slice(&[64, 6]);
        bytes[46] = 0x50;
        Self {
            engine: Engine::new(&PortSet::from_iter([25]), &limits, judge),
            bytes,
            now: Ts::from_parts(1_772_617_327, 0),
            no: FrameNo(0),
        }
    }

    /// A segment of the connection with a number: clients have ten thousand each.
    fn send(&mut self, from_client: bool, no: u32, seq: u32, ack: u32, flags: u8, data: &[u8]) {
        self.no.0 += 1;
        self.now = self.now + Span::from_nanos(20_000);
        let bytes = &mut self.bytes;
        bytes.truncate(54);
        bytes[16..18].copy_from_slice(&((40 + data.len()) as u16).to_be_bytes());
        // Copies of a mirror port have the identification of the first.
        bytes[18..20].copy_from_slice(&(self.no.0 as u16).to_be_bytes());
        let [a, b, c, d] = CLIENT;
        let ends = [([a, b, c, d + (no / 10_000) as u8], 1_024 + (no % 10_000) as u16), (SERVER, 25)];
        for (end, (host, port)) in if from_client { ends } else { [ends[1], ends[0]] }.into_iter().enumerate() {
            bytes[26 + 4 * end..30 + 4 * end].copy_from_slice(&host);
            bytes[34 + 2 * end..36 + 2 * end].copy_from_slice(&port.to_be_bytes());
        }
        bytes[38..42].copy_from_slice(&seq.to_be_bytes());
        bytes[42..46].copy_from_slice(&ack.to_be_bytes());
        bytes[47] = flags;
        bytes[48..50].copy_from_slice(&65_000_u16.to_be_bytes());
        bytes.extend_from_slice(data);
        let frame = Frame { ts: self.now, link: LinkType::ETHERNET, wire_len: bytes.len() as u32, bytes };
        self.engine.handle_frame(self.no, &frame, &mut |_| {});
    }

    /// Lets what waits for others be done.
    fn settle(&mut self) {
        self.engine.handle_idle(self.now, &mut |_| {});
    }
}

/// A connection and how far both sides are.
struct Talk {
    no: u32,
    sent: [u32; 2],
}

impl Talk {
    fn say(&mut self, wire: &mut Wire, from_client: bool, data: &[u8]) {
        let (own, other) = if from_client { (0, 1) } else { (1, 0) };
        wire.send(from_client, self.no, self.sent[own], self.sent[other], PSH | ACK, data);
        self.sent[own] = self.sent[own].wrapping_add(data.len() as u32);
    }

    fn acknowledge(&mut self, wire: &mut Wire) {
        wire.send(false, self.no, self.sent[1], self.sent[0], ACK, b"");
    }

    /// Answered, and nothing said yet.
    fn open(wire: &mut Wire, no: u32) -> Self {
        wire.send(true, no, 999, 0, SYN, b"");
        wire.send(false, no, 1_999, 1_000, SYN | ACK, b"");
        Self { no, sent: [1_000, 2_000] }
    }

    /// Until the server waits for mail data.
    fn in_data(wire: &mut Wire, no: u32) -> Self {
        let mut talk = Self::envelope(wire, no);
        talk.say(wire, true, b"DATA\r\n");
        talk.say(wire, false, b"354 go\r\n");
        talk.say(wire, true, b"From: a@sender.example\r\nMessage-ID: <1@sender.example>\r\nSubject: x\r\n\r\n");
        talk
    }

    /// Until a mail has a sender and a recipient.
    fn envelope(wire: &mut Wire, no: u32) -> Self {
        let mut talk = Self::greeted(wire, no);
        talk.say(wire, true, b"EHLO pc23.example\r\n");
        talk.say(wire, false, b"250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
        talk.say(wire, true, b"MAIL FROM:<somebody@sender.example>\r\n");
        talk.say(wire, false, b"250 2.1.0 Ok\r\n");
        talk.say(wire, true, b"RCPT TO:<somebody.else@recipient.example>\r\n");
        talk.say(wire, false, b"250 2.1.5 Ok\r\n");
        talk
    }

    /// Until the server has greeted.
    fn greeted(wire: &mut Wire, no: u32) -> Self {
        let mut talk = Self::open(wire, no);
        talk.say(wire, false, b"220 mx.example ESMTP\r\n");
        talk
    }
}

/// Lines of a body, so long together as a full segment.
fn body() -> Vec<u8> {
    let line = b"All work and no play makes a dull message body, of which nothing is kept.\r\n";
    line.iter().copied().cycle().take(FULL).collect()
}

/// Sends mail data on so many connections in turn, each segment acknowledged, and counts what that asks of the allocator
/// once every room has come to its size.
fn of_segments(connections: u32, rounds: usize) -> AllocationInfo {
    let mut wire = Wire::new();
    let mut talks: Vec<Talk> = (0..connections).map(|no| Talk::in_data(&mut wire, no)).collect();
    let body = body();
    let mut pour = |rounds: usize| {
        for _ in 0..rounds {
            for talk in &mut talks {
                talk.say(&mut wire, true, &body);
                talk.acknowledge(&mut wire);
            }
        }
        wire.settle();
    };
    pour(64);
    measure(|| pour(rounds))
}

#[test]
fn mail_data_in_order_ask_nothing_of_the_allocator() {
    for (connections, rounds) in [(1, 20_000), (64, 300)] {
        let counted = of_segments(connections, rounds);
        let segments = 2 * rounds as u64 * u64::from(connections);
        assert_eq!(counted.count_total, 0, "{segments} segments of {connections} connections: {counted:?}");
    }
}

#[test]
fn what_comes_too_early_is_held_and_counted() {
    let mut wire = Wire::new();
    let mut talk = Talk::in_data(&mut wire, 0);
    wire.settle();
    // Otherwise the test above would prove nothing.
    let counted = measure(|| {
        talk.sent[0] += 10;
        talk.say(&mut wire, true, &body());
        wire.settle();
    });
    assert!(counted.bytes_current.cast_unsigned() >= FULL as u64, "{counted:?}");
}

/// Flows of each kind that are open together: nearly as many as the limit allows, where no table has just grown; a tenth in a
/// build that is not optimised.
const FLOWS: u32 = if cfg!(debug_assertions) { 12_000 } else { 120_000 };

/// Begins the flow of a number.
type Begin = fn(&mut Wire, u32);

/// Bytes that a flow of a kind takes, with its share of the tables.
fn of_flow(begin: Begin) -> f64 {
    let mut wire = Wire::new();
    // What is of a fixed size and comes about with the first of them is none's: filters of the judgement.
    begin(&mut wire, FLOWS);
    wire.settle();
    let counted = measure(|| {
        (0..FLOWS).for_each(|no| begin(&mut wire, no));
        wire.settle();
    });
    assert_eq!(wire.engine.tcp_stats().closed, 0, "all of them are open");
    counted.bytes_current as f64 / f64::from(FLOWS)
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are for docs/performance.md")]
fn a_flow_takes_so_much() {
    let kinds: [(&str, Begin, f64); 5] = [
        ("a SYN that waits for its answer", |wire, no| wire.send(true, no, 999, 0, SYN, b""), 256.0),
        ("half-open: answered, and nothing said", |wire, no| _ = Talk::open(wire, no), 2_304.0),
        ("greeted", |wire, no| _ = Talk::greeted(wire, no), 2_560.0),
        ("with a sender and a recipient", |wire, no| _ = Talk::envelope(wire, no), 4_096.0),
        ("in mail data", |wire, no| _ = Talk::in_data(wire, no), 8_192.0),
    ];
    for (kind, begin, most) in kinds {
        let bytes = of_flow(begin);
        eprintln!("{kind}: {bytes:.0} bytes");
        assert!((1.0..most).contains(&bytes), "{kind}: {bytes:.0} bytes, {most} at most");
    }
}
