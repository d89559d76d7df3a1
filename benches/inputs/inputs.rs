//! The five inputs: their numbers, and how each is put together.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use crate::hosts::{self, Client, PublicAddresses, Server};
use crate::rng::Rng;
use crate::schedule;
use crate::smtp;
use crate::tcp::{CLIENT, Conn, SYN, Stack};
use crate::traffic::Office;
use crate::truth::Truth;
use crate::wire::{FILE_HEADER, START, Script, write_file_header};

const SECOND: u64 = 1_000_000;

/// Time to live of a client's frames, before any hop.
const TTL_LINUX: u8 = 64;
const TTL_WINDOWS: u8 = 128;

/// A: sessions, who holds them, how many at a time.
const A_SESSIONS: u64 = 100_000;
const A_CLIENTS: u64 = 10_000;
const A_SERVERS: u64 = 50_000;
const A_OPEN: u64 = 5_000;
/// About how long a session lasts, so that the first ones start evenly.
const A_RAMP: u64 = 15 * SECOND;

/// B: the sessions of A that come to 3 % of the frames, and the other frames.
const B_SESSIONS: u64 = 1_724;
const B_CLIENTS: u64 = 400;
const B_SERVERS: u64 = 1_200;
const B_OTHER_FRAMES: u64 = 1_694_100;
const B_OFFICE_CLIENTS: u64 = 2_000;
const B_OFFICE_SERVERS: u64 = 8_000;
const B_OPEN: u64 = 600;
const B_RAMP: u64 = 15 * SECOND;

/// C: SYNs, and how long after the last the next leaves (16,667 a second:
/// ten minutes).
const C_SYNS: u64 = 10_000_000;
const C_INTERVAL: u64 = 60;

/// D: sessions of a worm on so many machines.
const D_SESSIONS: u64 = 500_000;
const D_CLIENTS: u64 = 500;
const D_SERVERS: u64 = 100_000;
const D_OPEN: u64 = 1_000;
const D_RAMP: u64 = 2 * SECOND;

/// E: machines of ours that send like worms, each so many times; servers among them, and strangers who come once each.
const E_CLIENTS: u64 = 65_536;
const E_SESSIONS_EACH: u64 = 16;
const E_DESTINATIONS: u64 = 50_000;
const E_SERVERS: u64 = 256;
const E_STRANGERS: u64 = 1_000_000;
const E_OPEN: u64 = 1_000;
const E_RAMP: u64 = 2 * SECOND;

/// Which input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    A,
    B,
    C,
    D,
    E,
}

impl FromStr for Input {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "A" => Ok(Self::A),
            "B" => Ok(Self::B),
            "C" => Ok(Self::C),
            "D" => Ok(Self::D),
            "E" => Ok(Self::E),
            _ => Err(format!("no input {name:?}: A, B, C, D or E")),
        }
    }
}

/// How much of an input: `N` or `N/D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    numerator: u64,
    denominator: u64,
}

impl Default for Scale {
    fn default() -> Self {
        Self { numerator: 1, denominator: 1 }
    }
}

impl Scale {
    /// A number that grows and shrinks with the scale; at least one.
    fn of(self, count: u64) -> u64 {
        (count * self.numerator / self.denominator).max(1)
    }

    /// A number that shrinks with the scale but never grows.
    fn at_most(self, count: u64) -> u64 {
        self.of(count).min(count)
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
        match (numerator.parse(), denominator.parse()) {
            // A thousand times more would leave 10.0.0.0/8 and 32-bit times.
            (Ok(numerator @ 1..=1000), Ok(denominator @ 1..=1_000_000)) => Ok(Self { numerator, denominator }),
            _ => Err(format!("no scale {text:?}: N or N/D, such as 1/100 or 8")),
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.numerator)?;
        if self.denominator != 1 {
            write!(f, "/{}", self.denominator)?;
        }
        Ok(())
    }
}

/// Writes an input; returns what is true of it.
///
/// # Errors
///
/// Those of `out`.
pub(crate) fn write(out: &mut impl Write, input: Input, scale: Scale, seed: u64) -> io::Result<Truth> {
    let mut truth = Truth { input: format!("{input:?}"), scale: scale.to_string(), seed, ..Truth::default() };
    match input {
        Input::A => mail(out, scale, &mut truth)?,
        Input::B => mirror(out, scale, &mut truth)?,
        Input::C => flood(out, scale, &mut truth)?,
        Input::D => worm(out, scale, &mut truth)?,
        Input::E => crowd(out, scale, &mut truth)?,
    }
    Ok(truth)
}

/// Clients and servers, and who of them is next: each of both in turn until
/// all had one, then any.
struct Pairs {
    clients: Vec<Client>,
    servers: Vec<Server>,
    rng: Rng,
    done: u64,
    sessions: u64,
}

impl Pairs {
    fn new(clients: u64, ttl: u8, servers: u64, sessions: u64, truth: &mut Truth) -> Self {
        truth.clients = clients.min(sessions);
        truth.distinct_destinations = servers.min(sessions);
        Self {
            clients: hosts::clients(clients as usize, ttl),
            servers: hosts::servers(servers as usize, truth.seed as u32),
            rng: Rng::new(truth.seed),
            done: 0,
            sessions,
        }
    }

    /// The next pair and the numbers for its session; `None` after the last.
    fn next(&mut self) -> Option<(&mut Client, Server, &mut Rng)> {
        let turn = self.done as usize;
        if self.done == self.sessions {
            return None;
        }
        self.done += 1;
        let any = self.rng.below(self.clients.len() as u64) as usize;
        let client = if turn < self.clients.len() { turn } else { any };
        let any = self.rng.below(self.servers.len() as u64) as usize;
        let server = if turn < self.servers.len() { turn } else { any };
        Some((&mut self.clients[client], self.servers[server], &mut self.rng))
    }
}

fn mail(out: &mut impl Write, scale: Scale, truth: &mut Truth) -> io::Result<()> {
    let mut pairs = Pairs::new(scale.of(A_CLIENTS), TTL_LINUX, scale.of(A_SERVERS), scale.of(A_SESSIONS), truth);
    let open = scale.at_most(A_OPEN) as usize;
    schedule::play(out, truth, open, A_RAMP, |script, at, truth| {
        if let Some((client, server, rng)) = pairs.next() {
            smtp::deliver(script, rng, at, client, server, truth);
        }
    })
}

fn mirror(out: &mut impl Write, scale: Scale, truth: &mut Truth) -> io::Result<()> {
    let sessions = scale.of(B_SESSIONS);
    let mut pairs = Pairs::new(scale.of(B_CLIENTS), TTL_LINUX, scale.of(B_SERVERS), sessions, truth);
    let mut office = Office::new(
        hosts::clients(scale.of(B_OFFICE_CLIENTS) as usize, TTL_LINUX),
        hosts::servers(scale.of(B_OFFICE_SERVERS) as usize, !(truth.seed as u32)),
        Rng::new(!truth.seed),
    );
    let target = scale.of(B_OTHER_FRAMES);
    let mut planned = 0;
    let open = scale.at_most(B_OPEN) as usize;
    schedule::play(out, truth, open, B_RAMP, |script, at, truth| {
        // The mail is spread evenly over the rest.
        let mail_is_due = pairs.done * target <= planned * sessions;
        if mail_is_due && let Some((client, server, rng)) = pairs.next() {
            smtp::deliver(script, rng, at, client, server, truth);
        } else if planned < target {
            office.flow(script, at);
            script.truncate((target - planned) as usize);
            planned += script.len() as u64;
            truth.other_flows += 1;
        }
    })
}

fn worm(out: &mut impl Write, scale: Scale, truth: &mut Truth) -> io::Result<()> {
    let mut pairs = Pairs::new(scale.of(D_CLIENTS), TTL_WINDOWS, scale.of(D_SERVERS), scale.of(D_SESSIONS), truth);
    let open = scale.at_most(D_OPEN) as usize;
    schedule::play(out, truth, open, D_RAMP, |script, at, truth| {
        if let Some((client, server, rng)) = pairs.next() {
            smtp::refuse(script, rng, at, client, server, truth);
        }
    })
}

/// Strangers at our servers and worms on all our machines by turns.
fn crowd(out: &mut impl Write, scale: Scale, truth: &mut Truth) -> io::Result<()> {
    let (clients, strangers) = (scale.of(E_CLIENTS), scale.of(E_STRANGERS));
    let mut pairs = Pairs::new(clients, TTL_WINDOWS, scale.of(E_DESTINATIONS), clients * E_SESSIONS_EACH, truth);
    let servers = scale.at_most(E_SERVERS) as usize;
    truth.distinct_destinations += servers as u64;
    // Other addresses than those of the servers that the worms call.
    let mut addresses = PublicAddresses::new(!(truth.seed as u32)).enumerate().take(strangers as usize);
    let mut rng = Rng::new(!truth.seed);
    let open = scale.at_most(E_OPEN) as usize;
    let mut turn = 0;
    schedule::play(out, truth, open, E_RAMP, |script, at, truth| {
        turn += 1;
        let stranger = if turn % 2 == 0 { addresses.next() } else { None };
        if let Some((index, ip)) = stranger {
            let server = &pairs.clients[rng.below(servers as u64) as usize];
            let errand = rng.pick(&smtp::Errand::ALL);
            let port = rng.between(1_025, 65_535) as u16;
            smtp::visit(script, &mut rng, at, (Server { index, ip }, port), (server, errand), truth);
        } else if let Some((client, server, rng)) = pairs.next() {
            smtp::refuse(script, rng, at, client, server, truth);
        } else if let Some((index, ip)) = addresses.next() {
            let server = &pairs.clients[rng.below(servers as u64) as usize];
            smtp::visit(script, &mut rng, at, (Server { index, ip }, 1_025), (server, smtp::Errand::Guess), truth);
        }
    })
}

fn flood(out: &mut impl Write, scale: Scale, truth: &mut Truth) -> io::Result<()> {
    write_file_header(out)?;
    let count = scale.of(C_SYNS);
    let mut rng = Rng::new(truth.seed);
    let mut client = Client::new(0, TTL_WINDOWS);
    let mut script = Script::default();
    let mut at = START;
    truth.bytes = FILE_HEADER as u64;
    for (index, ip) in (0..count).zip(PublicAddresses::new(truth.seed as u32)) {
        let server = Server { index: 0, ip };
        let noise = [rng.bits(), rng.bits()];
        let mut conn = Conn::new(client.next_endpoint(), server.endpoint(25), Stack::Windows, noise);
        at = START + index * C_INTERVAL + rng.below(C_INTERVAL);
        if index == 0 {
            truth.first_ts = at;
        }
        script.clear();
        conn.send(&mut script, at, CLIENT, SYN, &[]);
        out.write_all(script.record(0))?;
        truth.frames += 1;
        truth.bytes += script.size() as u64;
    }
    truth.last_ts = at;
    truth.smtp_frames = truth.frames;
    truth.unanswered = truth.frames;
    truth.distinct_destinations = truth.frames;
    truth.clients = 1;
    truth.open_max = truth.frames;
    Ok(())
}
