//! What the tests of this room share: segments written like a trace, and a sink that writes down what it is told.

use std::net::Ipv4Addr;

use super::{Attempt, ConnStart, Connection, FlowSink, FlowTable, StreamEvent};
use crate::decode::{IpFacts, Segment, SegmentHeader, TcpFlags};
use crate::frame::{At, FrameNo};
use crate::limits::TcpLimits;
use crate::net::{Endpoint, FlowKey, HostKey, LinkFacts, Mac, SeqNum, Side};
use crate::time::{Span, Ts};

/// A segment that owns its bytes.
#[derive(Clone, Debug)]
pub(super) struct Seg {
    pub(super) head: SegmentHeader,
    pub(super) options: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Seg {
    pub(super) fn segment(&self) -> Segment<'_> {
        Segment { head: &self.head, options: &self.options, payload: &self.payload }
    }

    /// With other flags.
    pub(super) fn flags(mut self, flags: u8) -> Self {
        self.head.flags = TcpFlags(flags);
        self
    }

    /// With another window.
    pub(super) fn window(mut self, window: u16) -> Self {
        self.head.window = window;
        self
    }

    /// As a snap length leaves it.
    pub(super) fn snapped(mut self, captured: usize) -> Self {
        self.payload.truncate(captured);
        self
    }

    /// With options.
    pub(super) fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }
}

/// Writes segments between one client and one server, a millisecond apart.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) at: At,
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
}

const ACK: u8 = TcpFlags::ACK;

impl Script {
    pub(super) fn new() -> Self {
        let end = |ip: [u8; 4], port| Endpoint { host: HostKey::from(Ipv4Addr::from(ip)), port };
        Self {
            at: At { ts: Ts::from_parts(1_700_000_000, 0), frame: FrameNo(0) },
            client: end([192, 168, 0, 23], 49152),
            server: end([192, 0, 2, 25], 25),
        }
    }

    pub(super) fn wait(&mut self, span: Span) {
        self.at.ts = self.at.ts + span;
    }

    fn seg(&mut self, side: Side, flags: u8, seq: u32, ack: u32, data: &[u8]) -> Seg {
        self.at.frame.0 += 1;
        self.wait(Span::millis(1));
        let macs = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
        let (src, dst, macs) = match side {
            Side::Orig => (self.client, self.server, macs),
            Side::Resp => (self.server, self.client, (macs.1, macs.0)),
        };
        let (key, from) = FlowKey::of(src, dst);
        let head = SegmentHeader {
            at: self.at,
            key,
            from,
            seq: SeqNum(seq),
            ack: SeqNum(ack),
            flags: TcpFlags(flags),
            window: 65535,
            payload_len: data.len() as u32,
            ip: IpFacts { ttl: 64, ..IpFacts::default() },
            link: LinkFacts { macs: Some(macs), ..LinkFacts::default() },
        };
        Seg { head, options: Vec::new(), payload: data.to_vec() }
    }

    /// The client's SYN.
    pub(super) fn syn(&mut self, seq: u32) -> Seg {
        self.seg(Side::Orig, TcpFlags::SYN, seq, 0, b"")
    }

    /// The server's SYN-ACK.
    pub(super) fn syn_ack(&mut self, seq: u32, ack: u32) -> Seg {
        self.seg(Side::Resp, TcpFlags::SYN | ACK, seq, ack, b"")
    }

    /// A segment of the client; a bare ACK without data.
    pub(super) fn c(&mut self, seq: u32, ack: u32, data: &str) -> Seg {
        self.seg(Side::Orig, ACK, seq, ack, data.as_bytes())
    }

    /// A segment of the server.
    pub(super) fn s(&mut self, seq: u32, ack: u32, data: &str) -> Seg {
        self.seg(Side::Resp, ACK, seq, ack, data.as_bytes())
    }

    /// The client's FIN, behind data or alone.
    pub(super) fn c_fin(&mut self, seq: u32, ack: u32, data: &str) -> Seg {
        self.seg(Side::Orig, ACK | TcpFlags::FIN, seq, ack, data.as_bytes())
    }

    /// The server's FIN.
    pub(super) fn s_fin(&mut self, seq: u32, ack: u32, data: &str) -> Seg {
        self.seg(Side::Resp, ACK | TcpFlags::FIN, seq, ack, data.as_bytes())
    }

    /// The client's RST.
    pub(super) fn c_rst(&mut self, seq: u32) -> Seg {
        self.seg(Side::Orig, TcpFlags::RST, seq, 0, b"")
    }

    /// The server's RST, which acknowledges.
    pub(super) fn s_rst(&mut self, seq: u32, ack: u32) -> Seg {
        self.seg(Side::Resp, TcpFlags::RST | ACK, seq, ack, b"")
    }
}

/// What one side's stream came to: bytes, and `None` for each byte of a gap.
pub(super) type Stream = Vec<Option<u8>>;

/// Writes down what it is told, and checks the promises of [`FlowSink`].
#[derive(Default)]
pub(super) struct Recorder {
    /// A line an event.
    pub(super) log: Vec<String>,
    pub(super) streams: Vec<[Stream; 2]>,
    /// Their lengths; a stream with a gap over 4 KiB is not kept whole.
    lens: Vec<[u64; 2]>,
    pub(super) starts: Vec<ConnStart>,
    pub(super) connections: Vec<Connection>,
    pub(super) attempts: Vec<Attempt>,
    /// Of each piece of data: whether all that its sender had acknowledged was told before it.
    pub(super) causal: Vec<bool>,
    /// The `at` of each event in turn.
    pub(super) ats: Vec<At>,
}

fn who(side: Side) -> &'static str {
    match side {
        Side::Orig => "C",
        Side::Resp => "S",
    }
}

impl FlowSink for Recorder {
    type App = usize;

    fn open(&mut self, start: &ConnStart) -> usize {
        self.log.push(if start.midstream { "open midstream" } else { "open" }.into());
        self.starts.push(*start);
        self.streams.push([Vec::new(), Vec::new()]);
        self.lens.push([0; 2]);
        self.streams.len() - 1
    }

    fn stream(&mut self, &mut app: &mut usize, start: &ConnStart, event: StreamEvent<'_>) {
        assert_eq!(start.id, self.starts[app].id);
        let (streams, lens) = (&mut self.streams[app], &mut self.lens[app]);
        let index = |side| usize::from(side == Side::Resp);
        let (line, at) = match event {
            StreamEvent::Data { side, at, offset, acked, bytes } => {
                assert_eq!(offset, lens[index(side)], "in order");
                lens[index(side)] += bytes.len() as u64;
                assert!(!bytes.is_empty());
                self.causal.push(lens[index(side.other())] >= acked);
                streams[index(side)].extend(bytes.iter().copied().map(Some));
                (format!("{} {:?} @{acked}", who(side), String::from_utf8_lossy(bytes)), at)
            }
            StreamEvent::Gap { side, at, len } => {
                assert!(len > 0);
                lens[index(side)] += len;
                let end = streams[index(side)].len() + len.min(1 << 12) as usize;
                streams[index(side)].resize(end, None);
                (format!("{} gap {len}", who(side)), at)
            }
            StreamEvent::Fin { side, at } => (format!("{} fin", who(side)), at),
            StreamEvent::Reset { side, at } => (format!("{} reset", who(side)), at),
            StreamEvent::Weird { side, at, weird } => (format!("{} {}", who(side), weird.name()), at),
        };
        self.log.push(line);
        self.ats.push(at);
    }

    fn close(&mut self, app: usize, start: &ConnStart, connection: Connection, at: At) {
        let told = &self.starts[app];
        assert_eq!((start.id, start.first, start.link), (told.id, told.first, told.link));
        let [orig, resp] = &self.streams[app];
        assert_eq!([connection.orig_bytes, connection.resp_bytes], self.lens[app], "every byte is told of once");
        if orig.len() as u64 == connection.orig_bytes && resp.len() as u64 == connection.resp_bytes {
            let missing = orig.iter().chain(resp).filter(|byte| byte.is_none()).count();
            assert_eq!(connection.missed_bytes, missing as u64);
        }
        let state = serde_json::to_value(connection.state).unwrap();
        self.log.push(format!("close {} {}", state.as_str().unwrap(), connection.history.as_str()));
        self.connections.push(connection);
        self.ats.push(at);
    }

    fn unanswered(&mut self, attempt: Attempt, at: At) {
        self.log.push(format!("unanswered {}", attempt.syns));
        self.attempts.push(attempt);
        self.ats.push(at);
    }
}

/// A table, its sink and a script.
pub(super) struct Rig {
    pub(super) script: Script,
    pub(super) table: FlowTable<usize>,
    pub(super) told: Recorder,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(&TcpLimits { shards: 1, ..TcpLimits::default() })
    }

    pub(super) fn with(limits: &TcpLimits) -> Self {
        Self { script: Script::new(), table: FlowTable::new(&[25], limits), told: Recorder::default() }
    }

    /// Plays one segment, as the script writes it.
    pub(super) fn play(&mut self, write: impl FnOnce(&mut Script) -> Seg) -> &mut Self {
        let seg = write(&mut self.script);
        self.feed(&seg)
    }

    pub(super) fn feed(&mut self, seg: &Seg) -> &mut Self {
        let look_up = self.table.look_up(&seg.head.key);
        self.table.handle_segment(look_up, &seg.segment(), &mut self.told);
        self
    }

    /// SYN 100, SYN-ACK 500, ACK.
    pub(super) fn handshake(&mut self) -> &mut Self {
        self.play(|s| s.syn(100)).play(|s| s.syn_ack(500, 101)).play(|s| s.c(101, 501, ""))
    }

    /// Lets event time pass.
    pub(super) fn wait(&mut self, span: Span) -> &mut Self {
        self.script.wait(span);
        self.table.handle_idle(self.script.at, &mut self.told);
        self
    }

    /// Ends the capture and gives the log without the `open` of an ordinary connection.
    pub(super) fn finish(&mut self) -> Vec<String> {
        self.table.finish(self.script.at, &mut self.told);
        assert_eq!((self.table.open(), self.table.half_open()), (0, 0));
        let stats = self.table.stats();
        assert_eq!(stats.opened, stats.closed);
        assert_eq!(stats.opened, self.told.connections.len() as u64);
        assert_eq!(stats.unanswered, self.told.attempts.len() as u64);
        assert!(
            self.told.ats.is_sorted_by_key(|at| at.frame),
            "events come in the order of the frames that caused them"
        );
        self.told.log()
    }
}

impl Recorder {
    fn log(&self) -> Vec<String> {
        self.log.iter().filter(|line| *line != "open").cloned().collect()
    }
}
