//! A connection between a client and a server, segment by segment, with every field open to an attacker.

use std::sync::{Arc, LazyLock};

use etherparse::{IpNumber, Ipv4Header, TcpHeader};
use smtphound::decode::{PortSet, TcpFlags};
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::engine::{Engine, Finished};
use smtphound::frame::{Frame, FrameNo, LinkType};
use smtphound::limits::Limits;
use smtphound::session::{Session, SessionEvent, SessionEventKind};
use smtphound::site::Site;
use smtphound::time::{Span, Ts};
use smtphound::weird::Weird;

pub const ACK: u8 = TcpFlags::ACK;
pub const SYN: u8 = TcpFlags::SYN;
pub const FIN: u8 = TcpFlags::FIN;
pub const RST: u8 = TcpFlags::RST;
pub const URG: u8 = TcpFlags::URG;

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    C,
    S,
}

pub use Who::{C, S};

/// One segment. What is not set is as the connection stands: the next number, everything acknowledged.
#[derive(Clone, Debug)]
pub struct Seg {
    who: Who,
    /// Place in the sender's stream; 0 is the first byte after SYN.
    at: i64,
    acked: i64,
    flags: u8,
    data: Vec<u8>,
    ttl: u8,
    /// The TCP checksum is wrong.
    spoilt: bool,
    tsval: Option<u32>,
    urgent: u16,
}

impl Seg {
    pub fn at(mut self, at: i64) -> Self {
        self.at = at;
        self
    }

    pub fn acked(mut self, acked: i64) -> Self {
        self.acked = acked;
        self
    }

    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    pub fn data(mut self, data: &str) -> Self {
        self.data = data.into();
        self
    }

    /// Dies on the way to the server.
    pub fn short_lived(mut self) -> Self {
        self.ttl = 1;
        self
    }

    /// Any receiver drops it.
    pub fn spoilt(mut self) -> Self {
        self.spoilt = true;
        self
    }

    /// With a timestamp option (RFC 7323).
    pub fn stamped(mut self, tsval: u32) -> Self {
        self.tsval = Some(tsval);
        self
    }

    pub fn urgent(mut self, pointer: u16) -> Self {
        (self.urgent, self.flags) = (pointer, self.flags | URG);
        self
    }
}

/// A conversation as frames.
pub struct Talk {
    pub frames: Vec<Vec<u8>>,
    /// Initial sequence numbers of both sides.
    pub isn: [u32; 2],
    pub ports: [u16; 2],
    /// Bytes that each side sent.
    pos: [i64; 2],
    id: u16,
}

impl Talk {
    pub fn new() -> Self {
        Self { frames: Vec::new(), isn: [1_000, 9_000_000], ports: [49_152, 25], pos: [0, 0], id: 0 }
    }

    /// The handshake.
    pub fn open(&mut self) -> &mut Self {
        let syn = self.seg(C).at(-1).flags(SYN);
        let syn_ack = self.seg(S).at(-1).flags(SYN | ACK);
        let ack = self.seg(C);
        self.send(&syn).send(&syn_ack).send(&ack)
    }

    /// A segment as it would be next.
    pub fn seg(&self, who: Who) -> Seg {
        let (me, other) = (who as usize, 1 - who as usize);
        let (at, acked) = (self.pos[me], self.pos[other]);
        Seg { who, at, acked, flags: ACK, data: Vec::new(), ttl: 64, spoilt: false, tsval: None, urgent: 0 }
    }

    /// Where a side stands.
    pub fn pos(&self, who: Who) -> i64 {
        self.pos[who as usize]
    }

    /// Sends a segment; the stream stands where it stood.
    pub fn send(&mut self, seg: &Seg) -> &mut Self {
        self.id += 1;
        self.frames.push(ethernet(0x0800, &self.datagram(seg, self.id)));
        self
    }

    /// Says lines as they would be said.
    pub fn say(&mut self, who: Who, text: &str) -> &mut Self {
        let seg = self.seg(who).data(text);
        self.send(&seg);
        self.skip(who, text.len())
    }

    /// The stream goes on behind bytes that were sent otherwise.
    pub fn skip(&mut self, who: Who, bytes: usize) -> &mut Self {
        self.pos[who as usize] += bytes as i64;
        self
    }

    /// A transcript: `C: ` or `S: ` and a line.
    pub fn talk(&mut self, script: &str) -> &mut Self {
        for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
            let who = if line.starts_with('C') { C } else { S };
            self.say(who, &format!("{}\r\n", line.get(3..).unwrap_or_default()));
        }
        self
    }

    /// Greeting, EHLO, MAIL.
    pub fn begin(&mut self) -> &mut Self {
        self.open().talk(
            "S: 220 mx.fabrikam.example ESMTP
             C: EHLO pc23.adatum.example
             S: 250 mx.fabrikam.example
             C: MAIL FROM:<a@adatum.example>
             S: 250 2.1.0 Ok",
        )
    }

    /// The end of a connection whose client leaves.
    pub fn end(&mut self) -> &mut Self {
        self.talk("C: QUIT\nS: 221 2.0.0 bye");
        let (fin, back) = (self.seg(C).flags(FIN | ACK), self.seg(S).flags(FIN | ACK));
        let back = Seg { acked: back.acked + 1, ..back };
        let last = self.seg(C);
        let last = Seg { at: last.at + 1, acked: last.acked + 1, ..last };
        self.send(&fin).send(&back).send(&last)
    }

    /// An IPv4 datagram with the segment.
    pub fn datagram(&self, seg: &Seg, id: u16) -> Vec<u8> {
        let (me, other) = (seg.who as usize, 1 - seg.who as usize);
        let number = |side: usize, place: i64| self.isn[side].wrapping_add(1).wrapping_add(place as u32);
        let mut tcp = TcpHeader::new(self.ports[me], self.ports[other], number(me, seg.at), 65_000);
        tcp.acknowledgment_number = if seg.flags & ACK == 0 { 0 } else { number(other, seg.acked) };
        (tcp.syn, tcp.fin, tcp.rst) = (seg.flags & SYN != 0, seg.flags & FIN != 0, seg.flags & RST != 0);
        (tcp.ack, tcp.urg, tcp.urgent_pointer) = (seg.flags & ACK != 0, seg.flags & URG != 0, seg.urgent);
        if let Some(tsval) = seg.tsval {
            let mut options = vec![1, 1, 8, 10];
            options.extend(tsval.to_be_bytes());
            options.extend([0; 4]);
            tcp.set_options_raw(&options).unwrap();
        }
        let address = |side: usize| if side == 0 { [192, 168, 0, 7] } else { [192, 0, 2, 25] };
        let len = (tcp.header_len() + seg.data.len()) as u16;
        let mut ip = Ipv4Header::new(len, seg.ttl, IpNumber::TCP, address(me), address(other)).unwrap();
        ip.identification = id;
        ip.header_checksum = ip.calc_header_checksum();
        tcp.checksum = tcp.calc_checksum_ipv4(&ip, &seg.data).unwrap() ^ u16::from(seg.spoilt);
        let mut bytes = ip.to_bytes().to_vec();
        bytes.extend(tcp.to_bytes());
        bytes.extend(&seg.data);
        bytes
    }

    /// What the whole program makes of it.
    pub fn concluded(&self) -> Concluded {
        conclude(&self.frames)
    }
}

/// An Ethernet II frame.
pub fn ethernet(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &ethertype.to_be_bytes(), inner].concat()
}

static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// What came out.
pub struct Concluded {
    pub sessions: Vec<Arc<Session>>,
    pub finished: Finished,
}

impl Concluded {
    /// The one session there is.
    pub fn session(&self) -> &Session {
        assert_eq!(self.sessions.len(), 1, "{:#?}", self.sessions);
        &self.sessions[0]
    }

    /// Every mail of every session: `from > to code, to code: outcome`.
    pub fn mails(&self) -> Vec<String> {
        let mails = self.sessions.iter().flat_map(|session| &session.smtp.transactions);
        mails
            .map(|tx| {
                let to = tx.rcptto.iter().map(|rcpt| {
                    let code = rcpt.reply.as_ref().and_then(|reply| reply.code);
                    format!("{} {}", rcpt.to, code.map_or("-".to_owned(), |code| code.to_string()))
                });
                format!("{} > {}: {:?}", tx.mailfrom, to.collect::<Vec<_>>().join(", "), tx.outcome)
            })
            .collect()
    }

    /// The oddities of all sessions, TCP's and SMTP's.
    pub fn weird(&self) -> Vec<&'static str> {
        let kinds = self.sessions.iter().flat_map(|s| s.conn.weird.iter().chain(s.smtp.weird.iter()));
        kinds.map(Weird::name).collect()
    }
}

/// Runs frames through all stages, a millisecond apart.
pub fn conclude(frames: &[Vec<u8>]) -> Concluded {
    let limits = Limits::default();
    let judge = Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &limits.detect);
    let mut engine = Engine::new(&PortSet::from_iter([25]), &limits, judge);
    let mut sessions = Vec::new();
    let mut sink = |event: &SessionEvent| {
        if let SessionEventKind::Closed(session) = &event.kind {
            sessions.push(Arc::clone(session));
        }
    };
    let mut ts = Ts::from_parts(1_772_617_320, 0);
    for (no, bytes) in frames.iter().enumerate() {
        ts = ts + Span::millis(1);
        let frame = Frame { ts, link: LinkType::ETHERNET, wire_len: bytes.len() as u32, bytes };
        engine.handle_frame(FrameNo(no as u64 + 1), &frame, &mut sink);
    }
    let finished = engine.finish(&mut sink);
    let stats = finished.front.decode_stats();
    assert_eq!(stats.total(), frames.len() as u64, "every frame has its place");
    Concluded { sessions, finished }
}
