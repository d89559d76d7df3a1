//! Segments as operations on the flow table of one shard.

use super::Input;
use crate::decode::{IpFacts, Segment, SegmentHeader, TcpFlags};
use crate::frame::{At, FrameNo};
use crate::limits::TcpLimits;
use crate::net::{Endpoint, FlowKey, HostKey, LinkFacts, SeqNum, Side};
use crate::tcp::{Attempt, ConnStart, Connection, FlowSink, FlowTable, StreamEvent};
use crate::time::{Span, Ts};

const FLAGS: [u8; 7] = [
    TcpFlags::ACK,
    TcpFlags::SYN,
    TcpFlags::SYN | TcpFlags::ACK,
    TcpFlags::FIN | TcpFlags::ACK,
    TcpFlags::RST,
    TcpFlags::RST | TcpFlags::ACK,
    TcpFlags::PSH | TcpFlags::ACK | TcpFlags::URG,
];

/// How much time goes by before a segment, in milliseconds.
const WAITS: [i64; 8] = [100, 600, 1_100, 6_000, 40_000, 7 * 60_000, 12 * 60_000, -2_000];

/// Where an operation names a number of its own and not one near where the side stands.
const ANYWHERE: i8 = i8::MIN;

/// One connection as its two hosts would know it: where each side stands.
#[derive(Clone, Copy)]
struct Pair {
    client: Endpoint,
    server: Endpoint,
    next: [u32; 2],
}

/// Each operation: a byte for connection (two bits), side, flags (three bits), whether its bytes are other ones than the first
/// time, and whether time goes by before it; a byte each for how far its number and its acknowledgement are from
/// where the sides stand; a byte for the length, and one for what of it was captured.
pub fn segments(data: &[u8]) {
    let limits = TcpLimits {
        shards: 1,
        attempts_max: 3,
        flows_max: 4,
        closed_max: 2,
        held_flow_max: 1024,
        held_segments_max: 6,
        held_total_max: 1500,
        ..TcpLimits::default()
    };
    let mut table = FlowTable::new(&[25], &limits);
    let mut told = Told::default();
    let mut pairs = pairs();
    let (mut input, mut at) = (Input(data), At { ts: Ts::from_parts(1_700_000_000, 0), frame: FrameNo(0) });
    while let (Some(kind), Some(ahead), Some(acked), Some(len), Some(captured)) =
        (input.byte(), input.byte(), input.byte(), input.byte(), input.byte())
    {
        at.frame.0 += 1;
        at.ts = at.ts + Span::millis(1);
        if kind & 0x80 != 0 {
            let wait = WAITS[usize::from(input.byte().unwrap_or_default() & 7)];
            at.ts = at.ts + Span::millis(wait);
            table.handle_idle(at, &mut told);
        }
        let pair = &mut pairs[usize::from(kind & 3)];
        let side = if kind & 4 == 0 { Side::Orig } else { Side::Resp };
        let flags = FLAGS.get(usize::from(kind >> 3 & 7)).copied().or_else(|| input.byte()).unwrap_or_default();
        let near = |delta: u8, stands: u32, input: &mut Input<'_>| match delta.cast_signed() {
            ANYWHERE => input.u32().unwrap_or_default(),
            delta => stands.wrapping_add_signed(i32::from(delta)),
        };
        let seq = near(ahead, pair.next[side as usize], &mut input);
        let ack = near(acked, pair.next[side.other() as usize], &mut input);
        let syn = flags & TcpFlags::SYN != 0;
        let first = seq.wrapping_add(u32::from(syn));
        let conflicts = kind & 0x40 != 0;
        told.conflicts |= conflicts;
        // A byte tells its number in the stream, so that a byte in the wrong place shows.
        let mark = if conflicts { 0x80 } else { 0 };
        let payload: Vec<u8> = (0..u32::from(len)).map(|i| first.wrapping_add(i) as u8 ^ mark).collect();
        let (src, dst) = if side == Side::Orig { (pair.client, pair.server) } else { (pair.server, pair.client) };
        let (key, from) = FlowKey::of(src, dst);
        let head = SegmentHeader {
            at,
            key,
            from,
            seq: SeqNum(seq),
            ack: SeqNum(ack),
            flags: TcpFlags(flags),
            window: 4096,
            payload_len: u32::from(len),
            ip: IpFacts { ttl: 64, ..IpFacts::default() },
            link: LinkFacts::default(),
        };
        let payload = payload.get(..usize::from(captured)).unwrap_or(&payload);
        table.handle_segment(table.look_up(&head.key), &Segment { head: &head, options: &[], payload }, &mut told);
        if ahead.cast_signed() != ANYWHERE {
            let end = first.wrapping_add(u32::from(len)).wrapping_add(u32::from(flags & TcpFlags::FIN));
            let stands = &mut pair.next[side as usize];
            // Both as hosts do: a SYN begins anew, and otherwise numbers only grow.
            if syn || end.wrapping_sub(*stands).cast_signed() > 0 {
                *stands = end;
            }
        }
        assert!(table.open() <= limits.flows_max, "{} connections", table.open());
        assert!(table.half_open() <= limits.attempts_max, "{} attempts", table.half_open());
    }
    at.frame.0 += 1;
    table.finish(at, &mut told);
    let stats = table.stats();
    assert_eq!((table.open(), table.half_open()), (0, 0));
    assert_eq!(stats.segments, at.frame.0 - 1);
    assert_eq!((stats.opened, stats.closed), (told.streams.len() as u64, told.closed));
    assert_eq!(stats.opened, stats.closed);
    assert_eq!(stats.unanswered, told.unanswered);
    assert!(stats.attempts >= stats.unanswered && stats.truncated_bytes <= stats.missed_bytes, "{stats:?}");
    assert!(told.conflicts || stats.overlaps_disagree == 0, "nothing disagreed: {stats:?}");
    assert_eq!(told.missed, stats.missed_bytes);
}

/// Three clients of one server, and one whose both ends have the port of SMTP; numbers begin anew within a few bytes.
fn pairs() -> [Pair; 4] {
    [(7, 49_152), (7, 49_153), (8, 49_152), (9, 25)].map(|(host, port)| Pair {
        client: Endpoint { host: HostKey::v4([192, 0, 2, host]), port },
        server: Endpoint { host: HostKey::v4([198, 51, 100, 25]), port: 25 },
        next: [u32::MAX - 20, 5_000],
    })
}

/// What was told of one connection.
#[derive(Default)]
struct Stream {
    len: [u64; 2],
    /// What the marks of its bytes differ by from their places.
    shift: [Option<u8>; 2],
    fin: [bool; 2],
    missed: u64,
    closed: bool,
}

/// Holds the flow table to what [`FlowSink`] and [`StreamEvent`] promise.
#[derive(Default)]
struct Told {
    streams: Vec<Stream>,
    closed: u64,
    unanswered: u64,
    missed: u64,
    last: FrameNo,
    /// Bytes were sent again as others, so that their marks prove nothing.
    conflicts: bool,
}

impl Told {
    fn at(&mut self, at: At) {
        assert!(at.frame >= self.last, "events come in the order of the frames that caused them");
        self.last = at.frame;
    }
}

impl FlowSink for Told {
    type App = usize;

    fn open(&mut self, _: &ConnStart) -> usize {
        self.streams.push(Stream::default());
        self.streams.len() - 1
    }

    fn stream(&mut self, &mut app: &mut usize, _: &ConnStart, event: StreamEvent<'_>) {
        let conflicts = self.conflicts;
        let stream = &mut self.streams[app];
        assert!(!stream.closed, "nothing comes after the end");
        let at = match event {
            StreamEvent::Data { side, at, offset, bytes, .. } => {
                let side = side as usize;
                assert!(!bytes.is_empty(), "{event:?}");
                // Whoever takes what came after an end never saw that end.
                stream.fin[side] = false;
                assert_eq!(offset, stream.len[side], "every byte once and in order");
                for byte in bytes {
                    let shift = byte.wrapping_sub(stream.len[side] as u8);
                    let expected = *stream.shift[side].get_or_insert(shift);
                    assert!(conflicts || shift == expected, "a byte in the wrong place: {event:?}");
                    stream.len[side] += 1;
                }
                at
            }
            StreamEvent::Gap { side, at, len } => {
                assert!(len > 0, "{event:?}");
                stream.fin[side as usize] = false;
                stream.len[side as usize] += len;
                stream.missed += len;
                at
            }
            StreamEvent::Fin { side, at } => {
                assert!(!stream.fin[side as usize], "said once");
                stream.fin[side as usize] = true;
                at
            }
            StreamEvent::Reset { at, .. } | StreamEvent::Weird { at, .. } => at,
        };
        self.at(at);
    }

    fn close(&mut self, app: usize, _: &ConnStart, connection: Connection, at: At) {
        let stream = &mut self.streams[app];
        assert!(!stream.closed, "once");
        stream.closed = true;
        assert_eq!([connection.orig_bytes, connection.resp_bytes], stream.len);
        assert_eq!(connection.missed_bytes, stream.missed);
        assert!(connection.first <= connection.last && connection.frames > 0);
        self.missed += stream.missed;
        self.closed += 1;
        self.at(at);
    }

    fn unanswered(&mut self, attempt: Attempt, at: At) {
        assert!(attempt.syns > 0 && attempt.first <= attempt.last.frame);
        self.unanswered += 1;
        self.at(at);
    }
}
