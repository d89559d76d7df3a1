//! The server's bytes: replies, and what each of them answers.

use super::data::MailData;
use super::phase::{self, Class, Kind, Phase, Step};
use super::queue::{Entry, Waiting};
use super::{Context, Dialogue, EARLY_MAX, EarlyReply, class};
use crate::frame::At;
use crate::limits::SmtpLimits;
use crate::net::Side;
use crate::smtp::TlsState;
use crate::smtp::reply::{is_masked_banner, parse_line};
use crate::smtp::{LineSplitter, Reply, Sent, SmtpEvent, TlsFollower};
use crate::weird::{Weird, WeirdSet};

impl Dialogue {
    /// Takes a segment's bytes.
    pub(super) fn server_data(&mut self, at: At, acked: u64, bytes: &[u8], cx: &mut Context<'_, '_>) {
        self.server.seen = true;
        self.server.acked = acked;
        let mut input = bytes;
        let start = self.server.pos;
        while let Some(&first) = input.first() {
            if self.server_tls || self.begins_server_tls(first) {
                self.server_tls = true;
                self.server.pos = start + bytes.len() as u64;
                let tls = self.tls.get_or_insert_with(|| Box::new(TlsFollower::new()));
                if let Some(weird) = tls.handle(Side::Resp, input) {
                    self.note(Side::Resp, weird, at, cx);
                }
                return;
            }
            let mut lines = std::mem::replace(&mut self.server.lines, LineSplitter::new(0));
            let before = input.len();
            let line = lines.next(&mut input);
            self.server.pos += (before - input.len()) as u64;
            let done = line.and_then(|line| {
                for (odd, weird) in [(line.too_long, Weird::LineTooLong), (line.odd_bytes().nul, Weird::NulByte)] {
                    if odd {
                        self.note(Side::Resp, weird, at, cx);
                    }
                }
                self.server_line(line.bytes, cx.limits)
            });
            self.server.lines = lines;
            if let Some((reply, weird)) = done {
                self.server_reply(reply, weird, at, acked, cx);
            }
        }
    }

    /// Whether a line's first byte begins TLS of the server: once the client speaks it, or was told to.
    fn begins_server_tls(&self, first: u8) -> bool {
        self.server.lines.pending().is_empty()
            && !self.assembler.is_open()
            && match self.phase {
                Phase::Tls => matches!(first, 20..=23 | 0x80..),
                Phase::TlsGranted => matches!(first, 20..=23),
                _ => false,
            }
    }

    /// Puts a line to its reply, if it is one of a reply.
    fn server_line(&mut self, line: &[u8], limits: &SmtpLimits) -> Option<(Reply, WeirdSet)> {
        let parsed = parse_line(line);
        if std::mem::take(&mut self.server_resync) && parsed.code.is_none() {
            // The rest of a line whose beginning is missing.
            return None;
        }
        self.assembler.handle(&parsed, limits)
    }

    fn server_reply(&mut self, reply: Reply, weird: WeirdSet, at: At, acked: u64, cx: &mut Context<'_, '_>) {
        for weird in weird.iter() {
            self.note(Side::Resp, weird, at, cx);
        }
        if !reply.is_valid() {
            return;
        }
        let end = self.server.pos;
        if self.take_greeting(&reply, at, end, acked, cx) {
            return;
        }
        let early = EarlyReply { reply, at, end, acked };
        let waits = acked > self.client.pos && !self.client.closed && self.phase != Phase::Tls;
        if waits || !self.early.is_empty() {
            self.early.push_back(early);
            while self.early.len() > EARLY_MAX {
                if let Some(early) = self.early.pop_front() {
                    self.reply(early, cx);
                }
            }
        } else {
            self.reply(early, cx);
        }
    }

    /// Takes the replies whose bytes were captured meanwhile.
    pub(super) fn handle_early(&mut self, cx: &mut Context<'_, '_>) {
        while let Some(early) = self.early.front() {
            if early.acked > self.client.pos && !self.client.closed {
                return;
            }
            if let Some(early) = self.early.pop_front() {
                self.reply(early, cx);
            }
        }
    }

    /// Takes the server's first reply for the greeting, unless it cannot be one (RFC 5321 section 4.3.2: 220, 554; and
    /// 421): no greeting has another positive code, so that reply answers a command.
    fn take_greeting(&mut self, reply: &Reply, at: At, end: u64, acked: u64, cx: &mut Context<'_, '_>) -> bool {
        if std::mem::replace(&mut self.past_greeting, true) {
            return false;
        }
        let early = reply.code != Some(220) && (reply.is_positive() || reply.is_intermediate());
        // In the middle of a dialogue 220 may answer STARTTLS, and anything else may answer anything.
        let middle = self.server.lost && (reply.code != Some(220) || self.client.seen);
        if early && (acked > 0 || !self.queue.is_empty()) || middle {
            return false;
        }
        self.greeting_end = Some(end);
        self.judge_early_talk(at, cx);
        if is_masked_banner(reply.text.as_bytes()) {
            self.note(Side::Resp, Weird::MaskedBanner, at, cx);
        }
        cx.tell(SmtpEvent::Greeted { at, reply: reply.clone() });
        if self.phase == Phase::Tls && !self.server_tls {
            self.refute_tls(at, cx);
        }
        true
    }

    /// The server answers TLS in the clear: the client's bytes are not what they look like.
    fn refute_tls(&mut self, at: At, cx: &mut Context<'_, '_>) {
        self.tls_refuted = true;
        self.step(Side::Resp, Step::PlainReply, at, cx);
        cx.tell(SmtpEvent::Tls { at, state: TlsState::None });
    }

    /// Takes a whole reply: finds what it answers.
    fn reply(&mut self, early: EarlyReply, cx: &mut Context<'_, '_>) {
        let EarlyReply { reply, at, end, acked } = early;
        let class = class(&reply);
        if let Some(smuggled) = self.smuggled.take_if(|_| !hangs_up(&reply) && self.queue.is_surplus(reply.code)) {
            self.read_smuggled(&smuggled, at, cx);
        }
        let starttls = self.queue.front().is_some_and(|waiting| waiting.kind == Kind::StartTls);
        if self.phase == Phase::Tls && !starttls {
            self.refute_tls(at, cx);
        }
        if self.phase == Phase::Data && self.queue.is_empty() && !reply.is_intermediate() {
            return self.verdict(reply, at, end, acked, cx);
        }
        if let Some(place) = self.queue.place(reply.code) {
            self.flush(at, place, cx);
            if let Some(Entry::Command(waiting)) = self.queue.pop() {
                self.answered(waiting, reply, class, at, end, cx);
            }
            return self.tell_lost(cx);
        }
        let usual =
            reply.is_goodbye() || self.queue.is_doubtful() || self.client.lost || self.server.lost || !self.client.seen;
        let (phase, weird) = phase::next(self.phase, Side::Resp, Step::Stray(class));
        let before = std::mem::replace(&mut self.phase, phase);
        if let (false, Some(weird)) = (usual, weird) {
            self.note(Side::Resp, weird, at, cx);
        }
        if before == Phase::Unsure {
            // The next line is whole as far as one can tell.
            self.unsure_since = None;
        }
        cx.tell(SmtpEvent::Unasked { at, reply: reply.without_quotations() });
    }

    /// A reply to a command.
    fn answered(&mut self, waiting: Waiting, reply: Reply, class: Class, at: At, end: u64, cx: &mut Context<'_, '_>) {
        let ends_group = waiting.sent.ends_group();
        if !matches!(waiting.sent, Sent::EndOfData(_)) {
            self.smuggled = None;
        }
        match waiting.sent {
            Sent::Hello { esmtp, .. } if class == Class::Done => {
                // Where the reply is longer than what is kept of it, the keyword may have been cut off.
                let cut = reply.text.as_bytes().len() >= cx.limits.reply_text_max;
                self.may_pipeline = esmtp && (cut || offers_pipelining(&reply));
            }
            _ => {}
        }
        self.last_reply = Some((end, ends_group));
        // The next command was sent already: had its sender seen this reply?
        let next = self.queue.front().map(|next| next.acked);
        let data = self.mail.as_ref().filter(|_| self.phase == Phase::Data && waiting.kind == Kind::Data);
        let data = data.and_then(|mail| mail.acked);
        let held = self.held.as_ref().and_then(|held| held.runs().next()).map(|(_, acked, _)| acked);
        if let Some(acked) = next.or(data).or(held) {
            self.judge(acked, end, ends_group, at, cx);
        }
        let (kind, before) = (waiting.kind, self.phase);
        // Even if the client went on as if it had been granted.
        let refused = kind == Kind::StartTls && class != Class::Done;
        let granted = kind == Kind::StartTls && class == Class::Done;
        self.tell_answered(waiting, at, Some(reply), cx);
        self.step(Side::Resp, Step::Answered(kind, class), at, cx);
        if refused {
            cx.tell(SmtpEvent::Tls { at, state: TlsState::StarttlsRefused });
        }
        if granted && self.phase == Phase::TlsGranted {
            cx.tell(SmtpEvent::Tls { at, state: TlsState::Starttls });
        }
        if matches!(before, Phase::Data | Phase::Chunk) && self.phase != before {
            // What was taken for data is something else, and it is gone.
            self.mail = None;
            self.unsure_since = Some(self.client.acked);
        }
        if before == Phase::Unsure {
            // The next line is whole as far as one can tell.
            self.unsure_since = None;
        }
        if matches!(before, Phase::DataAsked | Phase::BlobAsked) && self.phase != before {
            self.release_held(cx);
        }
    }

    /// A final reply while mail data are under way: the server saw an end that is not CRLF.CRLF, or does not want to
    /// see one.
    fn verdict(&mut self, reply: Reply, at: At, end: u64, acked: u64, cx: &mut Context<'_, '_>) {
        let mail = self.mail.get_or_insert_with(|| Box::new(MailData::new(cx.limits)));
        mail.handle_verdict(at, self.client.acked, self.client.pos, cx.limits);
        let seen = mail.other.as_ref().is_some_and(|other| other.tail.start <= acked);
        if seen && !hangs_up(&reply) {
            return self.take_other_end(at, Some((reply, end)), cx);
        }
        // 221 is no verdict: it accepts nothing.
        if mail.verdict.is_none() && reply.code != Some(221) {
            mail.verdict = Some(reply.clone());
        }
        cx.tell(SmtpEvent::Unasked { at, reply });
    }

    /// Bytes of the server are missing.
    pub(super) fn server_gap(&mut self, len: u64, cx: &mut Context<'_, '_>) {
        self.server.seen = true;
        self.server.lost = true;
        self.server.pos = self.server.pos.saturating_add(len);
        self.server.gap_end = self.server.pos;
        if self.phase == Phase::Tls || self.server_tls {
            if let Some(tls) = &mut self.tls {
                tls.handle_gap(Side::Resp, len);
            }
            return;
        }
        self.server.lines.reset();
        self.server_resync = true;
        self.assembler.reset();
        self.queue.replies_lost(self.server.pos);
        if self.held.is_some() {
            self.settle_held(false, cx);
        }
    }

    /// Ends a reply whose end the server forgot (a line without its end, or a last line with `-`), where the client goes
    /// on as if it were whole: it has acknowledged all of it and says the next thing. A greeting with `-` is different:
    /// there are servers that let early talkers fall into that trap.
    pub(super) fn end_open_reply(&mut self, at: At, acked: u64, cx: &mut Context<'_, '_>) {
        let pending = self.server.lines.pending();
        if pending.is_empty() && !self.assembler.is_open() {
            return;
        }
        // Once for all bytes that were sent with the same knowledge.
        if self.looked.replace((acked, self.server.pos)) == Some((acked, self.server.pos)) {
            return;
        }
        let greets = !self.past_greeting;
        let alone = match self.queue.back() {
            None => greets && !self.assembler.is_open(),
            // The client has seen this since it sent the command that it answers.
            Some(waiting) => !greets && self.queue.len() == 1 && acked > waiting.acked,
        };
        let code = |bytes: &[u8]| bytes.len() >= 3 && bytes.iter().take(3).all(u8::is_ascii_digit);
        let whole = pending.is_empty() || code(pending) && !(greets && pending.get(3) == Some(&b'-'));
        if acked != self.server.pos || !alone || !whole || self.phase == Phase::Tls {
            return;
        }
        self.end_reply(at, cx);
    }

    /// Takes what there is of a reply for the whole.
    fn end_reply(&mut self, at: At, cx: &mut Context<'_, '_>) {
        let pending = self.server.lines.take_pending();
        let line = if pending.is_empty() { None } else { self.server_line(&pending, cx.limits) };
        if let Some((reply, weird)) = line.or_else(|| self.assembler.take()) {
            self.note(Side::Resp, Weird::InvalidReply, at, cx);
            let acked = self.server.acked;
            self.server_reply(reply, weird, at, acked, cx);
        }
    }

    /// The server says no more.
    pub(super) fn finish_server(&mut self, at: At, cx: &mut Context<'_, '_>) {
        self.handle_early(cx);
        let pending = self.server.lines.pending();
        let is_reply = pending.iter().take(3).filter(|byte| byte.is_ascii_digit()).count() == 3;
        if !self.server_tls && self.phase != Phase::Tls && (self.assembler.is_open() || is_reply) {
            self.end_reply(at, cx);
        }
        self.handle_early(cx);
    }
}

/// Whether a reply that nothing asked for says that the server waited too long for something, so that it has not seen it:
/// 421, with some servers 221, or X.4.2 (RFC 3463 section 3.5).
fn hangs_up(reply: &Reply) -> bool {
    reply.is_goodbye() || reply.status.is_some_and(|status| (status.subject, status.detail) == (4, 2))
}

/// RFC 2920 section 2: the keyword PIPELINING in a line of its own.
fn offers_pipelining(reply: &Reply) -> bool {
    reply.lines().skip(1).any(|line| {
        line.split(|byte| matches!(byte, b' ' | b'='))
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(b"PIPELINING"))
    })
}
