//! The screen on a terminal of its own: a pair of pseudo-terminals (pty(7)), whose other end is this test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]
#![allow(clippy::disallowed_methods, reason = "a program that must end by itself is waited for by the clock")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A replay of the infected PC on a terminal of 80 by 24, once it shows whom it is about.
fn shown() -> (File, Child) {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/infected-pc.pcap");
    let other = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&other).unwrap();
    unlockpt(&other).unwrap();
    tcsetwinsize(&other, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&other, Vec::new()).unwrap();
    let own = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let child = std::process::Command::new(cargo_bin("smtphound"))
        .args(["replay", "--tui"])
        .arg(capture)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .stdin(own.try_clone().unwrap())
        .stdout(own)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut other = File::from(other);
    let (mut seen, mut some) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&seen).contains("192.168.10.23") {
        let read = other.read(&mut some).unwrap();
        seen.extend_from_slice(&some[..read]);
    }
    (other, child)
}

/// How it ended; it must, and soon.
fn end(mut child: Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it goes on without a terminal");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_screen() {
    let (other, child) = shown();
    drop(other);
    assert!(end(child).code().is_some(), "by itself, not by a signal");
}

#[test]
fn q_quits_and_gives_the_terminal_back() {
    let (mut other, child) = shown();
    other.write_all(b"q").unwrap();
    let (mut seen, mut some) = (Vec::new(), [0; 4096]);
    // Reading fails when the program has closed its end.
    while let Ok(read @ 1..) = other.read(&mut some) {
        seen.extend_from_slice(&some[..read]);
    }
    assert!(end(child).success());
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("\x1b[?1049l") && seen.contains("\x1b[?25h"), "{seen:?}");
}
