use super::*;
use crate::frame::{At, FrameNo};
use crate::net::{Endpoint, FlowKey, HostKey};

const PC: ([u8; 4], u16) = ([192, 168, 0, 23], 49_152);
const GATEWAY: ([u8; 4], u16) = ([203, 0, 113, 5], 61_000);
const MX: ([u8; 4], u16) = ([192, 0, 2, 25], 25);
const SYN: u8 = TcpFlags::SYN;
const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;

fn end((ip, port): ([u8; 4], u16)) -> Endpoint {
    Endpoint { host: HostKey::v4(ip), port }
}

fn ends(orig: ([u8; 4], u16), resp: ([u8; 4], u16)) -> Ends {
    Ends { orig: end(orig), resp: end(resp) }
}

/// The segments of a tap, a tenth of a millisecond apart.
struct Tap {
    finder: TwinFinder,
    now: Ts,
    found: Vec<Translation>,
    candidates: usize,
}

impl Tap {
    fn new() -> Self {
        Self {
            finder: TwinFinder::new(&DecodeLimits::default()),
            now: Ts::from_parts(1000, 0),
            found: Vec::new(),
            candidates: 0,
        }
    }

    fn sees(
        &mut self,
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        (flags, seq, ack): (u8, u32, u32),
        ttl: u8,
    ) -> &mut Self {
        let (key, side) = FlowKey::of(end(from), end(to));
        let head = SegmentHeader {
            at: At { ts: self.now, frame: FrameNo(1) },
            key,
            from: side,
            seq: SeqNum(seq),
            ack: SeqNum(ack),
            flags: TcpFlags(flags),
            window: 64_240,
            payload_len: 0,
            ip: super::super::IpFacts { ttl, ..Default::default() },
            link: crate::net::LinkFacts::default(),
        };
        if let Some(found) = self.finder.handle(&head) {
            if found.proven { self.found.push(found) } else { self.candidates += 1 }
        }
        self.wait(Span::from_nanos(100_000))
    }

    fn wait(&mut self, span: Span) -> &mut Self {
        self.now = self.now + span;
        self
    }

    /// What was found: inner and outer ends.
    fn told(&self) -> Vec<(Ends, Ends)> {
        self.found.iter().map(|found| (found.inner, found.outer)).collect()
    }
}

#[test]
fn a_pc_calls_out_and_is_seen_before_and_behind_the_gateway() {
    let mut tap = Tap::new();
    tap.sees(PC, MX, (SYN, 7, 0), 64).sees(GATEWAY, MX, (SYN, 7, 0), 63);
    // The answer comes by the outer side first.
    tap.sees(MX, GATEWAY, (SYN_ACK, 900, 8), 52);
    assert_eq!((tap.candidates, tap.found.len()), (1, 0));
    tap.sees(MX, PC, (SYN_ACK, 900, 8), 51);
    assert_eq!(tap.told(), [(ends(PC, MX), ends(GATEWAY, MX))]);
    assert_eq!(tap.found[0].changed(), (end(PC), end(GATEWAY)));
}

#[test]
fn the_stamps_of_two_taps_may_be_the_wrong_way_round() {
    let mut tap = Tap::new();
    tap.sees(GATEWAY, MX, (SYN, 7, 0), 63).sees(PC, MX, (SYN, 7, 0), 64);
    tap.sees(MX, PC, (SYN_ACK, 900, 8), 51).sees(MX, GATEWAY, (SYN_ACK, 900, 8), 52);
    assert_eq!(tap.told(), [(ends(PC, MX), ends(GATEWAY, MX))]);
}

#[test]
fn a_server_behind_the_gateway_is_called() {
    let (stranger, public, server) = (([198, 51, 100, 7], 40_000), ([203, 0, 113, 5], 25), ([192, 168, 0, 10], 2525));
    let mut tap = Tap::new();
    tap.sees(stranger, public, (SYN, 7, 0), 55).sees(stranger, server, (SYN, 7, 0), 54);
    tap.sees(server, stranger, (SYN_ACK, 900, 8), 64).sees(public, stranger, (SYN_ACK, 900, 8), 63);
    assert_eq!(tap.told(), [(ends(stranger, server), ends(stranger, public))]);
    assert_eq!(tap.found[0].changed(), (end(server), end(public)));
}

#[test]
fn one_hides_behind_no_neighbour() {
    // A worm forges the SYN of a neighbour with its own number and one hop more. The server answers each by itself.
    let neighbour = ([192, 168, 0, 24], 49_152);
    let mut tap = Tap::new();
    tap.sees(neighbour, MX, (SYN, 7, 0), 65).sees(PC, MX, (SYN, 7, 0), 64);
    tap.sees(MX, neighbour, (SYN_ACK, 900, 8), 51).sees(MX, PC, (SYN_ACK, 901, 8), 51);
    assert!(tap.found.is_empty());
    // Nor does another try count.
    tap.sees(MX, PC, (SYN_ACK, 900, 8), 51);
    assert!(tap.found.is_empty());
}

#[test]
fn what_differs_is_another_connection() {
    let other = ([198, 51, 100, 25], 25);
    // The second SYN, and whether it may be the first one's twin.
    for (to, seq, ttl, pause, expected) in [
        (MX, 7, 63, Span::ZERO, 1),
        (MX, 7, 60, Span::millis(900), 1),
        (MX, 8, 63, Span::ZERO, 0),
        (MX, 7, 64, Span::ZERO, 0),
        (MX, 7, 59, Span::ZERO, 0),
        (MX, 7, 63, Span::secs(2), 0),
        (other, 7, 63, Span::ZERO, 0),
    ] {
        let mut tap = Tap::new();
        tap.sees(PC, MX, (SYN, 7, 0), 64).wait(pause).sees(GATEWAY, to, (SYN, seq, 0), ttl);
        tap.sees(to, GATEWAY, (SYN_ACK, 900, seq + 1), 52).sees(MX, PC, (SYN_ACK, 900, 8), 51);
        assert_eq!(tap.found.len(), expected, "{to:?} {seq} {ttl} {pause:?}");
    }
    // From the same address, by another port: a client that calls twice.
    let mut tap = Tap::new();
    tap.sees(PC, MX, (SYN, 7, 0), 64).sees((PC.0, 50_000), MX, (SYN, 7, 0), 63);
    tap.sees(MX, PC, (SYN_ACK, 900, 8), 51).sees(MX, (PC.0, 50_000), (SYN_ACK, 900, 8), 51);
    assert!(tap.found.is_empty());
}

#[test]
fn repeated_answers_do_not_prove_it() {
    let mut tap = Tap::new();
    tap.sees(PC, MX, (SYN, 7, 0), 64).sees(GATEWAY, MX, (SYN, 7, 0), 63);
    tap.sees(MX, PC, (SYN_ACK, 900, 8), 51).sees(MX, PC, (SYN_ACK, 900, 8), 51);
    assert!(tap.found.is_empty());
}
