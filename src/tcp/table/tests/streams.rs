//! Whatever the network and the capture do to a dialogue, its bytes come out as they were sent, or as a gap.

use super::*;
use crate::tcp::testing::Script;
use proptest::prelude::*;

const ISN: [u32; 2] = [u32::MAX - 40, 70_000];

/// A dialogue: who speaks, and what; content that tells its place.
#[derive(Clone, Debug)]
struct Dialogue {
    turns: Vec<(Side, Vec<u8>)>,
    whole: [Vec<u8>; 2],
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Resp)
}

fn dialogue() -> impl Strategy<Value = Dialogue> {
    prop::collection::vec(1usize..90, 1..12).prop_map(|lengths| {
        let mut made = Dialogue { turns: Vec::new(), whole: [Vec::new(), Vec::new()] };
        for (turn, len) in lengths.into_iter().enumerate() {
            let side = if turn % 2 == 0 { Side::Resp } else { Side::Orig };
            let whole = &mut made.whole[index(side)];
            let from = whole.len();
            whole.extend((from..from + len).map(|at| (at * 7 + at / 250 + index(side)) as u8));
            made.turns.push((side, whole[from..].to_vec()));
        }
        made
    })
}

/// One payload segment as sent: side, offset, length, and what was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Sent {
    side: Side,
    offset: usize,
    len: usize,
    acked: usize,
}

/// Cuts each turn into segments by the sizes given.
fn segments(dialogue: &Dialogue, sizes: &[usize]) -> Vec<Sent> {
    let mut sizes = sizes.iter().cycle();
    let mut at = [0, 0];
    let mut sent = Vec::new();
    for (side, bytes) in &dialogue.turns {
        let end = at[index(*side)] + bytes.len();
        while at[index(*side)] < end {
            let offset = at[index(*side)];
            let len = (*sizes.next().unwrap_or(&1)).min(end - offset);
            sent.push(Sent { side: *side, offset, len, acked: at[index(side.other())] });
            at[index(*side)] += len;
        }
    }
    sent
}

fn write(script: &mut Script, dialogue: &Dialogue, sent: &Sent) -> Seg {
    let seq = ISN[index(sent.side)].wrapping_add(1 + sent.offset as u32);
    let ack = ISN[index(sent.side.other())].wrapping_add(1 + sent.acked as u32);
    let mut seg = match sent.side {
        Side::Orig => script.c(seq, ack, ""),
        Side::Resp => script.s(seq, ack, ""),
    };
    seg.payload = dialogue.whole[index(sent.side)][sent.offset..sent.offset + sent.len].to_vec();
    seg.head.payload_len = sent.len as u32;
    seg
}

fn begin(rig: &mut Rig) {
    let [orig, resp] = ISN;
    rig.play(|s| s.syn(orig)).play(|s| s.syn_ack(resp, orig.wrapping_add(1)));
}

fn end(rig: &mut Rig, dialogue: &Dialogue) {
    let [orig, resp] = [0, 1].map(|side| ISN[side].wrapping_add(1 + dialogue.whole[side].len() as u32));
    rig.play(|s| s.c_fin(orig, resp, "")).play(|s| s.s_fin(resp, orig.wrapping_add(1), ""));
    rig.play(|s| s.c(orig.wrapping_add(1), resp.wrapping_add(1), ""));
}

/// Moves each frame back by at most `reach` places: what a capture of several queues does.
fn disorder<T: Clone>(frames: &[T], delays: &[usize]) -> Vec<T> {
    let mut order: Vec<(usize, usize)> = (0..frames.len()).map(|at| (at + delays[at % delays.len()], at)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, at)| frames[at].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Split, reordered, duplicated and retransmitted (also over other boundaries): the same bytes, no gap, and each reply
    /// after what it answers.
    #[test]
    fn nothing_that_arrives_is_lost(
        dialogue in dialogue(),
        sizes in prop::collection::vec(1usize..40, 1..6),
        delays in prop::collection::vec(0usize..3, 1..9),
        again in prop::collection::vec((0usize..200, 0usize..60, 1usize..80), 0..12),
    ) {
        let mut sent = segments(&dialogue, &sizes);
        for (place, back, len) in again {
            // A retransmission of what was sent before: some bytes back from the end of a segment, of some length.
            let place = place % sent.len();
            let Sent { side, offset, len: whole, acked } = sent[place];
            let end = offset + whole;
            let from = end.saturating_sub(back + 1);
            sent.insert(place + 1, Sent { side, offset: from, len: len.min(end - from), acked });
        }
        let mut rig = Rig::new();
        begin(&mut rig);
        for frame in &disorder(&sent, &delays) {
            rig.play(|script| write(script, &dialogue, frame));
        }
        end(&mut rig, &dialogue);
        rig.finish();
        prop_assert_eq!(rig.told.connections.len(), 1);
        let connection = &rig.told.connections[0];
        prop_assert_eq!((connection.gaps, connection.missed_bytes), (0, 0));
        prop_assert_eq!(connection.state, ConnState::Sf);
        prop_assert!(!connection.cut_short && connection.weird.is_empty(), "{:?}", connection.weird);
        for side in [0, 1] {
            let told: Vec<u8> = rig.told.streams[0][side].iter().filter_map(|byte| *byte).collect();
            prop_assert_eq!(&told, &dialogue.whole[side]);
        }
        prop_assert!(rig.told.causal.iter().all(|causal| *causal), "a reply before what it answers");
        prop_assert_eq!(rig.table.stats().overlaps_disagree, 0);
    }

    /// With frames lost for good: what came is told in its place, the rest is gaps, and together they are the stream as far as
    /// anything shows that it went.
    #[test]
    fn what_is_lost_is_a_gap(
        dialogue in dialogue(),
        sizes in prop::collection::vec(1usize..40, 1..6),
        delays in prop::collection::vec(0usize..3, 1..5),
        lost in prop::collection::vec(prop::bool::weighted(0.2), 1..40),
        snap in prop::option::weighted(0.2, 0usize..20),
        sides in 0u8..8,
    ) {
        let sent = segments(&dialogue, &sizes);
        let seen = |at: usize, frame: &Sent| {
            let mirrored = sides > 1 || index(frame.side) == usize::from(sides);
            mirrored && !lost[at % lost.len()]
        };
        let kept: Vec<Sent> = sent.iter().enumerate().filter(|(at, frame)| seen(*at, frame)).map(|(_, frame)| *frame).collect();
        let mut rig = Rig::new();
        begin(&mut rig);
        for frame in &disorder(&kept, &delays) {
            rig.play(|script| {
                let seg = write(script, &dialogue, frame);
                match snap { Some(snap) => seg.snapped(snap), None => seg }
            });
        }
        end(&mut rig, &dialogue);
        rig.finish();
        prop_assert_eq!(rig.told.connections.len(), 1);
        for side in [0, 1] {
            let told = &rig.told.streams[0][side];
            prop_assert_eq!(told.len(), dialogue.whole[side].len());
            for (at, byte) in told.iter().enumerate() {
                let came = kept.iter().any(|frame| {
                    let len = frame.len.min(snap.unwrap_or(usize::MAX));
                    index(frame.side) == side && (frame.offset..frame.offset + len).contains(&at)
                });
                if let Some(byte) = byte {
                    prop_assert!(came);
                    prop_assert_eq!(*byte, dialogue.whole[side][at]);
                } else {
                    prop_assert!(!came || delays.iter().any(|delay| *delay > 0), "a byte that came in order is no gap");
                }
            }
        }
    }

    /// Any segments whatever: no panic, and the promises of the recorder hold.
    #[test]
    fn nothing_breaks_the_table(
        frames in prop::collection::vec(
            (any::<bool>(), any::<u8>(), 0u32..60, 0u32..60, 0usize..30, 0usize..30, 0i64..900, prop::option::weighted(0.05, any::<u32>())),
            0..80,
        ),
    ) {
        let mut rig = Rig::with(&TcpLimits {
            shards: 1,
            flows_max: 2,
            closed_max: 1,
            attempts_max: 2,
            held_flow_max: 600,
            held_segments_max: 6,
            held_total_max: 900,
            ..TcpLimits::default()
        });
        for (client, flags, seq, ack, len, captured, pause, wild) in frames {
            let base = u32::MAX - 20;
            let (seq, ack) = (base.wrapping_add(seq).wrapping_add(wild.unwrap_or(0)), base.wrapping_add(ack));
            rig.script.client.port = 49152 + (pause % 4) as u16;
            // Most segments are ordinary, else nothing would ever be open.
            let flags = if flags < 160 { TcpFlags::ACK } else { flags };
            let data = "x".repeat(len);
            rig.play(|s| if client { s.c(seq, ack, &data) } else { s.s(seq, ack, &data) }.flags(flags).snapped(captured));
            if pause % 10 == 0 {
                rig.wait(Span::secs(pause));
            }
        }
        rig.finish();
        prop_assert_eq!(rig.table.held, 0);
    }
}
