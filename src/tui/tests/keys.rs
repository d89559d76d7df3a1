//! What keys do, seen on the screen.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::app::View;
use super::*;

fn press(app: &mut App, keys: &str) -> Effect {
    let mut effect = Effect::None;
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            '\x08' => KeyCode::Backspace,
            c => KeyCode::Char(c),
        };
        effect = handle(app, &Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    effect
}

/// The hosts of the ranking, from the top.
fn hosts(app: &App) -> Vec<String> {
    let hosts = &app.snapshot.judgement.hosts;
    app.lists.order(app.view).iter().map(|&place| hosts[place as usize].row.host.to_string()).collect()
}

#[test]
fn a_filter_is_typed_and_shown_while_it_is() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    let all = hosts(&app).len();
    press(&mut app, "/class:mass");
    assert_eq!(hosts(&app), ["192.168.10.23"]);
    assert!(drawn(&app, 80, 24).lines().last().unwrap().starts_with("/class:mass"));
    press(&mut app, "\n");
    assert!(drawn(&app, 80, 24).lines().last().unwrap().contains("/class:mass"));
    press(&mut app, "\x1b");
    assert_eq!(hosts(&app).len(), all);
    press(&mut app, "/host:192.168.10.1\x08");
    assert_eq!(hosts(&app).len(), all, "a letter taken back");
    press(&mut app, "zzz");
    assert!(drawn(&app, 80, 24).contains("No host matches the filter."));
    press(&mut app, "\x1b");
    assert_eq!(hosts(&app).len(), all);
}

#[test]
fn letters_mean_letters_while_a_filter_is_typed() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    assert_eq!(press(&mut app, "/q"), Effect::None);
    assert_eq!(app.filter_text, "q");
    assert_eq!(press(&mut app, "\x1bq"), Effect::Quit);
}

#[test]
fn orders_come_one_after_the_other() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    let by_rank = hosts(&app);
    assert_eq!(by_rank[0], "192.168.10.23");
    for column in ["score", "mails", "refused", "servers", "last seen", "host"] {
        press(&mut app, "s");
        assert!(drawn(&app, 120, 40).contains(&format!("by {column}")), "{column}");
    }
    let mut sorted = by_rank.clone();
    sorted.sort_by_key(|host| host.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(hosts(&app), sorted);
    press(&mut app, "S");
    sorted.reverse();
    assert_eq!(hosts(&app), sorted);
    press(&mut app, "sS");
    assert_eq!(hosts(&app), by_rank);
}

#[test]
fn the_selection_stays_with_its_host() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    press(&mut app, "jj");
    let host = app.host().unwrap();
    press(&mut app, "S");
    assert_eq!(app.host(), Some(host));
    press(&mut app, "ssss");
    assert_eq!(app.host(), Some(host));
    press(&mut app, "4");
    press(&mut app, "1");
    assert!(app.host().is_some());
    press(&mut app, "gG");
    assert_eq!(app.lists.at(View::Ranking), hosts(&app).len() - 1);
    press(&mut app, "kkkkkkkkkkkkkkkkkkkkkkkkk");
    assert_eq!(app.lists.at(View::Ranking), 0);
}

#[test]
fn a_view_opens_about_the_same_host() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    let server = hosts(&app).iter().position(|host| host == "192.168.10.10").unwrap();
    (0..server).for_each(|_| drop(press(&mut app, "j")));
    press(&mut app, "2");
    assert_eq!(app.host().unwrap().to_string(), "192.168.10.10");
    press(&mut app, "\t\t");
    assert_eq!(app.view, View::Servers);
    assert_eq!(app.host().unwrap().to_string(), "192.168.10.10");
}

#[test]
fn a_paused_screen_does_not_change() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    press(&mut app, " ");
    assert!(drawn(&app, 80, 24).lines().next().unwrap().ends_with("PAUSED"));
    let other = stage_of("healthy-day.pcap").snapshot.load_full();
    let newer = Snapshot { serial: 99, now: other.now, ..Snapshot::default() };
    stage.snapshot.store(Arc::new(newer.indexed()));
    assert!(!app.refresh());
    press(&mut app, " ");
    assert!(app.refresh());
    assert!(hosts(&app).is_empty());
}

#[test]
fn a_replay_is_held_stepped_and_hurried() {
    let stage = Stage { playback: Arc::new(Playback::at(1.0)), ..Stage::default() };
    let mut app = app(&stage);
    press(&mut app, " ");
    assert!(stage.playback.is_paused());
    press(&mut app, "..");
    assert!(stage.playback.take_step() && stage.playback.take_step() && !stage.playback.take_step());
    press(&mut app, "p+");
    assert!(!stage.playback.is_paused());
    assert!((stage.playback.speed() - 2.0).abs() < 1e-9);
}

#[test]
fn the_selection_can_be_taken_along() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    let Effect::Copy(line) = press(&mut app, "c") else { panic!("nothing to copy") };
    assert!(line.starts_with("192.168.10.23, ") && line.contains("confirmed"), "{line}");
    assert_eq!(press(&mut app, "e"), Effect::Export);
    let dir = tempfile::tempdir().unwrap();
    let path = export::write(&app, dir.path()).unwrap();
    assert_eq!(path.file_name().unwrap(), "smtphound-192.168.10.23.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(json["host"]["ip"], "192.168.10.23");
    assert_eq!(json["incidents"][0]["class"], "mass_mailer");
    press(&mut app, "2");
    let Effect::Copy(line) = press(&mut app, "c") else { panic!("nothing to copy") };
    assert!(line.starts_with("192.168.10.23 ("), "{line}");
    let empty = app_of_nothing();
    assert!(export::write(&empty, dir.path()).is_err());
}

fn app_of_nothing() -> App {
    app(&Stage::default())
}

#[test]
fn details_scroll_to_their_end_and_not_beyond() {
    let stage = stage_of("infected-pc.pcap");
    let mut app = app(&stage);
    press(&mut app, "\n");
    let top = drawn(&app, 80, 24);
    press(&mut app, "G");
    let bottom = drawn(&app, 80, 24);
    assert_ne!(top, bottom);
    press(&mut app, "j");
    assert_eq!(drawn(&app, 80, 24), bottom);
    press(&mut app, "g");
    assert_eq!(drawn(&app, 80, 24), top);
    press(&mut app, "\x1b");
    assert!(!app.zoomed);
}
