//! The screen on a terminal of its own: how it takes one, what it does with it, and how it gives it back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]
#![allow(clippy::disallowed_methods, reason = "a program that must end by itself is waited for by the clock")]

#[path = "common/loopback.rs"]
mod loopback;
#[path = "common/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use smtphound::cli::ThemeName;
use smtphound::config::Screen;
use smtphound::tui::{Bindings, Evidence, Playback, Stage};
use terminal::Terminal;

fn capture() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/infected-pc.pcap");
    path.to_str().unwrap().to_owned()
}

fn here() -> PathBuf {
    std::env::temp_dir()
}

/// A replay of the infected PC, once it shows whom it is about.
fn shown(args: &[&str]) -> Terminal {
    let capture = capture();
    let mut all = vec!["replay", "--tui", capture.as_str()];
    all.extend(args);
    let mut terminal = Terminal::run(&here(), 80, 24, &all);
    terminal.wait_for("CONFIRMED  192.168.10.23");
    terminal
}

/// As a shell leaves it, so that whoever sits there can go on.
fn assert_given_back(terminal: &Terminal) {
    let screen = terminal.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor() && terminal.is_cooked());
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
}

#[test]
fn a_terminal_that_goes_away_ends_the_screen() {
    let mut child = shown(&[]).hang_up();
    loopback::wait_until("its end", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().code().is_some(), "by itself, not by a signal");
}

#[test]
fn a_terminal_is_taken_whole_and_given_back_by_key_and_by_signal() {
    for mouse in [false, true] {
        let mut terminal = shown(if mouse { &["--mouse"] } else { &[] });
        let screen = terminal.screen();
        assert!(screen.alternate_screen() && screen.hide_cursor() && !terminal.is_cooked());
        assert_eq!(screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None, mouse, "only when asked");
        if mouse {
            // A click into the fifth line of the screen, the second of the ranking.
            terminal.press("\x1b[<0;5;5M\x1b[<0;5;5m");
            terminal.wait("a click", |lines| lines[4].starts_with('▌'));
            terminal.signal("TERM");
        } else {
            terminal.press("q");
        }
        let (status, said) = terminal.end();
        assert!(status.success() && said.is_empty(), "{said}");
        assert_given_back(&terminal);
        // The end of the table of what was found stands on the ordinary terminal.
        assert!(terminal.lines().iter().any(|line| line.starts_with("Nothing was lost or hidden")));
    }
}

/// What a screen is run with in a test that is its own program.
const SELF: &str = "SMTPHOUND_TEST_PANICS_IN";

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_there() {
    if let Ok(thread) = std::env::var(SELF) {
        panic_on_screen(&thread);
        return;
    }
    for thread in ["screen", "other"] {
        let name = "a_panic_gives_the_terminal_back_and_is_read_there";
        let args = ["--exact", name, "--nocapture", "--test-threads=1"];
        let mut terminal = Terminal::of(&std::env::current_exe().unwrap(), &here(), 80, 24, &args, &[(SELF, thread)]);
        let (_, said) = terminal.end();
        let taken = String::from_utf8_lossy(&terminal.raw);
        assert!(taken.contains("\x1b[?1049h"), "{thread}: the terminal was never taken: {said}");
        assert!(said.contains("a defect of ours"), "{thread}: {said}");
        assert_given_back(&terminal);
    }
}

/// Shows an empty screen, and breaks it from the inside.
fn panic_on_screen(thread: &str) {
    let screen = Screen { theme: ThemeName::Dark, mouse: true, bindings: Bindings::default() };
    let stage = Stage { playback: std::sync::Arc::new(Playback::at(1.0)), ..Stage::default() };
    let (_keep, trouble) = crossbeam_channel::unbounded();
    let rounds = std::sync::atomic::AtomicU32::new(0);
    let breaks = || {
        if rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 3 {
            assert!(thread != "screen", "a defect of ours");
            let other = std::thread::spawn(|| panic!("a defect of ours"));
            assert!(other.join().is_err());
        }
        false
    };
    let (evidence, _asked, _tell) = Evidence::open();
    smtphound::tui::run(&screen, "eth0", &stage, &AtomicBool::new(false), &trouble, &evidence, &breaks).unwrap();
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let run = std::process::Command::new(assert_cmd::cargo::cargo_bin("smtphound"))
        .args(["replay", "--tui", &capture()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("terminal"), "{said}");
}

#[test]
fn any_size_down_to_one_cell() {
    let mut terminal = shown(&[]);
    for (columns, lines) in [(1, 1), (2, 1), (1, 30), (5, 3), (200, 60), (20, 10), (79, 2)] {
        terminal.resize(columns, lines);
        for key in "12345?".chars() {
            terminal.press(&key.to_string());
            terminal.read_for(Duration::from_millis(60));
        }
    }
    terminal.resize(80, 24);
    terminal.press("1");
    terminal.wait_for("CONFIRMED  192.168.10.23");
    terminal.press("q");
    assert!(terminal.end().0.success());
}

#[test]
fn no_color_means_none() {
    let coloured = |raw: &[u8]| {
        let raw = String::from_utf8_lossy(raw);
        // SGR with a colour other than the terminal's own (ECMA-48 section 8.3.117).
        let params = raw.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m')).map(|(params, _)| params);
        let mut numbers = params
            .filter(|params| params.bytes().all(|b| b.is_ascii_digit() || b == b';'))
            .flat_map(|params| params.split(';').filter_map(|n| n.parse::<u8>().ok()).collect::<Vec<_>>());
        numbers.any(|n| matches!(n, 30..=38 | 40..=48 | 90..=97 | 100..=107))
    };
    let capture = capture();
    for (value, is) in [("1", false), ("", true)] {
        let args = ["replay", "--tui", &capture];
        let program = assert_cmd::cargo::cargo_bin("smtphound");
        let mut terminal = Terminal::of(&program, &here(), 80, 24, &args, &[("NO_COLOR", value)]);
        terminal.wait_for("CONFIRMED  192.168.10.23");
        assert_eq!(coloured(&terminal.raw), is, "NO_COLOR={value:?}");
        terminal.press("q");
        assert!(terminal.end().0.success());
    }
}

/// Whatever happens to the terminal, the capture goes on: nothing is dropped, lines are written, reports come.
#[test]
fn a_capture_does_not_wait_for_its_terminal() {
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (sessions, report) = (dir.path().join("s.ndjson"), dir.path().join("r.json"));
    let port = loopback::mail_server();
    let mut args = loopback::flags(port);
    args.extend(["--sessions", "s.ndjson", "--report", "r.json"].map(str::to_owned));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut terminal = Terminal::run(dir.path(), 80, 24, &args);
    terminal.wait_for("Ranking");
    // The device is open when the first session comes through.
    let mut sent = 0;
    let mut mail = |times: usize| {
        (0..times).for_each(|_| loopback::session(port));
        sent += times;
        sent
    };
    loopback::wait_until("the first session", || {
        mail(1);
        loopback::lines(&sessions) > 0
    });
    terminal.wait_for("127.0.0.1");
    let lost_before = mail(0) - {
        loopback::wait_until("quiet", || {
            let lines = loopback::lines(&sessions);
            std::thread::sleep(Duration::from_secs(2));
            loopback::lines(&sessions) == lines
        });
        loopback::lines(&sessions)
    };
    let mut mail_and_see = |what: &str| {
        let all = mail(50) - lost_before;
        loopback::wait_until(what, || loopback::lines(&sessions) >= all);
    };

    mail_and_see("lines while it is drawn");
    for size in 1..40 {
        terminal.resize(size * 3, size);
    }
    mail_and_see("lines while it is resized");
    terminal.resize(80, 24);
    terminal.read_for(Duration::from_millis(500));
    terminal.press(" ");
    terminal.wait_for("PAUSED");
    mail_and_see("lines while it is paused");
    terminal.press(" ");
    terminal.wait("going on", |lines| lines[0].ends_with("live"));

    terminal.flow(true);
    terminal.press("3");
    assert_eq!(terminal.read_for(Duration::from_secs(1)), 0, "the output is stopped");
    mail_and_see("lines while the output is stopped");
    terminal.signal("USR1");
    loopback::wait_until("a report while the output is stopped", || report.exists());
    assert_eq!(terminal.read_for(Duration::from_millis(200)), 0, "it was stopped all the time");
    terminal.flow(false);
    terminal.wait("the sessions", |lines| lines.iter().any(|line| line.contains("CLIENT")));
    terminal.press("q");
    let (status, said) = terminal.end();
    assert!(status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["capture"]["drops"], serde_json::json!({}));
}

/// A device gives a frame once; what was seen lately is at hand all the same.
#[test]
fn evidence_of_a_live_run_is_written_from_the_frames_at_hand() {
    use std::os::unix::fs::PermissionsExt;
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = loopback::mail_server_at(loopback::OURS);
    let home_net = loopback::OURS.to_string();
    let args = loopback::flags_at(&home_net, port);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut terminal = Terminal::run(dir.path(), 120, 24, &args);
    terminal.wait_for("Ranking");
    terminal.press("w");
    terminal.wait_for("nothing speaks against it");
    let mut round = 0;
    let start = std::time::Instant::now();
    while !terminal.lines().iter().any(|line| line.contains("directory_harvest")) {
        loopback::guess(port, round);
        round += 1;
        terminal.read_for(Duration::from_millis(300));
        assert!(start.elapsed() < loopback::PATIENCE, "no incident:\n{}", terminal.lines().join("\n"));
    }
    terminal.press("2");
    terminal.wait_for("SINCE");
    terminal.press("w");
    terminal.wait_for("written to smtphound-evidence/directory_harvest-127.0.0.10-");
    terminal.press("q");
    let (status, said) = terminal.end();
    assert!(status.success() && said.is_empty(), "{said}");

    let place = dir.path().join("smtphound-evidence");
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700, "it holds whole mails");
    let files: Vec<PathBuf> = std::fs::read_dir(&place).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let replay = std::process::Command::new(assert_cmd::cargo::cargo_bin("smtphound"))
        .args(["replay", "--report", "-", "--home-net", &home_net, "--port", &port.to_string()])
        .arg(file)
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert_eq!(report["incidents"][0]["class"], "directory_harvest", "{report}");
    assert_eq!(report["capture"]["gaps"], 0);
}
