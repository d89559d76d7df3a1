//! From the steps of a dialogue to the facts of a session: transactions with their outcome, each told as it ends.
//!
//! Read first: RFC 5321 sections 3.3 (mail transactions), 4.1.4 (order of commands) and 4.2.1 (what replies mean).
//!
//! # Outcomes
//!
//! The first rule that applies decides (`outcome`):
//!
//! 1. There is a reply to the mail data: 2xx is accepted, 4xx deferred, 5xx rejected.
//! 2. MAIL was refused: 5xx rejected, 4xx deferred.
//! 3. Bytes are missing, or the capture ended: incomplete.
//! 4. RCPTs were refused and none was accepted: rejected if any refusal was a 5xx, else deferred.
//! 5. DATA was refused: 5xx rejected, 4xx deferred.
//! 6. The session went on under TLS: hidden.
//! 7. The server hung up (421): deferred.
//! 8. The data were sent whole, or the client went on without a reply that we saw: incomplete.
//! 9. Else the client gave it up: abandoned. That is so wherever at least one RCPT was accepted, or none was sent.

mod envelope;

use std::sync::Arc;

use envelope::{Answer, Effect, Envelope};
use smallvec::SmallVec;

use super::{
    AuthAttempt, CommandLog, Outcome, Recipient, SessionEvent, SessionEventKind, SessionHead, SmtpFacts, TlsState,
    Transaction, Transfer,
};
use crate::frame::At;
use crate::limits::SmtpLimits;
use crate::smtp::{Dialogue, MailEnd, Reply, Sent, SmtpEvent};
use crate::tcp::{ConnStart, StreamEvent};
use crate::weird::Weird;
use crate::wire::Wire;

/// Room for as many commands is asked for at once: an ordinary session has EHLO, MAIL, RCPT, DATA, its end and QUIT.
const COMMANDS_USUAL: usize = 8;

/// Where a session's events go.
pub type Out<'a> = dyn FnMut(SessionEvent) + 'a;

/// Folds the steps of one dialogue. What each command needs stands in front (see [`Dialogue`]).
#[derive(Default, Debug)]
#[repr(C)]
pub struct SessionBuilder {
    open: Option<Open>,
    /// Shared by the events.
    head: Option<Arc<SessionHead>>,
    /// Something that is in the head has changed since.
    head_stale: bool,
    /// Recipients in the transactions that are kept.
    recipients: usize,
    /// Transactions that began.
    begun: u32,
    /// Commands are missing, so a transaction may have begun unseen.
    lossy: bool,
    /// Bytes of either side are missing.
    gapped: bool,
    facts: SmtpFacts,
    first_helo: Option<Wire>,
}

/// What stands of a connection before anything is said on it. Whoever keeps the connection keeps it, too, and lends it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Ends, first frame and cards.
    pub start: &'a ConnStart,
    /// The bounds of what is kept.
    pub limits: &'a SmtpLimits,
}

/// A transaction under way.
#[derive(Debug)]
struct Open {
    /// MAIL was refused.
    refused: bool,
    /// A RCPT was refused for good.
    permanent: bool,
    /// A reply was not seen.
    unseen: bool,
    /// The server hung up.
    shut: bool,
    /// Where it will be shared from; nobody else has it yet.
    transaction: Arc<Transaction>,
}

/// Why a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// By a reply.
    Answered,
    /// By another command of the client.
    GaveUp,
    /// By the end of the connection.
    Closed,
    /// By missing bytes or the end of the capture.
    Lost,
    /// By TLS.
    Hidden,
}

impl SessionBuilder {
    /// A builder for a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`Conversation::touch`].
    fn touch(&self) -> u64 {
        u64::from(self.begun) ^ u64::from(self.facts.commands_total)
    }

    /// See [`Conversation::touch_behind`].
    fn touch_behind(&self) -> u64 {
        // The counts of what is shared stand before it.
        let open = self
            .open
            .as_ref()
            .map_or(0, |open| Arc::strong_count(&open.transaction) as u64 ^ u64::from(open.transaction.rcpt_total));
        let head = self.head.as_ref().map_or(0, |head| Arc::strong_count(head) as u64 ^ u64::from(head.lossy));
        let log = self.facts.commands.last().map_or(0, |log| log.said.as_nanos() as u64);
        open ^ head ^ log ^ self.facts.last_reply.as_ref().map_or(0, |reply| reply.text.touch())
    }

    /// Takes the next step.
    pub fn handle(&mut self, event: SmtpEvent, known: Known<'_>, out: &mut Out<'_>) {
        match event {
            SmtpEvent::Greeted { at, reply } => {
                self.facts.last_reply = Some(reply.clone());
                self.facts.greeting = Some(reply);
                self.facts.greeted = Some(at);
                self.head_stale = true;
                self.facts.heads.told += 1;
                let kind = SessionEventKind::Greeted(self.head(known.start));
                out(SessionEvent { at, kind });
            }
            SmtpEvent::Answered { sent, said, at, reply } => self.answered(sent, said, at, reply, known, out),
            SmtpEvent::Unasked { reply, .. } => {
                if let (Some(open), Some(421)) = (&mut self.open, reply.code) {
                    open.shut = true;
                }
                self.facts.last_reply = Some(reply);
            }
            SmtpEvent::AuthEnded(attempt) => self.auth_ended(attempt, known, out),
            SmtpEvent::DataCut { mail, reply, .. } => self.data_cut(mail, reply),
            SmtpEvent::Lost { at } => {
                self.end(at, Why::Lost, known, out);
                self.lossy = true;
            }
            SmtpEvent::Tls { at, state } => {
                self.facts.tls.state = match (self.facts.tls.state, state) {
                    (TlsState::Implicit, TlsState::None) => TlsState::None,
                    (now, TlsState::None) => now,
                    (now, TlsState::StarttlsRefused) if now != TlsState::None => now,
                    (_, state) => state,
                };
                if matches!(state, TlsState::Starttls | TlsState::Implicit) {
                    self.end(at, Why::Hidden, known, out);
                }
            }
            SmtpEvent::Pipelined => self.facts.pipelined = true,
            SmtpEvent::Dialect(dialect) => self.facts.dialect = dialect,
            SmtpEvent::Smuggling(facts) => {
                self.facts.smuggling.get_or_insert(facts);
            }
            SmtpEvent::Weird { weird, .. } => self.facts.weird.insert(weird),
        }
    }

    /// Ends the session. `lost`: the capture ended or a limit cut the connection short, or only one side was captured,
    /// so that what is missing means nothing. Nothing may be handled afterwards.
    pub fn finish(&mut self, at: At, lost: bool, known: Known<'_>, out: &mut Out<'_>) -> &mut SmtpFacts {
        self.end(at, if lost { Why::Lost } else { Why::Closed }, known, out);
        // They were kept as they ended; a session tells them in the order of their MAIL commands.
        self.facts.transactions.sort_by_key(|tx| tx.trans_depth);
        &mut self.facts
    }

    /// Bytes of either side are missing from now on.
    fn gap(&mut self) {
        self.gapped = true;
        self.facts.heads.gapped();
        self.head_stale = true;
    }

    fn head(&mut self, start: &ConnStart) -> Arc<SessionHead> {
        let Self { facts, head, head_stale, gapped, .. } = self;
        let stale = std::mem::take(head_stale) || head.is_none();
        let head = head.get_or_insert_with(|| {
            let (greeting, helo) = (None, None);
            Arc::new(SessionHead { id: start.id, first: start.first, link: start.link, greeting, helo, lossy: false })
        });
        if stale {
            // In place, unless an event that has the old one was not judged yet.
            let head = Arc::make_mut(head);
            head.greeting.clone_from(&facts.greeting);
            head.helo.clone_from(&facts.helo);
            head.lossy = *gapped;
        }
        Arc::clone(head)
    }

    fn auth_ended(&mut self, attempt: AuthAttempt, known: Known<'_>, out: &mut Out<'_>) {
        if self.facts.auth.len() < known.limits.auth_max {
            self.facts.auth.push(attempt.clone());
        } else {
            self.facts.weird.insert(Weird::SessionLimit);
        }
        let at = attempt.at;
        self.facts.heads.told += 1;
        let kind = SessionEventKind::Auth(self.head(known.start), attempt);
        out(SessionEvent { at, kind });
    }

    fn answered(&mut self, sent: Sent, said: At, at: At, reply: Option<Reply>, known: Known<'_>, out: &mut Out<'_>) {
        self.log(&sent, said, at, reply.as_ref(), known.limits);
        match &sent {
            Sent::Hello { esmtp, name } => self.hello(*esmtp, name, reply.as_ref(), known.limits),
            Sent::Quit => self.facts.quit = true,
            _ => {}
        }
        let (effect, weird) = envelope::rule(self.envelope(), &sent, Answer::of(reply.as_ref()));
        if let Some(weird) = weird.filter(|_| !self.lossy) {
            self.facts.weird.insert(weird);
        }
        match effect {
            Effect::Nothing => {}
            Effect::Begin => {
                self.end(at, Why::GaveUp, known, out);
                let begun = self.begin(said, at);
                self.open = Some(begun);
                self.add(sent, at, reply, known, out);
            }
            Effect::BeginUnseen => {
                let begun = self.begin(said, at);
                self.open = Some(begun);
                self.add(sent, at, reply, known, out);
            }
            Effect::Aside => {
                let open = self.open.take();
                let begun = self.begin(said, at);
                self.open = Some(begun);
                self.add(sent, at, reply, known, out);
                self.end(at, Why::Answered, known, out);
                self.open = open;
            }
            Effect::Add => self.add(sent, at, reply, known, out),
            Effect::End => self.end(at, Why::GaveUp, known, out),
        }
    }

    fn log(&mut self, sent: &Sent, said: At, at: At, reply: Option<&Reply>, limits: &SmtpLimits) {
        self.facts.commands_total = self.facts.commands_total.saturating_add(1);
        if self.facts.commands.len() < limits.commands_max {
            if self.facts.commands.is_empty() {
                self.facts.commands.reserve(COMMANDS_USUAL);
            }
            let code = reply.and_then(|reply| reply.code);
            self.facts.commands.push(CommandLog {
                verb: sent.verb(),
                code,
                said: said.ts,
                replied: reply.map(|_| at.ts),
            });
        } else {
            self.facts.weird.insert(Weird::SessionLimit);
        }
        if let Some(reply) = reply {
            self.facts.last_reply = Some(reply.clone());
        }
    }

    fn hello(&mut self, esmtp: bool, name: &Wire, reply: Option<&Reply>, limits: &SmtpLimits) {
        let facts = &mut self.facts;
        let first = self.first_helo.get_or_insert_with(|| name.clone());
        if first != name && !facts.more_helos.contains(name) {
            if facts.more_helos.len() < limits.helos_max {
                facts.more_helos.push(name.clone());
            } else {
                facts.weird.insert(Weird::SessionLimit);
            }
        }
        // RFC 5321 section 4.1.4: a refused one leaves all as it was.
        let refused = reply.is_some_and(|reply| !reply.is_positive());
        if facts.helo.is_none() || !refused {
            facts.esmtp = Some(esmtp);
            match facts.helo.replace(name.clone()) {
                None => facts.heads.introduced(),
                Some(before) if before != *name => facts.heads.renamed(before, limits.helos_max),
                Some(_) => {}
            }
        }
        self.head_stale = true;
        let Some(reply) = reply else { return };
        let mut lines = reply.lines();
        let first = lines.next().unwrap_or_default();
        let whole = first.len() == reply.text.as_bytes().len();
        let text = if whole { reply.text.clone() } else { Wire::from(first) };
        if esmtp && reply.is_positive() && facts.ehlo_keywords.is_empty() {
            facts.ehlo_keywords = lines.take(limits.keywords_max).map(Wire::from).collect();
        }
        if !facts.helo_reply.as_ref().is_some_and(Reply::is_positive) {
            facts.helo_reply = Some(Reply { text, ..*reply });
        }
    }

    fn envelope(&self) -> Envelope {
        match &self.open {
            None => Envelope::Closed,
            Some(open) if open.refused => Envelope::Refused,
            Some(_) => Envelope::Open,
        }
    }

    fn begin(&mut self, began: At, at: At) -> Open {
        self.begun = self.begun.saturating_add(1);
        Open {
            transaction: Arc::new(Transaction {
                trans_depth: self.begun,
                began,
                ended: at,
                mailfrom: Wire::default(),
                null_sender: false,
                declared_size: None,
                mail_reply: None,
                rcptto: SmallVec::new(),
                rcpt_total: 0,
                rcpt_accepted: 0,
                rcpt_rejected: 0,
                transfer: None,
                data_cmd_reply: None,
                data_reply: None,
                size: 0,
                complete: false,
                outcome: Outcome::Incomplete,
                content: None,
            }),
            refused: false,
            permanent: false,
            unseen: false,
            shut: false,
        }
    }

    /// Adds a command to the open transaction.
    fn add(&mut self, sent: Sent, at: At, reply: Option<Reply>, known: Known<'_>, out: &mut Out<'_>) {
        let Some(open) = &mut self.open else { return };
        open.unseen |= reply.is_none();
        let transaction = Arc::make_mut(&mut open.transaction);
        match sent {
            Sent::Mail { path, size } => {
                transaction.null_sender = path.is_empty();
                transaction.mailfrom = path;
                transaction.declared_size = size;
                open.refused = reply.as_ref().is_some_and(|reply| !reply.is_positive());
                transaction.mail_reply = reply;
            }
            Sent::Rcpt { path } => {
                transaction.rcpt_total = transaction.rcpt_total.saturating_add(1);
                if let Some(reply) = &reply {
                    if reply.is_positive() {
                        transaction.rcpt_accepted = transaction.rcpt_accepted.saturating_add(1);
                    } else if reply.is_transient() || reply.is_permanent() {
                        transaction.rcpt_rejected = transaction.rcpt_rejected.saturating_add(1);
                    }
                    open.permanent |= reply.is_permanent();
                }
                if transaction.rcptto.len() < known.limits.recipients_max {
                    transaction.rcptto.push(Recipient { to: path, reply });
                } else {
                    self.facts.weird.insert(Weird::SessionLimit);
                }
            }
            Sent::Data => {
                transaction.data_cmd_reply = reply;
                if transaction.data_cmd_reply.as_ref().is_none_or(Reply::is_intermediate) {
                    transaction.transfer = Some(Transfer::Data);
                }
            }
            Sent::EndOfData(mail) => {
                open.take_mail(Transfer::Data, mail);
                open.transaction().data_reply = reply;
                self.end(at, Why::Answered, known, out);
            }
            Sent::Bdat { size, last, mail } => {
                transaction.transfer = Some(Transfer::Bdat);
                transaction.size = transaction.size.saturating_add(size);
                if let Some(mut mail) = mail {
                    mail.size = transaction.size;
                    open.take_mail(Transfer::Bdat, mail);
                }
                // Once a chunk is refused the later ones are too (RFC 3030 section 2), for that reason alone.
                let refused = reply.as_ref().is_some_and(|reply| !reply.is_positive());
                if (refused || last) && open.transaction.data_reply.is_none() {
                    open.transaction().data_reply = reply;
                }
                if last {
                    self.end(at, Why::Answered, known, out);
                }
            }
            _ => {}
        }
    }

    fn data_cut(&mut self, mail: MailEnd, reply: Option<Reply>) {
        let Some(open) = &mut self.open else { return };
        let transfer = open.transaction.transfer.unwrap_or(Transfer::Data);
        let size = open.transaction.size.saturating_add(mail.size);
        open.take_mail(transfer, MailEnd { size, ..mail });
        if open.transaction.data_reply.is_none() {
            open.transaction().data_reply = reply;
        }
    }

    /// Ends the open transaction, if there is one.
    fn end(&mut self, at: At, why: Why, known: Known<'_>, out: &mut Out<'_>) {
        let Some(mut open) = self.open.take() else { return };
        let outcome = outcome(&open, why);
        open.transaction().ended = at;
        open.transaction().outcome = outcome;
        let transaction = open.transaction;
        self.facts.transactions_total = self.facts.transactions_total.saturating_add(1);
        let recipients = self.recipients + transaction.rcptto.len();
        if self.facts.transactions.len() < known.limits.transactions_max
            && recipients <= known.limits.session_recipients_max
        {
            self.recipients = recipients;
            self.facts.transactions.push(Arc::clone(&transaction));
        } else {
            self.facts.weird.insert(Weird::SessionLimit);
        }
        self.facts.heads.told += 1;
        let kind = SessionEventKind::Transaction(self.head(known.start), transaction);
        out(SessionEvent { at, kind });
    }
}

impl Open {
    fn transaction(&mut self) -> &mut Transaction {
        Arc::make_mut(&mut self.transaction)
    }

    fn take_mail(&mut self, transfer: Transfer, mail: MailEnd) {
        let MailEnd { size, complete, facts } = mail;
        let transaction = self.transaction();
        transaction.transfer = Some(transfer);
        transaction.size = size;
        transaction.complete = complete;
        if size > 0 {
            transaction.content = Some(facts);
        }
    }
}

/// What became of a transaction (see the module's head).
fn outcome(open: &Open, why: Why) -> Outcome {
    let transaction = &open.transaction;
    let refused = |reply: &Reply| if reply.is_permanent() { Outcome::Rejected } else { Outcome::Deferred };
    if let Some(reply) = &transaction.data_reply {
        return if reply.is_positive() { Outcome::Accepted } else { refused(reply) };
    }
    if let Some(reply) = transaction.mail_reply.as_ref().filter(|reply| !reply.is_positive()) {
        return refused(reply);
    }
    if why == Why::Lost {
        return Outcome::Incomplete;
    }
    // Mail data are for somebody: where some were sent, a reply that was not seen may have accepted its recipient.
    let for_somebody = transaction.size > 0 && transaction.rcpt_rejected < transaction.rcpt_total;
    if transaction.rcpt_rejected > 0 && transaction.rcpt_accepted == 0 && !for_somebody {
        return if open.permanent { Outcome::Rejected } else { Outcome::Deferred };
    }
    if let Some(reply) = transaction.data_cmd_reply.as_ref().filter(|reply| !reply.is_intermediate()) {
        return refused(reply);
    }
    match why {
        Why::Hidden => Outcome::Hidden,
        Why::GaveUp | Why::Closed if open.shut => Outcome::Deferred,
        _ if transaction.complete => Outcome::Incomplete,
        Why::GaveUp if open.unseen => Outcome::Incomplete,
        Why::GaveUp | Why::Closed => Outcome::Abandoned,
        Why::Answered | Why::Lost => Outcome::Incomplete,
    }
}

/// A dialogue and its session, as the application state of a connection.
#[derive(Debug)]
pub struct Conversation {
    dialogue: Dialogue,
    builder: SessionBuilder,
    /// The last FIN or RST, or what was said after it.
    ended: Option<At>,
}

impl Conversation {
    /// A conversation of which nothing was seen; it starts with [`Self::begin`].
    pub fn new(limits: &SmtpLimits) -> Self {
        Self { dialogue: Dialogue::new(limits), builder: SessionBuilder::new(), ended: None }
    }

    /// Begins. Of a connection that was met in the middle, all that was said before is missing.
    pub fn begin(&mut self, known: Known<'_>, out: &mut Out<'_>) {
        let &ConnStart { id, first, midstream, .. } = known.start;
        if midstream {
            let Self { dialogue, builder, .. } = self;
            builder.gap();
            let at = At { ts: id.ts, frame: first };
            dialogue.begin_midstream(at, known.limits, &mut |step| builder.handle(step, known, out));
        }
    }

    /// Reads something of each line of memory that a command or a reply needs, so that it is near when one comes.
    pub fn touch(&self) -> u64 {
        self.ended.map_or(0, |at| at.frame.0) ^ self.dialogue.touch() ^ self.builder.touch()
    }

    /// The same of what these lines lead to. Mail data lead to nothing but themselves, and come one segment after the other.
    pub fn touch_behind(&self) -> u64 {
        if self.dialogue.reads_data() { 0 } else { self.builder.touch_behind() }
    }

    /// Takes the next event of the connection's streams.
    pub fn handle(&mut self, event: &StreamEvent<'_>, known: Known<'_>, out: &mut Out<'_>) {
        let Self { dialogue, builder, ended } = self;
        match *event {
            StreamEvent::Fin { at, .. } | StreamEvent::Reset { at, .. } => *ended = Some(at),
            StreamEvent::Data { at, .. } if ended.is_some() => *ended = Some(at),
            StreamEvent::Gap { .. } => builder.gap(),
            _ => {}
        }
        dialogue.handle(event, known.limits, &mut |step| builder.handle(step, known, out));
    }

    /// Ends the session (see [`SessionBuilder::finish`]). What only the end of the connection ends bears the stamp of that
    /// end, not of `at`, when it was certain that nothing follows.
    pub fn finish(&mut self, at: At, lost: bool, known: Known<'_>, out: &mut Out<'_>) -> SmtpFacts {
        let Self { dialogue, builder, ended } = self;
        let ended = ended.filter(|_| !lost).unwrap_or(at);
        let out = &mut |event| out(SessionEvent { at, ..event });
        let told = builder.facts.heads.told;
        let tls = dialogue.finish(ended, known.limits, &mut |step| builder.handle(step, known, out));
        let facts = builder.finish(ended, lost, known, out);
        facts.tls = super::Tls { state: facts.tls.state, ..tls };
        facts.heads.late = facts.heads.told - told;
        std::mem::take(facts)
    }
}

#[cfg(test)]
mod tests;
