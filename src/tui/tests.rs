//! The screen as text: what stands where at ordinary sizes, and that no size and no host can break it.

mod early;
mod hostile;
mod keys;

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::*;
use crate::capture::{LiveStats, OpenOptions, open_file};
use crate::cli::ThemeName;
use crate::decode::PortSet;
use crate::detect::replies::ReplyRules;
use crate::detect::{DetectSettings, Judge};
use crate::incident::Judgement;
use crate::limits::Limits;
use crate::output::RunFacts;
use crate::pipeline::Plan;
use crate::replay::stage_of as stage_of_source;
use crate::site::Site;

/// The text of a buffer, without blanks at the ends of lines.
pub(super) fn text_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(x, y)].symbol();
            skip = super::text::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub(super) fn drawn(app: &App, columns: u16, lines: u16) -> String {
    let area = Rect::new(0, 0, columns, lines);
    let mut buffer = Buffer::empty(area);
    view::draw(app, area, &mut buffer);
    text_of(&buffer)
}

pub(super) fn app(stage: &Stage) -> App {
    App::new("eth0", Theme::of(ThemeName::Dark), Bindings::default(), stage.clone())
}

/// A recorded capture as the screen shows it at its end, as if it had been live.
pub(super) fn stage_of(capture: &str) -> Stage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(capture);
    let mut source = open_file(&path, &OpenOptions::default()).unwrap();
    let (limits, ports) = (Limits::default(), PortSet::default());
    let judge =
        Judge::new(Site::default(), Arc::new(ReplyRules::builtin()), &DetectSettings::default(), &limits.detect);
    let plan = Plan { ports: &ports, limits: &limits, workers: 1 };
    stage_of_source(&mut source, &plan, judge, Some(LiveStats::default()))
}

#[test]
fn the_guilty_pc_jumps_to_the_eye() {
    let stage = stage_of("infected-pc.pcap");
    let app = app(&stage);
    for (columns, lines) in [(80, 24), (120, 40), (40, 12)] {
        let text = drawn(&app, columns, lines);
        let alarm = text.lines().nth(1).unwrap();
        assert!(alarm.starts_with(" !! CONFIRMED  192.168.10.23"), "{text}");
        insta::assert_snapshot!(format!("ranking_{columns}x{lines}"), text);
    }
}

#[test]
fn every_view_at_an_ordinary_size() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    for (view, name) in [(2, "incidents"), (3, "sessions"), (4, "servers"), (5, "capture")] {
        app.act(Action::View(view));
        insta::assert_snapshot!(format!("{name}_80x24"), drawn(&app, 80, 24));
        insta::assert_snapshot!(format!("{name}_120x40"), drawn(&app, 120, 40));
    }
    app.act(Action::Help);
    insta::assert_snapshot!("help_80x24", drawn(&app, 80, 24));
}

#[test]
fn all_about_one_host_fills_the_screen() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    app.act(Action::Open);
    insta::assert_snapshot!("host_80x24", drawn(&app, 80, 24));
    insta::assert_snapshot!("host_120x40", drawn(&app, 120, 40));
    app.act(Action::Bottom);
    let end = drawn(&app, 40, 12);
    assert!(end.contains("Destinations") || end.contains("more in all") || end.contains("refused"), "{end}");
}

#[test]
fn a_quiet_day_says_so() {
    let stage = stage_of("healthy-day.pcap");
    insta::assert_snapshot!("quiet_80x24", drawn(&app(&stage), 80, 24));
}

#[test]
fn before_the_first_frame_it_says_what_it_waits_for() {
    insta::assert_snapshot!("empty_80x24", drawn(&app(&Stage::default()), 80, 24));
}

#[test]
fn losses_are_told_at_the_bottom() {
    let stage = stage_of("healthy-day.pcap");
    let old = stage.snapshot.load_full();
    let lossy = Snapshot {
        serial: 2,
        judgement: Judgement { hosts: old.judgement.hosts.clone(), incidents: old.judgement.incidents.clone() },
        facts: RunFacts { drops: [("kernel", 1234)].into_iter().collect(), ..old.facts.clone() },
        live: Some(LiveStats { kernel_drops: 1234, ..LiveStats::default() }),
        now: old.now,
        ..Snapshot::default()
    };
    stage.snapshot.store(Arc::new(lossy.indexed()));
    let mut app = app(&stage);
    let text = drawn(&app, 80, 24);
    assert!(text.lines().last().unwrap().contains("kernel drops 1.2k"), "{text}");
    app.act(Action::View(5));
    assert!(drawn(&app, 80, 24).contains("Frames were lost on the way in"));
}

#[test]
fn themes_differ_in_colours_and_say_the_same() {
    let stage = stage_of("infected-pc.pcap");
    let area = Rect::new(0, 0, 120, 40);
    let screen = |theme| Screen { theme, mouse: false, bindings: Bindings::default() };
    let of = |theme| {
        let mut buffer = Buffer::empty(area);
        Easel::new(&screen(theme), "eth0", &stage).draw(area, &mut buffer);
        buffer
    };
    let dark = of(ThemeName::Dark);
    for theme in [ThemeName::Light, ThemeName::Mono, ThemeName::Colorblind] {
        let other = of(theme);
        assert_eq!(text_of(&other), text_of(&dark));
        assert_ne!(other, dark);
    }
    let mono = of(ThemeName::Mono);
    let plain = |cell: &ratatui::buffer::Cell| {
        cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset
    };
    assert!(mono.content().iter().all(plain), "no colour at all");
}
