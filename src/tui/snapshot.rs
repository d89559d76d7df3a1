//! What a screen shows: one value that the thread that judges hands over whole, some times a second at most. Drawing
//! holds nothing that the judgement or the capture waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hashlink::LinkedHashMap;

use super::index::Index;
use super::standing::Standing;
use crate::activity::{ActivityBook, said};
use crate::capture::LiveStats;
use crate::incident::{Incident, Judgement, RankedHost};
use crate::net::{Endpoint, HostKey};
use crate::output::{Flood, RunFacts};
use crate::session::{SessionEvent, SessionEventKind};
use crate::tcp::ConnId;
use crate::time::Ts;
use crate::wire::Wire;

/// Sessions that are listed: some screens full.
const SESSIONS_MAX: usize = 500;

/// How a session stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SessionState {
    /// It goes on.
    Open,
    /// It ended.
    Ended,
    /// It ended without a greeting.
    Failed,
    /// Nobody answered, so many times.
    Unanswered(u32),
}

/// One session, as far as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionLine {
    /// Its ends and its beginning.
    pub id: ConnId,
    /// What happened last, and when.
    pub last: Ts,
    /// How it stands.
    pub state: SessionState,
    /// What the client calls itself.
    pub helo: Option<Wire>,
    /// Mails.
    pub mails: u32,
    /// Recipients that were refused.
    pub refused: u32,
    /// The last thing that was said.
    pub says: Option<Wire>,
    /// It went on under TLS.
    pub hidden: bool,
}

/// The latest sessions.
#[derive(Default, Debug)]
pub struct Recent {
    lines: LinkedHashMap<ConnId, SessionLine>,
}

impl Recent {
    /// Learns from an event.
    pub fn handle(&mut self, event: &SessionEvent) {
        let at = event.at.ts;
        match &event.kind {
            SessionEventKind::Greeted(head) => {
                let says = head.greeting.as_ref().map(said);
                let line = self.line(head.id, at);
                line.says = says;
                line.helo.clone_from(&head.helo);
            }
            SessionEventKind::Auth(head, auth) => {
                let line = self.line(head.id, at);
                line.helo.clone_from(&head.helo);
                line.says = auth.reply.as_ref().map(said);
            }
            SessionEventKind::Transaction(head, tx) => {
                let line = self.line(head.id, at);
                line.helo.clone_from(&head.helo);
                line.mails += 1;
                line.refused += tx.rcpt_rejected;
                let mut replies = tx.rcptto.iter().filter_map(|rcpt| rcpt.reply.as_ref());
                let last = tx.data_reply.as_ref().or_else(|| replies.next_back()).or(tx.mail_reply.as_ref());
                line.says = last.map(said);
            }
            SessionEventKind::Closed(session) => {
                let failed = session.failed();
                let line = self.line(session.conn.id, at);
                line.helo.clone_from(&session.smtp.helo);
                line.state = if failed { SessionState::Failed } else { SessionState::Ended };
                line.hidden = session.smtp.tls.state.is_hidden();
                if let Some(reply) = &session.smtp.last_reply {
                    line.says = Some(said(reply));
                }
            }
            SessionEventKind::Unanswered(attempt) => self.unanswered(attempt.id, at, 1),
            SessionEventKind::Flooded(flood) => self.unanswered(flood.first.id, at, flood.attempts),
            SessionEventKind::DnsQuery(_) | SessionEventKind::Told(_) | SessionEventKind::Translated(_) => {}
        }
    }

    /// All of one host are one line: a scan must not sweep the list.
    fn unanswered(&mut self, id: ConnId, at: Ts, attempts: u64) {
        let nobody = Endpoint { host: HostKey::v4([0; 4]), port: 0 };
        let key = ConnId { ts: Ts::EPOCH, orig: Endpoint { port: 0, ..id.orig }, resp: nobody };
        let line = self.line(key, at);
        line.id = id;
        let before = if let SessionState::Unanswered(times) = line.state { times } else { 0 };
        line.state = SessionState::Unanswered(before.saturating_add(u32::try_from(attempts).unwrap_or(u32::MAX)));
    }

    /// The lines, the latest first.
    pub fn lines(&self) -> Vec<SessionLine> {
        self.lines.values().rev().cloned().collect()
    }

    fn line(&mut self, id: ConnId, at: Ts) -> &mut SessionLine {
        let line = self.lines.remove(&id).unwrap_or(SessionLine {
            id,
            last: at,
            state: SessionState::Open,
            helo: None,
            mails: 0,
            refused: 0,
            says: None,
            hidden: false,
        });
        while self.lines.len() >= SESSIONS_MAX {
            self.lines.pop_front();
        }
        let line = self.lines.entry(id).or_insert(line);
        line.last = at;
        line
    }
}

/// Everything that is shown at one moment.
#[derive(Default, Debug)]
pub struct Snapshot {
    /// Grows by one with each.
    pub serial: u64,
    /// Event time.
    pub now: Ts,
    /// Hosts and incidents, the worst first.
    pub judgement: Judgement,
    /// Sessions, the latest first.
    pub sessions: Vec<SessionLine>,
    /// What was read and lost.
    pub facts: RunFacts,
    /// Who floods.
    pub floods: Vec<Flood>,
    /// What the device gave and lost; `None` in a replay.
    pub live: Option<LiveStats>,
    /// Connections between hosts of which none is ours.
    pub foreign: u64,
    /// Where no host of ours appeared: who looks like ours.
    pub candidates: Vec<(HostKey, f64)>,
    /// Connections that ended.
    pub ended: u64,
    /// The capture is over.
    pub over: bool,
    /// What lines are ordered and found by; see [`Snapshot::indexed`].
    pub index: Index,
}

impl Snapshot {
    /// With what the screen orders and finds lines by: the last thing that is done to a snapshot.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        self.index = Index::of(&self);
        self
    }

    /// How the host at a place of the ranking stands.
    pub(super) fn standing(&self, place: usize) -> Standing {
        self.index.hosts.standing.get(place).copied().unwrap_or_default()
    }

    /// The incidents, each with how it stands.
    pub(super) fn incidents(&self) -> impl Iterator<Item = (&Incident, Standing)> {
        self.judgement.incidents.iter().zip(self.index.incidents.standing.iter().copied())
    }

    /// A host by its address.
    pub(super) fn host(&self, host: HostKey) -> Option<&RankedHost> {
        let place = self.index.addresses.iter().position(|known| *known == host)?;
        self.judgement.hosts.get(place)
    }
}

/// What is shared by the thread that judges and the one that draws.
#[derive(Clone, Default, Debug)]
pub struct Stage {
    /// The latest snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What hosts did lately.
    pub activity: ActivityBook,
    /// How a replay is played.
    pub playback: Arc<Playback>,
}

/// How a replay is played: the screen sets it, the source follows.
#[derive(Debug)]
pub struct Playback {
    /// It can be played at all: this is a replay.
    pub there: bool,
    paused: AtomicBool,
    steps: AtomicU64,
    speed: AtomicU64,
}

impl Default for Playback {
    fn default() -> Self {
        Self { there: false, paused: AtomicBool::new(false), steps: AtomicU64::new(0), speed: AtomicU64::new(0) }
    }
}

impl Playback {
    /// Of a replay at a speed: 1 is as recorded, 0 without waiting.
    pub fn at(speed: f64) -> Self {
        Self { there: true, speed: AtomicU64::new(speed.to_bits()), ..Self::default() }
    }

    /// Whether it is held.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Holds it, or lets it go on.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// One frame on, while it is held.
    pub fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a step that was asked for.
    pub fn take_step(&self) -> bool {
        self.steps.try_update(Ordering::Relaxed, Ordering::Relaxed, |steps| steps.checked_sub(1)).is_ok()
    }

    /// The speed.
    pub fn speed(&self) -> f64 {
        f64::from_bits(self.speed.load(Ordering::Relaxed))
    }

    /// Twice (or half) as fast, between a hundredth and ten thousand; from "without waiting" it comes down to 1000.
    pub fn change_speed(&self, factor: f64) {
        let old = self.speed();
        let new = if old == 0.0 { if factor < 1.0 { 1000.0 } else { 0.0 } } else { (old * factor).max(0.01) };
        self.speed.store(if new > 10_000.0 { 0.0_f64 } else { new }.to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_once_each() {
        let playback = Playback::at(1.0);
        playback.step();
        playback.step();
        assert_eq!([playback.take_step(), playback.take_step(), playback.take_step()], [true, true, false]);
    }

    #[test]
    fn the_speed_has_two_ends() {
        let playback = Playback::at(0.0);
        playback.change_speed(2.0);
        assert!(playback.speed() == 0.0);
        playback.change_speed(0.5);
        assert!((playback.speed() - 1000.0).abs() < 1e-9);
        (0..10).for_each(|_| playback.change_speed(2.0));
        assert!(playback.speed() == 0.0);
        (0..100).for_each(|_| playback.change_speed(0.5));
        assert!((playback.speed() - 0.01).abs() < 1e-9);
    }
}
