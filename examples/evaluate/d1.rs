//! D1: a worm's burst of mail; not a newsletter, not a queue that retries.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::rng::Rng;
use crate::talk::seconds;
use crate::texts;
use crate::wire::{Micros, SECOND};
use crate::world::{HOUR, Id, MINUTE, World};

/// A worm's nature, drawn for each run.
#[derive(Clone, Debug)]
pub(crate) struct Worm {
    /// Share of mails that are taken.
    accepted: f64,
    /// Of the others: share of recipients that do not exist, of policy refusals; the rest is anything.
    bad: f64,
    policy: f64,
    /// Share of connection attempts that nobody answers.
    silent: f64,
    helos: Vec<String>,
    senders: Vec<String>,
    esmtp: bool,
    blank: bool,
    rude: bool,
    /// Only refusals that blame the address, after it was listed.
    pub(crate) listed: bool,
}

impl Worm {
    pub(crate) fn new(w: &mut World, pc: Id) -> Self {
        let rng = &mut w.rng;
        let helos = match rng.below(4) {
            0 => vec![w.hosts[pc.0].name.split('.').next().unwrap_or("pc").to_uppercase()],
            1 => (0..4).map(|_| texts::domain(rng)).collect(),
            2 => vec!["localhost.localdomain".to_owned()],
            _ => vec![texts::domain(rng)],
        };
        let senders = (0..rng.between(1, 40))
            .map(|_| {
                let domain = texts::domain(rng);
                format!("{}@{domain}", texts::person(rng))
            })
            .collect();
        let [accepted, bad, policy] = Self::shares(rng);
        Self {
            accepted,
            bad,
            policy,
            silent: rng.within(0.02, 0.15),
            helos,
            senders,
            esmtp: rng.chance(0.5),
            blank: rng.chance(0.4),
            rude: rng.chance(0.4),
            listed: false,
        }
    }

    /// The shares of a worm's outcomes: taken, no such recipient, policy, anything else.
    pub(crate) fn mix(rng: &mut Rng) -> [f64; 4] {
        let [accepted, bad, policy] = Self::shares(rng);
        let failed = 1.0 - accepted;
        [accepted, failed * bad, failed * policy, failed * (1.0 - bad - policy)]
    }

    /// Share of mails that are taken; of the others the shares of bad recipients and of policy refusals.
    fn shares(rng: &mut Rng) -> [f64; 3] {
        [rng.within(0.15, 0.45), rng.within(0.25, 0.60), rng.within(0.10, 0.30)]
    }

    /// One attempt.
    pub(crate) fn strike(&self, w: &mut World, at: Micros, pc: Id, mx: Id) -> Micros {
        if w.rng.chance(self.silent) {
            w.call(at, pc, mx).unanswered(3);
            return at;
        }
        let mta = w.host(mx).mta;
        let seen_as = w.host(pc).public;
        let from = self.senders[w.rng.below(self.senders.len())].clone();
        let to = w.someone_at(mx);
        let letter = Letter::new(&mut w.rng, &from, &to);
        let letter = if w.rng.chance(self.accepted) {
            letter
        } else {
            let kind = w.rng.unit();
            if kind < self.bad {
                letter.refused(mta.unknown(&to))
            } else if self.listed {
                let words = mta.listed(&mut w.rng, seen_as, &to);
                letter.refused(words)
            } else if kind < self.bad + self.policy {
                let words = mta.policy(&mut w.rng, seen_as);
                if w.rng.chance(0.5) { letter.refused(words) } else { letter.refused_after_data(words) }
            } else if w.rng.chance(0.25) {
                let words = mta.greylisted(&mut w.rng, &to);
                letter.refused(words)
            } else {
                let words = mta.other(&mut w.rng, &to);
                letter.refused(words)
            }
        };
        let helo = self.helos[w.rng.below(self.helos.len())].clone();
        let how = Manner {
            esmtp: self.esmtp,
            blank: self.blank,
            rude: self.rude,
            may_tls: self.esmtp,
            ..Manner::of_server(&helo)
        };
        w.deliver(at, pc, mx, &how, &[letter])
    }

    /// So many attempts at so many servers, within about so many seconds.
    pub(crate) fn burst(&self, w: &mut World, start: Micros, pc: Id, count: usize, servers: usize, secs: f64) {
        let mxs: Vec<Id> = (0..servers).map(|_| w.outside()).collect();
        let mut at = start;
        for n in 0..count {
            let mx = if n < servers { mxs[n] } else { mxs[w.rng.below(servers)] };
            self.strike(w, at, pc, mx);
            at += w.wait(secs / count as f64);
        }
    }
}

/// A PC sends 60 mails to 28 servers in five minutes, most of which fail.
pub(crate) fn worm(w: &mut World) {
    let (start, pc) = (w.onset(), w.pcs[0]);
    let worm = Worm::new(w, pc);
    worm.burst(w, start, pc, 60, 28, 5.0 * MINUTE);
    w.expect(pc, Class::MassMailer, Tier::Likely, start);
}

/// A newsletter server: 2,000 recipients, 3 % of them gone. It is known to the site as a server of its own and takes
/// its bounces itself.
pub(crate) fn newsletter(w: &mut World) {
    let name = format!("news.{}", w.domain);
    let news = w.inside(&name, crate::talk::Stack::Linux);
    w.own_address(news);
    let mxs: Vec<Id> = (0..60).map(|_| w.outside()).collect();
    let start = w.onset();
    let mut at = start;
    let (from, dead) = (format!("bounce@{name}"), w.rng.within(0.02, 0.04));
    let mut left: usize = 2_000;
    while left > 0 {
        let mx = mxs[w.rng.below(mxs.len())];
        let mta = w.host(mx).mta;
        let share = left.min(w.rng.between(1, 20));
        left -= share;
        let letters: Vec<Letter> = (0..share.div_ceil(4))
            .map(|_| {
                let to = w.someone_at(mx);
                let mut letter = Letter::new(&mut w.rng, &from, &to);
                letter.to = (0..4.min(share))
                    .map(|_| {
                        let to = w.someone_at(mx);
                        let gone = w.rng.chance(dead).then(|| mta.unknown(&to));
                        (to, gone)
                    })
                    .collect();
                letter
            })
            .collect();
        w.deliver(at, news, mx, &Manner::of_server(&name), &letters);
        at += w.wait(9.0);
    }
    // It takes mail, too: confirmations before and bounces after.
    for _ in 0..w.rng.between(12, 30) {
        let (mx, when) = (mxs[w.rng.below(mxs.len())], w.rng.within(0.0, 3.0) * HOUR);
        let from = w.someone_at(mx);
        let to = format!("subscribe@{name}");
        let letter = Letter::new(&mut w.rng, &from, &to);
        let helo = w.host(mx).name.clone();
        w.deliver(start - seconds(when) - SECOND, mx, news, &Manner::of_server(&helo), &[letter]);
    }
}

/// A server keeps trying 40 mails at one dead MX.
pub(crate) fn dead_mx(w: &mut World) {
    let (start, dead, server) = (w.onset(), w.outside(), w.server);
    let pattern = w.rng.below(3);
    let letters: Vec<Letter> = (0..40)
        .map(|_| {
            let (from, to) = (w.user(), w.someone_at(dead));
            Letter::new(&mut w.rng, &from, &to)
        })
        .collect();
    let how = Manner::of_server(&w.host(server).name.clone());
    let mut at = start;
    for _ in 0..w.rng.between(4, 9) {
        for letter in &letters {
            match pattern {
                0 => w.call(at, server, dead).unanswered(2),
                1 => w.call(at, server, dead).refused(),
                _ => {
                    let words =
                        format!("550 5.4.4 <{}>: no such domain any more, host is being shut down", letter.to[0].0);
                    w.deliver(at, server, dead, &how, &[letter.clone().refused(words)]);
                }
            }
            at += w.wait(2.0);
        }
        at += w.pace(20.0 * MINUTE);
    }
}
