//! The whole pipeline, property by property: a dialogue is rendered to frames, and the frames are cut, copied,
//! retransmitted, reordered and lost as networks and mirror ports do; what the session says of it must not change.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::engine::Engine;
use smtphound::frame::{At, Frame, FrameNo, LinkType};
use smtphound::limits::Limits;
use smtphound::net::Side;
use smtphound::output::{LineForm, SessionWriter};
use smtphound::session::{Outcome, Session, SessionEvent, SessionEventKind, Transaction};
use smtphound::site::Site;
use smtphound::smtp::Reply;
use smtphound::time::{Span, Ts};

/// Dialogues, each with what is special about it. `C:` and `S:` are lines; `C|` and `S|` are bytes with `\r`, `\n` and
/// `\xHH`. Lines of one side in a row are sent without waiting.
const SCENARIOS: [(&str, &str); 9] = [
    (
        "a plain mail",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: EHLO pc23.adatum.example
        S: 250-mx.fabrikam.example
        S: 250-SIZE 10240000
        S: 250 8BITMIME
        C: MAIL FROM:<a@adatum.example> SIZE=120
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@fabrikam.example>
        S: 250 2.1.5 Ok
        C: RCPT TO:<c@fabrikam.example>
        S: 550 5.1.1 <c@fabrikam.example>: unknown
        C: DATA
        S: 354 go on
        C: From: A <a@adatum.example>
        C: To: B <b@fabrikam.example>
        C: Message-ID: <one@adatum.example>
        C: Subject: nothing
        C:
        C: The first line of three.
        C: ..a line that begins with a dot
        C: MAIL FROM:<not@a.command>
        C: .
        S: 250 2.0.0 queued as 1
        C: QUIT
        S: 221 2.0.0 bye",
    ),
    (
        "pipelined",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: EHLO mail.adatum.example
        S: 250-mx.fabrikam.example
        S: 250 PIPELINING
        C: MAIL FROM:<a@adatum.example>
        C: RCPT TO:<b@fabrikam.example>
        C: RCPT TO:<nobody@fabrikam.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 550 5.1.1 unknown
        S: 354 go on
        C: Message-ID: <two@adatum.example>
        C:
        C: Hello.
        C: .
        C: QUIT
        S: 250 2.0.0 queued as 2
        S: 221 2.0.0 bye",
    ),
    (
        "chunks",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: EHLO mail.adatum.example
        S: 250-mx.fabrikam.example
        S: 250 CHUNKING
        C: MAIL FROM:<a@adatum.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@fabrikam.example>
        S: 250 2.1.5 Ok
        C: BDAT 40
        C| Message-ID: <three@adatum.example>\r\n\r\n\r\n
        S: 250 2.0.0 40 octets
        C: BDAT 22 LAST
        C| .\r\nMAIL FROM:<x@y.z>\r\n
        S: 250 2.0.0 taken
        C: QUIT
        S: 221 2.0.0 bye",
    ),
    (
        "a login",
        r"
        S: 220 mail.adatum.example ESMTP
        C: EHLO [192.0.2.7]
        S: 250-mail.adatum.example
        S: 250 AUTH LOGIN PLAIN
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: dGVzdA==
        S: 334 UGFzc3dvcmQ6
        C: d3Jvbmc=
        S: 535 5.7.8 no
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: dGVzdA==
        S: 334 UGFzc3dvcmQ6
        C: cmlnaHQ=
        S: 235 2.7.0 welcome
        C: MAIL FROM:<test@adatum.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@contoso.example>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: Message-ID: <four@adatum.example>
        C:
        C: Buy.
        C: .
        S: 250 2.0.0 queued as 4
        C: QUIT
        S: 221 2.0.0 bye",
    ),
    (
        "refused at the greeting",
        r"
        S: 554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org
        C: QUIT
        S: 221 2.0.0 bye",
    ),
    (
        "refused, then refused again",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: HELO pc23
        S: 250 mx.fabrikam.example
        C: MAIL FROM:<>
        S: 451 4.7.1 later
        C: RSET
        S: 250 2.0.0 Ok
        C: MAIL FROM:<a@adatum.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<b@fabrikam.example>
        S: 550 5.7.1 blocked
        C: QUIT
        S: 221 2.0.0 bye",
    ),
    (
        "TLS from the middle on",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: EHLO mail.adatum.example
        S: 250-mx.fabrikam.example
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 2.0.0 ready
        C| \x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00
        S| \x16\x03\x03\x00\x04\x02\x00\x00\x00
        C| \x14\x03\x03\x00\x01\x01
        C| \x17\x03\x03\x00\x05QUIT\x0d
        S| \x17\x03\x03\x00\x03\x0a\x0d\x0a
        C| \x17\x03\x03\x00\x06\r\n.\r\n\xff
        S| \x17\x03\x03\x00\x02ok",
    ),
    (
        "two mails",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: EHLO mail.adatum.example
        S: 250 mx.fabrikam.example
        C: MAIL FROM:<first@adatum.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<one@fabrikam.example>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: Message-ID: <five@adatum.example>
        C:
        C: The first.
        C: .
        S: 250 2.0.0 queued as 5
        C: MAIL FROM:<second@adatum.example>
        S: 250 2.1.0 Ok
        C: RCPT TO:<two@fabrikam.example>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 go on
        C: Message-ID: <six@adatum.example>
        C:
        C: The second.
        C: .
        S: 250 2.0.0 queued as 6
        C: QUIT
        S: 221 2.0.0 bye",
    ),
    (
        "two mails, pipelined",
        r"
        S: 220 mx.fabrikam.example ESMTP
        C: EHLO mail.adatum.example
        S: 250-mx.fabrikam.example
        S: 250 PIPELINING
        C: MAIL FROM:<first@adatum.example>
        C: RCPT TO:<one@fabrikam.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 go on
        C: Message-ID: <seven@adatum.example>
        C:
        C: The first.
        C: .
        C: MAIL FROM:<second@adatum.example>
        C: RCPT TO:<two@fabrikam.example>
        C: DATA
        S: 250 2.0.0 queued as 7
        S: 250 2.1.0 Ok
        S: 550 5.1.1 unknown
        S: 554 5.5.1 no valid recipients
        C: RSET
        C: QUIT
        S: 250 2.0.0 Ok
        S: 221 2.0.0 bye",
    ),
];

/// What one side says before it is the other's turn: its bytes, and where its lines end in them.
struct Flight {
    side: Side,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Reads a scenario.
fn flights(script: &str) -> Vec<Flight> {
    let mut flights: Vec<Flight> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let side = if line.starts_with('C') { Side::Orig } else { Side::Resp };
        let text = line.get(3..).unwrap_or_default();
        let bytes = if line.as_bytes()[1] == b'|' { unescape(text) } else { [text.as_bytes(), b"\r\n"].concat() };
        if flights.last().is_none_or(|last| last.side != side) {
            flights.push(Flight { side, bytes: Vec::new(), ends: Vec::new() });
        }
        let flight = flights.last_mut().unwrap();
        flight.bytes.extend(bytes);
        flight.ends.push(flight.bytes.len());
    }
    flights
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut left) = (Vec::new(), text.chars());
    while let Some(c) = left.next() {
        bytes.push(match c {
            '\\' => match left.next().unwrap() {
                'r' => b'\r',
                'n' => b'\n',
                'x' => u8::from_str_radix(&left.by_ref().take(2).collect::<String>(), 16).unwrap(),
                other => panic!("no escape: {other}"),
            },
            plain => plain as u8,
        });
    }
    bytes
}

/// A segment, by places in the streams: 0 is the first byte after SYN.
#[derive(Clone, Debug)]
struct Seg {
    from: Side,
    seq: usize,
    /// Bytes of the other side that it acknowledges, its SYN left out.
    acked: usize,
    syn: bool,
    fin: bool,
    /// The other side's FIN is acknowledged too.
    acked_fin: bool,
    data: Vec<u8>,
    /// IPv4 identification: a retransmission is a new datagram, a copy is the same one.
    id: u16,
    /// Seen behind the router, too.
    routed: bool,
}

/// A whole connection as segments.
struct Trace {
    segments: Vec<Seg>,
    streams: [Vec<u8>; 2],
    next_id: u16,
}

const HANDSHAKE: usize = 3;

impl Trace {
    /// Renders flights; `cuts` tells of each flight where it is cut into segments.
    fn render(flights: &[Flight], mut cuts: impl FnMut(usize, &Flight) -> BTreeSet<usize>) -> Self {
        let mut trace = Self { segments: Vec::new(), streams: [Vec::new(), Vec::new()], next_id: 1 };
        trace.push(Side::Orig, true, false, b"");
        trace.push(Side::Resp, true, false, b"");
        trace.push(Side::Orig, false, false, b"");
        for (no, flight) in flights.iter().enumerate() {
            let mut begin = 0;
            for end in cuts(no, flight).into_iter().chain([flight.bytes.len()]) {
                if (begin + 1..=flight.bytes.len()).contains(&end) {
                    trace.push(flight.side, false, false, &flight.bytes[begin..end]);
                    begin = end;
                }
            }
            // Every other time the reply follows before the delayed acknowledgement would.
            if no % 2 == 0 {
                trace.push(flight.side.other(), false, false, b"");
            }
        }
        trace.push(Side::Resp, false, true, b"");
        trace.push(Side::Orig, false, true, b"");
        trace.segments.last_mut().unwrap().acked_fin = true;
        trace.push(Side::Resp, false, false, b"");
        let last = trace.segments.last_mut().unwrap();
        (last.acked_fin, last.seq) = (true, last.seq + 1);
        trace
    }

    fn push(&mut self, from: Side, syn: bool, fin: bool, data: &[u8]) {
        let (seq, acked) = (self.streams[from as usize].len(), self.streams[from.other() as usize].len());
        let id = self.id();
        let (data, routed, acked_fin) = (data.to_vec(), false, false);
        self.streams[from as usize].extend(&data);
        self.segments.push(Seg { from, seq, acked, syn, fin, acked_fin, data, id, routed });
    }

    fn id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// Plain: a line is a segment.
    fn plain(flights: &[Flight]) -> Self {
        Self::render(flights, |_, flight| flight.ends.iter().copied().collect())
    }

    /// What networks do.
    fn suffer(&mut self, fate: &Fate) {
        let data: Vec<usize> = (0..self.segments.len()).filter(|at| !self.segments[*at].data.is_empty()).collect();
        if data.is_empty() {
            return;
        }
        match fate {
            Fate::Copied { at, later } => {
                let at = at.index(self.segments.len());
                let copy = Seg { routed: true, ..self.segments[at].clone() };
                self.segments.insert((at + 1 + later).min(self.segments.len()), copy);
            }
            Fate::Retransmitted { at, later, back, more } => {
                let at = data[at.index(data.len())];
                let place = (at + 1 + later).min(self.segments.len());
                let id = self.id();
                let old = &self.segments[at];
                let sent = self.segments[..place].iter().filter(|seg| seg.from == old.from);
                let sent_to = sent.clone().map(|seg| seg.seq + seg.data.len()).max().unwrap();
                let acked = sent.map(|seg| seg.acked).max().unwrap();
                let stream = &self.streams[old.from as usize];
                let (begin, end) = (old.seq.saturating_sub(*back), old.seq + old.data.len() + more);
                let end = end.min(sent_to).min(stream.len());
                let data = stream[begin..end].to_vec();
                let again = Seg { seq: begin, acked, fin: false, data, id, routed: false, ..old.clone() };
                self.segments.insert(place, again);
            }
            Fate::Late { at, by } => {
                let at = HANDSHAKE + at.index(self.segments.len() - HANDSHAKE);
                let place = (at + by).min(self.segments.len() - 1);
                let late = self.segments.remove(at);
                self.segments.insert(place, late);
            }
            Fate::Lost { at } => {
                let at = data[at.index(data.len())];
                self.segments.remove(at);
            }
        }
    }

    /// A line a segment, for people.
    fn transcript(&self) -> String {
        let line = |seg: &Seg| {
            let side = if seg.from == Side::Orig { "C" } else { "S" };
            let text = seg.data.escape_ascii();
            format!("{side} {}+{} ack {} {text}\n", seg.seq, seg.data.len(), seg.acked)
        };
        self.segments.iter().map(line).collect()
    }

    /// The segments as Ethernet frames.
    fn frames(&self, ipv6: bool) -> Vec<Vec<u8>> {
        self.segments.iter().map(|seg| frame(seg, ipv6)).collect()
    }
}

/// What may happen to a segment.
#[derive(Clone, Debug)]
enum Fate {
    /// A mirror port shows it on both sides of a router.
    Copied { at: Index, later: usize },
    /// It is sent again, with what stands before and behind it.
    Retransmitted { at: Index, later: usize, back: usize, more: usize },
    /// It is captured a few frames late.
    Late { at: Index, by: usize },
    /// It is not captured.
    Lost { at: Index },
}

fn frame(seg: &Seg, ipv6: bool) -> Vec<u8> {
    // Close to the end of the numbers, so that they begin anew in the middle.
    const FIRST: [u32; 2] = [0xffff_ffc0, 0x7fff_fff0];
    let from = seg.from as usize;
    let to = seg.from.other() as usize;
    let hosts: [u8; 2] = [7, 25];
    let macs = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
    let (mac, ttl) = if seg.routed { ([2, 0, 0, 0, 0, 9], 63) } else { (macs[from], 64) };
    let ports = [49_152, 25];
    let ip = if ipv6 {
        let address = |host: u8| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
        let (source, destination) = (address(hosts[from]), address(hosts[to]));
        let next_header = IpNumber::TCP;
        IpHeaders::Ipv6(
            Ipv6Header { next_header, hop_limit: ttl, source, destination, ..Ipv6Header::default() },
            etherparse::Ipv6Extensions::default(),
        )
    } else {
        let address = |host: u8| [192, 0, 2, host];
        let mut ip = Ipv4Header::new(0, ttl, IpNumber::TCP, address(hosts[from]), address(hosts[to])).unwrap();
        ip.identification = seg.id;
        IpHeaders::Ipv4(ip, etherparse::Ipv4Extensions::default())
    };
    let number = |side: usize, place: usize| FIRST[side].wrapping_add(place as u32);
    let seq = number(from, seg.seq + usize::from(!seg.syn));
    let mut packet = PacketBuilder::ethernet2(mac, macs[to]).ip(ip).tcp(ports[from], ports[to], seq, 65_000);
    if !seg.syn || seg.from == Side::Resp {
        packet = packet.ack(number(to, seg.acked + 1 + usize::from(seg.acked_fin)));
    }
    if seg.syn {
        packet = packet.syn();
    }
    if seg.fin {
        packet = packet.fin();
    }
    if !seg.data.is_empty() {
        packet = packet.psh();
    }
    let mut bytes = Vec::with_capacity(packet.size(seg.data.len()));
    packet.write(&mut bytes, &seg.data).unwrap();
    bytes
}

static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// Runs frames through the whole engine, ten milliseconds apart.
fn session(frames: &[Vec<u8>]) -> Session {
    let limits = Limits::default();
    let judge = Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &limits.detect);
    let mut engine = Engine::new(&PortSet::from_iter([25]), &limits, judge);
    let mut sessions = Vec::new();
    let mut sink = |event: &SessionEvent| {
        if let SessionEventKind::Closed(session) = &event.kind {
            sessions.push(Session::clone(session));
        }
    };
    let mut ts = Ts::from_parts(1_772_617_320, 0);
    for (no, bytes) in frames.iter().enumerate() {
        ts = ts + Span::millis(10);
        let frame = Frame { ts, link: LinkType::ETHERNET, wire_len: bytes.len() as u32, bytes };
        engine.handle_frame(FrameNo(no as u64 + 1), &frame, &mut sink);
    }
    engine.finish(&mut sink);
    assert_eq!(sessions.len(), 1, "one connection is one session: {sessions:#?}");
    sessions.remove(0)
}

/// A scenario whose mail holds no line that reads like a command: where the command before the mail is lost, nobody can
/// tell such a line from one.
fn harmless(scenario: usize) -> Vec<Flight> {
    let script = SCENARIOS[scenario].1;
    flights(
        &script
            .replace("MAIL FROM:<not@a.command>", "Mail from nobody.")
            .replace("MAIL FROM:<x@y.z>", "Mail from nobody."),
    )
}

/// Them as they were written.
static HARMLESS: LazyLock<Vec<Session>> = LazyLock::new(|| {
    (0..SCENARIOS.len()).map(|scenario| session(&Trace::plain(&harmless(scenario)).frames(false))).collect()
});

/// The scenarios as they were written.
static PLAIN: LazyLock<Vec<Session>> = LazyLock::new(|| {
    SCENARIOS.iter().map(|(_, script)| session(&Trace::plain(&flights(script)).frames(false))).collect()
});

fn reply(reply: Option<&Reply>) -> String {
    reply.map_or("-".to_owned(), |reply| format!("{:?} {:?} {}", reply.code, reply.status, reply.text))
}

/// All that is said of a mail, but where it stood.
fn mail(mail: &Transaction) -> String {
    let mut said = format!(
        "{} <{}> null {} declared {:?}: {}\n",
        mail.trans_depth,
        mail.mailfrom,
        mail.null_sender,
        mail.declared_size,
        reply(mail.mail_reply.as_ref()),
    );
    for rcpt in &mail.rcptto {
        _ = writeln!(said, "  to <{}>: {}", rcpt.to, reply(rcpt.reply.as_ref()));
    }
    _ = writeln!(said, "  {:?} {}", mail.transfer, reply(mail.data_cmd_reply.as_ref()));
    _ = writeln!(said, "  {} bytes, complete {}: {}", mail.size, mail.complete, reply(mail.data_reply.as_ref()));
    _ = writeln!(said, "  {:?} of {}/{}/{}", mail.outcome, mail.rcpt_accepted, mail.rcpt_rejected, mail.rcpt_total);
    _ = writeln!(said, "  {:?}", mail.content);
    said
}

/// All that is said of a session, but where it stood, and what is said of the capture instead of the dialogue.
fn facts(session: &Session) -> String {
    let (conn, smtp) = (&session.conn, &session.smtp);
    let mut said = format!("{} {} gaps {}\n", conn.orig_bytes, conn.resp_bytes, conn.gaps);
    _ = writeln!(said, "{}", reply(smtp.greeting.as_ref()));
    _ = writeln!(said, "{:?} {:?} {:?} {:?}", smtp.helo, smtp.more_helos, smtp.esmtp, smtp.ehlo_keywords);
    _ = writeln!(said, "{} {:?}", reply(smtp.helo_reply.as_ref()), smtp.tls);
    for auth in &smtp.auth {
        _ = writeln!(said, "{} {:?} {:?} {}", auth.mechanism, auth.user, auth.result, reply(auth.reply.as_ref()));
    }
    for tx in &smtp.transactions {
        said += &mail(tx);
    }
    for log in &smtp.commands {
        _ = writeln!(said, "{} {:?}", log.verb, log.code);
    }
    _ = writeln!(said, "{} {:?}", reply(smtp.last_reply.as_ref()), smtp.weird.iter().collect::<Vec<_>>());
    _ = writeln!(said, "quit {} pipelined {}", smtp.quit, smtp.pipelined);
    said
}

/// A way to cut every flight.
fn cuts() -> impl Strategy<Value = Vec<Vec<Index>>> {
    prop::collection::vec(prop::collection::vec(any::<Index>(), 0..6), 1..20)
}

/// Renders a scenario, cut somehow.
fn cut(flights: &[Flight], cuts: &[Vec<Index>]) -> Trace {
    Trace::render(flights, |no, flight| {
        cuts[no % cuts.len()].iter().map(|place| place.index(flight.bytes.len())).collect()
    })
}

fn copied() -> impl Strategy<Value = Fate> {
    (any::<Index>(), 0..4_usize).prop_map(|(at, later)| Fate::Copied { at, later })
}

fn retransmitted() -> impl Strategy<Value = Fate> {
    (any::<Index>(), 0..6_usize, 0..80_usize, 0..80_usize).prop_map(|(at, later, back, more)| Fate::Retransmitted {
        at,
        later,
        back,
        more,
    })
}

fn late() -> impl Strategy<Value = Fate> {
    (any::<Index>(), 1..4_usize).prop_map(|(at, by)| Fate::Late { at, by })
}

fn lost() -> impl Strategy<Value = Fate> {
    any::<Index>().prop_map(|at| Fate::Lost { at })
}

/// Whether what is said of a mail in spite of losses is true of the mail that was sent: what stood in lost bytes may be
/// unknown, and all else is equal.
fn is_true(said: &Transaction, sent: &Transaction) -> bool {
    fn known<T: PartialEq>(said: Option<&T>, sent: Option<&T>) -> bool {
        said.is_none() || said == sent
    }
    let rcpts = said.rcptto.len() == sent.rcptto.len()
        && said
            .rcptto
            .iter()
            .zip(&sent.rcptto)
            .all(|(said, sent)| said.to == sent.to && known(said.reply.as_ref(), sent.reply.as_ref()));
    let content = match (&said.content, &sent.content) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(said), Some(sent)) => {
            known(said.msg_id.as_ref(), sent.msg_id.as_ref())
                && known(said.from_domain.as_ref(), sent.from_domain.as_ref())
                && known(said.to_domain.as_ref(), sent.to_domain.as_ref())
                && known(said.body_hash.as_ref(), sent.body_hash.as_ref())
        }
    };
    rcpts
        && content
        && (&said.mailfrom, said.null_sender, said.declared_size)
            == (&sent.mailfrom, sent.null_sender, sent.declared_size)
        && said.outcome == sent.outcome
        // Where the reply to DATA was not seen, it may have been a refusal.
        && (said.transfer == sent.transfer || said.data_cmd_reply.is_none() && said.size == 0)
        && (said.size == sent.size || is_torn(said) && is_size(said, sent))
        && known(said.mail_reply.as_ref(), sent.mail_reply.as_ref())
        && known(said.data_cmd_reply.as_ref(), sent.data_cmd_reply.as_ref())
        && known(said.data_reply.as_ref(), sent.data_reply.as_ref())
}

/// Whether bytes of a mail are missing, or its end.
fn is_torn(mail: &Transaction) -> bool {
    !mail.complete || mail.content.as_ref().is_some_and(|content| content.body_hash.is_none())
}

/// Whether a mail of which bytes are missing may be as large as that. The dot after a gap may be a stuffed one, which
/// does not count, or not; no mail here has more than one.
fn is_size(said: &Transaction, sent: &Transaction) -> bool {
    said.size <= sent.size + 1
}

/// Whether the size of a mail is possible, and the verdict on it, if one is told, is its own.
fn is_answered(said: &Transaction, sent: &Transaction) -> bool {
    is_size(said, sent) && (said.data_reply.is_none() || said.data_reply == sent.data_reply)
}

/// Whether all that is said of a mail comes out of one mail.
fn is_part(said: &Transaction, sent: &Transaction) -> bool {
    let ids = |mail: &Transaction| mail.content.as_ref().and_then(|content| content.msg_id.clone());
    (said.mailfrom.is_empty() || said.mailfrom == sent.mailfrom)
        && said.rcptto.iter().all(|rcpt| sent.rcptto.iter().any(|sent| sent.to == rcpt.to))
        && (ids(said).is_none() || ids(said) == ids(sent))
}

/// What a session line and a listing for people are made of.
fn everything(session: &Session) -> String {
    let mut lines = SessionWriter::new(Vec::new(), LineForm::Native);
    let at = At { ts: session.conn.id.ts, frame: session.conn.last };
    lines.handle(&SessionEvent { at, kind: SessionEventKind::Closed(Arc::new(session.clone())) }).unwrap();
    String::from_utf8(lines.finish().unwrap()).unwrap() + &format!("{session:?}")
}

#[test]
fn no_loss_brings_a_password_to_light() {
    let flights = flights(SCENARIOS[3].1);
    let whole = Trace::plain(&flights);
    let mut shown = Vec::new();
    for first in 0..whole.segments.len() {
        for last in first..(first + 3).min(whole.segments.len()) {
            let mut trace = Trace::plain(&flights);
            trace.segments.drain(first..=last);
            let said = everything(&session(&trace.frames(false)));
            if ["wrong", "right", "d3Jvbmc=", "cmlnaHQ="].iter().any(|secret| said.contains(secret)) {
                shown.push(
                    whole.segments[first..=last]
                        .iter()
                        .map(|seg| seg.data.escape_ascii().to_string())
                        .collect::<Vec<_>>(),
                );
            }
        }
    }
    assert!(shown.is_empty(), "without {shown:#?}");
}

/// A scenario that suffered.
fn suffered<'a>(scenario: usize, cuts: Option<&[Vec<Index>]>, fates: impl IntoIterator<Item = &'a Fate>) -> Trace {
    let flights = harmless(scenario);
    let mut trace = cuts.map_or_else(|| Trace::plain(&flights), |cuts| cut(&flights, cuts));
    for fate in fates {
        trace.suffer(fate);
    }
    trace
}

#[test]
fn every_scenario_is_read_as_it_was_written() {
    let outcomes: Vec<String> = SCENARIOS
        .iter()
        .zip(&*PLAIN)
        .map(|((name, _), session)| {
            let (smtp, conn) = (&session.smtp, &session.conn);
            assert_eq!((conn.gaps, format!("{:?}", conn.state)), (0, "Sf".to_owned()), "{name}");
            let outcomes: Vec<_> = smtp.transactions.iter().map(|tx| format!("{:?}", tx.outcome)).collect();
            format!("{name}: {} commands, {:?}, {}", smtp.commands.len(), smtp.tls.state, outcomes.join(" "))
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "a plain mail: 7 commands, None, Accepted",
            "pipelined: 7 commands, None, Accepted",
            "chunks: 6 commands, None, Accepted",
            "a login: 12 commands, None, Accepted",
            "refused at the greeting: 1 commands, None, ",
            "refused, then refused again: 6 commands, None, Deferred Rejected",
            "TLS from the middle on: 2 commands, Starttls, ",
            "two mails: 10 commands, None, Accepted Accepted",
            "two mails, pipelined: 10 commands, None, Accepted Rejected",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, rng_seed: RngSeed::Fixed(25), ..ProptestConfig::default() })]

    #[test]
    fn networks_change_nothing(
        scenario in 0..SCENARIOS.len(),
        ipv6 in any::<bool>(),
        cuts in cuts(),
        fates in prop::collection::vec(prop_oneof![copied(), retransmitted(), late()], 0..12),
    ) {
        let flights = flights(SCENARIOS[scenario].1);
        let plain = facts(&PLAIN[scenario]);
        let mut trace = cut(&flights, &cuts);
        for fate in &fates {
            trace.suffer(fate);
        }
        prop_assert_eq!(facts(&session(&trace.frames(ipv6))), plain, "{}", trace.transcript());
    }
    #[test]
    fn a_loss_changes_nothing_of_what_is_said_of_mails(
        scenario in 0..SCENARIOS.len(),
        ipv6 in any::<bool>(),
        cuts in prop::option::of(cuts()),
        loss in lost(),
        fates in prop::collection::vec(copied(), 0..3),
    ) {
        let trace = suffered(scenario, cuts.as_deref(), [loss].iter().chain(&fates));
        let sent = &HARMLESS[scenario].smtp.transactions;
        let mut left = sent.iter();
        for said in session(&trace.frames(ipv6)).smtp.transactions {
            // What comes after a lost command is told apart from what came before, and has no sender.
            let headless = said.mailfrom.is_empty() && !said.null_sender && said.mail_reply.is_none();
            // In their order, and each mail once.
            let is_told = if said.outcome == Outcome::Incomplete || headless {
                sent.iter().any(|sent| is_part(&said, sent) && is_answered(&said, sent))
            } else {
                left.any(|sent| is_true(&said, sent))
            };
            let sent: String = sent.iter().map(|sent| mail(sent)).collect();
            prop_assert!(is_told, "said\n{}of\n{sent}in\n{}", mail(&said), trace.transcript());
        }
    }

    #[test]
    fn losses_never_merge_mails(
        scenario in 0..SCENARIOS.len(),
        ipv6 in any::<bool>(),
        cuts in prop::option::of(cuts()),
        fates in prop::collection::vec(prop_oneof![3 => lost(), 1 => copied(), 1 => late()], 1..6),
    ) {
        let trace = suffered(scenario, cuts.as_deref(), &fates);
        let sent = &HARMLESS[scenario].smtp.transactions;
        for said in session(&trace.frames(ipv6)).smtp.transactions {
            let of_one = sent.iter().any(|sent| is_part(&said, sent));
            let sent: String = sent.iter().map(|sent| mail(sent)).collect();
            prop_assert!(of_one, "said\n{}of\n{sent}in\n{}", mail(&said), trace.transcript());
        }
    }
}
