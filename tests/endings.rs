//! What is left when the program ends otherwise than it was meant to: killed, without a right, with a full disk, with a
//! reader that went away. Nothing that was already seen is lost without a word.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]
#![allow(clippy::disallowed_methods, reason = "a program that runs by itself is waited for by the clock")]

#[path = "common/loopback.rs"]
mod loopback;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;
use loopback::{lines, wait_until};
use serde_json::Value;

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/infected-pc.pcap")
}

fn replay(directory: &Path) -> Command {
    let mut command = Command::new(cargo_bin("smtphound"));
    command.arg("replay").arg(capture()).current_dir(directory);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// A number of milliseconds below `most`, another one each time.
fn some_time(round: u64, most: u64) -> Duration {
    Duration::from_millis(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % most)
}

/// A live run in a directory: sessions, report and incidents into files.
fn watch(directory: &Path, port: u16) -> Child {
    let incidents = File::options().append(true).create(true).open(directory.join("i.ndjson")).unwrap();
    Command::new(cargo_bin("smtphound"))
        .args(loopback::flags(port))
        .args(["--headless", "--sessions", "s.ndjson", "--report", "r.json"])
        .current_dir(directory)
        .stdout(incidents)
        .stderr(File::create(directory.join("stderr")).unwrap())
        .spawn()
        .unwrap()
}

/// Mails until the watch has seen something new.
fn mail_until_seen(directory: &Path, port: u16) {
    let before = lines(&directory.join("s.ndjson"));
    wait_until("a session line", || {
        loopback::session(port);
        lines(&directory.join("s.ndjson")) > before
    });
}

/// How many lines, up to the last one that ends, are not whole.
fn cut_lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count()
}

#[test]
fn killed_at_any_moment_a_live_run_leaves_whole_lines_and_whole_reports() {
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = loopback::mail_server();
    let mut reports = 0;
    for round in 0..6 {
        let mut child = watch(dir.path(), port);
        mail_until_seen(dir.path(), port);
        let killed = some_time(round, 400);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..60).for_each(|_| loopback::session(port)));
            // Reports are written one after the other until it dies.
            let start = std::time::Instant::now();
            while start.elapsed() < killed {
                signal(&child, "USR1");
                std::thread::sleep(Duration::from_millis(5));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for name in ["s.ndjson", "i.ndjson"] {
            // The last line may be cut by each kill, and is ended by who comes after; in between nothing is.
            assert!(cut_lines(&dir.path().join(name)) <= round as usize, "{name}, round {round}");
        }
        if let Ok(report) = fs::read(dir.path().join("r.json")) {
            let report: Value = serde_json::from_slice(&report).unwrap();
            assert_eq!(report["schema_version"], 1);
            reports += 1;
        }
    }
    assert!(reports > 0, "no report was ever written: this test shows nothing of them");
    // Who comes after goes on in the same files.
    let mut child = watch(dir.path(), port);
    mail_until_seen(dir.path(), port);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    assert!(cut_lines(&dir.path().join("s.ndjson")) <= 6);
}

#[test]
fn killed_at_any_moment_a_replay_leaves_the_old_outputs_or_the_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (report, sessions) = (dir.path().join("r.json"), dir.path().join("s.ndjson"));
    let (mut old, mut new, mut whole) = (0, 0, 0);
    for round in 0..12 {
        fs::write(&report, "old").unwrap();
        fs::write(&sessions, "old\n").unwrap();
        let mut child =
            replay(dir.path()).args(["--quiet", "--report", "r.json", "--sessions", "s.ndjson"]).spawn().unwrap();
        if round == 0 {
            // How long one takes that nobody kills.
            let begin = std::time::Instant::now();
            child.wait().unwrap();
            whole = (begin.elapsed().as_millis() as u64).max(2);
        } else {
            std::thread::sleep(some_time(round, whole));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        match fs::read_to_string(&report).unwrap() {
            text if text == "old" => old += 1,
            text => {
                serde_json::from_str::<Value>(&text).unwrap();
                new += 1;
            }
        }
        let text = fs::read_to_string(&sessions).unwrap();
        assert!(text == "old\n" || cut_lines(&sessions) == 0 && text.ends_with('\n'));
    }
    assert!(old > 0 && new > 0, "{old} old and {new} new: this test shows nothing");
}

#[test]
fn without_the_right_it_says_how_to_get_it() {
    let mut command = Command::new(cargo_bin("smtphound"));
    command.args(["watch", "-i", "lo", "--headless"]);
    if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
        // Nobody, who has no right; where he cannot run the program there is nothing to see.
        command.uid(65534).gid(65534);
    }
    let output = match command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(mut child) => {
            std::thread::sleep(Duration::from_secs(2));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                eprintln!("skipped: everybody may capture here");
                return;
            }
            child.wait_with_output().unwrap()
        }
        Err(error) => {
            eprintln!("skipped: nobody cannot run it: {error}");
            return;
        }
    };
    assert_eq!(output.status.code(), Some(3));
    let said = said(&output);
    assert!(
        said.contains("the right to capture is missing") && said.contains("sudo setcap cap_net_raw=ep /"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn without_the_device_it_says_which_there_are() {
    let output = Command::new(cargo_bin("smtphound")).args(["watch", "-i", "nosuch0", "--headless"]).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("no such device") && said.contains("smtphound devices"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn an_output_on_a_full_disk_takes_nothing_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let full = "No space left on device (os error 28); make room there, or name another place";
    for (args, report, table) in [
        (["--report", "/dev/full", "--sessions", "s.ndjson"], false, true),
        (["--report", "r.json", "--sessions", "/dev/full"], true, true),
        (["--report", "r.json", "--sessions", "s.ndjson"], true, false),
    ] {
        let mut command = replay(dir.path());
        command.args(args).stderr(Stdio::piped());
        command.stdout(if table {
            Stdio::piped()
        } else {
            File::options().write(true).open("/dev/full").unwrap().into()
        });
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(full) && said.lines().count() == 1, "{args:?}: {said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).contains("192.168.10.23  confirmed"), table, "{args:?}");
        let path = dir.path().join("r.json");
        if report {
            let report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(report["hosts"][0]["ip"], "192.168.10.23", "{args:?}");
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn a_closed_pipe_is_a_normal_end_and_the_report_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut child =
        replay(dir.path()).args(["--report", "r.json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    assert!(dir.path().join("r.json").exists());
}

#[test]
fn a_live_run_whose_reader_went_away_ends_and_writes_all() {
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = loopback::mail_server();
    let mut child = Command::new(cargo_bin("smtphound"))
        .args(loopback::flags(port))
        .args(["--headless", "--sessions", "s.ndjson", "--report", "r.json"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    mail_until_seen(dir.path(), port);
    // Half of all recipients do not exist: guessing is told of before long, to nobody.
    let start = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        loopback::session(port);
        if start.elapsed() > Duration::from_secs(10) {
            // No incident came of it: then it ends as any other.
            signal(&child, "TERM");
            break;
        }
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    let report: Value = serde_json::from_slice(&fs::read(dir.path().join("r.json")).unwrap()).unwrap();
    let told = report["hosts"][0]["counts"]["connections"].as_u64().unwrap() as usize;
    assert_eq!((told, cut_lines(&dir.path().join("s.ndjson"))), (lines(&dir.path().join("s.ndjson")), 0));
}

/// A small file system of its own, taken away at the end.
struct Small(PathBuf);

impl Small {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(path).output().ok()?;
        mount.status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_live_run_goes_on_with_a_full_disk_and_writes_when_there_is_room() {
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(&dir.path().join("small")) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let filler = small.0.join("filler");
    fs::write(&filler, vec![0; 232 << 10]).unwrap();
    let port = loopback::mail_server();
    let mut child = Command::new(cargo_bin("smtphound"))
        .args(loopback::flags(port))
        .args(["--headless", "--sessions", "small/s.ndjson", "--report", "small/r.json"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    mail_until_seen(&small.0, port);
    let mut complaints = BufReader::new(child.stderr.take().unwrap());
    let mail = std::thread::spawn(move || (0..60).for_each(|_| loopback::session(port)));
    let mut first = String::new();
    complaints.read_line(&mut first).unwrap();
    let full = "small/s.ndjson cannot be written: No space left on device (os error 28); make room there, or name another place";
    assert!(first.contains(full), "{first}");
    mail.join().unwrap();
    fs::remove_file(&filler).unwrap();
    fs::remove_file(small.0.join("r.json")).ok();
    signal(&child, "TERM");
    let status = child.wait().unwrap();
    let mut rest = String::new();
    complaints.read_to_string(&mut rest).unwrap();
    assert_eq!((status.code(), rest.as_str()), (Some(2), ""), "the status tells; nothing more happened");
    // Every line is there: what did not go into the disk was kept.
    let report: Value = serde_json::from_slice(&fs::read(small.0.join("r.json")).unwrap()).unwrap();
    let told = report["hosts"][0]["counts"]["connections"].as_u64().unwrap() as usize;
    assert!(told > 60);
    assert_eq!((lines(&small.0.join("s.ndjson")), cut_lines(&small.0.join("s.ndjson"))), (told, 0));
}
