//! The waiting room: who asked one server for recipients, and of whom there is nothing more to tell.
//!
//! Nearly all clients ask for recipients that exist, or for one that does not. For them a line of numbers is enough; a
//! [`Prober`](super::probe::Prober) is made when anything is asked after the first unknown recipient, and begins with
//! these numbers. The room has fixed places: who falls on the place of another takes it, and the other's numbers are
//! forgotten (a question or two that a harvester asks again within seconds). Hashing is fixed: the result is the same in
//! every run.

use super::probe::Answer;
use crate::time::{Span, Ts};

/// Places; at 56 bytes each they take 3.5 MB at most, and memory that is not needed is not touched.
const PLACES: usize = 1 << 16;

/// The numbers of one client (or client network) at one server.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Waiting {
    key: u64,
    /// The running window: when it began, and how many valid recipients it saw.
    pub(super) began: Ts,
    pub(super) valid_in_window: u32,
    pub(super) valid: u32,
    pub(super) mailed: u32,
    pub(super) last: Ts,
    /// The first unknown recipient, and whether that may have been an address verification.
    pub(super) invalid: Option<(Ts, bool)>,
}

/// All that wait.
#[derive(Debug)]
pub(super) struct WaitingRoom(Vec<Waiting>);

impl WaitingRoom {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Asks memory for a place.
    pub(super) fn fetch(&self, key: u64) -> u64 {
        self.0.get(key as usize % PLACES).map_or(0, |waiting| waiting.key)
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
        if self.0.is_empty() {
            self.0.resize_with(PLACES, Waiting::default);
        }
        let place = key as usize % PLACES;
        let Some(waiting) = self.0.get_mut(place) else { return Ok(()) };
        if waiting.key != key {
            *waiting = Waiting { key, began: now, ..Waiting::default() };
        } else if waiting.invalid.is_some() {
            return Err(std::mem::take(waiting));
        }
        if now.since(waiting.began) >= window {
            (waiting.began, waiting.valid_in_window) = (now, 0);
        }
        waiting.last = now;
        if answer == Answer::Invalid {
            waiting.invalid = Some((now, is_callout));
        } else {
            waiting.valid_in_window = waiting.valid_in_window.saturating_add(1);
            waiting.valid = waiting.valid.saturating_add(1);
            waiting.mailed = waiting.mailed.saturating_add(u32::from(mailed));
        }
        Ok(())
    }
}
