//! A tap on both sides of a gateway: the recordings of one worm, made at the same time on the LAN's switch and outside
//! the gateway, read together. What went through the gateway is one session, with the address that the world saw, and is
//! judged as if the tap outside were not there.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use smtphound::incident::Judgement;
use smtphound::net::{Ends, HostKey, Translation};
use smtphound::session::{Session, SessionEvent, SessionEventKind};
use smtphound::site::Site;

use common::Replayed;

const PC: [u8; 4] = [192, 168, 10, 23];
const SERVER: [u8; 4] = [192, 168, 10, 10];
const GATEWAY: [u8; 4] = [203, 0, 113, 5];

fn read(names: &[&str], site: Site, workers: usize) -> Replayed {
    let files: Vec<PathBuf> = names.iter().map(|name| common::captures().join(name)).collect();
    let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    common::replay_at(&files, &[25], workers, site)
}

fn both(workers: usize) -> Replayed {
    read(&["infected-pc.pcap", "infected-pc-outside.pcap"], Site::default(), workers)
}

fn ends(session: &Session) -> Ends {
    Ends { orig: session.conn.id.orig, resp: session.conn.id.resp }
}

/// Incidents and hosts without frames, stamps and ids, which differ where frames of two taps are counted.
fn judged(replayed: &Replayed) -> Vec<String> {
    let judgement = Judgement::of(&replayed.ran.finished.judge);
    let mut lines: Vec<String> = judgement
        .incidents
        .iter()
        .flat_map(|incident| {
            let head = format!("{} {:?} {:?} {:?}", incident.host, incident.class, incident.tier, incident.score_db);
            let evidence =
                incident.evidence.iter().map(|line| format!("{:?} {} {:?}", line.family, line.db, line.detector));
            std::iter::once(head).chain(evidence).collect::<Vec<_>>()
        })
        .collect();
    lines.extend(
        judgement.hosts.iter().map(|host| format!("{} {:?} {:?}", host.row.host, host.row.role, host.row.counts)),
    );
    lines
}

#[test]
fn one_session_seen_twice_is_told_once() {
    let (inside, outside, both) = (
        read(&["infected-pc.pcap"], Site::default(), 1),
        read(&["infected-pc-outside.pcap"], Site::default(), 1),
        both(1),
    );
    // The recordings end while a connection comes in, which only the outside tap has seen: nobody could know of its twin.
    let last = |event: &&SessionEvent| match &event.kind {
        SessionEventKind::Closed(session) => session.smtp.greeting.is_none() && session.conn.cut_short,
        _ => false,
    };
    let ended = |replayed: &Replayed| {
        let ends = replayed.events.iter().filter(|event| event.connections_ended() > 0);
        ends.filter(|event| !last(event)).count()
    };
    let of = |replayed: &Replayed| {
        let closed = replayed.events.iter().filter(|event| !last(event)).filter_map(|event| match &event.kind {
            SessionEventKind::Closed(session) => Some(ends(session)),
            _ => None,
        });
        closed.collect::<BTreeSet<Ends>>()
    };
    assert_eq!(outside.events.iter().filter(|event| last(event)).count(), 1);
    // Everything the outside tap saw went through the gateway, attempts that nobody answered too.
    let joined = both.ran.finished.twins.joined();
    assert_eq!(joined, ended(&outside) as u64);
    assert!(joined > 100, "{joined}");
    assert_eq!(of(&both), of(&inside));
    assert_eq!(ended(&both), ended(&inside));

    // Each bears the ends that the outside tap saw, and all of these are told.
    let outer: BTreeMap<Ends, Ends> =
        both.sessions().filter_map(|session| Some((ends(session), session.outer?.ends))).collect();
    assert_eq!(outer.values().copied().collect::<BTreeSet<_>>(), of(&outside));
    for (inner, outer) in &outer {
        let (mine, shown) = Translation { inner: *inner, outer: *outer, proven: true }.changed();
        assert_eq!(shown.host, HostKey::v4(GATEWAY), "{inner:?}");
        assert!([PC, SERVER].map(HostKey::v4).contains(&mine.host), "{inner:?}");
    }
    assert!(inside.sessions().all(|session| session.outer.is_none()));
}

#[test]
fn the_judgement_is_that_of_the_inside_alone_and_knows_the_public_address() {
    let (inside, both) = (read(&["infected-pc.pcap"], Site::default(), 1), both(1));
    assert_eq!(judged(&both), judged(&inside));
    for row in both.ran.finished.judge.hosts() {
        let expected: &[HostKey] =
            if [PC, SERVER].map(HostKey::v4).contains(&row.host) { &[HostKey::v4(GATEWAY)] } else { &[] };
        assert_eq!(&row.public[..], expected, "{}", row.host);
    }
}

/// Who names the public address as theirs too would otherwise have the worm twice, and the gateway accused.
#[test]
fn a_gateway_that_is_ours_is_not_accused_of_what_comes_from_behind_it() {
    let site = || {
        let mut site = Site::default();
        site.home_nets.push("203.0.113.5/32".parse().unwrap());
        site
    };
    let both = read(&["infected-pc.pcap", "infected-pc-outside.pcap"], site(), 1);
    let accused: BTreeSet<String> =
        Judgement::of(&both.ran.finished.judge).incidents.iter().map(|incident| incident.host.to_string()).collect();
    assert_eq!(accused, ["192.168.10.10", "192.168.10.23"].map(str::to_owned).into());
}

#[test]
fn any_number_of_workers_comes_to_the_same() {
    let one = both(1);
    for workers in [2, 7] {
        let many = both(workers);
        assert_eq!(judged(&many), judged(&one));
        assert!(many.sessions().eq(one.sessions()), "{workers} workers");
        assert_eq!(many.ran.finished.twins.joined(), one.ran.finished.twins.joined());
    }
}
