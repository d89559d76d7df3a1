//! No input makes a stage cost more than in proportion to its length. Each of these is as bad as an attacker could make it; four times
//! as much of it may cost four times as much, and something for caches, but not sixteen times.
//!
//! What is measured here is the processor's time of one thread, the best of some runs, so that a busy machine does not
//! matter. `benches/growth.sh` counts instructions instead (callgrind), doubling.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]
#![allow(clippy::cast_possible_wrap, reason = "counts of some thousands")]

#[path = "../common/mod.rs"]
mod common;

use std::sync::{Arc, LazyLock};

use rustix::time::{ClockId, clock_gettime};
use smtphound::decode::{Decoder, IpFacts, PortSet, Segment, SegmentHeader, TcpFlags};
use smtphound::detect::replies::{ReplyRules, Stage};
use smtphound::detect::{DetectSettings, Judge};
use smtphound::frame::{At, Frame, FrameNo, LinkType};
use smtphound::incident::Judgement;
use smtphound::limits::{DecodeLimits, DetectLimits, SmtpLimits, TcpLimits};
use smtphound::net::{Endpoint, FlowKey, HostKey, LinkFacts, SeqNum, Side};
use smtphound::session::{Conversation, Known, SessionEvent, SessionEventKind};
use smtphound::site::Site;
use smtphound::smtp::path::unwrap;
use smtphound::smtp::{MailScanner, Reply, command, dsn, reply};
use smtphound::tcp::{Attempt, ConnId, ConnStart, Connection, FlowSink, FlowTable, StreamEvent, SynSignature};
use smtphound::time::{Span, Ts};
use smtphound::wire::{Wire, escape};

/// A hostile input, and how much of it a run at the single size has.
struct Case {
    name: &'static str,
    unit: usize,
    run: fn(usize),
}

const CASES: &[Case] = &[
    Case { name: "bytes-backwards", unit: 4_000, run: bytes_backwards },
    Case { name: "every-other-byte", unit: 4_000, run: every_other_byte },
    Case { name: "conflicting-overlaps", unit: 4_000, run: conflicting_overlaps },
    Case { name: "tiny-fragments", unit: 6_000, run: tiny_fragments },
    Case { name: "line-byte-by-byte", unit: 40_000, run: line_byte_by_byte },
    Case { name: "doubtful-ends-of-data", unit: 3_000, run: doubtful_ends_of_data },
    Case { name: "dots-in-data", unit: 20_000, run: dots_in_data },
    Case { name: "commands-unanswered", unit: 6_000, run: commands_unanswered },
    Case { name: "replies-unasked", unit: 6_000, run: replies_unasked },
    Case { name: "reply-of-many-lines", unit: 20_000, run: reply_of_many_lines },
    Case { name: "recipients", unit: 4_000, run: recipients },
    Case { name: "names", unit: 4_000, run: names },
    Case { name: "logins", unit: 3_000, run: logins },
    Case { name: "chunks", unit: 4_000, run: chunks },
    Case { name: "gaps", unit: 6_000, run: gaps },
    Case { name: "held-back-data", unit: 4_000, run: held_back_data },
    Case { name: "headers-folded", unit: 8_000, run: headers_folded },
    Case { name: "boundaries", unit: 8_000, run: boundaries },
    Case { name: "delivery-report", unit: 4_000, run: delivery_report },
    Case { name: "quotes-in-a-path", unit: 40_000, run: quotes_in_a_path },
    Case { name: "routes-in-a-path", unit: 40_000, run: routes_in_a_path },
    Case { name: "percents-in-a-path", unit: 40_000, run: percents_in_a_path },
    Case { name: "parameters", unit: 20_000, run: parameters },
    Case { name: "reply-text", unit: 4_000, run: reply_text },
    Case { name: "escaping", unit: 100_000, run: escaping },
    Case { name: "accused-hosts", unit: 1_000, run: accused_hosts },
];

/// Four times as much may cost so many times as much. What is linear costs four times, five with colder caches.
const FACTOR: usize = 4;
const DEARER_MAX: f64 = 9.0;

/// The processor's time that a run takes on this thread, in seconds: the best of some.
fn cost(run: fn(usize), size: usize) -> f64 {
    let once = || {
        let now = || {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
        };
        let before = now();
        run(size);
        now() - before
    };
    (0..3).map(|_| once()).fold(f64::MAX, f64::min)
}

#[test]
fn nothing_grows_faster_than_its_input() {
    let wrong = common::each_in_parallel(CASES, |case| {
        let (one, many) = (cost(case.run, case.unit), cost(case.run, case.unit * FACTOR));
        // Below this the clock tells more of itself than of the run.
        (many > 0.004 && many > one * DEARER_MAX)
            .then(|| format!("{}: {one:.4} s, {FACTOR} times as much takes {many:.4} s", case.name))
    });
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// For `benches/growth.sh`, which counts instructions: `SMTPHOUND_GROWTH=name*times`.
#[test]
#[ignore = "runs one case that the environment names"]
fn one() {
    let Ok(asked) = std::env::var("SMTPHOUND_GROWTH") else { return };
    let (name, times) = asked.split_once('*').unwrap();
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    (case.run)(case.unit * times.parse::<usize>().unwrap());
}

/// The names, for `benches/growth.sh`.
#[test]
#[ignore = "tells the names"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn list() {
    for case in CASES {
        println!("case {}", case.name);
    }
}

fn at(no: usize) -> At {
    At { ts: Ts::from_parts(1_700_000_000, 0) + Span::millis(no as i64), frame: FrameNo(no as u64 + 1) }
}

fn ends() -> (Endpoint, Endpoint) {
    let end = |host, port| Endpoint { host: HostKey::v4([192, 0, 2, host]), port };
    (end(7, 49_152), end(25, 25))
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl FlowSink for Nowhere {
    type App = ();
    fn open(&mut self, _: &ConnStart) {}
    fn stream(&mut self, (): &mut (), _: &ConnStart, _: StreamEvent<'_>) {}
    fn close(&mut self, (): (), _: &ConnStart, _: Connection, _: At) {}
    fn unanswered(&mut self, _: Attempt, _: At) {}
}

/// A connection whose client sends these pieces, each at its place.
fn client_sends<'a>(pieces: impl Iterator<Item = (u32, &'a [u8])>) {
    let mut table = FlowTable::new(&[25], &TcpLimits { shards: 1, ..TcpLimits::default() });
    let (client, server) = ends();
    let mut send = |no, side, flags, seq, ack, payload: &[u8]| {
        let (src, dst) = if side == Side::Orig { (client, server) } else { (server, client) };
        let (key, from) = FlowKey::of(src, dst);
        let head = SegmentHeader {
            at: at(no),
            key,
            from,
            seq: SeqNum(seq),
            ack: SeqNum(ack),
            flags: TcpFlags(flags),
            window: 65_535,
            payload_len: payload.len() as u32,
            ip: IpFacts::default(),
            link: LinkFacts::default(),
        };
        table.handle_segment(table.look_up(&head.key), &Segment { head: &head, options: &[], payload }, &mut Nowhere);
    };
    send(0, Side::Orig, TcpFlags::SYN, 99, 0, &[]);
    send(1, Side::Resp, TcpFlags::SYN | TcpFlags::ACK, 499, 100, &[]);
    for (no, (place, bytes)) in pieces.enumerate() {
        send(no + 2, Side::Orig, TcpFlags::ACK, 100 + place, 500, bytes);
    }
    table.finish(at(usize::MAX >> 20), &mut Nowhere);
}

fn bytes_backwards(n: usize) {
    client_sends((1..=n as u32).rev().map(|place| (place, &b"x"[..])));
}

fn every_other_byte(n: usize) {
    client_sends((1..=n as u32).map(|no| (no * 2 % 60_000, &b"x"[..])));
}

fn conflicting_overlaps(n: usize) {
    let (one, other) = ([b'x'; 100], [b'y'; 100]);
    let pieces: Vec<_> =
        (0..n as u32).map(|no| (1 + no * 37 % 5_000, if no % 2 == 0 { &one[..] } else { &other[..] })).collect();
    client_sends(pieces.into_iter());
}

fn tiny_fragments(n: usize) {
    let mut decoder = Decoder::new(PortSet::default(), &DecodeLimits::default());
    let mut bytes =
        vec![0x45, 0, 0, 28, 0, 0, 0x20, 0, 64, 6, 0, 0, 192, 0, 2, 7, 192, 0, 2, 25, 0xc0, 0, 0, 25, 0, 0, 0, 1];
    for no in 0..n {
        bytes[4..6].copy_from_slice(&((no / 100) as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&(0x2000 | (no * 7 % 100) as u16).to_be_bytes());
        let frame = Frame { ts: at(no).ts, link: LinkType::IPV4, wire_len: 28, bytes: &bytes };
        decoder.decode(FrameNo(no as u64 + 1), &frame);
    }
    decoder.finish();
}

/// A dialogue under way.
struct Talk {
    conversation: Conversation,
    start: ConnStart,
    limits: SmtpLimits,
    pos: [u64; 2],
    no: usize,
}

impl Talk {
    fn new() -> Self {
        let limits = SmtpLimits::default();
        let (orig, resp) = ends();
        let id = ConnId { ts: at(0).ts, orig, resp };
        let (start, conversation) = (ConnStart::bare(id, FrameNo(1)), Conversation::new(&limits));
        let mut talk = Self { conversation, start, limits, pos: [0; 2], no: 0 };
        talk.say(Side::Resp, b"220 mx\r\n");
        talk.say(Side::Orig, b"EHLO pc23\r\n");
        talk.say(Side::Resp, b"250 mx\r\n");
        talk
    }

    fn say(&mut self, side: Side, bytes: &[u8]) {
        let (offset, acked) = (self.pos[side as usize], self.pos[side.other() as usize]);
        self.pos[side as usize] += bytes.len() as u64;
        self.handle(|at| StreamEvent::Data { side, at, offset, acked, bytes });
    }

    fn lose(&mut self, side: Side, len: u64) {
        self.pos[side as usize] += len;
        self.handle(|at| StreamEvent::Gap { side, at, len });
    }

    fn handle<'a>(&mut self, event: impl FnOnce(At) -> StreamEvent<'a>) {
        self.no += 1;
        let known = Known { start: &self.start, limits: &self.limits };
        self.conversation.handle(&event(at(self.no)), known, &mut |_| {});
    }

    /// Says something again and again, in full segments.
    fn pour(&mut self, side: Side, text: &str, times: usize) {
        for piece in text.repeat(times).as_bytes().chunks(1_400) {
            self.say(side, piece);
        }
    }

    fn data(mut self) -> Self {
        self.say(Side::Orig, b"MAIL FROM:<a@b>\r\n");
        self.say(Side::Resp, b"250 ok\r\n");
        self.say(Side::Orig, b"RCPT TO:<c@d>\r\n");
        self.say(Side::Resp, b"250 ok\r\n");
        self.say(Side::Orig, b"DATA\r\n");
        self.say(Side::Resp, b"354 go\r\n");
        self
    }

    fn end(mut self) {
        let known = Known { start: &self.start, limits: &self.limits };
        self.conversation.finish(at(self.no + 1), false, known, &mut |_| {});
    }
}

fn line_byte_by_byte(n: usize) {
    let mut talk = Talk::new();
    (0..n).for_each(|_| talk.say(Side::Orig, b"x"));
    talk.end();
}

fn doubtful_ends_of_data(n: usize) {
    let mut talk = Talk::new().data();
    talk.pour(Side::Orig, "x\n.\nMAIL FROM:<e@f>\r\nRCPT TO:<g@h>\r\nDATA\r\ny\n.\r\nz\r.\r", n);
    talk.say(Side::Orig, b"\r\n.\r\n");
    talk.pour(Side::Resp, "250 ok\r\n", n);
    talk.end();
}

fn dots_in_data(n: usize) {
    let mut talk = Talk::new().data();
    talk.pour(Side::Orig, ".\r.\n..\r\n", n);
    talk.end();
}

fn commands_unanswered(n: usize) {
    let mut talk = Talk::new();
    talk.pour(Side::Orig, "RCPT TO:<someone@somewhere.example>\r\n", n);
    talk.end();
}

fn replies_unasked(n: usize) {
    let mut talk = Talk::new();
    talk.pour(Side::Resp, "250 ok\r\nno reply\r\n", n);
    talk.end();
}

fn reply_of_many_lines(n: usize) {
    let mut talk = Talk::new();
    talk.say(Side::Orig, b"EHLO again\r\n");
    talk.pour(Side::Resp, "250-AUTH LOGIN\r\n", n);
    talk.say(Side::Resp, b"250 end\r\n");
    talk.end();
}

fn recipients(n: usize) {
    let mut talk = Talk::new();
    talk.say(Side::Orig, b"MAIL FROM:<a@b>\r\n");
    talk.say(Side::Resp, b"250 ok\r\n");
    for no in 0..n {
        talk.say(Side::Orig, format!("RCPT TO:<user{no}@d>\r\n").as_bytes());
        talk.say(Side::Resp, b"550 5.1.1 unknown\r\n");
    }
    talk.end();
}

fn names(n: usize) {
    let mut talk = Talk::new();
    for no in 0..n {
        talk.say(Side::Orig, format!("HELO pc{no}.example\r\n").as_bytes());
        talk.say(Side::Resp, b"250 ok\r\n");
    }
    talk.end();
}

fn logins(n: usize) {
    let mut talk = Talk::new();
    for _ in 0..n {
        talk.say(Side::Orig, b"AUTH LOGIN dGVzdA==\r\n");
        talk.say(Side::Resp, b"334 UGFzc3dvcmQ6\r\n");
        talk.say(Side::Orig, b"d3Jvbmc=\r\n");
        talk.say(Side::Resp, b"535 5.7.8 no\r\n");
    }
    talk.end();
}

fn chunks(n: usize) {
    let mut talk = Talk::new();
    for _ in 0..n {
        talk.say(Side::Orig, b"BDAT 3\r\nabc");
        talk.say(Side::Resp, b"250 ok\r\n");
    }
    talk.end();
}

fn gaps(n: usize) {
    let mut talk = Talk::new().data();
    for no in 0..n {
        talk.lose(if no % 5 == 0 { Side::Resp } else { Side::Orig }, 7);
        talk.say(Side::Orig, b"\r\n.\r\nRSET\r\n");
        talk.say(Side::Resp, b"250 ok\r\n");
    }
    talk.end();
}

/// Data that come before the answer to DATA, again and again.
fn held_back_data(n: usize) {
    let mut talk = Talk::new();
    for _ in 0..n {
        talk.say(Side::Orig, b"DATA\r\nx\r\n.\r\nDATA\r\n");
        talk.say(Side::Resp, b"554 no\r\n");
    }
    talk.end();
}

fn scan(text: &str) {
    let mut scanner = MailScanner::new(&SmtpLimits::default());
    for piece in text.as_bytes().chunks(7) {
        scanner.handle(piece);
    }
    scanner.finish();
}

fn headers_folded(n: usize) {
    scan(&format!("Content-Type: multipart/mixed;\r\n{}", " boundary=x;\r\n".repeat(n)));
}

fn boundaries(n: usize) {
    let head = "Content-Type: multipart/report; report-type=delivery-status; boundary=\"-----------\"\r\n\r\n";
    scan(&format!("{head}{}", "--------------------\r\n--\r\nContent-Type: x/y\r\n".repeat(n)));
}

fn delivery_report(n: usize) {
    dsn::parse("Final-Recipient: rfc822; x@y\r\n folded\r\nStatus: 5.1.1\r\n".repeat(n).as_bytes());
}

fn path(path: &str) {
    let line = format!("RCPT TO:<{path}>");
    if let command::Command::Rcpt { path, .. } = command::parse(line.as_bytes()) {
        unwrap(path, |_| true);
    }
    // Without its brackets, and with a name before them.
    command::parse(format!("RCPT TO:{path}").as_bytes());
    command::parse(format!("RCPT TO:{path} <").as_bytes());
}

fn quotes_in_a_path(n: usize) {
    path(&"\"a\\\"".repeat(n));
}

fn routes_in_a_path(n: usize) {
    path(&format!("{}c@d", "@a.example,".repeat(n)));
}

fn percents_in_a_path(n: usize) {
    path(&format!("{}@d", "a%b!c@".repeat(n)));
}

fn parameters(n: usize) {
    command::parse(format!("MAIL FROM:<a@b> {}", "SIZE=1 X=Y ".repeat(n)).as_bytes());
}

static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// Texts of the greatest length, each another one, so that nothing is remembered.
fn reply_text(n: usize) {
    for no in 0..n {
        let text = format!("{no} {}", "5.7.1 blocked using listed http://[192.0.2.1] ".repeat(22));
        let line = reply::parse_line(text.as_bytes());
        let reply = Reply { code: Some(550), status: line.status, text: Wire::capped(text.as_bytes(), 1_024) };
        RULES.classify(&reply, Stage::Rcpt);
    }
}

fn escaping(n: usize) {
    escape("\\\u{1b}\u{202e}a\u{0}".repeat(n).as_bytes());
}

/// So many machines of ours that call servers which do not answer: what stands against each is put together at the end.
fn accused_hosts(n: usize) {
    const SERVERS: usize = 40;
    let mut judge =
        Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &DetectLimits::default());
    let end = |net: u8, number: usize, port| {
        let [_, a, b, c] = (number as u32).to_be_bytes();
        Endpoint { host: HostKey::v4([net, a, b, c]), port }
    };
    for no in 0..n * SERVERS {
        let (orig, resp) = (end(10, no % n, 49_152), end(198, no / n * 256, 25));
        let attempt = Attempt {
            id: ConnId { ts: at(no).ts, orig, resp },
            first: at(no).frame,
            last: at(no),
            syns: 1,
            link: LinkFacts::default(),
            syn: SynSignature::default(),
            cut_short: false,
        };
        judge.handle(&SessionEvent { at: at(no), kind: SessionEventKind::Unanswered(Box::new(attempt)) });
    }
    assert_eq!(Judgement::of(&judge).incidents.len(), n);
}
