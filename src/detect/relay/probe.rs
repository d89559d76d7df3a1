//! Who tests for open relays: several techniques from one client in a short time, and whose order it is.

use std::collections::VecDeque;

use super::attempt::Technique;
use crate::smtp::path::{Form, FormSet, SenderForm};
use crate::time::{Span, Ts};

/// Techniques remembered a client. The longest known test has sixteen, some of them alike.
const LOG_MAX: usize = 32;
/// After such a pause a client begins anew. Tests typed by hand take minutes each.
const PAUSE_MAX: Span = Span::hours(1);
/// Steps in a known order that name it: four may be chance, the rest of the order is peculiar.
const STEPS_MIN: usize = 5;

/// What one client tried at one server.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeLog {
    /// Repeats of a technique leave one entry, with the time of the last.
    steps: VecDeque<(Ts, Technique)>,
    /// The most distinct techniques within the window, ever.
    most: usize,
    /// At least one attempt is no mailbox of our own with an odd name.
    hard: bool,
}

impl ProbeLog {
    /// Notes an attempt; `window` is how close together techniques must be to make a test.
    pub(super) fn note(&mut self, now: Ts, technique: Technique, soft: bool, window: Span) {
        self.hard |= !soft;
        if self.steps.back().is_some_and(|(last, _)| now.since(*last) > PAUSE_MAX) {
            self.steps.clear();
        }
        match self.steps.back_mut() {
            Some((last, same)) if *same == technique => *last = now,
            _ => {
                if self.steps.len() >= LOG_MAX {
                    self.steps.pop_front();
                }
                self.steps.push_back((now, technique));
            }
        }
        let mut distinct: Vec<Technique> = Vec::new();
        for (at, technique) in &self.steps {
            if now.since(*at) <= window && !distinct.contains(technique) {
                distinct.push(*technique);
            }
        }
        self.most = self.most.max(distinct.len());
    }

    /// The most distinct techniques that were tried within the window.
    pub(super) const fn techniques(&self) -> usize {
        if self.hard { self.most } else { 0 }
    }

    /// Whose order of tests it is.
    pub(super) fn scanner(&self) -> Option<&'static str> {
        let steps: Vec<Technique> = self.steps.iter().map(|(_, technique)| *technique).collect();
        if is_kb_order(&steps) {
            return Some("the sequence of KB 304897");
        }
        let nmap = longest_run(&steps, &scanner_order(true));
        let metasploit = longest_run(&steps, &scanner_order(false));
        if nmap.max(metasploit) < STEPS_MIN {
            return None;
        }
        Some(match nmap.cmp(&metasploit) {
            std::cmp::Ordering::Greater => "nmap's smtp-open-relay",
            std::cmp::Ordering::Less => "Metasploit's smtp_relay",
            std::cmp::Ordering::Equal => "nmap's smtp-open-relay or Metasploit's smtp_relay",
        })
    }
}

/// nmap's sixteen tests, and Metasploit's, which are the same but for the fourth: its recipient is at the server's own
/// address and no attempt to relay. Neighbours that look alike (`@[ip]` and `@srv`) are one step.
fn scanner_order(fourth: bool) -> Vec<Technique> {
    use Form::{F1, F2, F3, F4, F5, F6, F7, F8, F9};
    let plain = [SenderForm::S1, SenderForm::S2, SenderForm::S3, SenderForm::S4].into_iter().map(|sender| (sender, F1));
    let routed = [F2, F3, F4, F5, F6, F7, F6, F8, F9].into_iter().map(|form| (SenderForm::S4, form));
    plain
        .take(if fourth { 4 } else { 3 })
        .chain(routed)
        .map(|(sender, form)| Technique { sender, forms: FormSet::from_iter([form]) })
        .collect()
}

/// The most steps that stand in the same order, without a gap, in both lists.
fn longest_run(steps: &[Technique], order: &[Technique]) -> usize {
    let run = |i: usize, j: usize| steps.iter().skip(i).zip(order.iter().skip(j)).take_while(|(a, b)| a == b).count();
    (0..steps.len()).flat_map(|i| (0..order.len()).map(move |j| (i, j))).map(|(i, j)| run(i, j)).max().unwrap_or(0)
}

/// The seven tests in their order; repeats and strangers between them do not matter, at most two may be missing.
fn is_kb_order(steps: &[Technique]) -> bool {
    const TESTS: [&str; 7] = ["T1", "T2", "T3", "T4", "T5", "T6", "T7"];
    let mut next = 0;
    let mut found = 0;
    for names in steps.iter().map(|technique| technique.names()) {
        if let Some(at) = TESTS.iter().skip(next).position(|test| names.contains(test)) {
            found += 1;
            next += at + 1;
        }
    }
    // T2 to T7 have forms that nmap's list lacks; without T2 (a bare local sender) it is somebody else's.
    found >= STEPS_MIN && steps.iter().any(|technique| technique.sender == SenderForm::S6)
}
