//! One prober: a client, or a client network, at one server.

use super::super::observation::{Observation, Way};
use super::super::samples::Samples;
use super::super::sequential::Cusum;
use super::super::table::Weigh;
use super::waiting::Waiting;
use super::{Settings, shown};
use crate::smtp::Reply;
use crate::time::Ts;
use crate::wire::Wire;

/// Names shown of what was asked for.
pub(super) const NAMES_SHOWN: usize = 5;
/// Pairs of consecutive names from which on their order can be told.
const ORDER_MIN: u64 = 10;
/// Share of ascending pairs that is an order; names without one ascend half of the time.
const ORDER_SHARE: f64 = 0.9;

/// What a server tells of a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It exists.
    Valid,
    /// It does not.
    Invalid,
}

/// One question to a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// What the server told.
    pub(super) answer: Answer,
    /// The name with the reply; `None` for VRFY and EXPN.
    pub(super) what: Option<(&'a [u8], &'a Reply)>,
    /// A mail for it followed in the same transaction, and was taken.
    pub(super) mailed: bool,
    /// It may be an address verification, which the sum leaves out.
    pub(super) is_callout: bool,
}

#[derive(Debug)]
pub(super) struct Prober {
    pub(super) way: Way,
    pub(super) sum: Cusum,
    pub(super) invalid: u64,
    pub(super) valid: u64,
    pub(super) verified: u64,
    pub(super) mailed: u64,
    pub(super) mailed_later: u64,
    pub(super) invalid_most: u64,
    pub(super) names: Vec<Wire>,
    pub(super) first: Ts,
    pub(super) last: Ts,
    pub(super) samples: Samples,
    by_sum: bool,
    by_count: bool,
    /// The running window: when it began, and how many of its questions were for unknown and for valid recipients.
    hour: (Ts, u64, u64),
    last_name: Option<Wire>,
    ascending: u64,
    pairs: u64,
}

impl Weigh for Prober {
    fn weight(&self) -> u64 {
        self.invalid + 1000 * u64::from(self.alarmed())
    }
}

impl Prober {
    pub(super) fn new(way: Way, now: Ts) -> Self {
        Self {
            way,
            sum: Cusum::default(),
            invalid: 0,
            valid: 0,
            verified: 0,
            mailed: 0,
            mailed_later: 0,
            invalid_most: 0,
            names: Vec::new(),
            first: now,
            last: now,
            samples: Samples::default(),
            by_sum: false,
            by_count: false,
            hour: (now, 0, 0),
            last_name: None,
            ascending: 0,
            pairs: 0,
        }
    }

    /// Begun in the waiting room.
    pub(super) fn after(settings: &Settings, way: Way, known: &Waiting, now: Ts) -> Self {
        let mut prober = Self::new(way, now);
        prober.valid = u64::from(known.valid);
        prober.mailed = u64::from(known.mailed);
        if let Some(then) = known.invalid {
            (prober.first, prober.last) = (then, known.last);
            prober.invalid = 1;
            prober.hour = (known.began, 1, u64::from(known.valid_in_window));
            prober.invalid_most = 1;
            if !known.is_callout {
                prober.sum.add(10.0 * (settings.p1 / settings.p0).log10(), then);
            }
        }
        prober
    }

    /// One distinct question.
    pub(super) fn observe(&mut self, settings: &Settings, seen: &Observation<'_>, question: Question<'_>) {
        let Question { answer, what, mailed, is_callout } = question;
        let now = seen.at.ts;
        self.last = self.last.max(now);
        self.verified += u64::from(what.is_none());
        if now.since(self.hour.0) >= settings.window {
            self.hour = (now, 0, 0);
        }
        let name = what.map(|(name, _)| shown(name));
        if let Some(name) = &name {
            if let Some(last) = &self.last_name {
                self.pairs += 1;
                self.ascending += u64::from(name > last);
            }
            self.last_name = Some(name.clone());
        }
        if answer == Answer::Valid {
            self.valid += 1;
            self.mailed += u64::from(mailed);
            if !is_callout {
                self.sum.add(10.0 * ((1.0 - settings.p1) / (1.0 - settings.p0)).log10(), now);
            }
            self.hour.2 += 1;
            return;
        }
        if self.invalid == 0 {
            self.first = now;
        }
        self.invalid += 1;
        if !is_callout {
            self.sum.add(10.0 * (settings.p1 / settings.p0).log10(), now);
        }
        self.hour.1 += 1;
        let (_, invalid, valid) = self.hour;
        self.invalid_most = self.invalid_most.max(invalid);
        self.samples.add(seen.id, seen.at.frame);
        if let Some(name) = name
            && self.names.len() < NAMES_SHOWN
        {
            // Nearly all have one.
            self.names.reserve_exact(1);
            self.names.push(name);
        }
        self.by_sum |= self.sum.value() >= settings.alarm_db && self.invalid >= settings.invalid_min;
        let share = invalid as f64 / (invalid + valid) as f64;
        self.by_count |= invalid >= settings.invalid_hour_min && share >= settings.share_min;
    }

    pub(super) fn alarmed(&self) -> bool {
        self.by_sum || self.by_count
    }

    /// What it weighs against the prober, in dB.
    pub(super) fn db(&self, settings: &Settings, now: Ts) -> f64 {
        let by_sum = if self.by_sum { self.sum.peak(now) } else { 0.0 };
        let by_count = if self.by_count { settings.rule_db } else { 0.0 };
        let by_verify = if self.verified >= settings.verify_min { settings.suspect_db } else { 0.0 };
        by_sum.max(by_count).max(by_verify)
    }

    /// Whether it asked in alphabetical order.
    pub(super) fn in_order(&self) -> bool {
        self.pairs >= ORDER_MIN && self.ascending as f64 >= ORDER_SHARE * self.pairs as f64
    }
}
