//! A connection to port 25 as a script: who says what, and what the wire shows of it.

use crate::rng::Rng;
use crate::wire::{ACK, FIN, Micros, PSH, Peer, RST, SYN, Tape, Tcp};

/// Bytes of data in a segment.
const MSS: usize = 1400;
/// Between segments of one burst, and until the near side answers.
const NEAR: Micros = 250;
/// Bytes that protection adds to a record (AES-GCM in TLS 1.2: nonce and tag).
const SEALED: usize = 24;

/// Whose habits a TCP follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stack {
    Linux,
    Windows,
    Printer,
}

impl Stack {
    pub(crate) const fn ttl(self) -> u8 {
        match self {
            Self::Windows => 128,
            Self::Linux | Self::Printer => 64,
        }
    }

    fn syn_options(self, clock: u32) -> Vec<u8> {
        let mut options = vec![2, 4, 0x05, 0xb4];
        match self {
            Self::Linux => {
                options.extend_from_slice(&[4, 2, 8, 10]);
                options.extend_from_slice(&clock.to_be_bytes());
                options.extend_from_slice(&[0, 0, 0, 0, 1, 3, 3, 7]);
            }
            Self::Windows => options.extend_from_slice(&[1, 3, 3, 8, 1, 1, 4, 2]),
            Self::Printer => {}
        }
        options
    }

    const fn window(self) -> u16 {
        match self {
            Self::Linux => 64_240,
            Self::Windows => 65_535,
            Self::Printer => 8_192,
        }
    }
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

/// A connection under way. Time passes as things are said.
#[derive(Debug)]
pub(crate) struct Talk<'a> {
    tape: &'a mut Tape,
    rng: &'a mut Rng,
    ends: [Peer; 2],
    stacks: [Stack; 2],
    seq: [u32; 2],
    /// What of the other side's bytes each side has acknowledged so far.
    acked: [u32; 2],
    /// Where neither end passes the tap, nothing is recorded.
    visible: bool,
    sealed: bool,
    pub(crate) now: Micros,
    pub(crate) rtt: Micros,
    /// How long the server takes for a command.
    pub(crate) think: Micros,
}

impl<'a> Talk<'a> {
    /// A connection that is not yet opened.
    pub(crate) fn new(
        tape: &'a mut Tape,
        rng: &'a mut Rng,
        ends: [Peer; 2],
        stacks: [Stack; 2],
        visible: bool,
        now: Micros,
    ) -> Self {
        let seq = [rng.bits() as u32, rng.bits() as u32];
        let rtt = if visible { rng.between(4_000, 160_000) as Micros } else { 0 };
        let think = rng.between(300, 40_000) as Micros;
        Self { tape, rng, ends, stacks, seq, acked: [0; 2], visible, sealed: false, now, rtt, think }
    }

    /// The handshake.
    pub(crate) fn open(&mut self) {
        self.syn();
        self.now += self.rtt;
        self.segment(Side::Server, SYN | ACK, &[]);
        self.now += NEAR;
        self.segment(Side::Client, ACK, &[]);
    }

    /// SYNs that nobody answers; time does not pass for the caller, who goes on elsewhere.
    pub(crate) fn unanswered(&mut self, tries: u32) {
        let seq = self.seq;
        for wait in 0..tries {
            self.now += if wait == 0 { 0 } else { 1_000_000 << (wait - 1) };
            self.seq = seq;
            self.syn();
        }
    }

    /// A SYN that is answered by a RST.
    pub(crate) fn refused(&mut self) {
        self.syn();
        self.now += self.rtt;
        self.segment(Side::Server, RST | ACK, &[]);
    }

    fn syn(&mut self) {
        self.segment(Side::Client, SYN, &[]);
    }

    fn segment(&mut self, side: Side, flags: u8, data: &[u8]) {
        self.raw_segment(side, flags, data, self.seq[1 - side as usize]);
    }

    fn raw_segment(&mut self, side: Side, flags: u8, data: &[u8], ack: u32) {
        let me = side as usize;
        let stack = self.stacks[me];
        let syn = flags & SYN != 0;
        let tcp = Tcp {
            seq: self.seq[me],
            ack: if flags & ACK == 0 { 0 } else { ack },
            flags,
            window: stack.window(),
            options: if syn { stack.syn_options((self.now / 1000) as u32) } else { Vec::new() },
        };
        if self.visible {
            self.tape.tcp(self.now, self.ends[me], self.ends[1 - me], &tcp, data);
        }
        let phantom = u32::from(syn) + u32::from(flags & FIN != 0);
        self.seq[me] = self.seq[me].wrapping_add(data.len() as u32).wrapping_add(phantom);
        self.acked[me] = ack;
    }

    /// Bytes from one side, sealed once TLS began.
    pub(crate) fn put(&mut self, side: Side, bytes: &[u8]) {
        if self.sealed {
            let mut records = Vec::with_capacity(bytes.len() + SEALED + 5);
            for part in bytes.chunks(16_000) {
                self.record(&mut records, 0x17, part.len() + SEALED);
            }
            self.send(side, &records);
        } else {
            self.send(side, bytes);
        }
    }

    fn send(&mut self, side: Side, bytes: &[u8]) {
        let (full, mut count) = (bytes.len().div_ceil(MSS), 0);
        for part in bytes.chunks(MSS) {
            count += 1;
            let push = if count == full { PSH } else { 0 };
            self.segment(side, ACK | push, part);
            self.now += NEAR / 10;
            if count % 8 == 0 {
                let other = if side == Side::Client { Side::Server } else { Side::Client };
                self.segment(other, ACK, &[]);
                self.now += self.rtt / 2;
            }
        }
    }

    fn record(&mut self, out: &mut Vec<u8>, kind: u8, len: usize) {
        out.extend_from_slice(&[kind, 3, 3]);
        out.extend_from_slice(&(len as u16).to_be_bytes());
        for _ in 0..len.div_ceil(8) {
            out.extend_from_slice(&self.rng.bits().to_le_bytes());
        }
        out.truncate(out.len() - (len.div_ceil(8) * 8 - len));
    }

    /// The server says something, as many lines as there are.
    pub(crate) fn reply(&mut self, text: &str) {
        self.now += self.rtt / 2 + self.think;
        let text = format!("{}\r\n", text.replace('\n', "\r\n"));
        self.put(Side::Server, text.as_bytes());
        self.now += self.rtt / 2 + NEAR;
    }

    /// The client says a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.put(Side::Client, format!("{line}\r\n").as_bytes());
    }

    /// The client says something without having acknowledged what the server just said.
    pub(crate) fn say_unasked(&mut self, line: &str) {
        let ack = self.acked[0];
        self.raw_segment(Side::Client, ACK | PSH, format!("{line}\r\n").as_bytes(), ack);
    }

    /// A command and its reply.
    pub(crate) fn ask(&mut self, line: &str, reply: &str) {
        self.say(line);
        self.reply(reply);
    }

    /// A command whose reply comes late.
    pub(crate) fn ask_slow(&mut self, line: &str, reply: &str, late: f64) {
        self.say(line);
        self.now += seconds(late);
        self.reply(reply);
    }

    /// The mail data after 354: dots are doubled, the end is added.
    pub(crate) fn body(&mut self, text: &str, reply: &str) {
        let mut data = String::with_capacity(text.len() + 8);
        for line in text.split_inclusive('\n') {
            if line.starts_with('.') {
                data.push('.');
            }
            data.push_str(line);
        }
        data.push_str(".\r\n");
        self.put(Side::Client, data.as_bytes());
        self.reply(reply);
    }

    /// STARTTLS, and a handshake; what follows is sealed.
    pub(crate) fn start_tls(&mut self) {
        self.ask("STARTTLS", "220 2.0.0 Ready to start TLS");
        self.hello(Side::Client, 1, 210);
        self.now += self.rtt;
        self.hello(Side::Server, 2, 1_900);
        self.now += NEAR;
        let mut finished = Vec::new();
        self.record(&mut finished, 0x14, 1);
        self.record(&mut finished, 0x16, 40);
        self.send(Side::Client, &finished);
        self.now += self.rtt;
        let mut finished = Vec::new();
        self.record(&mut finished, 0x14, 1);
        self.record(&mut finished, 0x16, 40);
        self.send(Side::Server, &finished);
        self.now += NEAR;
        self.sealed = true;
    }

    fn hello(&mut self, side: Side, kind: u8, len: usize) {
        let mut record = Vec::new();
        self.record(&mut record, 0x16, len);
        let inner = (len - 4) as u32;
        record[5] = kind;
        record[6..9].copy_from_slice(&inner.to_be_bytes()[1..]);
        record[9..11].copy_from_slice(&[3, 3]);
        // No session to resume, then two suites, no compression, no extensions: enough to be read.
        record[43] = 0;
        self.send(side, &record);
    }

    /// QUIT, its reply, both FINs.
    pub(crate) fn quit(mut self) -> Micros {
        self.ask("QUIT", "221 2.0.0 Bye");
        self.close()
    }

    /// The client closes.
    pub(crate) fn close(mut self) -> Micros {
        self.segment(Side::Client, FIN | ACK, &[]);
        self.now += self.rtt;
        self.segment(Side::Server, FIN | ACK, &[]);
        self.now += NEAR;
        self.segment(Side::Client, ACK, &[]);
        self.now
    }

    /// The client resets.
    pub(crate) fn reset(mut self) -> Micros {
        self.segment(Side::Client, RST | ACK, &[]);
        self.now
    }
}

/// Seconds in microseconds.
pub(crate) fn seconds(secs: f64) -> Micros {
    (secs * 1e6) as Micros
}
