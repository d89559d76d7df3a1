//! Event time out of capture stamps that nobody vouches for.
//!
//! One frame with an absurd stamp must not expire every connection, and stamps that step back must not undo time. So a
//! forward jump counts only when the next frame confirms it, and backward steps are counted, not followed. The first frame of
//! all is such a jump, out of nowhere: time begins with it only if the next one does not lie far before it.

use crate::time::{Span, Ts};

/// A jump further than this wants a witness. Ten minutes is longer than any silence that a timeout of ours measures
/// on a busy link, and short enough that a quiet link asks for a witness only now and then. A witness may lie as far before
/// what it confirms.
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
            self.held = Some(ts);
            return Stamp::Hold;
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
    /// next one confirms it, else the time before it. Before the first frame there was none: it gets the next one's, or its own
    /// if it is the only one.
    pub fn release(&mut self, next: Option<Ts>) -> Option<Ts> {
        let held = self.held.take()?;
        let otherwise = self.now.or(next).unwrap_or(held);
        let confirmed = next.is_some_and(|next| next.since(held) >= Span::from_nanos(-JUMP_MAX.as_nanos()));
        let ts = if confirmed { held } else { otherwise };
        self.jumps_ignored += u64::from(ts != held);
        self.now = Some(ts);
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

    /// A clock whose first frame was confirmed.
    fn clock_at(secs: i64) -> EventClock {
        let mut clock = EventClock::default();
        assert_eq!(clock.handle(at(secs)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(secs))), Some(at(secs)));
        clock
    }

    #[test]
    fn time_does_not_begin_with_an_absurd_stamp() {
        let mut clock = EventClock::default();
        assert_eq!(clock.handle(at(4_000_000_000)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(100))), Some(at(100)));
        assert_eq!(clock.handle(at(100)), Stamp::At(at(100)));
        assert_eq!((clock.now(), clock.jumps_ignored(), clock.backward()), (at(100), 1, 0));

        // One that lies far back costs nothing either: the next one is a jump like any other.
        let mut clock = EventClock::default();
        clock.handle(at(0));
        assert_eq!(clock.release(Some(at(1_000_000))), Some(at(0)));
        assert_eq!(clock.handle(at(1_000_000)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(1_000_001))), Some(at(1_000_000)));
        assert_eq!(clock.jumps_ignored(), 0);
    }

    #[test]
    fn the_only_frame_has_its_own_stamp() {
        let mut clock = EventClock::default();
        assert_eq!(clock.handle(at(100)), Stamp::Hold);
        assert_eq!(clock.release(None), Some(at(100)));
        assert_eq!((clock.now(), clock.jumps_ignored()), (at(100), 0));
    }

    #[test]
    fn one_absurd_stamp_changes_nothing() {
        let mut clock = clock_at(100);
        assert_eq!(clock.handle(at(4_000_000_000)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(101))), Some(at(100)));
        assert_eq!(clock.handle(at(101)), Stamp::At(at(101)));
        assert_eq!(clock.jumps_ignored(), 1);
    }

    #[test]
    fn a_quiet_night_is_believed_by_the_second_frame() {
        let mut clock = clock_at(100);
        assert_eq!(clock.handle(at(30_000)), Stamp::Hold);
        assert_eq!(clock.release(Some(at(30_001))), Some(at(30_000)));
        assert_eq!(clock.handle(at(30_001)), Stamp::At(at(30_001)));
    }

    #[test]
    fn a_jump_at_the_end_has_no_witness() {
        let mut clock = clock_at(100);
        clock.handle(at(30_000));
        assert_eq!(clock.release(None), Some(at(100)));
    }

    #[test]
    fn time_never_goes_back() {
        let mut clock = clock_at(100);
        assert_eq!(clock.handle(Ts::from_nanos(99_999_000_000)), Stamp::At(Ts::from_nanos(99_999_000_000)));
        assert_eq!(clock.now(), at(100));
        assert_eq!(clock.handle(at(50)), Stamp::At(at(100)));
        assert_eq!(clock.backward(), 1);
    }
}
