//! Commands that wait for their replies, oldest first (RFC 2920 section 3.2: a server answers in order).

use super::fifo::Fifo;
use super::phase::Kind;
use crate::frame::At;
use crate::smtp::{AuthExchange, Sent};

/// Something in the order of the client's commands.
#[derive(Debug)]
pub(super) enum Entry {
    /// A command that a reply is due for.
    Command(Waiting),
    /// Bytes of the client are missing here: an unknown number of commands.
    Lost(At),
}

/// A command without its reply.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) sent: Sent,
    pub(super) kind: Kind,
    /// When it was sent.
    pub(super) at: At,
    /// How many bytes of the server the client had acknowledged when it sent its last byte.
    pub(super) acked: u64,
    /// Of AUTH.
    pub(super) exchange: Option<Box<AuthExchange>>,
}

/// What makes the order of replies uncertain.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    /// Entries before this one are not touched by it.
    from: usize,
    /// A command whose sender had acknowledged more than this was sent after the doubtful replies.
    mark: u64,
    /// Replies are missing; if not, commands are.
    of_replies: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: Fifo<Entry>,
    doubt: Option<Doubt>,
    /// Bytes of the commands' arguments.
    bytes: usize,
}

impl Queue {
    /// Bytes of the commands' arguments.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.bytes();
        self.entries.push_back(Entry::Command(waiting));
    }

    /// Notes that commands are missing here. `mark`: what the client had acknowledged before.
    pub(super) fn push_lost(&mut self, at: At, mark: u64) {
        if !matches!(self.entries.back(), Some(Entry::Lost(_))) {
            self.entries.push_back(Entry::Lost(at));
        }
        let from = self.doubt.map_or(self.entries.len(), |doubt| doubt.from.min(self.entries.len()));
        self.doubt = Some(Doubt { from, mark, of_replies: false });
    }

    /// Notes that replies are missing: bytes of the server up to `end`.
    pub(super) fn replies_lost(&mut self, end: u64) {
        self.doubt = Some(Doubt { from: 0, mark: end.saturating_sub(1), of_replies: true });
    }

    /// Whether it is uncertain which reply answers which command.
    pub(super) const fn is_doubtful(&self) -> bool {
        self.doubt.is_some()
    }

    /// Reads something of what is next in order; the number means nothing.
    pub(super) fn touch(&self) -> u64 {
        let waiting = self.entries.front().and_then(Entry::command).map_or(0, |waiting| waiting.acked);
        waiting ^ self.bytes as u64
    }

    /// The entry that is next in order.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        if let Some(doubt) = &mut self.doubt {
            doubt.from = doubt.from.saturating_sub(1);
        }
        let entry = self.entries.pop_front();
        self.bytes -= entry.as_ref().and_then(Entry::command).map_or(0, Waiting::bytes);
        entry
    }

    /// Whether gaps stand next in order, so that nothing waits before them.
    pub(super) fn begins_with_lost(&self) -> bool {
        matches!(self.entries.front(), Some(Entry::Lost(_)))
    }

    /// The command that is next in order.
    pub(super) fn front(&self) -> Option<&Waiting> {
        self.entries.iter().find_map(Entry::command)
    }

    /// The newest command.
    pub(super) fn back(&self) -> Option<&Waiting> {
        self.entries.iter().rev().find_map(Entry::command)
    }

    /// The newest command that `wanted` is true of.
    pub(super) fn newest(&mut self, wanted: impl Fn(&Waiting) -> bool) -> Option<&mut Waiting> {
        self.entries.iter_mut().rev().find_map(|entry| match entry {
            Entry::Command(waiting) if wanted(waiting) => Some(waiting),
            _ => None,
        })
    }

    /// The client said something new, having acknowledged `acked` bytes of the server: a doubt about older replies may
    /// be over. Says how many entries will never be answered.
    pub(super) fn resolve(&mut self, acked: u64, lockstep: bool) -> usize {
        match self.doubt {
            Some(doubt) if acked > doubt.mark && (lockstep || !doubt.of_replies) => {
                self.doubt = None;
                // A client that waits for each reply has seen those to all that it said before.
                if lockstep { self.entries.len() } else { 0 }
            }
            _ => 0,
        }
    }

    /// Whether a reply is one too many: nothing waits for it, or only a QUIT that no server would answer so.
    pub(super) fn is_surplus(&self, code: Option<u16>) -> bool {
        match self.front() {
            None => true,
            Some(waiting) => {
                matches!(waiting.sent, Sent::Quit) && code.is_some_and(|code| code != 221 && (200..400).contains(&code))
            }
        }
    }

    /// How many entries stand before the one that a reply with this code answers; `None` if it answers none of them.
    ///
    /// Some codes answer one command only: 354 only DATA and XEXCH50, 334 and 235 only AUTH (RFC 5321 section 4.2.3,
    /// RFC 4954 sections 4 and 6). Where nothing is missing and no AUTH waits, 334 answers one that is not known here. 221 answers only QUIT, but servers say it too when they hang up.
    pub(super) fn place(&mut self, code: Option<u16>) -> Option<usize> {
        let of =
            |wanted: fn(&Waiting) -> bool| self.entries.iter().position(|entry| entry.command().is_some_and(wanted));
        let certain = match code {
            Some(354) => Some(of(|waiting| matches!(waiting.kind, Kind::Data | Kind::Xexch50))),
            Some(334) => {
                Some(of(|waiting| waiting.kind == Kind::Auth)).filter(|at| at.is_some() || self.doubt.is_some())
            }
            Some(235) if self.doubt.is_some() => Some(of(|waiting| waiting.kind == Kind::Auth)),
            Some(221) if self.doubt.is_some() => Some(of(|waiting| matches!(waiting.sent, Sent::Quit))),
            _ => None,
        };
        if let Some(place) = certain {
            if place.is_some() && self.doubt.is_some_and(|doubt| place >= Some(doubt.from)) {
                self.doubt = None;
            }
            return place;
        }
        match self.doubt {
            // One command waits and one reply comes: they belong together, or the client would have gone on.
            Some(Doubt { from: 0, of_replies: true, .. }) => (self.entries.len() == 1).then_some(0),
            Some(Doubt { from: 0, of_replies: false, .. }) => None,
            _ => (!self.entries.is_empty()).then_some(0),
        }
    }
}

impl Waiting {
    /// Bytes of its argument.
    fn bytes(&self) -> usize {
        match &self.sent {
            Sent::Hello { name: text, .. } | Sent::Mail { path: text, .. } | Sent::Rcpt { path: text } => {
                text.as_bytes().len()
            }
            _ => 0,
        }
    }
}

impl Entry {
    const fn command(&self) -> Option<&Waiting> {
        match self {
            Self::Command(waiting) => Some(waiting),
            Self::Lost(_) => None,
        }
    }
}
