//! The client's bytes: lines, data, chunks, records, as the phase wants them read.

use super::data::{Held, MailData, OtherEnd};
use super::phase::{Kind, Phase, Step};
use super::queue::{Queue, Waiting};
use super::{Context, Dialogue, UNSEEN_MAX, tell_auth};
use crate::frame::At;
use crate::net::Side;
use crate::smtp::command::{Sins, parse};
use crate::smtp::{AuthExchange, Command, Line, LineEnd, LineSplitter, Reply, Sent, SmtpEvent, TlsFollower};
use crate::smtp::{AuthResult, Dialect, SmugglingFacts, TlsState};
use crate::weird::Weird;
use crate::wire::Wire;

impl Dialogue {
    /// Takes a segment's bytes. Where a reply waits for a place inside them, the reply comes in between.
    pub(super) fn client_data(&mut self, at: At, acked: u64, mut bytes: &[u8], cx: &mut Context<'_, '_>) {
        self.client.seen = true;
        self.client.acked = acked;
        if self.first_acked.is_none() {
            self.first_acked = Some(acked);
            self.judge_early_talk(at, cx);
        }
        self.end_open_reply(at, acked, cx);
        self.handle_early(cx);
        while !bytes.is_empty() {
            let until = self.early.front().map_or(u64::MAX, |early| early.acked.saturating_sub(self.client.pos));
            let now = usize::try_from(until).map_or(bytes.len(), |until| until.clamp(1, bytes.len()));
            let (head, rest) = bytes.split_at_checked(now).unwrap_or((bytes, &[]));
            self.client_bytes(at, acked, head, cx);
            self.handle_early(cx);
            bytes = rest;
        }
    }

    /// Takes bytes as the phase wants them read, which each of them may change.
    pub(super) fn client_bytes(&mut self, at: At, acked: u64, mut bytes: &[u8], cx: &mut Context<'_, '_>) {
        while let Some(&first) = bytes.first() {
            let start = self.client.pos;
            let used = match self.phase {
                Phase::Data => self.read_data(at, acked, bytes, cx),
                Phase::Chunk | Phase::Blob => self.read_chunk(at, bytes, cx),
                Phase::DataAsked | Phase::BlobAsked => self.hold(at, acked, bytes, cx),
                Phase::Tls => {
                    self.client.pos += bytes.len() as u64;
                    let broken = self.tls.as_mut().and_then(|tls| tls.handle(Side::Orig, bytes));
                    if let Some(weird) = broken {
                        self.note(Side::Orig, weird, at, cx);
                    }
                    bytes.len()
                }
                _ if self.client.lines.pending().is_empty() && self.begins_tls(first) => {
                    self.start_tls(at, cx);
                    0
                }
                _ => self.read_lines(at, acked, bytes, cx),
            };
            if let Some(smuggled) = self.smuggled.as_mut().filter(|smuggled| smuggled.end() == start) {
                smuggled.push(at, acked, bytes.get(..used).unwrap_or(bytes));
                if smuggled.overflow {
                    self.smuggled = None;
                }
            }
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Whether a line's first byte is a TLS record's: content types 20 to 23 (RFC 8446 section 5.1), none of which any
    /// text begins with; after STARTTLS also the length byte of SSL 2.0's hello.
    fn begins_tls(&self, first: u8) -> bool {
        !self.tls_refuted
            && match self.phase {
                Phase::TlsGranted | Phase::TlsAsked => matches!(first, 20..=23 | 0x80..),
                Phase::Start => first == 22,
                _ => matches!(first, 20..=23),
            }
    }

    fn start_tls(&mut self, at: At, cx: &mut Context<'_, '_>) {
        let from = self.phase;
        if from == Phase::Start && self.greeting_end.is_some() {
            // The server has greeted in the clear, so it does not speak TLS.
            self.tls_refuted = true;
        }
        self.step(Side::Orig, if self.tls_refuted { Step::PlainBytes } else { Step::TlsBytes }, at, cx);
        if self.phase != Phase::Tls {
            self.tls_refuted = true;
            self.note(Side::Orig, Weird::BadTls, at, cx);
            return;
        }
        let state = if from == Phase::Start { TlsState::Implicit } else { TlsState::Starttls };
        self.tls.get_or_insert_with(|| Box::new(TlsFollower::new()));
        if from == Phase::TlsGranted {
            self.flush(at, self.queue.len(), cx);
        }
        cx.tell(SmtpEvent::Tls { at, state });
    }

    /// Takes lines until the phase changes.
    fn read_lines(&mut self, at: At, acked: u64, bytes: &[u8], cx: &mut Context<'_, '_>) -> usize {
        match self.phase {
            Phase::TlsGranted => {
                self.step(Side::Orig, Step::PlainBytes, at, cx);
                // RFC 3207 section 4.2: both sides forget what they learned before.
                self.may_pipeline = false;
                cx.tell(SmtpEvent::Tls { at, state: TlsState::StarttlsPlaintext });
            }
            Phase::Start => self.step(Side::Orig, Step::PlainBytes, at, cx),
            _ => {}
        }
        let mut lines = std::mem::replace(&mut self.client.lines, LineSplitter::new(0));
        let (start, phase) = (self.client.pos, self.phase);
        let mut input = bytes;
        while let Some(line) = lines.next(&mut input) {
            let used = bytes.len() - input.len();
            self.client.pos = start + used as u64;
            self.client_line(&line, at, acked, cx);
            // The next byte may be read otherwise now, or be TLS's first.
            if self.phase != phase || input.first().is_some_and(|next| self.begins_tls(*next)) {
                self.client.lines = lines;
                return used;
            }
        }
        self.client.pos = start + bytes.len() as u64;
        self.client.lines = lines;
        bytes.len()
    }

    fn client_line(&mut self, line: &Line<'_>, at: At, acked: u64, cx: &mut Context<'_, '_>) {
        let command = match self.phase {
            Phase::AuthLine => {
                let command = parse(line.bytes);
                // No base64 has a blank or a colon: the client goes on with something else.
                if !(is_sure(&command, line.bytes) && line.bytes.iter().any(|byte| matches!(byte, b' ' | b':'))) {
                    return self.auth_line(line, at, acked, cx);
                }
                if let Some(exchange) = self.exchange.take() {
                    tell_auth(&exchange, at, AuthResult::Cancelled, None, cx);
                }
                command
            }
            Phase::AuthAsked => {
                let command = parse(line.bytes);
                if !is_sure(&command, line.bytes) {
                    return self.auth_line(line, at, acked, cx);
                }
                command
            }
            Phase::Unsure => {
                let command = parse(line.bytes);
                // In the middle of mail data nothing new is acknowledged: the server has nothing to say then.
                let news = self.unsure_since.is_none_or(|before| acked > before);
                if !(is_sure(&command, line.bytes) && news) {
                    self.unsure_since.get_or_insert(acked);
                    return;
                }
                command
            }
            _ => parse(line.bytes),
        };
        self.note_line(line, &command, at, cx);
        self.said(&command, at, acked, cx);
    }

    /// Notes what is odd about a line.
    fn note_line(&mut self, line: &Line<'_>, command: &Command<'_>, at: At, cx: &mut Context<'_, '_>) {
        let utf8 = matches!(command, Command::Mail { params, .. } if params.smtputf8);
        self.smtputf8 |= utf8;
        let dialect = dialect(command).fold(self.dialect, |all, (has, habit)| if has { all.with(habit) } else { all });
        if dialect != self.dialect {
            self.dialect = dialect;
            cx.tell(SmtpEvent::Dialect(dialect));
        }
        let bytes = line.odd_bytes();
        for (odd, weird) in [
            (line.ending == LineEnd::Lf, Weird::BareLf),
            (bytes.bare_cr, Weird::BareCr),
            (line.too_long, Weird::LineTooLong),
            (bytes.nul, Weird::NulByte),
            (bytes.eight_bit && !self.smtputf8, Weird::EightBit),
            (matches!(command, Command::Unknown(_)), Weird::UnknownCommand),
            (matches!(command, Command::BadArguments(_)), Weird::BadArguments),
            (matches!(command, Command::Foreign(_)), Weird::ForeignProtocol),
            (matches!(command, Command::Masked), Weird::MaskedCommand),
        ] {
            if odd {
                self.note(Side::Orig, weird, at, cx);
            }
        }
    }

    /// Queues a command.
    fn said(&mut self, command: &Command<'_>, at: At, acked: u64, cx: &mut Context<'_, '_>) {
        let room = cx.limits.unanswered_bytes_max.saturating_sub(self.queue.bytes()).min(cx.limits.path_max);
        let wire = |bytes| Wire::capped(bytes, room);
        let mut exchange = None;
        let (sent, kind) = match *command {
            Command::Helo(name) => (Sent::Hello { esmtp: false, name: wire(name) }, Kind::Other),
            Command::Ehlo(name) => (Sent::Hello { esmtp: true, name: wire(name) }, Kind::Other),
            Command::Mail { path, params, .. } => (Sent::Mail { path: wire(path), size: params.size }, Kind::Other),
            Command::Rcpt { path, .. } => (Sent::Rcpt { path: wire(path) }, Kind::Other),
            Command::Data => (Sent::Data, Kind::Data),
            Command::Bdat { size: Some(size), last } if size <= CHUNK_MAX => {
                (Sent::Bdat { size, last, mail: None }, Kind::Bdat)
            }
            Command::Bdat { last, .. } => (Sent::Bdat { size: 0, last, mail: None }, Kind::BadBdat),
            Command::Rset => (Sent::Rset, Kind::Other),
            Command::StartTls => (Sent::StartTls, Kind::StartTls),
            Command::Auth { mechanism, initial } => {
                exchange = Some(Box::new(AuthExchange::new(mechanism, initial)));
                (Sent::Auth, Kind::Auth)
            }
            Command::Quit => (Sent::Quit, Kind::Other),
            Command::Xexch50 { size: Some(size) } if size > 0 => {
                self.chunk = (size, false);
                (Sent::Other("XEXCH50"), Kind::Xexch50)
            }
            _ => (Sent::Other(command.verb()), Kind::Other),
        };
        match sent {
            // A mail in chunks ends unfinished.
            Sent::Mail { .. } | Sent::Rset | Sent::Hello { .. } => self.mail = None,
            _ => {}
        }
        let bdat = if let Sent::Bdat { size, last, .. } = sent { Some((size, last)) } else { None };
        self.enqueue(Waiting { sent, kind, at, acked, exchange }, cx);
        self.step(Side::Orig, Step::Said(kind), at, cx);
        self.unsure_since = (self.phase == Phase::Unsure).then_some(acked);
        if let (Kind::Bdat, Some((size, last))) = (kind, bdat) {
            self.chunk = (size, last);
            self.mail.get_or_insert_with(|| Box::new(MailData::new(cx.limits)));
            if size == 0 {
                self.end_chunk(at, cx);
            }
        }
    }

    fn auth_line(&mut self, line: &Line<'_>, at: At, acked: u64, cx: &mut Context<'_, '_>) {
        let waiting = self.queue.newest(|waiting| waiting.exchange.is_some());
        let exchange = waiting.and_then(|waiting| waiting.exchange.as_mut()).or(self.exchange.as_mut());
        if let Some(exchange) = exchange {
            exchange.handle_client(line.bytes);
        }
        if line.ending == LineEnd::Lf {
            self.note(Side::Orig, Weird::BareLf, at, cx);
        }
        self.judge_pipelining(acked, at, cx);
        self.resolve_doubt(acked, at, cx);
        self.bound_queue(at, cx);
        self.queue.push(Waiting { sent: Sent::AuthLine, kind: Kind::Auth, at, acked, exchange: None });
        self.step(Side::Orig, Step::SaidAuthLine, at, cx);
    }

    /// Puts a command into the queue, and gives up those that will not be answered any more.
    fn enqueue(&mut self, waiting: Waiting, cx: &mut Context<'_, '_>) {
        let (at, acked) = (waiting.at, waiting.acked);
        self.judge_pipelining(acked, at, cx);
        self.resolve_doubt(acked, at, cx);
        let (pos, gap_end, doubtful) = (self.server.pos, self.server.gap_end, self.queue.is_doubtful());
        let unseen = |front: &Waiting| front.acked > pos || doubtful && front.acked < gap_end;
        while self.queue.len() >= UNSEEN_MAX && self.queue.front().is_some_and(unseen) {
            self.flush(at, 1, cx);
        }
        self.bound_queue(at, cx);
        self.queue.push(waiting);
    }

    /// Gives up what will not be answered any more, now that the client goes on.
    fn resolve_doubt(&mut self, acked: u64, at: At, cx: &mut Context<'_, '_>) {
        if self.queue.is_doubtful() {
            let lockstep = !self.pipelined && acked <= self.server.pos;
            let done = self.queue.resolve(acked, lockstep);
            self.flush(at, done, cx);
        }
    }

    /// Gives up following a client that sends more than can be kept without listening.
    fn bound_queue(&mut self, at: At, cx: &mut Context<'_, '_>) {
        if self.queue.len() >= cx.limits.unanswered_max {
            self.note(Side::Orig, Weird::SessionLimit, at, cx);
            self.flush(at, self.queue.len(), cx);
            self.queue.push_lost(at, self.client.acked);
            self.tell_lost(cx);
        }
    }

    /// Decides whether a command was sent before the reply to the one before it was seen, as far as that can be told
    /// now; where the reply is still to come, `answered` does.
    fn judge_pipelining(&mut self, acked: u64, at: At, cx: &mut Context<'_, '_>) {
        if let Some(last) = self.queue.back() {
            if acked <= last.acked {
                self.tell_pipelined(cx);
            }
        } else if let Some((end, ends_group)) = self.last_reply {
            self.judge(acked, end, ends_group, at, cx);
        }
    }

    /// A command that acknowledges `acked` comes after one whose reply ends at `end`.
    pub(super) fn judge(&mut self, acked: u64, end: u64, ends_group: bool, at: At, cx: &mut Context<'_, '_>) {
        if acked >= end {
            return;
        }
        self.tell_pipelined(cx);
        // Where replies are missing PIPELINING may have been offered.
        if ends_group || !(self.may_pipeline || self.server.lost) {
            self.note(Side::Orig, Weird::IllegalPipelining, at, cx);
        }
    }

    fn tell_pipelined(&mut self, cx: &mut Context<'_, '_>) {
        if !self.pipelined {
            self.pipelined = true;
            cx.tell(SmtpEvent::Pipelined);
        }
    }

    /// Whether the client spoke before it had seen the whole greeting.
    pub(super) fn judge_early_talk(&mut self, at: At, cx: &mut Context<'_, '_>) {
        if let (Some(acked), Some(end)) = (self.first_acked, self.greeting_end)
            && acked < end
            && !self.client.lost
        {
            self.note(Side::Orig, Weird::EarlyTalker, at, cx);
        }
    }

    /// Takes mail data up to their end, or up to what may be one.
    fn read_data(&mut self, at: At, acked: u64, bytes: &[u8], cx: &mut Context<'_, '_>) -> usize {
        if self.mail.is_none() {
            self.mail = Some(Box::new(MailData::new(cx.limits)));
            // The data are what follows DATA in the order of pipelining.
            if let (true, Some((end, ends_group))) = (self.queue.is_empty(), self.last_reply) {
                self.judge(acked, end, ends_group, at, cx);
            }
        }
        if let Some(other) = self.mail.as_ref().and_then(|mail| mail.other.as_ref())
            && self.saw_unseen(acked, other.acked)
        {
            // The server has said something that was not captured: it saw an end.
            self.take_other_end(at, None, cx);
            return 0;
        }
        let Some(mail) = &mut self.mail else { return bytes.len() };
        let (used, ended) = mail.handle(at, acked, self.client.pos, bytes, cx.limits);
        let false_end = mail.false_end.take();
        self.client.pos += used as u64;
        self.tell_false_end(false_end, at, cx);
        if ended {
            self.end_data(at, acked, cx);
        }
        used
    }

    fn tell_false_end(&mut self, facts: Option<Box<SmugglingFacts>>, at: At, cx: &mut Context<'_, '_>) {
        if let Some(facts) = facts {
            self.note(Side::Orig, Weird::SmugglingPattern, at, cx);
            cx.tell(SmtpEvent::Smuggling(facts));
        }
    }

    fn end_data(&mut self, at: At, acked: u64, cx: &mut Context<'_, '_>) {
        let Some(mut mail) = self.mail.take() else { return };
        let verdict = mail.verdict.take();
        self.smuggled = mail.take_smuggled().map(Box::new);
        let sent = Sent::EndOfData(mail.finish(true));
        self.step(Side::Orig, Step::Ended, at, cx);
        let waiting = Waiting { sent, kind: Kind::Other, at, acked, exchange: None };
        if verdict.is_some() && self.queue.is_empty() {
            self.tell_answered(waiting, at, verdict, cx);
        } else {
            self.bound_queue(at, cx);
            self.queue.push(waiting);
        }
    }

    /// The server took another place for the end of the data: `reply` is its verdict, if it was captured. What was sent
    /// after that place is read again.
    pub(super) fn take_other_end(&mut self, at: At, reply: Option<(Reply, u64)>, cx: &mut Context<'_, '_>) {
        let Some(mut mail) = self.mail.take() else { return };
        mail.judge_other();
        self.tell_false_end(mail.false_end.take(), at, cx);
        let Some(other) = mail.other.take() else { return };
        let OtherEnd { gap, acked, .. } = *other;
        let sent = Sent::EndOfData(mail.finish_at(&other));
        self.step(Side::Resp, if gap { Step::TookLostEnd } else { Step::TookOtherEnd }, at, cx);
        let waiting = Waiting { sent, kind: Kind::Other, at, acked, exchange: None };
        if let Some((reply, end)) = reply {
            self.last_reply = Some((end, false));
            self.tell_answered(waiting, at, Some(reply), cx);
        } else {
            self.bound_queue(at, cx);
            self.queue.push(waiting);
        }
        self.client.lines.reset();
        if other.tail.overflow {
            self.lose_commands(at, cx);
        } else {
            self.unsure_since = None;
            self.replay(&other.tail, cx);
        }
    }

    /// Takes a chunk's or a blob's bytes.
    fn read_chunk(&mut self, at: At, bytes: &[u8], cx: &mut Context<'_, '_>) -> usize {
        let used = usize::try_from(self.chunk.0).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.chunk.0 -= used as u64;
        self.client.pos += used as u64;
        if self.phase == Phase::Chunk
            && let Some(mail) = &mut self.mail
        {
            mail.handle_chunk(bytes.get(..used).unwrap_or(bytes));
        }
        if self.chunk.0 == 0 {
            self.end_chunk(at, cx);
        }
        used
    }

    fn end_chunk(&mut self, at: At, cx: &mut Context<'_, '_>) {
        if self.phase == Phase::Blob {
            // The blob has a reply of its own.
            let acked = self.client.acked;
            let sent = Sent::Other("XEXCH50");
            self.queue.push(Waiting { sent, kind: Kind::Other, at, acked, exchange: None });
        } else if self.chunk.1 {
            let end = self.mail.take().map(|mut mail| mail.finish(true));
            let waiting = self.queue.newest(|waiting| waiting.kind == Kind::Bdat);
            if let Some(Sent::Bdat { mail, last: true, .. }) = waiting.map(|waiting| &mut waiting.sent) {
                *mail = end;
            }
        }
        self.step(Side::Orig, Step::Ended, at, cx);
    }

    /// Holds bytes back until the answer to DATA or XEXCH50 tells what they are.
    fn hold(&mut self, at: At, acked: u64, bytes: &[u8], cx: &mut Context<'_, '_>) -> usize {
        let start = self.client.pos;
        let held = self.held.get_or_insert_with(|| Box::new(Held::new(start, cx.limits.reread_max)));
        let used = bytes.len().min(held.room());
        held.push(at, acked, bytes.get(..used).unwrap_or(bytes));
        let full = held.room() == 0;
        self.client.pos += used as u64;
        let asked = self.queue.back().map_or(acked, |waiting| waiting.acked);
        if full || self.saw_unseen(acked, asked) {
            self.settle_held(full, cx);
        }
        used
    }

    /// Whether the client, when it sent bytes that acknowledge `acked`, had seen something of the server that was not
    /// captured, and had not seen it when it had acknowledged `before`.
    fn saw_unseen(&self, acked: u64, before: u64) -> bool {
        acked > before && (acked > self.server.pos || self.server.gap_end > before)
    }

    /// Decides by the first line what was held back: the client would not go on with a command if it had been told to
    /// send the data. Without a whole line it waits, unless it must not.
    pub(super) fn settle_held(&mut self, must: bool, cx: &mut Context<'_, '_>) {
        let Some(held) = &self.held else { return };
        let line = memchr::memchr(b'\n', held.bytes()).and_then(|end| held.bytes().get(..end));
        if line.is_none() && !must {
            return;
        }
        let line = line.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let command = line.is_some_and(|line| is_sure(&parse(line), line));
        let at = held.runs().next().map_or(At::default(), |(at, ..)| at);
        self.step(Side::Orig, if command { Step::Declined } else { Step::Assumed }, at, cx);
        self.release_held(cx);
    }

    /// Decides about everything that was held back: commands among it may announce data again.
    pub(super) fn settle_all_held(&mut self, cx: &mut Context<'_, '_>) {
        while self.held.is_some() {
            self.settle_held(true, cx);
        }
    }

    /// Reads what was held back as the phase wants it now.
    pub(super) fn release_held(&mut self, cx: &mut Context<'_, '_>) {
        if let Some(held) = self.held.take() {
            self.replay(&held, cx);
        }
    }

    /// The server took the smuggled mail for one: what was sent after its dot line is read again as commands.
    pub(super) fn read_smuggled(&mut self, smuggled: &Held, at: At, cx: &mut Context<'_, '_>) {
        self.note(Side::Resp, Weird::NonstandardEndOfData, at, cx);
        self.queue = Queue::default();
        self.client.lines.reset();
        self.held = None;
        self.mail = None;
        self.phase = Phase::Command;
        self.replay(smuggled, cx);
    }

    fn replay(&mut self, held: &Held, cx: &mut Context<'_, '_>) {
        self.client.pos = held.start;
        for (at, acked, bytes) in held.runs() {
            self.client_bytes(at, acked, bytes, cx);
        }
    }

    /// Bytes of the client are missing.
    pub(super) fn client_gap(&mut self, at: At, len: u64, cx: &mut Context<'_, '_>) {
        self.client.seen = true;
        self.client.lost = true;
        self.smuggled = None;
        self.settle_all_held(cx);
        let acked = self.client.acked;
        self.client.pos = self.client.pos.saturating_add(len);
        let before = self.phase;
        self.step(Side::Orig, Step::Gap, at, cx);
        match self.phase {
            Phase::Data => {
                let end = self.client.pos;
                let mail = self.mail.get_or_insert_with(|| Box::new(MailData::new(cx.limits)));
                mail.handle_gap(at, len, acked, end, cx.limits);
            }
            Phase::Chunk | Phase::Blob => {
                let inside = self.chunk.0.min(len);
                self.chunk.0 -= inside;
                if let (Phase::Chunk, Some(mail)) = (self.phase, &mut self.mail) {
                    mail.handle_chunk_gap(inside);
                }
                if self.chunk.0 == 0 {
                    self.end_chunk(at, cx);
                    if inside < len {
                        self.lose_commands(at, cx);
                    }
                }
            }
            Phase::Tls => {
                if let Some(tls) = &mut self.tls {
                    tls.handle_gap(Side::Orig, len);
                }
            }
            _ => {
                self.lose_commands(at, cx);
                if before == Phase::Start {
                    self.unsure_since = None;
                }
            }
        }
    }

    /// Commands are missing: what was open cannot be followed.
    fn lose_commands(&mut self, at: At, cx: &mut Context<'_, '_>) {
        self.phase = Phase::Unsure;
        self.unsure_since = Some(self.client.acked);
        self.client.lines.reset();
        self.client.lost = true;
        self.mail = None;
        let waiting = self.queue.newest(|waiting| waiting.exchange.is_some());
        if let Some(exchange) = waiting.and_then(|waiting| waiting.exchange.as_mut()).or(self.exchange.as_mut()) {
            exchange.handle_gap();
        }
        self.queue.push_lost(at, self.client.acked);
        self.tell_lost(cx);
    }
}

/// A chunk larger than this is no chunk: 1 TiB is far beyond what any server takes, and overflowing sizes are an attack
/// as old as the command.
const CHUNK_MAX: u64 = 1 << 40;

/// The habits that MAIL and RCPT show, and whether this command does.
fn dialect(command: &Command<'_>) -> impl Iterator<Item = (bool, u16)> {
    let (sins, params) = match command {
        Command::Mail { sins, params, .. } => (*sins, Some(params)),
        Command::Rcpt { sins, .. } => (*sins, None),
        _ => (Sins::default(), None),
    };
    [
        (sins.verb_not_upper, Dialect::VERB_NOT_UPPER),
        (sins.space_after_colon, Dialect::SPACE_AFTER_COLON),
        (sins.space_before_colon, Dialect::SPACE_BEFORE_COLON),
        (sins.no_brackets, Dialect::NO_BRACKETS),
        (sins.trailing_blanks, Dialect::TRAILING_BLANKS),
        (sins.extra_blanks, Dialect::EXTRA_BLANKS),
        (sins.display_name, Dialect::DISPLAY_NAME),
        (params.is_some_and(|params| params.size.is_some()), Dialect::SIZE),
        (params.is_some_and(|params| params.body.is_some()), Dialect::BODY),
    ]
    .into_iter()
}

/// Whether a line surely is a command, and neither text of a mail nor base64.
fn is_sure(command: &Command<'_>, line: &[u8]) -> bool {
    let alone = line.trim_ascii_end().iter().all(u8::is_ascii_graphic);
    match *command {
        Command::Mail { .. } | Command::Rcpt { .. } | Command::Bdat { size: Some(_), .. } => true,
        Command::Ehlo(name) | Command::Helo(name) => !name.is_empty() && !name.contains(&b' '),
        Command::Auth { mechanism, .. } => {
            mechanism.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        }
        Command::Data | Command::Rset | Command::Quit | Command::Noop | Command::StartTls => alone,
        _ => false,
    }
}
