//! The program on a terminal of its own: a pair of pseudo-terminals (pty(7)) whose other end is the test, with an emulator
//! that knows what stands on the screen.
#![allow(clippy::disallowed_methods, reason = "a program that runs by itself is waited for by the clock")]
#![allow(unreachable_pub, dead_code, reason = "a module of several test binaries, each of which uses a part")]

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, LocalModes, Winsize, tcflow, tcgetattr, tcsetwinsize};

/// How long anything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

/// A terminal, and the program on it.
pub struct Terminal {
    /// The emulator's end.
    other: File,
    /// The program's end.
    own: File,
    emulator: vt100::Parser,
    /// Everything that was written to it.
    pub raw: Vec<u8>,
    pub child: Child,
}

impl Terminal {
    /// Runs the program in a directory, on a terminal of so many columns and lines.
    pub fn run(directory: &Path, columns: u16, lines: u16, args: &[&str]) -> Self {
        Self::of(&cargo_bin("smtphound"), directory, columns, lines, args, &[])
    }

    /// Runs any program with an environment.
    pub fn of(program: &Path, directory: &Path, columns: u16, lines: u16, args: &[&str], env: &[(&str, &str)]) -> Self {
        let other = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&other).unwrap();
        unlockpt(&other).unwrap();
        tcsetwinsize(&other, size(columns, lines)).unwrap();
        let name = ptsname(&other, Vec::new()).unwrap();
        let own = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        // In a session of its own, of which this is the terminal: who runs the tests may sit at another one.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(program)
            .args(args)
            .current_dir(directory)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .stdin(own.try_clone().unwrap())
            .stdout(own.try_clone().unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let emulator = vt100::Parser::new(cells(lines), cells(columns), 0);
        Self { other: File::from(other), own, emulator, raw: Vec::new(), child }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.other.write_all(keys.as_bytes()).unwrap();
    }

    /// Another size.
    pub fn resize(&mut self, columns: u16, lines: u16) {
        tcsetwinsize(&self.other, size(columns, lines)).unwrap();
        self.emulator.screen_mut().set_size(cells(lines), cells(columns));
    }

    /// Sends the program a signal by its name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Stops the output, as Ctrl-S does, or lets it go on.
    pub fn flow(&self, stopped: bool) {
        tcflow(&self.own, if stopped { Action::OOff } else { Action::OOn }).unwrap();
    }

    /// Whether the terminal is as a shell leaves it: lines, echo, signals.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.own).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Reads what is written for as long as this; how many bytes came.
    pub fn read_for(&mut self, time: Duration) -> usize {
        let (start, before) = (Instant::now(), self.raw.len());
        while let Some(left) = time.checked_sub(start.elapsed()) {
            if !self.read_some(left) {
                break;
            }
        }
        self.raw.len() - before
    }

    /// Waits for what a screen must be; the screen, line by line.
    ///
    /// # Panics
    ///
    /// When it does not come to be.
    pub fn wait(&mut self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        let start = Instant::now();
        loop {
            let lines = self.lines();
            if is(&lines) {
                return lines;
            }
            assert!(start.elapsed() < PATIENCE, "{what} does not come:\n{}", lines.join("\n"));
            self.read_some(Duration::from_millis(200));
        }
    }

    /// Waits for a text anywhere on the screen.
    pub fn wait_for(&mut self, text: &str) -> Vec<String> {
        self.wait(text, |lines| lines.iter().any(|line| line.contains(text)))
    }

    /// The screen, line by line, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let screen = self.emulator.screen();
        let (_, columns) = screen.size();
        screen.rows(0, columns.get()).map(|line| line.trim_end().to_owned()).collect()
    }

    /// What the emulator knows.
    pub fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    /// How it ended, and what it said on standard error; it must end, and soon.
    pub fn end(&mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        let status = loop {
            // Who writes to a terminal that nobody reads waits.
            self.read_some(Duration::from_millis(50));
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end:\n{}", self.lines().join("\n"));
            }
        };
        self.read_for(Duration::from_millis(100));
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    /// The terminal goes away, as when a connection breaks.
    pub fn hang_up(self) -> Child {
        self.child
    }

    /// Reads once; whether there was anything before the time was over.
    fn read_some(&mut self, time: Duration) -> bool {
        let until = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
        let other = self.other.as_fd();
        let mut fds = [PollFd::new(&other, PollFlags::IN)];
        if poll(&mut fds, Some(&until)).unwrap() == 0 {
            return false;
        }
        let mut some = [0; 16 << 10];
        match self.other.read(&mut some) {
            Ok(read) => {
                self.emulator.process(&some[..read]);
                self.raw.extend_from_slice(&some[..read]);
                read > 0
            }
            Err(_) => false,
        }
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

const fn size(columns: u16, lines: u16) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
