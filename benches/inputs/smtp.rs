//! The dialogues of RFC 5321 that the inputs are made of: one that delivers a
//! message, one that is refused and broken off, and those of strangers at a
//! server of ours.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hosts::{Client, Server};
use crate::rng::Rng;
use crate::tcp::{ACK, CLIENT, Conn, Mishap, NEAR, PSH, Pace, RST, SERVER, SYN, Stack};
use crate::text::{self, Envelope};
use crate::truth::Truth;
use crate::wire::{Micros, Script};

const SMTP: u16 = 25;

/// Bytes of mail data.
const MESSAGE_MIN: u64 = 1 << 10;
const MESSAGE_MAX: u64 = 20 << 10;

/// How many recipients a message has: one, two or three, the fewer the likelier.
const RECIPIENTS: [usize; 10] = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3];

/// Null reverse-paths in a hundred messages.
const NULL_SENDERS: u64 = 2;

/// One session in so many has a segment retransmitted, and one in so many
/// two segments reordered: a few hundred of each in a hundred thousand.
const MISHAP_ONE_IN: u64 = 350;

/// What a mail server says.
struct Voice {
    /// After the server's name in the banner.
    banner: &'static str,
    /// The keywords of its EHLO reply, after the line with its name.
    ehlo: &'static [&'static str],
    mail: &'static str,
    rcpt: &'static str,
    data: &'static str,
    /// Before and after the id of the queued message.
    queued: [&'static str; 2],
    quit: &'static str,
}

const VOICES: [Voice; 3] = [
    Voice {
        banner: "ESMTP",
        ehlo: &["PIPELINING", "SIZE 52428800", "VRFY", "ETRN", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"],
        mail: "250 2.1.0 Ok",
        rcpt: "250 2.1.5 Ok",
        data: "354 End data with <CR><LF>.<CR><LF>",
        queued: ["250 2.0.0 Ok: queued as ", ""],
        quit: "221 2.0.0 Bye",
    },
    Voice {
        banner: "ESMTP ready",
        ehlo: &["SIZE 104857600", "8BITMIME", "PIPELINING", "HELP"],
        mail: "250 OK",
        rcpt: "250 Accepted",
        data: "354 Enter message, ending with \".\" on a line by itself",
        queued: ["250 OK id=", ""],
        quit: "221 closing connection",
    },
    Voice {
        banner: "Microsoft ESMTP MAIL Service ready",
        ehlo: &["SIZE 37748736", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "BINARYMIME", "CHUNKING"],
        mail: "250 2.1.0 Sender OK",
        rcpt: "250 2.1.5 Recipient OK",
        data: "354 Start mail input; end with <CRLF>.<CRLF>",
        queued: ["250 2.6.0 <", "> Queued mail for delivery"],
        quit: "221 2.0.0 Service closing transmission channel",
    },
];

/// A dialogue being written: where it stands in time.
struct Dialogue<'a> {
    script: &'a mut Script,
    conn: Conn,
    now: Micros,
    round_trip: Micros,
    /// The longest a server thinks before it answers.
    think_max: Micros,
}

impl Dialogue<'_> {
    /// The server's line, after it has thought.
    fn reply(&mut self, rng: &mut Rng, line: &str) {
        self.now += self.round_trip + rng.between(self.think_max / 10, self.think_max);
        self.conn.send(self.script, self.now, SERVER, PSH | ACK, line.as_bytes());
    }

    /// The client's line, as soon as it has read the last reply.
    fn command(&mut self, rng: &mut Rng, line: &str) {
        self.now += rng.between(NEAR, 10 * NEAR);
        self.conn.send(self.script, self.now, CLIENT, PSH | ACK, line.as_bytes());
    }

    /// A bare acknowledgement from `side`.
    fn acknowledge(&mut self, after: Micros, side: usize) {
        self.now += after;
        self.conn.send(self.script, self.now, side, ACK, &[]);
    }
}

/// A whole session that starts at `at` and delivers one message.
pub(crate) fn deliver(
    script: &mut Script,
    rng: &mut Rng,
    at: Micros,
    client: &mut Client,
    server: Server,
    truth: &mut Truth,
) {
    let voice = &VOICES[server.index % VOICES.len()];
    let (name, host) = (client.name(), server.name());
    let noise = [rng.bits(), rng.bits()];
    let mut talk = Dialogue {
        script,
        conn: Conn::new(client.next_endpoint(), server.endpoint(SMTP), Stack::Linux, noise),
        now: at,
        round_trip: rng.between(4_000, 160_000),
        think_max: rng.between(400_000, 2_400_000),
    };
    talk.now = talk.conn.open(talk.script, talk.now, talk.round_trip);

    talk.reply(rng, &format!("220 {host} {}\r\n", voice.banner));
    talk.acknowledge(NEAR / 2, CLIENT);
    talk.command(rng, &format!("EHLO {name}\r\n"));
    talk.acknowledge(talk.round_trip, SERVER);
    let mut lines = format!("250-{host}\r\n");
    let (last, rest) = voice.ehlo.split_last().unwrap_or((&"HELP", &[]));
    for keyword in rest {
        lines.extend(["250-", keyword, "\r\n"]);
    }
    lines.extend(["250 ", last, "\r\n"]);
    talk.reply(rng, &lines);

    let from = if rng.chance(NULL_SENDERS, 100) {
        truth.null_senders += 1;
        String::new()
    } else {
        format!("{}@{}", text::mailbox(rng), text::domain(1_000_000 + client.index % 50))
    };
    talk.command(rng, &format!("MAIL FROM:<{from}>\r\n"));
    talk.reply(rng, &format!("{}\r\n", voice.mail));

    let domain = server.domain();
    let to: Vec<String> = (0..rng.pick(&RECIPIENTS)).map(|_| format!("{}@{domain}", text::mailbox(rng))).collect();
    for recipient in &to {
        talk.command(rng, &format!("RCPT TO:<{recipient}>\r\n"));
        talk.reply(rng, &format!("{}\r\n", voice.rcpt));
    }
    talk.command(rng, "DATA\r\n");
    talk.reply(rng, &format!("{}\r\n", voice.data));

    let mut data = Vec::with_capacity(MESSAGE_MAX as usize + 2048);
    let envelope = Envelope { from: &from, to: &to, host: &name, at: talk.now };
    let size = rng.between(MESSAGE_MIN, MESSAGE_MAX) as usize;
    text::message(&mut data, rng, &envelope, size);
    let segments = data.len().div_ceil(Stack::Linux.segment_max());
    let segment = rng.below(segments as u64) as usize;
    let mishap = match rng.below(MISHAP_ONE_IN) {
        0 => Mishap::Retransmitted(segment),
        1 if segments > 1 => Mishap::Reordered(segment),
        _ => Mishap::None,
    };
    let pace = Pace { round_trip: talk.round_trip, ack_every: rng.pick(&[2, 4, 6, 6, 8, 8]), mishap };
    talk.now += NEAR;
    talk.now = talk.conn.transfer(talk.script, talk.now, CLIENT, &data, pace);
    let id = rng.bits();
    let [before, after] = voice.queued;
    talk.reply(rng, &format!("{before}{id:016X}{after}\r\n"));
    talk.command(rng, "QUIT\r\n");
    talk.reply(rng, &format!("{}\r\n", voice.quit));
    talk.conn.close(talk.script, talk.now + NEAR, talk.round_trip);

    truth.sessions += 1;
    truth.transactions += 1;
    truth.messages_accepted += 1;
    truth.recipients += to.len() as u64;
    truth.recipients_accepted += to.len() as u64;
    truth.message_bytes += data.len() as u64;
    truth.retransmitted += u64::from(matches!(mishap, Mishap::Retransmitted(_)));
    truth.reordered += u64::from(matches!(mishap, Mishap::Reordered(_)));
    truth.smtp_frames += talk.script.len() as u64;
}

/// A worm's session that starts at `at`: one recipient, refused, and a reset.
/// Eleven frames.
pub(crate) fn refuse(
    script: &mut Script,
    rng: &mut Rng,
    at: Micros,
    client: &mut Client,
    server: Server,
    truth: &mut Truth,
) {
    let noise = [rng.bits(), rng.bits()];
    let mut talk = Dialogue {
        script,
        conn: Conn::new(client.next_endpoint(), server.endpoint(SMTP), Stack::Windows, noise),
        now: at,
        round_trip: rng.between(4_000, 160_000),
        think_max: rng.between(100_000, 600_000),
    };
    talk.conn.send(talk.script, talk.now, CLIENT, SYN, &[]);
    talk.now += talk.round_trip;
    talk.conn.send(talk.script, talk.now, SERVER, SYN | ACK, &[]);
    talk.acknowledge(NEAR, CLIENT);

    let (host, domain) = (server.name(), server.domain());
    talk.reply(rng, &format!("220 {host} ESMTP; {}\r\n", text::date(at)));
    talk.command(rng, &format!("HELO pc-{:06x}.office.example\r\n", client.index * 7919 % 0xff_ffff));
    talk.reply(rng, &format!("250 {host} Hello\r\n"));
    let from = format!("{}@{}", text::mailbox(rng), text::domain(rng.below(1_000_000) as usize));
    talk.command(rng, &format!("MAIL FROM:<{from}>\r\n"));
    talk.reply(rng, "250 2.1.0 Ok\r\n");
    let to = format!("{}@{domain}", text::mailbox(rng));
    talk.command(rng, &format!("RCPT TO:<{to}>\r\n"));
    let refusal = match server.index % 4 {
        0 => format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown\r\n"),
        1 => format!("550 <{to}> No such user here\r\n"),
        2 => "550 5.1.1 Mailbox unavailable, mail not accepted\r\n".to_owned(),
        _ => "550 5.1.10 Recipient not found\r\n".to_owned(),
    };
    talk.reply(rng, &refusal);
    let end = talk.now + NEAR;
    talk.conn.send(talk.script, end, CLIENT, RST | ACK, &[]);

    truth.sessions += 1;
    truth.transactions += 1;
    truth.recipients += 1;
    truth.recipients_rejected += 1;
    truth.smtp_frames += talk.script.len() as u64;
}

/// What a stranger wants of a server of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Two passwords are tried (RFC 4954), both wrong.
    Guess,
    /// A bounce for somebody who does not exist.
    Bounce,
    /// A mail for outsiders, after a name that does not exist; it is taken.
    Relay,
    /// A mail for one of ours.
    Mail,
}

impl Errand {
    pub(crate) const ALL: [Self; 4] = [Self::Guess, Self::Bounce, Self::Relay, Self::Mail];
}

/// A session of a stranger with a machine of the home network.
pub(crate) fn visit(
    script: &mut Script,
    rng: &mut Rng,
    at: Micros,
    (stranger, port): (Server, u16),
    (server, errand): (&Client, Errand),
    truth: &mut Truth,
) {
    let noise = [rng.bits(), rng.bits()];
    let mut talk = Dialogue {
        script,
        conn: Conn::new(stranger.endpoint(port), server.endpoint(SMTP), Stack::Linux, noise),
        now: at,
        round_trip: rng.between(4_000, 160_000),
        think_max: rng.between(1_000, 60_000),
    };
    talk.now = talk.conn.open(talk.script, talk.now, talk.round_trip);
    let own = text::domain(2_000_000 + server.index % 50);
    talk.reply(rng, &format!("220 mail.{own} ESMTP\r\n"));
    talk.command(rng, &format!("EHLO {}\r\n", stranger.name()));
    talk.reply(rng, &format!("250-mail.{own}\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n"));
    let stranger_box = format!("{}@{}", text::mailbox(rng), stranger.domain());
    let nobody = format!("{}@{own}", text::mailbox(rng));
    let (from, to) = match errand {
        Errand::Guess => {
            for _ in 0..2 {
                let secret = format!("\0{}\0{}", text::mailbox(rng), rng.bits());
                talk.command(rng, &format!("AUTH PLAIN {}\r\n", STANDARD.encode(secret)));
                talk.reply(rng, "535 5.7.8 Error: authentication failed\r\n");
            }
            (None, None)
        }
        Errand::Bounce => (Some(String::new()), None),
        Errand::Relay => {
            let to = format!("{}@{}", text::mailbox(rng), text::domain(rng.below(1_000_000) as usize));
            (Some(stranger_box), Some(to))
        }
        Errand::Mail => (Some(stranger_box), Some(format!("user{}@{own}", rng.below(100)))),
    };
    if let Some(from) = from {
        talk.command(rng, &format!("MAIL FROM:<{from}>\r\n"));
        talk.reply(rng, "250 2.1.0 Ok\r\n");
        truth.transactions += 1;
        truth.null_senders += u64::from(from.is_empty());
        if errand != Errand::Mail {
            talk.command(rng, &format!("RCPT TO:<{nobody}>\r\n"));
            talk.reply(rng, &format!("550 5.1.1 <{nobody}>: Recipient address rejected: User unknown\r\n"));
            truth.recipients += 1;
            truth.recipients_rejected += 1;
        }
        if let Some(to) = to {
            talk.command(rng, &format!("RCPT TO:<{to}>\r\n"));
            talk.reply(rng, "250 2.1.5 Ok\r\n");
            talk.command(rng, "DATA\r\n");
            talk.reply(rng, "354 End data with <CR><LF>.<CR><LF>\r\n");
            let mut data = Vec::new();
            let to = [to];
            let envelope = Envelope { from: &from, to: &to, host: &stranger.name(), at: talk.now };
            text::message(&mut data, rng, &envelope, 700);
            let pace = Pace { round_trip: talk.round_trip, ack_every: 2, mishap: Mishap::None };
            talk.now = talk.conn.transfer(talk.script, talk.now + NEAR, CLIENT, &data, pace);
            let id = rng.bits();
            talk.reply(rng, &format!("250 2.0.0 Ok: queued as {id:016X}\r\n"));
            truth.recipients += 1;
            truth.recipients_accepted += 1;
            truth.messages_accepted += 1;
            truth.message_bytes += data.len() as u64;
        }
    }
    let end = talk.now + NEAR;
    talk.conn.send(talk.script, end, CLIENT, RST | ACK, &[]);
    truth.sessions += 1;
    truth.smtp_frames += talk.script.len() as u64;
}
