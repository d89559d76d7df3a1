//! Any size, any names, any replies: no panic, and no cell that a terminal would not draw as one.

use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::detect::{Class, Confidence, Family, Numbers, Peer, Severity, Tier};
use crate::frame::{At, FrameNo};
use crate::identity::{Identity, NameSource};
use crate::incident::{EvidenceLine, Incident, IncidentId, RankedHost};
use crate::ledger::{HostRow, Role, Used};
use crate::net::{Endpoint, HostKey, Mac};
use crate::tcp::ConnId;
use crate::time::Ts;
use crate::wire::{Wire, escape};

/// What an attacker would call a host, and worse.
const NAMES: &[&[u8]] = &[
    b"\x1b[2J\x1b[H\x1b]0;gone\x07",
    b"\x1b]52;c;ZXZpbA==\x07",
    "\u{202e}txet\u{202c}".as_bytes(),
    "日本語のとても長い名前のパソコン".as_bytes(),
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}".as_bytes(),
    "👩\u{200d}👩\u{200d}👧 🇩🇪 👍\u{1f3fd} ❤\u{fe0f}".as_bytes(),
    b"\xff\xfe\xfd",
    b"a\r\nb\tc\0d",
    "\u{9b}2J\u{90}q".as_bytes(),
    "ﷺ க்ஷி 각 ﻻ".as_bytes(),
    b"",
    &[b'x'; 512],
];

fn host(n: usize, name: &[u8], now: Ts) -> RankedHost {
    let key = if n.is_multiple_of(3) {
        HostKey::v6([0xfe, 0x80, n as u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
    } else {
        HostKey::v4([192, 168, (n >> 8) as u8, n as u8])
    };
    let mut row = HostRow::new(key, At { ts: now, frame: FrameNo(1) });
    row.helos.push(Used::new(Wire::from(name), (row.first, row.last)));
    let mut told = Identity::default();
    for source in NameSource::ALL {
        told.learn(source, &Wire::from(name), true);
    }
    told.vendor_class = Some(Wire::from(name));
    row.identity = n.is_multiple_of(4).then(|| Arc::new(told));
    row.banner = Some(Wire::from(name));
    row.cards.push(Used::new(Mac([n as u8; 6]), (row.first, row.last)));
    row.vlans.push(n as u16);
    row.role = if n.is_multiple_of(2) { Role::Server } else { Role::Unknown };
    row.counts.transactions = n as u64 * 1_000_003;
    row.served = u64::MAX / 2;
    RankedHost {
        rank: n + 1,
        row,
        tier: [Some(Tier::Confirmed), Some(Tier::Likely), Some(Tier::Suspect), None][n % 4],
        severity: Some(Severity::Critical),
        score_db: [39.0, -1e9, f64::MAX, f64::NAN][n % 4],
        classes: if n.is_multiple_of(5) { vec![] } else { vec![Class::MassMailer, Class::Relay] },
        behind_router: n as u32,
    }
}

fn incident(host: HostKey, name: &[u8], now: Ts) -> Incident {
    let said = escape(name).into_owned();
    Incident {
        id: IncidentId::new(Class::MassMailer, host, now),
        class: Class::MassMailer,
        kind: Some("reverse"),
        tier: Tier::Likely,
        severity: Severity::High,
        confidence: Confidence::Low,
        host,
        score_db: Some(12.3),
        accounts: vec![Wire::from(name)],
        first: Ts::EPOCH,
        last: Ts::MAX,
        summary: said.clone(),
        evidence: vec![EvidenceLine {
            family: Family::Outcome,
            detector: None,
            db: f64::INFINITY,
            says: said.clone(),
            numbers: Numbers::new(),
            frames: Vec::new(),
            sessions: Vec::new(),
        }],
        verdicts: Vec::new(),
        peers: vec![Peer {
            ip: host,
            role: "refuses",
            count: 7,
            says: Some(Wire::from(name)),
            first_ts: now,
            last_ts: now,
        }],
        remediation: vec![said],
        attack: Vec::new(),
    }
}

fn session(host: HostKey, name: &[u8], now: Ts) -> SessionLine {
    let end = Endpoint { host, port: 25 };
    SessionLine {
        id: ConnId { ts: now, orig: end, resp: end },
        last: now,
        state: SessionState::Unanswered(u32::MAX),
        helo: Some(Wire::from(name)),
        mails: u32::MAX,
        refused: u32::MAX,
        says: Some(Wire::from(name)),
        hidden: true,
    }
}

fn stage(names: &[Vec<u8>], now: Ts) -> Stage {
    let hosts: Vec<RankedHost> = names.iter().enumerate().map(|(n, name)| host(n, name, now)).collect();
    let keys = hosts.iter().map(|host| host.row.host).zip(names);
    let incidents = keys.clone().map(|(host, name)| incident(host, name, now)).collect();
    let sessions = keys.map(|(host, name)| session(host, name, now)).collect();
    let stage = Stage::default();
    let snapshot =
        Snapshot { serial: 1, now, judgement: Judgement { hosts, incidents }, sessions, ..Snapshot::default() };
    stage.snapshot.store(Arc::new(snapshot.indexed()));
    stage
}

/// Every cell holds one character that takes cells of its own, and nothing that moves the cursor or turns the text.
fn assert_clean(buffer: &Buffer) {
    for cell in buffer.content() {
        let mut characters = cell.symbol().chars();
        let (c, more) = (characters.next().unwrap(), characters.next());
        assert_eq!(more, None, "{:?}", cell.symbol());
        assert!(!c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c) && c != '\u{200d}', "{c:?}");
        assert_eq!(cell.symbol().width(), super::super::text::width(cell.symbol()), "{c:?}");
        assert!((1..=2).contains(&cell.symbol().width()), "{c:?}");
    }
}

fn all_views(app: &mut App, area: Rect) {
    for view in 1..=5 {
        app.act(Action::View(view));
        for action in [Action::Top, Action::Open, Action::Bottom, Action::Back, Action::Bottom, Action::Help] {
            app.act(action);
            let mut buffer = Buffer::empty(area);
            view::draw(app, area, &mut buffer);
            assert_clean(&buffer);
        }
    }
}

#[test]
fn known_tricks_at_ordinary_sizes() {
    let names: Vec<Vec<u8>> = NAMES.iter().map(|name| name.to_vec()).collect();
    let stage = stage(&names, Ts::from_parts(1_772_617_327, 0));
    for (columns, lines) in [(80, 24), (120, 40), (40, 12), (200, 60)] {
        all_views(&mut app(&stage), Rect::new(0, 0, columns, lines));
    }
    let title = String::from_utf8_lossy(NAMES[0]).into_owned();
    let mut app = App::new(&title, Theme::of(ThemeName::Dark), Bindings::default(), stage);
    app.message = Some(title);
    all_views(&mut app, Rect::new(0, 0, 80, 24));
}

#[test]
fn every_small_size() {
    let names: Vec<Vec<u8>> = NAMES.iter().map(|name| name.to_vec()).collect();
    let full = stage(&names, Ts::MAX);
    for stage in [&full, &Stage::default()] {
        for columns in 0..24 {
            for lines in 0..18 {
                all_views(&mut app(stage), Rect::new(0, 0, columns, lines));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_names_at_any_size(
        names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..30),
        columns in 0_u16..220,
        lines in 0_u16..80,
        nanos in any::<i64>(),
        filter in "[a-z:<>0-9 ]{0,12}",
    ) {
        let stage = stage(&names, Ts::from_nanos(nanos));
        let mut app = app(&stage);
        app.typing = Some(String::new());
        filter.chars().for_each(|c| app.type_in(c));
        all_views(&mut app, Rect::new(0, 0, columns, lines));
    }

    #[test]
    fn any_text_at_any_size(
        names in proptest::collection::vec("\\PC{0,30}", 0..20),
        columns in 0_u16..140,
        lines in 0_u16..50,
    ) {
        let names: Vec<Vec<u8>> = names.into_iter().map(String::into_bytes).collect();
        let stage = stage(&names, Ts::EPOCH);
        all_views(&mut app(&stage), Rect::new(0, 0, columns, lines));
    }
}
