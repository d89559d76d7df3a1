//! Metrics for whoever asks at the loopback device: HTTP/1.1 (RFC 9112), as much of it as Prometheus speaks.
//!
//! The thread that judges leaves a text here now and then, and this thread hands it out. It holds nothing else and can hold
//! nothing up. Whoever has an account on this machine may connect and send anything: one asker is served at a time, has two
//! seconds and eight kilobytes to ask in, and two more seconds to take the answer. The others wait in the kernel's queue.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use memchr::memmem;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::publish::clock;
use crate::error::Error;
use crate::values::Loopback;

/// How long an asker may take to ask, and to take the answer. Prometheus asks in one segment and waits ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a request. Prometheus sends some 300.
const REQUEST_MAX: usize = 8 << 10;
/// How long the thread waits before it looks whether it shall end.
const WAIT: Duration = Duration::from_millis(200);

/// The text that was left last; none before there was one.
pub(super) type Page = Arc<ArcSwapOption<Vec<u8>>>;

/// Where askers come.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    page: Page,
}

impl Listener {
    /// Opens the place. Where rights are given up afterwards, no other can be opened.
    pub(super) fn open(at: Loopback) -> Result<Self, Error> {
        let failed = |source: io::Error| {
            Error::Usage(format!("--metrics-listen {at} cannot be opened: {source}; name a port that is free"))
        };
        let socket = TcpListener::bind(at.address()).map_err(failed)?;
        // Who goes away between the poll and the accept must not hold the thread.
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { socket, page: Page::default() })
    }

    /// Where the text is left.
    pub(super) fn page(&self) -> Page {
        Arc::clone(&self.page)
    }

    /// Serves until `stop` is set. What goes wrong with one asker is that asker's trouble.
    pub(super) fn serve(&self, stop: &AtomicBool) {
        let wait = Timespec { tv_sec: 0, tv_nsec: WAIT.subsec_nanos().into() };
        while !stop.load(Ordering::Relaxed) {
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&wait));
            match self.socket.accept() {
                Ok((asker, _)) => {
                    let _ = self.answer(asker);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // No descriptor is left: asking at once again would only burn time.
                Err(_) => {
                    let _ = poll(&mut [], Some(&wait));
                }
            }
        }
    }

    fn answer(&self, mut asker: TcpStream) -> io::Result<()> {
        asker.set_nonblocking(false)?;
        let until = clock() + PATIENCE;
        let mut request = Vec::with_capacity(512);
        let asked = loop {
            if memmem::find(&request, b"\r\n\r\n").or_else(|| memmem::find(&request, b"\n\n")).is_some() {
                break Asked::of(&request);
            }
            if request.len() >= REQUEST_MAX {
                break Asked::TooMuch;
            }
            let mut some = [0; 1024];
            let room = some.len().min(REQUEST_MAX - request.len());
            match left(until).and_then(|left| {
                asker.set_read_timeout(Some(left))?;
                asker.read(some.get_mut(..room).unwrap_or_default())
            }) {
                Ok(0) => return Ok(()),
                Ok(read) => request.extend_from_slice(some.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_late(&error) => break Asked::TooSlowly,
                Err(error) => return Err(error),
            }
        };
        let text = self.page.load_full();
        let (head, body) = asked.answer(text.as_ref().map(|text| text.as_slice()));
        let until = clock() + PATIENCE;
        write_until(&mut asker, head.as_bytes(), until)?;
        write_until(&mut asker, body, until)?;
        asker.shutdown(Shutdown::Both)
    }
}

/// What is left of a time, if anything is.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(clock());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A socket's timeout goes by two names.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Writes all, or stops at a time: who takes a byte now and then gains nothing by it.
fn write_until(asker: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        asker.set_write_timeout(Some(left(until)?))?;
        match asker.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What an asker wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// The metrics; `false` is what they would be, without them.
    Metrics(bool),
    /// Something that is not here.
    Elsewhere,
    /// To do something, not to read.
    Otherwise,
    /// Nothing that is HTTP/1.
    Nothing,
    TooMuch,
    TooSlowly,
}

impl Asked {
    /// Reads a request's first line (RFC 9112 section 3).
    fn of(request: &[u8]) -> Self {
        let line = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let words: Vec<&[u8]> = line.trim_ascii_end().split(|byte| *byte == b' ').collect();
        let [method, target, version] = words.as_slice() else { return Self::Nothing };
        if !version.starts_with(b"HTTP/1.") {
            return Self::Nothing;
        }
        // As a proxy is asked: with the name of the host before the path.
        let path = match target.strip_prefix(b"http://") {
            Some(rest) => rest.iter().position(|byte| *byte == b'/').and_then(|at| rest.get(at..)).unwrap_or(b"/"),
            None => target,
        };
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        match (*method, path) {
            (b"GET", b"/metrics") => Self::Metrics(true),
            (b"HEAD", b"/metrics") => Self::Metrics(false),
            (b"GET" | b"HEAD", _) => Self::Elsewhere,
            _ => Self::Otherwise,
        }
    }

    /// Head and body of the answer, given the metrics if there are any yet.
    fn answer(self, metrics: Option<&[u8]>) -> (String, &[u8]) {
        let (status, more, body): (&str, &str, &[u8]) = match (self, metrics) {
            (Self::Metrics(_), Some(metrics)) => ("200 OK", "", metrics),
            (Self::Metrics(_), None) => ("503 Service Unavailable", "Retry-After: 1\r\n", b"no metrics yet\n"),
            (Self::Elsewhere, _) => ("404 Not Found", "", b"the metrics are at /metrics\n"),
            (Self::Otherwise, _) => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n", b"there is only GET\n"),
            (Self::Nothing, _) => ("400 Bad Request", "", b"this is HTTP/1.1\n"),
            (Self::TooMuch, _) => ("431 Request Header Fields Too Large", "", b"too long a request\n"),
            (Self::TooSlowly, _) => ("408 Request Timeout", "", b"too slow a request\n"),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
             {more}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            body.len()
        );
        (head, if self == Self::Metrics(false) { b"" } else { body })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// A listener on a port of its own, served while `with` runs.
    fn served(text: Option<&str>, with: impl FnOnce(SocketAddr)) {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let at = socket.local_addr().unwrap();
        let listener = Listener { socket, page: Page::default() };
        listener.page().store(text.map(|text| Arc::new(text.as_bytes().to_vec())));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| listener.serve(&stop));
            with(at);
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        });
    }

    /// All that is answered to some bytes.
    fn asked(at: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        // Who is refused in the middle cannot send the rest, and may not hear why.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    const TEXT: &str = "smtphound_frames_total 7\n";

    #[test]
    fn who_asks_for_metrics_gets_them() {
        served(Some(TEXT), |at| {
            for request in [
                "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain;version=0.0.4\r\n\r\n",
                "GET /metrics HTTP/1.0\r\n\r\n",
                "GET /metrics?name=x HTTP/1.1\nHost: x\n\n",
                "GET http://localhost:9925/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            ] {
                let answer = asked(at, request.as_bytes());
                assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{answer}");
                assert!(answer.contains("\r\nContent-Length: 25\r\n"), "{answer}");
                assert_eq!(answer.split_once("\r\n\r\n").unwrap().1, TEXT);
            }
            let answer = asked(at, b"HEAD /metrics HTTP/1.1\r\n\r\n");
            assert!(answer.contains("\r\nContent-Length: 25\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
        });
    }

    #[test]
    fn whatever_else_is_asked_is_told_what_there_is() {
        served(Some(TEXT), |at| {
            for (request, status) in [
                (&b"GET / HTTP/1.1\r\n\r\n"[..], "404 Not Found"),
                (b"GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n", "404 "),
                (b"GET http://localhost HTTP/1.1\r\n\r\n", "404 "),
                (b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "405 "),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 "),
                (b"EHLO pc\r\n\r\n", "400 "),
                (b"\r\n\r\n", "400 "),
                (b"\x16\x03\x01\x02\x00\x01\x00\n\n", "400 "),
                (b"GET  /metrics HTTP/1.1\r\n\r\n", "400 "),
            ] {
                let answer = asked(at, request);
                assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
                assert!(!answer.contains("smtphound_"), "{answer}");
            }
        });
    }

    #[test]
    fn before_there_are_metrics_it_says_so() {
        served(None, |at| assert!(asked(at, b"GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 ")));
    }

    #[test]
    fn who_sends_without_end_or_without_haste_is_sent_away_and_the_next_is_served() {
        served(Some(TEXT), |at| {
            let begin = clock();
            // No end of the request, and none of its first line either.
            let flood = vec![b'x'; 1 << 20];
            let answer = asked(at, &flood);
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
            // A byte now and then: each comes in time, all of them do not.
            let mut slow = TcpStream::connect(at).unwrap();
            let drip = slow.try_clone().unwrap();
            let dripping = std::thread::spawn(move || {
                (0..200)
                    .take_while(|_| {
                        pause(Duration::from_millis(50));
                        (&drip).write_all(b"G").is_ok()
                    })
                    .count()
            });
            let served = asked(at, b"GET /metrics HTTP/1.1\r\n\r\n");
            assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
            assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
            let mut told = Vec::new();
            let _ = slow.read_to_end(&mut told);
            assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408 "));
            assert!(dripping.join().unwrap() < 200, "it could go on for ten seconds");
            // Who comes and goes without a word leaves nothing behind.
            (0..50).for_each(|_| drop(TcpStream::connect(at).unwrap()));
            assert!(asked(at, b"GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
        });
    }

    #[test]
    fn who_does_not_take_the_answer_holds_nobody_up_for_long() {
        // More than all buffers of a connection hold.
        let long = "smtphound_x 1\n".repeat(1 << 20);
        served(Some(&long), |at| {
            let mut deaf = TcpStream::connect(at).unwrap();
            deaf.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            let begin = clock();
            assert!(asked(at, b"GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
            assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
            drop(deaf);
        });
    }

    #[test]
    fn a_place_that_is_taken_is_told_with_the_remedy() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at: Loopback = taken.local_addr().unwrap().to_string().parse().unwrap();
        let said = Listener::open(at).unwrap_err().to_string();
        assert!(
            said.contains(&format!("--metrics-listen {at}")) && said.contains("name a port that is free"),
            "{said}"
        );
    }

    #[expect(clippy::disallowed_methods, reason = "a slow asker takes its time")]
    fn pause(time: Duration) {
        std::thread::sleep(time);
    }
}
