//! What drawing costs with very many hosts: with the snapshot that is known, and with each new one.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use smtphound::detect::{Class, Severity, Tier};
use smtphound::frame::{At, FrameNo};
use smtphound::incident::{Judgement, RankedHost};
use smtphound::ledger::{HostRow, Used};
use smtphound::net::HostKey;
use smtphound::time::Ts;
use smtphound::tui::{Action, Easel, Snapshot, Stage};

use crate::screen;

const ROUNDS: usize = 50;

fn host(n: u32, now: Ts) -> RankedHost {
    let mut row = HostRow::new(HostKey::v4((0x0a00_0000 + n).to_be_bytes()), At { ts: now, frame: FrameNo(1) });
    let when = (row.first, row.last);
    row.helos.push(Used::new(format!("pc-{n}.adatum.example").as_str().into(), when));
    row.cards.push(Used::new(smtphound::net::Mac([0, 0x16, 0x3e, (n >> 16) as u8, (n >> 8) as u8, n as u8]), when));
    // A fixed disorder, so that sorting has something to do.
    let mixed = u64::from(n.wrapping_mul(2_654_435_761) >> 8);
    row.counts.transactions = mixed % 5000;
    row.counts.rcpt_rejected = mixed % 700;
    row.counts.rcpt_accepted = mixed % 900;
    (0..3).for_each(|i| row.servers.inside.insert(HostKey::v4([198, 51, (mixed % 250) as u8, i])));
    row.last = now + smtphound::time::Span::millis(mixed.cast_signed() % 1_000_000 - 1_000_000);
    let tier = (n < 1000).then_some(Tier::Likely);
    RankedHost {
        rank: n as usize + 1,
        row,
        tier,
        severity: tier.map(|_| Severity::High),
        score_db: 40.0 - f64::from(n) / 1000.0,
        classes: if tier.is_some() { vec![Class::MassMailer] } else { Vec::new() },
        behind_router: 0,
    }
}

/// Prints what drawing costs at an ordinary and a large size.
pub(crate) fn measure(hosts: u32) {
    let now = Ts::from_parts(1_772_617_327, 0);
    let stage = Stage::default();
    let publish = |serial: u64| {
        let hosts = (0..hosts).map(|n| host(n, now)).collect();
        let judgement = Judgement { hosts, incidents: Vec::new() };
        let snapshot = Snapshot { serial, now, judgement, ..Snapshot::default() };
        let begin = Instant::now();
        let snapshot = snapshot.indexed();
        if serial == 1 {
            println!("what the thread that judges does for it: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
        }
        // Kept until the end, as the thread that publishes does: taking it apart is not the screen's work.
        stage.snapshot.swap(Arc::new(snapshot))
    };
    let mut before = Vec::new();
    before.push(publish(1));
    let mut serial = 1;
    println!("{hosts} hosts; milliseconds a redraw: median, worst of {ROUNDS}");
    for (columns, lines) in [(80, 24), (120, 40), (250, 80)] {
        let area = Rect::new(0, 0, columns, lines);
        let mut buffer = Buffer::empty(area);
        let mut easel = Easel::new(&screen(), "eth0", &stage);
        time(&format!("{columns}x{lines} a key"), |n| {
            easel.act(if n.is_multiple_of(2) { Action::PageDown } else { Action::Up });
            easel.draw(area, &mut buffer);
        });
    }
    let area = Rect::new(0, 0, 120, 40);
    let mut buffer = Buffer::empty(area);
    for (what, filter, sorts) in [
        ("by rank", "", 0),
        ("by score", "", 1),
        ("by mails", "", 2),
        ("by refused", "", 3),
        ("by last seen", "", 5),
        ("by host", "", 6),
        ("host:pc-1, by mails", "host:pc-1", 2),
        ("a word of each", "adatum", 0),
        ("a word of none", "zzz", 0),
        ("score>10", "score>10", 3),
    ] {
        let mut easel = Easel::new(&screen(), "eth0", &stage);
        (0..sorts).for_each(|_| easel.act(Action::Sort));
        easel.filter(filter);
        let mut worst = Vec::new();
        for _ in 0..5 {
            serial += 1;
            before.push(publish(serial));
            let begin = Instant::now();
            assert!(easel.refresh());
            easel.draw(area, &mut buffer);
            worst.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        worst.sort_by(f64::total_cmp);
        println!("  120x40 a new snapshot, {what:20} {:6.2} {:6.2}", worst[2], worst[4]);
    }
    black_box(&buffer);
}

fn time(what: &str, mut work: impl FnMut(usize)) {
    let mut took: Vec<f64> = (0..ROUNDS)
        .map(|n| {
            let begin = Instant::now();
            work(n);
            begin.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!("  {what:43} {:6.2} {:6.2}", took[ROUNDS / 2], took[ROUNDS - 1]);
}
