//! Every key of the help, pressed on the running program as somebody at a terminal would, in an emulator of ours and in
//! tmux: what each shows, and that the terminal is given back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]
#![allow(clippy::disallowed_methods, reason = "a program that runs by itself is waited for by the clock")]

#[path = "common/terminal.rs"]
mod terminal;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use smtphound::tui::Bindings;
use terminal::Terminal;

const PATIENCE: Duration = Duration::from_mins(1);

/// The keys of the help by name, the bytes that an xterm sends for them, and the name that tmux has for them.
const KEYS: &[(&str, &str, &str)] = &[
    ("up", "\x1b[A", "Up"),
    ("k", "k", "k"),
    ("down", "\x1b[B", "Down"),
    ("j", "j", "j"),
    ("pageup", "\x1b[5~", "PPage"),
    ("ctrl-b", "\x02", "C-b"),
    ("pagedown", "\x1b[6~", "NPage"),
    ("ctrl-f", "\x06", "C-f"),
    ("home", "\x1b[H", "Home"),
    ("g", "g", "g"),
    ("end", "\x1b[F", "End"),
    ("G", "G", "G"),
    ("enter", "\r", "Enter"),
    ("right", "\x1b[C", "Right"),
    ("l", "l", "l"),
    ("esc", "\x1b", "Escape"),
    ("left", "\x1b[D", "Left"),
    ("h", "h", "h"),
    ("tab", "\t", "Tab"),
    ("backtab", "\x1b[Z", "BTab"),
    ("1", "1", "1"),
    ("2", "2", "2"),
    ("3", "3", "3"),
    ("4", "4", "4"),
    ("5", "5", "5"),
    ("/", "/", "/"),
    ("s", "s", "s"),
    ("S", "S", "S"),
    ("space", " ", "Space"),
    ("p", "p", "p"),
    (".", ".", "."),
    ("+", "+", "+"),
    ("-", "-", "-"),
    ("e", "e", "e"),
    ("w", "w", "w"),
    ("c", "c", "c"),
    ("?", "?", "?"),
    ("f1", "\x1bOP", "F1"),
    ("q", "q", "q"),
    ("ctrl-c", "\x03", "C-c"),
];

/// Somebody at a terminal.
trait Hands {
    fn press(&mut self, key: &(&str, &str, &str));
    fn type_text(&mut self, text: &str);
    fn look(&mut self) -> Vec<String>;
}

impl Hands for Terminal {
    fn press(&mut self, (_, bytes, _): &(&str, &str, &str)) {
        Self::press(self, bytes);
    }

    fn type_text(&mut self, text: &str) {
        Self::press(self, text);
    }

    fn look(&mut self) -> Vec<String> {
        self.read_for(Duration::from_millis(50));
        self.lines()
    }
}

/// The same in tmux; its server is the test's own.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// A shell command in a pane, or why there is none.
    fn run(directory: &Path, columns: u16, lines: u16, command: &str) -> Result<Self, String> {
        let socket = format!("smtphound-test-{}-{columns}", std::process::id());
        let (columns, lines) = (columns.to_string(), lines.to_string());
        std::fs::write(directory.join("tmux.conf"), "set -g status off\nset -g escape-time 0\n").unwrap();
        let made = Command::new("tmux")
            .args(["-u", "-L", &socket, "-f", "tmux.conf", "new-session", "-d", "-x", &columns, "-y", &lines, command])
            .current_dir(directory)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .output();
        match made {
            Ok(made) if made.status.success() => Ok(Self { socket }),
            Ok(made) => Err(String::from_utf8_lossy(&made.stderr).trim_end().to_owned()),
            Err(error) => Err(format!("tmux cannot be run: {error}")),
        }
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux").args(["-u", "-L", &self.socket]).args(args).output().unwrap();
        assert!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

impl Hands for Tmux {
    fn press(&mut self, (_, _, name): &(&str, &str, &str)) {
        self.tmux(&["send-keys", name]);
    }

    fn type_text(&mut self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    fn look(&mut self) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(50));
        self.tmux(&["capture-pane", "-p"]).lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// A run with what was pressed so far.
struct Run<'a> {
    hands: &'a mut dyn Hands,
    pressed: BTreeSet<&'static str>,
}

impl<'a> Run<'a> {
    fn new(hands: &'a mut dyn Hands) -> Self {
        Self { hands, pressed: BTreeSet::new() }
    }

    fn wait(&mut self, what: &str, is: &dyn Fn(&[String]) -> bool) -> Vec<String> {
        let start = Instant::now();
        loop {
            let lines = self.hands.look();
            if is(&lines) {
                return lines;
            }
            assert!(start.elapsed() < PATIENCE, "{what} does not come:\n{}", lines.join("\n"));
        }
    }

    /// Presses a key and waits for what it must show.
    fn key(&mut self, name: &str, is: &dyn Fn(&[String]) -> bool) -> Vec<String> {
        let key = KEYS.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("no key {name}"));
        self.hands.press(key);
        self.pressed.insert(key.0);
        self.wait(name, is)
    }

    /// Presses a key that selects a line with a text in it.
    fn selects(&mut self, name: &str, text: &str) {
        self.key(name, &|lines| selected(lines).contains(text));
    }

    /// Presses a key after which a text stands on the screen.
    fn shows(&mut self, name: &str, text: &str) -> Vec<String> {
        self.key(name, &|lines| has(lines, text))
    }
}

fn has(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

fn selected(lines: &[String]) -> &str {
    lines.iter().find(|line| line.starts_with('▌')).map_or("", String::as_str)
}

fn footer(lines: &[String]) -> &str {
    lines.last().map_or("", String::as_str)
}

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/infected-pc.pcap")
}

/// What each view has that no other has.
const VIEWS: [(&str, &str); 5] =
    [("1", "RATE"), ("2", "SINCE"), ("3", "CLIENT"), ("4", "GREETS AS"), ("5", "what was read, and what was lost")];

/// All keys that move, open and change the view of a capture that has been read.
fn read_through(run: &mut Run<'_>, directory: &Path) {
    let (guilty, server, last) = ("192.168.10.23", "192.168.10.10", "192.168.10.40");
    run.wait("the end of the capture", &|lines| lines[0].ends_with("ended") && selected(lines).contains(guilty));
    for (down, up) in [("down", "up"), ("j", "k")] {
        run.selects(down, server);
        run.selects(up, guilty);
    }
    for (down, up) in [("end", "home"), ("G", "g"), ("pagedown", "pageup"), ("ctrl-f", "ctrl-b")] {
        run.selects(down, last);
        run.selects(up, guilty);
    }
    for (into, back) in [("enter", "esc"), ("right", "left"), ("l", "h")] {
        run.key(into, &|lines| !has(lines, "RATE") && (has(lines, "Over time") || has(lines, "more lines ↓")));
        run.shows(back, "RATE");
    }
    for (key, heading) in VIEWS {
        run.shows(key, heading);
    }
    run.shows("tab", VIEWS[0].1);
    run.shows("backtab", VIEWS[4].1);
    run.shows("1", VIEWS[0].1);

    run.key("/", &|lines| footer(lines).starts_with('/'));
    run.hands.type_text("class:block");
    run.wait("a filter", &|lines| selected(lines).contains(server) && !has(lines, " 192.168.10.21 "));
    run.key("enter", &|lines| footer(lines).contains("/class:block"));
    run.key("esc", &|lines| !footer(lines).contains("/class") && has(lines, "192.168.10.21"));
    run.key("g", &|lines| selected(lines).contains(guilty));

    for order in ["score", "mails", "refused", "servers", "last seen", "host", "rank"] {
        run.key("s", &|lines| footer(lines) == format!(" by {order}"));
    }
    run.key("S", &|lines| footer(lines) == " by rank, reversed" && lines[3].contains(last));
    run.key("S", &|lines| footer(lines) == " by rank");
    run.selects("g", guilty);

    for key in ["space", "p"] {
        run.key(key, &|lines| lines[0].ends_with("PAUSED"));
        run.key(key, &|lines| lines[0].ends_with("ended"));
    }
    run.key("c", &|lines| footer(lines).starts_with(" copied: 192.168.10.23, PC-ACCOUNTS"));
    run.key("e", &|lines| footer(lines).contains("written to"));
    let exported = std::fs::read(directory.join("smtphound-192.168.10.23.json")).unwrap();
    let exported: serde_json::Value = serde_json::from_slice(&exported).unwrap();
    assert_eq!(exported["incidents"][0]["class"], "mass_mailer");

    run.key("w", &|lines| footer(lines).starts_with(" written to smtphound-evidence/mass_mailer-192.168.10.23-"));
    let evidence: Vec<_> = std::fs::read_dir(directory.join("smtphound-evidence")).unwrap().collect();
    assert_eq!(evidence.len(), 1);
    // A section header of pcapng (section 4.1 of its draft).
    assert!(std::fs::read(evidence[0].as_ref().unwrap().path()).unwrap().starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));

    for key in ["?", "f1"] {
        let lines = run.shows(key, "these keys");
        for (keys, does) in Bindings::default().table() {
            assert!(lines.iter().any(|line| line.contains(&keys) && line.contains(does)), "{keys} is not in the help");
        }
        // The help speaks of columns too; and a key that comes at once after esc would be one with alt.
        run.key("esc", &|lines| selected(lines).contains(guilty));
    }
}

/// The keys of a replay that takes its time.
fn play(run: &mut Run<'_>) {
    run.wait("the replay", &|lines| lines[0].ends_with("2x"));
    run.key("+", &|lines| lines[0].ends_with("4x"));
    run.key("-", &|lines| lines[0].ends_with("2x"));
    run.key("space", &|lines| lines[0].ends_with("PAUSED"));
    let frames =
        |lines: &[String]| -> Option<u64> { footer(lines).split_whitespace().next()?.replace(',', "").parse().ok() };
    // What was under way when it was held comes to rest.
    let mut before = None;
    let rest = std::cell::Cell::new(before);
    run.wait("rest", &|lines| {
        let same = rest.get() == frames(lines) && frames(lines).is_some();
        rest.set(frames(lines));
        std::thread::sleep(Duration::from_millis(500));
        same
    });
    for _ in 0..3 {
        before = rest.get();
        let lines = run.key(".", &|lines| frames(lines) != before);
        assert_eq!(frames(&lines), before.map(|frames| frames + 1), "a frame a step");
        rest.set(frames(&lines));
    }
    run.key("p", &|lines| lines[0].ends_with("2x"));
}

fn command(directory: &Path) -> Vec<String> {
    std::fs::create_dir_all(directory).unwrap();
    ["replay", "--tui", capture().to_str().unwrap()].map(str::to_owned).to_vec()
}

#[test]
fn every_key_of_the_help_does_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut pressed = BTreeSet::new();
    for (columns, lines, quit) in [(80, 24, "q"), (120, 40, "ctrl-c")] {
        for speed in [None, Some("2")] {
            let mut args = command(dir.path());
            args.extend(speed.iter().flat_map(|speed| ["--speed".to_owned(), (*speed).to_owned()]));
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut terminal = Terminal::run(dir.path(), columns, lines, &args);
            let mut run = Run::new(&mut terminal);
            if speed.is_some() {
                play(&mut run);
            } else {
                read_through(&mut run, dir.path());
            }
            pressed.append(&mut run.pressed);
            pressed.insert(quit);
            let bytes = KEYS.iter().find(|(name, ..)| *name == quit).unwrap().1;
            Terminal::press(&mut terminal, bytes);
            let (status, said) = terminal.end();
            // Who quits while it plays has not seen the rest, and is told so.
            let expected = if speed.is_some() { 4 } else { 0 };
            assert_eq!((status.code(), said.as_str()), (Some(expected), ""));
            assert!(!terminal.screen().alternate_screen() && !terminal.screen().hide_cursor() && terminal.is_cooked());
            if speed.is_none() {
                // The line for the clipboard came out as terminals take it (OSC 52).
                assert!(String::from_utf8_lossy(&terminal.raw).contains("\x1b]52;c;MTkyLjE2OC4xMC4yMyw"));
            }
        }
    }
    let table = Bindings::default().table();
    let known: BTreeSet<&str> = table.iter().flat_map(|(keys, _)| keys.split(' ')).collect();
    assert_eq!(pressed, known, "keys that were pressed, and those of the help");
}

#[test]
fn the_same_in_tmux() {
    let dir = tempfile::tempdir().unwrap();
    for (columns, lines, quit) in [(80, 24, "q"), (120, 40, "ctrl-c")] {
        let program = assert_cmd::cargo::cargo_bin("smtphound");
        let command =
            format!("'{}' replay --tui '{}'; echo status $?; read -r line", program.display(), capture().display());
        let mut tmux = match Tmux::run(dir.path(), columns, lines, &command) {
            Ok(tmux) => tmux,
            Err(why) => {
                eprintln!("skipped: {why}");
                return;
            }
        };
        let mut run = Run::new(&mut tmux);
        read_through(&mut run, dir.path());
        // The table of what was found stands on an ordinary terminal.
        run.key(quit, &|lines| has(lines, "status 0"));
        assert_eq!(
            tmux.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}"]),
            "0 1 0\n"
        );
    }
}
