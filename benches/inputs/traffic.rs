//! What else crosses a mirror port: the web over TLS and in the clear, QUIC,
//! names, time, shells, telephone calls. Enough of each protocol that a
//! dissector finds nothing malformed; everything secret is noise.

use crate::hosts::{Client, Server};
use crate::rng::Rng;
use crate::tcp::{ACK, CLIENT, Conn, Mishap, NEAR, PSH, Pace, SERVER, Stack};
use crate::text;
use crate::wire::{Endpoint, Micros, Script};

/// TLS record types (RFC 8446, section 5.1) and the version they carry.
const TLS_CHANGE_CIPHER_SPEC: u8 = 20;
const TLS_HANDSHAKE: u8 = 22;
const TLS_DATA: u8 = 23;
const TLS_RECORD_MAX: usize = 16_384;

/// Clients, the servers they use, and the numbers of their flows.
pub(crate) struct Office {
    clients: Vec<Client>,
    servers: Vec<Server>,
    rng: Rng,
}

/// A flow being written.
struct Flow<'a> {
    script: &'a mut Script,
    rng: &'a mut Rng,
    now: Micros,
    client: Endpoint,
    server: Endpoint,
    round_trip: Micros,
    /// The name the client asked for.
    name: String,
}

impl Office {
    pub(crate) fn new(clients: Vec<Client>, servers: Vec<Server>, rng: Rng) -> Self {
        Self { clients, servers, rng }
    }

    /// Renders one flow that starts at `at`.
    pub(crate) fn flow(&mut self, script: &mut Script, at: Micros) {
        let rng = &mut self.rng;
        let client = rng.below(self.clients.len() as u64) as usize;
        let server = self.servers[rng.below(self.servers.len() as u64) as usize];
        // Shares of flows, in a thousand; the shares of bytes are other ones.
        let (port, render): (u16, fn(&mut Flow<'_>)) = match rng.below(1000) {
            0..=419 => (53, dns),
            420..=449 => (53, dns_over_tcp),
            450..=489 => (123, ntp),
            490..=514 => (22, shell),
            515..=589 => (80, web),
            590..=642 => (443, quic),
            643..=649 => (40_000, call),
            650..=669 => (993, tls),
            _ => (443, tls),
        };
        let mut flow = Flow {
            now: at,
            client: self.clients[client].next_endpoint(),
            server: server.endpoint(port),
            round_trip: rng.between(4_000, 120_000),
            name: format!("www.{}", server.domain()),
            script,
            rng,
        };
        render(&mut flow);
    }
}

impl Flow<'_> {
    fn connect(&mut self) -> Conn {
        let noise = [self.rng.bits(), self.rng.bits()];
        let mut conn = Conn::new(self.client, self.server, Stack::Linux, noise);
        self.now = conn.open(self.script, self.now, self.round_trip);
        conn
    }

    /// Sends `data` in full segments, the answer to what came before.
    fn say(&mut self, conn: &mut Conn, side: usize, data: &[u8]) {
        let wait = if side == SERVER { self.round_trip } else { NEAR };
        self.now += wait + self.rng.below(20_000);
        let pace = Pace { round_trip: self.round_trip, ack_every: 2, mishap: Mishap::None };
        self.now = conn.transfer(self.script, self.now, side, data, pace);
    }

    fn datagram(&mut self, after: Micros, side: usize, data: &[u8]) {
        self.now += after;
        let (from, to) = if side == CLIENT { (self.client, self.server) } else { (self.server, self.client) };
        let id = self.rng.bits() as u16;
        self.script.push_udp(self.now, from, to, id, data);
    }

    fn noise(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count);
        self.rng.extend(&mut bytes, count);
        bytes
    }

    /// A size that is mostly small and sometimes large: uniform in its
    /// logarithm between `1 << low` and `1 << high`.
    fn size(&mut self, low: u64, high: u64) -> usize {
        let bit = 1_u64 << self.rng.between(low, high - 1);
        self.rng.between(bit, 2 * bit) as usize
    }
}

/// TLS 1.3 (RFC 8446): both hellos, then encrypted requests and answers.
fn tls(flow: &mut Flow<'_>) {
    let mut conn = flow.connect();
    let hello = client_hello(flow);
    flow.say(&mut conn, CLIENT, &hello);

    let mut answer = server_hello(flow);
    record(&mut answer, TLS_CHANGE_CIPHER_SPEC, &[1]);
    let certificate = flow.size(10, 12);
    encrypted(flow, &mut answer, certificate);
    flow.say(&mut conn, SERVER, &answer);

    let mut finished = Vec::new();
    record(&mut finished, TLS_CHANGE_CIPHER_SPEC, &[1]);
    encrypted(flow, &mut finished, 53);
    for _ in 0..flow.rng.between(1, 6) {
        let mut request = std::mem::take(&mut finished);
        let size = flow.size(6, 10);
        encrypted(flow, &mut request, size);
        flow.say(&mut conn, CLIENT, &request);
        let mut answer = Vec::new();
        let size = flow.size(8, 17);
        encrypted(flow, &mut answer, size);
        flow.say(&mut conn, SERVER, &answer);
        flow.now += flow.rng.below(2_000_000);
    }
    conn.close(flow.script, flow.now, flow.round_trip);
}

fn record(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.extend_from_slice(&[kind, 3, 3]);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
}

/// Records that hold `count` bytes of noise.
fn encrypted(flow: &mut Flow<'_>, out: &mut Vec<u8>, count: usize) {
    let mut left = count;
    while left > 0 {
        let part = left.min(TLS_RECORD_MAX);
        out.extend_from_slice(&[TLS_DATA, 3, 3]);
        out.extend_from_slice(&(part as u16).to_be_bytes());
        flow.rng.extend(out, part);
        left -= part;
    }
}

fn client_hello(flow: &mut Flow<'_>) -> Vec<u8> {
    let name = flow.name.clone().into_bytes();
    let mut server_name = ((name.len() + 3) as u16).to_be_bytes().to_vec();
    server_name.push(0);
    server_name.extend_from_slice(&(name.len() as u16).to_be_bytes());
    server_name.extend_from_slice(&name);

    let mut key_share = vec![0, 36, 0, 0x1d, 0, 32];
    flow.rng.extend(&mut key_share, 32);
    let mut extensions = Vec::new();
    extension(&mut extensions, 0, &server_name);
    extension(&mut extensions, 10, &[0, 2, 0, 0x1d]);
    extension(&mut extensions, 13, &[0, 4, 4, 3, 8, 4]);
    extension(&mut extensions, 43, &[2, 3, 4]);
    extension(&mut extensions, 51, &key_share);

    let mut body = vec![3, 3];
    flow.rng.extend(&mut body, 32);
    body.push(32);
    flow.rng.extend(&mut body, 32);
    body.extend_from_slice(&[0, 4, 0x13, 1, 0x13, 2, 1, 0]);
    handshake(1, body, &extensions)
}

fn server_hello(flow: &mut Flow<'_>) -> Vec<u8> {
    let mut key_share = vec![0, 0x1d, 0, 32];
    flow.rng.extend(&mut key_share, 32);
    let mut extensions = Vec::new();
    extension(&mut extensions, 43, &[3, 4]);
    extension(&mut extensions, 51, &key_share);

    let mut body = vec![3, 3];
    flow.rng.extend(&mut body, 32);
    body.push(32);
    flow.rng.extend(&mut body, 32);
    body.extend_from_slice(&[0x13, 1, 0]);
    handshake(2, body, &extensions)
}

fn extension(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
}

/// A record with one handshake message: `body`, then its extensions.
fn handshake(kind: u8, mut body: Vec<u8>, extensions: &[u8]) -> Vec<u8> {
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(extensions);
    let mut message = (body.len() as u32).to_be_bytes().to_vec();
    message[0] = kind;
    message.extend_from_slice(&body);
    let mut out = Vec::new();
    record(&mut out, TLS_HANDSHAKE, &message);
    out
}

/// HTTP/1.1 (RFC 9112) in the clear: pages and pictures.
fn web(flow: &mut Flow<'_>) {
    let mut conn = flow.connect();
    for page in 0..flow.rng.between(1, 4) {
        let request = format!(
            "GET /{page}/{:08x} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Office/7.2\r\nAccept: */*\r\n\r\n",
            flow.rng.bits() as u32,
            flow.name
        );
        flow.say(&mut conn, CLIENT, request.as_bytes());
        let size = flow.size(10, 18);
        let mut body = Vec::with_capacity(size + 256);
        let kind = if flow.rng.chance(1, 2) {
            text::lines(&mut body, flow.rng, size);
            "text/plain"
        } else {
            flow.rng.extend(&mut body, size);
            "application/octet-stream"
        };
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            text::date(flow.now).replace("+0000", "GMT"),
            body.len()
        )
        .into_bytes();
        answer.append(&mut body);
        flow.say(&mut conn, SERVER, &answer);
    }
    conn.close(flow.script, flow.now, flow.round_trip);
}

/// SSH (RFC 4253) that was under way before the capture began: keys one by
/// one, and the screen that comes back.
fn shell(flow: &mut Flow<'_>) {
    let noise = [flow.rng.bits(), flow.rng.bits()];
    let mut conn = Conn::new(flow.client, flow.server, Stack::Linux, noise);
    for _ in 0..flow.rng.between(10, 120) {
        flow.now += flow.rng.between(60_000, 900_000);
        let key = flow.noise(36);
        conn.send(flow.script, flow.now, CLIENT, PSH | ACK, &key);
        flow.now += flow.round_trip;
        let size = flow.size(5, 10);
        let screen = flow.noise(size / 4 * 4);
        conn.send(flow.script, flow.now, SERVER, PSH | ACK, &screen);
        flow.now += NEAR;
        conn.send(flow.script, flow.now, CLIENT, ACK, &[]);
    }
}

/// A question for an address (RFC 1035) and its answer.
fn dns(flow: &mut Flow<'_>) {
    let id = flow.rng.bits() as u16;
    let question = dns_message(flow, id, 0);
    flow.datagram(0, CLIENT, &question);
    let addresses = flow.rng.between(1, 4) as u16;
    let answer = dns_message(flow, id, addresses);
    flow.datagram(flow.round_trip, SERVER, &answer);
}

/// The same over TCP (RFC 7766), with an answer too long for a datagram.
fn dns_over_tcp(flow: &mut Flow<'_>) {
    let mut conn = flow.connect();
    let id = flow.rng.bits() as u16;
    let addresses = flow.rng.between(30, 250) as u16;
    for (side, answers) in [(CLIENT, 0), (SERVER, addresses)] {
        let message = dns_message(flow, id, answers);
        let mut framed = (message.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&message);
        flow.say(&mut conn, side, &framed);
    }
    conn.close(flow.script, flow.now, flow.round_trip);
}

fn dns_message(flow: &mut Flow<'_>, id: u16, answers: u16) -> Vec<u8> {
    let flags: u16 = if answers == 0 { 0x0100 } else { 0x8180 };
    let mut out = Vec::with_capacity(64 + 16 * usize::from(answers));
    for field in [id, flags, 1, answers, 0, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    for label in flow.name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&[0, 0, 1, 0, 1]);
    for _ in 0..answers {
        out.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
        flow.rng.extend(&mut out, 4);
    }
    out
}

/// A client asks for the time (RFC 5905, version 4, modes 3 and 4).
fn ntp(flow: &mut Flow<'_>) {
    for (side, first) in [(CLIENT, 0x23), (SERVER, 0x24)] {
        let mut data = vec![first, 2, 6, 0xe9];
        data.extend_from_slice(&[0; 36]);
        flow.rng.extend(&mut data, 8);
        let after = if side == SERVER { flow.round_trip } else { 0 };
        flow.datagram(after, side, &data);
    }
}

/// QUIC (RFC 9000), already past its handshake: short headers only, each
/// with the connection id that the receiver chose.
fn quic(flow: &mut Flow<'_>) {
    let ids = [flow.rng.bits(), flow.rng.bits()].map(|bits| {
        // A first byte that no dissector takes for another protocol.
        (bits | 1 << 63).to_be_bytes()
    });
    for _ in 0..flow.rng.between(20, 200) {
        let mut data = vec![0x40 | flow.rng.below(4) as u8];
        data.extend_from_slice(&ids[CLIENT]);
        flow.rng.extend(&mut data, 1223);
        flow.datagram(400, SERVER, &data);
        if flow.rng.chance(1, 4) {
            data.truncate(34);
            data[1..9].copy_from_slice(&ids[SERVER]);
            flow.datagram(NEAR, CLIENT, &data);
        }
    }
}

/// A telephone call: RTP (RFC 3550) with 20 ms of G.711 in each datagram.
fn call(flow: &mut Flow<'_>) {
    let source = flow.rng.bits() as u32;
    for number in 0..flow.rng.between(100, 700) as u16 {
        let mut data = vec![0x80, 0];
        data.extend_from_slice(&number.to_be_bytes());
        data.extend_from_slice(&(u32::from(number) * 160).to_be_bytes());
        data.extend_from_slice(&source.to_be_bytes());
        flow.rng.extend(&mut data, 160);
        let side = usize::from(number % 2 == 1);
        flow.datagram(10_000, side, &data);
    }
}
