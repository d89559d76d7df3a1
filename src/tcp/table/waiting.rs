//! Connections whose bytes wait for others, and how long they may (see `tcp::flow`).

use super::{Entry, FlowTable};
use crate::frame::{At, FrameNo};
use crate::tcp::event::StreamEvent;
use crate::tcp::sink::FlowSink;
use crate::time::Ts;

/// A connection in the queue of those that wait; its first frame tells it from a later one in the same place.
pub(super) struct Waiting {
    pub(super) due: Ts,
    pub(super) slot: u32,
    pub(super) first: FrameNo,
}

impl<A> FlowTable<A> {
    /// Looks after the connections whose bytes have waited as long as they may.
    pub(super) fn handle_waiting<S: FlowSink<App = A>>(&mut self, now: At, sink: &mut S) {
        while self.waiting.front().is_some_and(|waiting| waiting.due <= now.ts)
            && let Some(mut waiting) = self.waiting.pop_front()
        {
            if self.settle(&waiting, false, now, sink) {
                // Not acknowledged yet, so that a retransmission is likely.
                waiting.due = now.ts + self.limits.reorder_wait;
                self.waiting.push_back(waiting);
            }
        }
    }

    /// Gives up the holes of the connection that has waited longest.
    pub(super) fn give_up_longest_wait<S: FlowSink<App = A>>(&mut self, at: At, sink: &mut S) {
        let Some(waiting) = self.waiting.pop_front() else { return };
        self.stats.held_total_limit += 1;
        if self.settle(&waiting, true, at, sink) {
            self.waiting.push_back(waiting);
        }
    }

    /// Lets a waiting connection go on if it can; whether it still waits.
    fn settle<S: FlowSink<App = A>>(&mut self, waiting: &Waiting, give_up: bool, at: At, sink: &mut S) -> bool {
        let entry = self.flows.get_mut(waiting.slot).filter(|entry| entry.start.first == waiting.first);
        let Some(Entry { start, flow, app, .. }) = entry else { return false };
        let before = flow.held_cost() as usize;
        let emit = &mut |event: StreamEvent<'_>| sink.stream(app, start, event);
        if give_up {
            flow.give_up_held(at, &self.limits, &mut self.stats, emit);
        } else if flow.is_stalled() {
            flow.settle(at, &self.limits, &mut self.stats, emit);
        }
        self.held = (self.held + flow.held_cost() as usize).saturating_sub(before);
        flow.mark.queued = flow.is_stalled();
        flow.mark.queued
    }
}
