//! Mail over the loopback device, for live runs that need nothing but the right to look at it: a server that knows one
//! recipient, and clients that ask it for two.
#![allow(clippy::disallowed_methods, reason = "a program that runs by itself is waited for by the clock")]
#![allow(unreachable_pub, dead_code, reason = "a module of several test binaries, each of which uses a part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// An address of the loopback device that may be called ours while whoever speaks to it is not: calls come from 127.0.0.1.
pub const OURS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 10);

/// A mail server on a port of its own, until the test ends; the port.
pub fn mail_server() -> u16 {
    mail_server_at(Ipv4Addr::LOCALHOST)
}

/// The same at another address.
pub fn mail_server_at(ip: Ipv4Addr) -> u16 {
    let listener = TcpListener::bind((ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || serve(client));
        }
    });
    port
}

/// Serves one client; who hangs up is gone.
fn serve(mut client: TcpStream) -> Option<()> {
    client.write_all(b"220 mail.adatum.example ESMTP\r\n").ok()?;
    let lines = BufReader::new(client.try_clone().ok()?).lines();
    for line in lines {
        let line = line.ok()?;
        let reply: &[u8] = match line.as_bytes() {
            b"QUIT" => b"221 2.0.0 Bye\r\n",
            line if line.starts_with(b"RCPT TO:<nobody") => b"550 5.1.1 User unknown\r\n",
            _ => b"250 2.0.0 Ok\r\n",
        };
        client.write_all(reply).ok()?;
    }
    Some(())
}

/// One whole session with the server on a port.
pub fn session(port: u16) {
    let recipients = ["RCPT TO:<nobody@adatum.example>", "RCPT TO:<b@adatum.example>"].map(str::to_owned);
    speak(Ipv4Addr::LOCALHOST, port, "a@adatum.example", &recipients);
}

/// A stranger tries ten names of ours that do not exist, others each `round`.
pub fn guess(port: u16, round: usize) {
    let recipients: Vec<String> =
        (0..10).map(|n| format!("RCPT TO:<nobody{}@adatum.example>", round * 10 + n)).collect();
    speak(OURS, port, "a@stranger.example", &recipients);
}

fn speak(ip: Ipv4Addr, port: u16, sender: &str, recipients: &[String]) {
    let mut server = TcpStream::connect((ip, port)).unwrap();
    let mut replies = BufReader::new(server.try_clone().unwrap());
    let mut reply = String::new();
    replies.read_line(&mut reply).unwrap();
    let mail = format!("MAIL FROM:<{sender}>");
    let before = ["HELO pc", &mail];
    for command in before.into_iter().chain(recipients.iter().map(String::as_str)).chain(["QUIT"]) {
        server.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        reply.clear();
        replies.read_line(&mut reply).unwrap();
    }
    assert!(reply.starts_with("221"), "{reply}");
}

/// Flags for watching that server.
pub fn flags(port: u16) -> Vec<String> {
    flags_at("127.0.0.0/8", port)
}

/// The same where other networks are ours.
pub fn flags_at(home_net: &str, port: u16) -> Vec<String> {
    let port = port.to_string();
    ["watch", "-i", "lo", "--home-net", home_net, "--port", &port].map(str::to_owned).to_vec()
}

/// Why nothing can be watched here; `None` where it can.
pub fn cannot_watch() -> Option<String> {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("smtphound"))
        .args(flags(25))
        .arg("--headless")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    if child.try_wait().unwrap().is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
        return None;
    }
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
}

/// Waits until something holds.
///
/// # Panics
///
/// When it does not come to hold.
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whole lines of a file; none where it is not there.
pub fn lines(path: &Path) -> usize {
    std::fs::read(path).map_or(0, |bytes| memchr::memchr_iter(b'\n', &bytes).count())
}
