use super::*;

const LEAST: u64 = 1_000;

fn mac(n: u32) -> Mac {
    let mut octets = [2; 6];
    octets[2..].copy_from_slice(&n.to_be_bytes());
    Mac(octets)
}

fn host(n: u32) -> HostKey {
    HostKey::v4(n.to_be_bytes())
}

const fn secs(secs: i64) -> Ts {
    Ts::from_parts(secs, 0)
}

fn sent(card: u32, source: u32, toward: u32, at: Ts) -> Sent {
    Sent { mac: Some(mac(card)), source: host(source), toward: Some(host(toward)), count: 1, first: at, last: at }
}

fn senders() -> Senders {
    Senders::new(LEAST)
}

#[test]
fn one_card_among_many_is_the_one() {
    let mut senders = senders();
    // A thousand cards a hundred times each, one after the other, and one that sends as much as fifty of them.
    for n in 0..100_000 {
        let at = Ts::from_parts(60, n.into());
        senders.add(at, &sent(n % 1_000, n, n, at));
        if n % 20 == 0 {
            senders.add(at, &sent(5_000, 0x0a00_0000 + n, 7, at));
        }
    }
    let [flooder] = senders.flooders().try_into().unwrap();
    assert_eq!((flooder.mac, flooder.toward, flooder.source), (Some(mac(5_000)), Some(host(7)), None));
    assert!(flooder.count <= 5_000 && flooder.count > 4_900, "{flooder:?}");
    assert!(flooder.sources.abs_diff(flooder.count) < flooder.count / 10, "{flooder:?}");
}

#[test]
fn a_flood_is_one_in_a_minute_and_has_a_begin_and_an_end() {
    let mut senders = senders();
    for minute in 0..10 {
        // In the minutes three and four of ten it is more than what is ordinary.
        let count = if [3, 4].contains(&minute) { LEAST as u32 } else { LEAST as u32 - 1 };
        for n in 0..count {
            let at = Ts::from_parts(minute * 60, n.into());
            senders.add(at, &sent(1, 9, n, at));
        }
    }
    let [flooder] = senders.flooders().try_into().unwrap();
    assert_eq!((flooder.count, flooder.sources, flooder.source), (2 * LEAST, 1, Some(host(9))));
    assert_eq!((flooder.first, flooder.last), (secs(180), Ts::from_parts(240, i64::try_from(LEAST).unwrap() - 1)));
    assert_eq!(flooder.toward, None);
}

#[test]
fn a_flood_that_goes_on_is_told() {
    let mut senders = senders();
    for n in 0..LEAST as u32 {
        assert_eq!(senders.flooders(), [], "{n}");
        senders.add(secs(60), &sent(1, n, 7, secs(60)));
    }
    assert_eq!(senders.flooders().len(), 1);
    assert_eq!(senders.flooders(), senders.flooders(), "looking changes nothing");
}

#[test]
fn time_that_goes_back_begins_no_minute() {
    let mut senders = senders();
    for n in 0..LEAST as u32 {
        senders.add(secs(if n % 2 == 0 { 120 } else { 119 }), &sent(1, n, 7, secs(100)));
    }
    assert_eq!(senders.flooders().len(), 1);
}

#[test]
fn frames_without_ethernet_are_counted_together() {
    let mut senders = senders();
    for n in 0..2 * LEAST as u32 {
        senders.add(secs(60), &Sent { mac: None, ..sent(1, n, 7, secs(60)) });
    }
    let [flooder] = senders.flooders().try_into().unwrap();
    assert_eq!((flooder.mac, flooder.toward, flooder.count), (None, Some(host(7)), 2 * LEAST));
}

#[test]
fn made_up_cards_are_bounded_and_what_is_forgotten_is_counted() {
    let mut senders = senders();
    for minute in 0..10 {
        for card in 0..CARDS_MAX as u32 {
            let busy = Sent { count: LEAST + u64::from(card), ..sent(minute * 100 + card, card, card, secs(0)) };
            senders.add(secs(i64::from(minute) * 60), &busy);
        }
    }
    senders.add(secs(6_000), &sent(1, 1, 1, secs(6_000)));
    let flooders = senders.flooders();
    assert_eq!((flooders.len(), senders.forgotten()), (FLOODERS_MAX, 10 * CARDS_MAX as u64 - FLOODERS_MAX as u64));
    assert_eq!(flooders[0].count, LEAST + CARDS_MAX as u64 - 1, "the busiest stay");
    for n in 0..100_000 {
        senders.add(secs(6_000), &sent(n, n, n, secs(6_000)));
    }
    assert_eq!(senders.cards.len(), CARDS_MAX);
    assert_eq!(senders.flooders().len(), FLOODERS_MAX, "nothing of it is a flood");
}

#[test]
fn sums_count_whole_and_no_number_overflows() {
    let mut senders = senders();
    for _ in 0..3 {
        senders.add(secs(60), &Sent { count: u64::MAX, toward: None, ..sent(1, 1, 1, secs(60)) });
    }
    let [flooder] = senders.flooders().try_into().unwrap();
    assert_eq!((flooder.count, flooder.source, flooder.toward), (u64::MAX, Some(host(1)), None));
}

proptest::proptest! {
    #[test]
    fn whoever_is_told_to_be_most_is(hosts: Vec<(u8, u8)>) {
        let mut both = [Majority::default(); 2];
        let mut counts = [0_u64; 256];
        for (n, &(at, count)) in hosts.iter().enumerate() {
            both[n % 2].add((at > 0).then(|| host(at.into())), count.into());
            counts[usize::from(at)] += u64::from(count);
        }
        let [mut all, other] = both;
        all.merge(&other);
        let told = all.get();
        let most = (1..256).find(|at| 2 * counts[*at] > counts.iter().sum());
        if let Some(told) = told {
            proptest::prop_assert_eq!(Some(told), most.map(|at| host(at as u32)));
        }
    }

    #[test]
    fn no_count_is_too_high_and_nobody_busy_is_missed(cards in proptest::collection::vec(0..200_u32, 0..5_000)) {
        let mut senders = Senders::new(1);
        for card in &cards {
            senders.add(secs(0), &sent(*card, 1, 1, secs(0)));
        }
        let flooders = senders.flooders();
        for card in 0..200 {
            let count = cards.iter().filter(|other| **other == card).count();
            let found = flooders.iter().find(|flooder| flooder.mac == Some(mac(card)));
            proptest::prop_assert!(found.is_none_or(|flooder| flooder.count <= count as u64));
            proptest::prop_assert!(found.is_some() || count <= cards.len() / CARDS_MAX);
        }
    }
}
