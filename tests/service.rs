//! A live run as a service: whom it tells what it sees while it goes on, and what SIGHUP reads again. On the loopback device;
//! where nothing can be watched it says `skipped` and why.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]
#![allow(clippy::disallowed_methods, reason = "a program that runs by itself is waited for by the clock")]

#[path = "common/loopback.rs"]
mod loopback;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use loopback::{OURS, PATIENCE, wait_until};
use serde_json::Value;

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// A live run in a directory, without a screen; what it complains of goes into a file.
fn watch(directory: &Path, flags: &[String]) -> Child {
    Command::new(cargo_bin("smtphound"))
        .args(flags)
        .arg("--headless")
        .current_dir(directory)
        .stdout(File::create(directory.join("i.ndjson")).unwrap())
        .stderr(File::create(directory.join("stderr")).unwrap())
        .spawn()
        .unwrap()
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_default()
}

/// What is answered at `/metrics`, once somebody does.
fn scraped(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

/// Ends it; it must end well, and soon.
fn end(mut child: Child, directory: &Path) {
    signal(&child, "TERM");
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert!(status.success() && start.elapsed() < PATIENCE);
    assert_eq!(read(directory, "stderr"), "");
}

#[test]
fn everybody_is_told_while_it_goes_on() {
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = loopback::mail_server_at(OURS);
    let syslog = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut flags = loopback::flags_at(&OURS.to_string(), port);
    flags.extend(["--html", "page.html", "--metrics", "m.prom", "--report", "r.json"].map(str::to_owned));
    flags.extend(["--metrics-listen".to_owned(), at.to_string()]);
    flags.extend(["--syslog".to_owned(), format!("udp:{}", syslog.local_addr().unwrap())]);
    let child = watch(dir.path(), &flags);

    wait_until("metrics over HTTP", || scraped(at).is_some());
    let told = "smtphound_incidents{class=\"directory_harvest\",";
    let mut round = 0;
    wait_until("an incident in the metrics", || {
        loopback::guess(port, round);
        round += 1;
        std::thread::sleep(Duration::from_millis(200));
        scraped(at).is_some_and(|metrics| metrics.contains(told))
    });
    wait_until("the same in the file", || read(dir.path(), "m.prom").contains(told));

    let mut message = [0; 4096];
    let length = syslog.recv(&mut message).unwrap();
    let message = std::str::from_utf8(&message[..length]).unwrap();
    assert!(message.contains(" smtphound - directory_harvest [smtphound@32473 event=\"opened\""), "{message}");
    assert!(message.contains("host=\"127.0.0.10\""), "{message}");

    signal(&child, "USR1");
    wait_until("the page", || read(dir.path(), "page.html").contains("127.0.0.10: directory_harvest"));
    wait_until("the report", || dir.path().join("r.json").exists());

    // Whoever asks for metrics speaks to a thread that may do nothing.
    let mut names = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", child.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        if field("Name:") == "metrics" {
            assert_eq!((field("CapEff:"), field("CapPrm:")), ("0".repeat(16), "0".repeat(16)));
        }
        names.push(field("Name:"));
    }
    assert!(names.iter().any(|name| name == "metrics"), "{names:?}");
    end(child, dir.path());
    assert!(TcpStream::connect(at).is_err(), "nobody answers any more");
}

/// Once its file is there, what a report that was asked for says.
fn report(child: &Child, directory: &Path) -> Value {
    let path = directory.join("r.json");
    fs::remove_file(&path).ok();
    signal(child, "USR1");
    wait_until("a report", || path.exists());
    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
}

/// "User unknown" of our test server has another meaning: then nobody guesses names there.
const OTHER_RULES: &str = "extends = true
[[rule]]
id = 'full'
class = 'mailbox_full'
codes = ['550']
text = 'user unknown'
source = 'this test'
examples = ['550 5.1.1 User unknown']
";

#[test]
fn hangup_reads_networks_and_reply_rules_again() {
    if let Some(why) = loopback::cannot_watch() {
        eprintln!("skipped: {why}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    put("c.toml", "home_nets = ['@nets.txt']\nreply_rules = 'rules.toml'\n");
    put("nets.txt", "192.0.2.0/24  # not here\n");
    put("rules.toml", "extends = true\n");
    let port = loopback::mail_server_at(OURS);
    let flags = ["watch", "-i", "lo", "--config", "c.toml", "--report", "r.json", "--sessions", "s.ndjson", "--port"];
    let mut flags = flags.map(str::to_owned).to_vec();
    flags.push(port.to_string());
    let mut child = watch(dir.path(), &flags);
    // Signals are listened for by then.
    wait_until("the file of session lines", || dir.path().join("s.ndjson").exists());
    wait_until("a first frame", || {
        loopback::guess(port, 0);
        report(&child, dir.path())["capture"]["frames"]["smtp"].as_u64().unwrap() > 0
    });
    let before = report(&child, dir.path());
    assert_eq!((&before["site"]["home_nets"][0], &before["hosts"]), (&"192.0.2.0/24".into(), &serde_json::json!([])));

    // What comes from here on is judged by other networks and other rules.
    put("nets.txt", "127.0.0.10\n");
    put("rules.toml", OTHER_RULES);
    signal(&child, "HUP");
    wait_until("the new networks", || report(&child, dir.path())["site"]["home_nets"][0] == "127.0.0.10/32");
    (1..11).for_each(|round| loopback::guess(port, round));
    wait_until("their session lines", || loopback::lines(&dir.path().join("s.ndjson")) >= 11);
    let last = report(&child, dir.path());
    assert_eq!((&last["hosts"][0]["ip"], &last["incidents"]), (&"127.0.0.10".into(), &serde_json::json!([])));
    assert_eq!(read(dir.path(), "stderr"), "");

    // What is wrong is told, with its place, and the old holds.
    for (lines, name, wrong, right, words) in [
        (1, "nets.txt", "127.0.0.10\nnowhere\n", "127.0.0.10\n", "nets.txt, line 2: "),
        (2, "rules.toml", "[[rule]]\nid = 'x'\n", OTHER_RULES, "rules.toml: "),
    ] {
        put(name, wrong);
        signal(&child, "HUP");
        wait_until("a complaint", || read(dir.path(), "stderr").lines().count() == lines);
        let said = read(dir.path(), "stderr");
        assert!(said.lines().last().unwrap().contains(words), "{said}");
        put(name, right);
    }
    assert_eq!(report(&child, dir.path())["site"]["home_nets"][0], "127.0.0.10/32");

    // Under the built-in rules the same is what it is.
    put("rules.toml", "extends = true\n");
    signal(&child, "HUP");
    let mut round = 11;
    wait_until("an incident", || {
        loopback::guess(port, round);
        round += 1;
        report(&child, dir.path())["incidents"][0]["class"] == "directory_harvest"
    });
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    assert_eq!(read(dir.path(), "stderr").lines().count(), 2, "{}", read(dir.path(), "stderr"));
}

#[test]
fn a_place_that_is_taken_ends_it_before_it_begins() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let output = Command::new(cargo_bin("smtphound"))
        .args(["watch", "-i", "lo", "--headless", "--metrics-listen", &at])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        eprintln!("skipped: {said}");
        return;
    }
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains(&format!("--metrics-listen {at} cannot be opened")), "{said}");
    assert!(said.contains("name a port that is free"), "{said}");
}
