//! Event time out of capture stamps that nobody vouches for.
//!
//! One frame with an absurd stamp must not expire every connection, and stamps that step back must not undo time. So a
//! forward jump counts only when the next frame confirms it, and backward steps are counted, not followed.

use crate::time::{Span, Ts};

/// A jump further than this wants a witness. Ten minutes is longer than any silence that a timeout of ours measures
/// on a busy link, and short enough that a quiet link asks for a witness only now and then.
const JUMP_MAX: Span = Span::mins(10);

/// Steps back up to this are the jitter of several capture queues or interfaces: the frame keeps its own stamp.
const JITTER_MAX: Span = Span::secs(1);

/// What to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamp {
    /// It happened at this time.
    At(Ts),
    /// Hold the frame until the next one tells whether its stamp is to be believed.
    Hold,
}

/// The event clock of a run.
#[derive(Clone, Debug, Default)]
pub struct EventClock {
    now: Option<Ts>,
    held: Option<Ts>,
    backward: u64,
    jumps_ignored: u64,
}

impl EventClock {
    /// Takes the stamp of the next frame. If a frame is held, first ask [`EventClock::release`].
    pub fn handle(&mut self, ts: Ts) -> Stamp {
        let Some(now) = self.now else {
            self.now = Some(ts);
            return Stamp::At(ts);
        };
        let step = ts.since(now);
        if step > JUMP_MAX {
            self.held = Some(ts);
            return Stamp::Hold;
        }
        if step >= Span::ZERO {
            self.now = Some(ts);
            return Stamp::At(ts);
        }
        if step >= Span::from_nanos(-JITTER_MAX.as_nanos()) {
            return Stamp::At(ts);
        }
        self.backward += 1;
        Stamp::At(now)
    }

    /// The time of the held frame, now that the next stamp is known (`None` at the end of the capture): its own if the
    /// next one confirms it, else the time before it.
    pub fn release(&mut self, next: Option<Ts>) -> Option<Ts> {
        let held = self.held.take()?;
        let confirmed = next.is_some_and(|next| next.since(held) >= Span::from_nanos(-JUMP_MAX.as_nanos()));
        if confirmed {
            self.now = Some(held);
        } else {
            self.jumps_ignored += 1;
        }
        self.now
    }

    /// Event time so far.
    pub fn now(&self) -> Ts {
        self.now.unwrap_or_default()
    }

    /// Frames stamped more than a second before an earlier frame.
    pub const fn backward(&self) -> u64 {
        self.backward
    }

    /// Frames whose stamp lay far ahead and was not confirmed.
    pub const fn jumps_ignored(&self) -> u64 {
        self.jumps_ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Ts {
        Ts::from_parts(secs, 0)
    }

    #[test]
    fn one_absurd_stamp_changes_nothing() {
        let mut clock = EventClock::default();
        assert_eq!(clock.handle(at(100)), Stamp::At(at(100)));
        assert_eq!(clock.handle(at(4_000_000_000)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(101))), Some(at(100)));
        assert_eq!(clock.handle(at(101)), Stamp::At(at(101)));
        assert_eq!(clock.jumps_ignored(), 1);
    }

    #[test]
    fn a_quiet_night_is_believed_by_the_second_frame() {
        let mut clock = EventClock::default();
        clock.handle(at(100));
        assert_eq!(clock.handle(at(30_000)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(30_001))), Some(at(30_000)));
        assert_eq!(clock.handle(at(30_001)), Stamp::At(at(30_001)));
    }

    #[test]
    fn a_jump_at_the_end_has_no_witness() {
        let mut clock = EventClock::default();
        clock.handle(at(100));
        clock.handle(at(30_000));
        assert_eq!(clock.release(None), Some(at(100)));
    }

    #[test]
    fn time_never_goes_back() {
        let mut clock = EventClock::default();
        clock.handle(at(100));
        assert_eq!(clock.handle(Ts::from_nanos(99_999_000_000)), Stamp::At(Ts::from_nanos(99_999_000_000)));
        assert_eq!(clock.now(), at(100));
        assert_eq!(clock.handle(at(50)), Stamp::At(at(100)));
        assert_eq!(clock.backward(), 1);
    }
}
