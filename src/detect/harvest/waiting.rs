//! The waiting room: who asked one server for recipients, and of whom there is nothing more to tell.
//!
//! Nearly all clients ask for recipients that exist, or for one that does not. For them a line of numbers is enough; a
//! [`Prober`](super::probe::Prober) is made when anything is asked after the first unknown recipient, and begins with
//! these numbers. The room has fixed places: when they are taken, the numbers of others are forgotten (a question or two
//! that a harvester asks again within seconds). Hashing is fixed: the result is the same in every run.

use super::super::sets::Sets;
use super::probe::Answer;
use crate::time::{Span, Ts};

/// Places; at 50 bytes each they take 3.3 MB at most.
const PLACES: usize = 1 << 16;

/// The numbers of one client (or client network) at one server.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Waiting {
    /// The running window: when it began, and how many valid recipients it saw.
    pub(super) began: Ts,
    pub(super) valid_in_window: u32,
    pub(super) valid: u32,
    pub(super) mailed: u32,
    pub(super) last: Ts,
    /// The first unknown recipient.
    pub(super) invalid: Option<Ts>,
    /// That may have been an address verification.
    pub(super) is_callout: bool,
}

const _: () = assert!(size_of::<Waiting>() == 40, "what the places take");

/// All that wait.
#[derive(Debug)]
pub(super) struct WaitingRoom(Sets<Waiting>);

impl WaitingRoom {
    pub(super) const fn new() -> Self {
        Self(Sets::new(PLACES))
    }

    /// Asks memory for a place.
    pub(super) fn fetch(&self, key: u64) -> u64 {
        self.0.get(key).map_or(0, |waiting| u64::from(waiting.valid))
    }

    /// Who had to go.
    pub(super) const fn forgotten(&self) -> u64 {
        self.0.forgotten()
    }

    /// Notes a question of the pair with this hash. If it needs more than numbers, nothing is noted, and what was known
    /// till now is given back.
    pub(super) fn note(
        &mut self,
        key: u64,
        (answer, mailed, is_callout): (Answer, bool, bool),
        window: Span,
        now: Ts,
    ) -> Result<(), Waiting> {
        let mut fresh = Waiting { began: now, ..Waiting::default() };
        let known = self.0.touch(key);
        let is_new = known.is_none();
        let waiting = known.unwrap_or(&mut fresh);
        if waiting.invalid.is_some() {
            return self.0.take(key).map_or(Ok(()), Err);
        }
        if now.since(waiting.began) >= window {
            (waiting.began, waiting.valid_in_window) = (now, 0);
        }
        waiting.last = now;
        if answer == Answer::Invalid {
            (waiting.invalid, waiting.is_callout) = (Some(now), is_callout);
        } else {
            waiting.valid_in_window = waiting.valid_in_window.saturating_add(1);
            waiting.valid = waiting.valid.saturating_add(1);
            waiting.mailed = waiting.mailed.saturating_add(u32::from(mailed));
        }
        if is_new {
            self.0.put(key, fresh);
        }
        Ok(())
    }
}
