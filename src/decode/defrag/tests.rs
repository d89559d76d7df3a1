use proptest::prelude::*;

use crate::decode::segment::IpFacts;

use super::*;

fn key(id: u32) -> FragmentKey {
    FragmentKey { src: HostKey::v4([10, 0, 0, 1]), dst: HostKey::v4([10, 0, 0, 2]), protocol: Some(6), id }
}

fn head(ttl: u8) -> IpHead {
    let FragmentKey { src, dst, .. } = key(0);
    IpHead { src, dst, facts: IpFacts { ttl, ..IpFacts::default() } }
}

fn fragment(id: u32, offset: usize, more: bool, bytes: &[u8]) -> Fragment<'_> {
    let wire_len = bytes.len();
    Fragment { key: key(id), protocol: 6, doubtful: false, head: head(64), mac: None, offset, more, bytes, wire_len }
}

fn at(secs: i64) -> Ts {
    Ts::from_parts(1_772_617_327 + secs, 0)
}

/// A pool and its counters.
struct Pool {
    pool: DefragPool,
    stats: FragmentStats,
}

impl Pool {
    fn new(limits: &DecodeLimits) -> Self {
        Self { pool: DefragPool::new(limits), stats: FragmentStats::default() }
    }

    fn push(&mut self, now: Ts, fragment: &Fragment<'_>) -> Pushed {
        let pushed = self.pool.push(now, fragment, &mut self.stats);
        for shelf in [&self.pool.likely, &self.pool.doubtful] {
            let cost: usize = shelf.partials.values().map(Partial::cost).sum();
            assert_eq!(shelf.held, cost, "what is held is what the pieces cost");
        }
        pushed
    }

    fn refuse(&mut self, now: Ts, id: u32) {
        self.pool.refuse(now, key(id), head(1), false, &mut self.stats);
    }

    fn joined(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        match self.push(at(0), fragment) {
            Pushed::Joined(datagram) => Some(datagram.bytes),
            _ => None,
        }
    }
}

#[test]
fn fragments_in_any_order_give_the_datagram() {
    let parts = [(0, true, &b"aaaaaaaa"[..]), (8, true, b"bbbbbbbb"), (16, false, b"cc")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut pool = Pool::new(&DecodeLimits::default());
        let results = order.map(|part: usize| {
            let (offset, more, bytes) = parts[part];
            pool.joined(&fragment(1, offset, more, bytes))
        });
        assert_eq!(results, [None, None, Some(b"aaaaaaaabbbbbbbbcc".to_vec())], "{order:?}");
        assert_eq!(pool.stats, FragmentStats { completed: 1, ..FragmentStats::default() });
        assert_eq!(pool.pool.likely.held, 0);
    }
}

#[test]
fn datagrams_are_told_apart_by_all_of_their_key() {
    let mut pool = Pool::new(&DecodeLimits::default());
    assert_eq!(pool.joined(&fragment(1, 0, true, b"aaaaaaaa")), None);
    assert_eq!(pool.joined(&fragment(2, 8, false, b"b")), None);
    let mut other = fragment(1, 8, false, b"c");
    other.key.protocol = Some(47);
    assert_eq!(pool.joined(&other), None);
    assert_eq!(pool.joined(&fragment(1, 8, false, b"d")), Some(b"aaaaaaaad".to_vec()));
}

#[test]
fn the_header_is_that_of_the_first_fragment() {
    let mut pool = Pool::new(&DecodeLimits::default());
    pool.push(at(0), &Fragment { head: head(9), ..fragment(1, 8, false, b"b") });
    match pool.push(at(0), &Fragment { head: head(77), ..fragment(1, 0, true, b"aaaaaaaa") }) {
        Pushed::Joined(datagram) => assert_eq!((datagram.head.facts.ttl, datagram.protocol), (77, 6)),
        other => panic!("{other:?}"),
    }
    // Of two first ones it is the one whose bytes are taken.
    pool.push(at(0), &Fragment { head: head(77), ..fragment(2, 0, true, b"aaaaaaaa") });
    pool.push(at(0), &Fragment { protocol: 59, head: head(9), ..fragment(2, 0, true, b"aaaaaaaa") });
    match pool.push(at(0), &Fragment { head: head(9), ..fragment(2, 8, false, b"b") }) {
        Pushed::Joined(datagram) => assert_eq!((datagram.head.facts.ttl, datagram.protocol), (77, 6)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_bytes_win_and_disagreement_is_counted() {
    let mut pool = Pool::new(&DecodeLimits::default());
    assert_eq!(pool.joined(&fragment(1, 8, true, b"bbbbbbbb")), None);
    // Reaches over the first one on both sides, and disagrees.
    assert_eq!(pool.joined(&fragment(1, 0, true, b"xxxxxxxxxxxxxxxxxxxxxxxx")), None);
    // Agrees with what came before.
    assert_eq!(pool.joined(&fragment(1, 16, true, b"xxxxxxxxyyyyyyyy")), None);
    assert_eq!(pool.joined(&fragment(1, 32, false, b"z")), Some(b"xxxxxxxxbbbbbbbbxxxxxxxxyyyyyyyyz".to_vec()));
    assert_eq!(
        pool.stats,
        FragmentStats { completed: 1, overlaps: 2, overlaps_disagree: 1, ..FragmentStats::default() }
    );
}

#[test]
fn a_whole_fragment_seen_twice_is_no_overlap() {
    let mut pool = Pool::new(&DecodeLimits::default());
    assert_eq!(pool.joined(&fragment(1, 0, true, b"aaaaaaaa")), None);
    assert_eq!(pool.joined(&fragment(1, 0, true, b"aaaaaaaa")), None);
    assert_eq!(pool.stats.overlaps, 0);
    assert_eq!(pool.joined(&fragment(1, 0, true, b"aaaaaaaX")), None);
    assert_eq!((pool.stats.overlaps, pool.stats.overlaps_disagree), (1, 1));
    assert_eq!(pool.joined(&fragment(1, 8, false, b"")), Some(b"aaaaaaaa".to_vec()));
}

#[test]
fn what_does_not_fit_is_refused_and_harms_nothing() {
    let mut pool = Pool::new(&DecodeLimits::default());
    assert_eq!(pool.joined(&fragment(1, 0, true, b"aaaaaaaa")), None);
    let long = vec![0; 16];
    for misfit in [
        fragment(1, 8, true, b"not 8"),    // not a multiple of eight, though others follow
        fragment(1, 8, true, b""),         // nothing, though others follow
        fragment(1, 65_528, false, &long), // past the largest datagram
        fragment(1, 0, false, b"aaaa"),    // ends before what came already
        fragment(2, 8, true, b"odd"),      // the same where nothing is known yet
    ] {
        assert!(matches!(pool.push(at(0), &misfit), Pushed::Limit), "at {}", misfit.offset);
    }
    assert!(matches!(pool.push(at(0), &fragment(1, 24, false, b"end")), Pushed::Held));
    for misfit in [fragment(1, 24, true, &long), fragment(1, 16, false, b"x")] {
        assert!(matches!(pool.push(at(0), &misfit), Pushed::Limit), "at {}", misfit.offset);
    }
    assert_eq!(pool.joined(&fragment(1, 8, true, &[b'b'; 16])).unwrap(), b"aaaaaaaabbbbbbbbbbbbbbbbend");
}

#[test]
fn too_many_pieces_are_refused() {
    let limits = DecodeLimits { defrag_pieces_max: 3, ..DecodeLimits::default() };
    let mut pool = Pool::new(&limits);
    for offset in [0, 16, 32] {
        assert!(matches!(pool.push(at(0), &fragment(1, offset, true, &[0; 8])), Pushed::Held));
    }
    assert!(matches!(pool.push(at(0), &fragment(1, 48, true, &[0; 8])), Pushed::Limit));
}

#[test]
fn the_oldest_datagram_goes_first() {
    let limits = DecodeLimits { defrag_datagrams_max: 2, ..DecodeLimits::default() };
    let mut pool = Pool::new(&limits);
    for id in 1..=3 {
        assert_eq!(pool.joined(&fragment(id, 0, true, &[id as u8; 8])), None);
    }
    assert_eq!(pool.stats.evicted, 1);
    assert_eq!(pool.joined(&fragment(3, 8, false, b"")), Some(vec![3; 8]));
    assert_eq!(pool.joined(&fragment(2, 8, false, b"")), Some(vec![2; 8]));
    assert_eq!(pool.joined(&fragment(1, 8, false, b"")), None);
}

#[test]
fn doubtful_datagrams_push_out_nothing_but_each_other() {
    let limits = DecodeLimits { defrag_datagrams_max: 16, ..DecodeLimits::default() };
    let mut pool = Pool::new(&limits);
    assert_eq!(pool.joined(&fragment(1, 0, true, b"aaaaaaaa")), None);
    let doubtful = |id| Fragment { protocol: 59, doubtful: true, ..fragment(id, 8, false, b"b") };
    for id in 2..=100 {
        assert_eq!(pool.joined(&doubtful(id)), None);
    }
    assert_eq!((pool.pool.likely.partials.len(), pool.pool.doubtful.partials.len()), (1, 2), "an eighth of 16");
    assert_eq!(pool.stats.evicted, 97);
    // The first fragment decides what one of them is, and that there were others does no harm to the one before them.
    match pool.push(at(0), &fragment(100, 0, true, b"cccccccc")) {
        Pushed::Joined(datagram) => assert_eq!((datagram.protocol, datagram.bytes.as_slice()), (6, &b"ccccccccb"[..])),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.joined(&doubtful(1)), Some(b"aaaaaaaab".to_vec()), "known already");
}

#[test]
fn a_doubtful_datagram_that_a_fragment_speaks_for_is_given_its_time_anew() {
    let mut pool = Pool::new(&DecodeLimits::default());
    pool.push(at(0), &Fragment { doubtful: true, ..fragment(1, 16, false, b"c") });
    pool.push(at(20), &fragment(1, 8, true, b"bbbbbbbb"));
    assert!(pool.pool.doubtful.partials.is_empty());
    match pool.push(at(40), &fragment(1, 0, true, b"aaaaaaaa")) {
        Pushed::Joined(datagram) => assert_eq!(datagram.bytes, b"aaaaaaaabbbbbbbbc"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_are_capped_and_tiny_fragments_are_charged_for_their_overhead() {
    let limits = DecodeLimits { defrag_bytes_max: 4 * (8 + PIECE_OVERHEAD), ..DecodeLimits::default() };
    let mut pool = Pool::new(&limits);
    for id in 1..=9 {
        assert_eq!(pool.joined(&fragment(id, 0, true, &[0; 8])), None);
        assert!(pool.pool.likely.held <= limits.defrag_bytes_max);
    }
    assert_eq!((pool.pool.likely.partials.len(), pool.stats.evicted), (4, 5));
    assert!(matches!(pool.push(at(0), &fragment(10, 0, true, &[0; 512])), Pushed::Limit));
    assert_eq!(pool.stats.evicted, 5, "what can never fit displaces nothing");
}

#[test]
fn a_datagram_that_takes_too_long_is_given_up() {
    let mut pool = Pool::new(&DecodeLimits::default());
    pool.push(at(0), &fragment(1, 0, true, b"aaaaaaaa"));
    pool.push(at(20), &fragment(2, 0, true, b"bbbbbbbb"));
    pool.push(at(-500), &fragment(3, 0, true, b"cccccccc")); // a stamp that went backwards gives nothing up
    assert_eq!(pool.stats.timed_out, 0);
    assert!(matches!(pool.push(at(31), &fragment(1, 8, false, b"x")), Pushed::Held));
    assert_eq!(pool.stats.timed_out, 1);
    assert!(matches!(pool.push(at(31), &fragment(2, 8, false, b"x")), Pushed::Joined(_)));
    pool.pool.finish(&mut pool.stats);
    assert_eq!((pool.stats.unfinished, pool.pool.likely.held), (2, 0));
}

#[test]
fn a_refused_datagram_holds_nothing_and_counts_nowhere() {
    let limits = DecodeLimits { defrag_datagrams_max: 2, ..DecodeLimits::default() };
    let mut pool = Pool::new(&limits);
    pool.push(at(0), &fragment(1, 8, true, b"bbbbbbbb"));
    pool.refuse(at(0), 1);
    assert_eq!(pool.pool.likely.held, 0);
    assert!(matches!(pool.push(at(0), &fragment(1, 16, true, b"cccccccc")), Pushed::Refused));
    assert!(matches!(pool.push(at(0), &fragment(1, 24, false, b"d")), Pushed::Refused));
    assert!(pool.pool.likely.partials.is_empty(), "the last fragment ends it");
    for id in 2..9 {
        pool.refuse(at(0), id);
    }
    assert_eq!(pool.pool.likely.partials.len(), 2);
    assert_eq!(pool.stats, FragmentStats::default());
}

#[test]
fn a_fragment_cut_by_the_snap_length_ends_what_was_captured() {
    let mut pool = Pool::new(&DecodeLimits::default());
    pool.push(at(0), &Fragment { wire_len: 16, ..fragment(1, 8, true, b"bbbb") });
    pool.push(at(0), &fragment(1, 24, false, b"cccc"));
    match pool.push(at(0), &fragment(1, 0, true, b"aaaaaaaa")) {
        Pushed::Joined(datagram) => {
            assert_eq!((datagram.bytes.as_slice(), datagram.wire_len), (&b"aaaaaaaabbbb"[..], 28));
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Against an obviously correct model: an array where the first write to a byte stays.
    #[test]
    fn first_write_wins_whatever_comes(
        pieces in prop::collection::vec((0_usize..12, 1_usize..5, any::<u8>()), 1..20),
    ) {
        const UNITS: usize = 16;
        let mut model = vec![None; UNITS * 8];
        let mut pool = Pool::new(&DecodeLimits::default());
        let whole = [(0, UNITS, 0)];
        let last = (UNITS, 0, 0); // the empty last fragment, which says where the end is
        for (start, units, value) in pieces.into_iter().chain(whole).chain([last]) {
            let (from, to) = (start * 8, ((start + units) * 8).min(UNITS * 8));
            let bytes = vec![value; to - from];
            model[from..to].iter_mut().for_each(|byte| { byte.get_or_insert(value); });
            let pushed = pool.push(at(0), &fragment(1, from, start != UNITS, &bytes));
            if start == UNITS {
                let expected: Vec<u8> = model.iter().map(|byte| byte.unwrap()).collect();
                match pushed {
                    Pushed::Joined(datagram) => prop_assert_eq!(datagram.bytes, expected),
                    other => prop_assert!(false, "{:?}", other),
                }
                break;
            }
            prop_assert!(matches!(pushed, Pushed::Held));
        }
    }

    #[test]
    fn limits_hold_whatever_comes(
        pushes in prop::collection::vec(
            (0_u32..6, 0_usize..70_000, any::<bool>(), 0_usize..2000, 0_i64..100, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let limits = DecodeLimits {
            defrag_datagrams_max: 3, defrag_bytes_max: 4000, defrag_pieces_max: 5, ..DecodeLimits::default()
        };
        let mut pool = Pool::new(&limits);
        for (id, offset, more, length, secs, refuse, doubtful) in pushes {
            let bytes = vec![0; length];
            if refuse {
                pool.refuse(at(secs), id);
            }
            pool.push(at(secs), &Fragment { doubtful, ..fragment(id, offset, more, &bytes) });
            let DefragPool { likely, doubtful, .. } = &pool.pool;
            for (shelf, part) in [(likely, 1), (doubtful, DOUBTFUL_PART)] {
                prop_assert!(shelf.held <= limits.defrag_bytes_max.div_ceil(part));
                prop_assert!(shelf.partials.len() <= limits.defrag_datagrams_max.div_ceil(part));
                let most = shelf.partials.values().map(|partial| partial.pieces.len()).max().unwrap_or(0);
                // One fragment may fill several gaps between pieces.
                prop_assert!(most <= 2 * limits.defrag_pieces_max);
            }
            prop_assert!(likely.partials.keys().all(|key| !doubtful.partials.contains_key(key)), "on one shelf");
        }
        pool.pool.finish(&mut pool.stats);
        prop_assert_eq!((pool.pool.likely.held, pool.pool.doubtful.held), (0, 0));
    }
}

#[test]
fn a_card_whose_datagrams_had_to_go_floods() {
    let limits = DecodeLimits { defrag_datagrams_max: 4, flood_fragments_min: 100, ..DecodeLimits::default() };
    let mut pool = Pool::new(&limits);
    let of = |id, mac| Fragment { mac: Some(Mac([mac; 6])), ..fragment(id, 0, true, b"aaaaaaaa") };
    for id in 0..120 {
        pool.push(at(0), &of(id, if id % 20 == 0 { 4 } else { 2 }));
    }
    let [flooder] = pool.pool.flooders().try_into().unwrap();
    assert_eq!((flooder.mac, flooder.source, flooder.toward), (Some(Mac([2; 6])), Some(key(0).src), Some(key(0).dst)));
    // Four wait still, and six were of others.
    assert_eq!((flooder.count, pool.stats.evicted), (110, 116));

    // What is complete, refused or out of time is no flood.
    let mut pool = Pool::new(&limits);
    for id in 0..500 {
        pool.push(at(0), &of(3 * id, 2));
        pool.push(at(0), &fragment(3 * id, 8, false, b"b"));
        pool.refuse(at(0), 3 * id + 1);
        pool.push(at(i64::from(id) * 60), &of(3 * id + 2, 2));
    }
    assert_eq!(pool.pool.flooders(), []);
}
