//! D4: a server that answers spam for nobody with reports to strangers; not auto-replies, not call-outs.

use smtphound::detect::Class;

use crate::office::{Letter, Manner};
use crate::talk::seconds;
use crate::texts;
use crate::wire::{Micros, SECOND};
use crate::world::{Id, MINUTE, World};

/// Spam for made-up users comes in and is taken; a report goes to each forged sender. Returns the last instant.
pub(crate) fn flood(w: &mut World, start: Micros, spams: usize, secs: f64, victims: usize) -> Micros {
    let server = w.server;
    let name = w.host(server).name.clone();
    let domains: Vec<Id> = (0..victims).map(|_| w.outside()).collect();
    let bots: Vec<Id> = (0..w.rng.between(5, 30)).map(|_| w.outside()).collect();
    let (answered, dead) = (w.rng.within(0.93, 0.99), w.rng.within(0.15, 0.45));
    let mut at = start;
    for _ in 0..spams {
        let (bot, domain) = (bots[w.rng.below(bots.len())], domains[w.rng.below(victims)]);
        let (forged, to) = (w.someone_at(domain), format!("{}@{}", texts::made_up(&mut w.rng), w.domain));
        let spam = Letter::new(&mut w.rng, &forged, &to);
        let helo = texts::domain(&mut w.rng);
        let how = Manner { may_tls: false, rude: true, ..Manner::of_server(&helo) };
        let end = w.deliver(at, bot, server, &how, &[spam]);
        if w.rng.chance(answered) {
            let text = texts::report(&mut w.rng, &name, &forged, &to);
            let mut report = Letter::new(&mut w.rng, "", &forged).with_text(text);
            let mta = w.host(domain).mta;
            if w.rng.chance(dead) {
                report = report.refused(mta.unknown(&forged));
            }
            let wait = seconds(w.rng.within(0.5, 20.0));
            w.deliver(end + wait, server, domain, &Manner::of_server(&name), &[report]);
        }
        at += w.wait(secs / spams as f64);
    }
    at
}

/// 300 mails for nobody, some 290 reports to 120 domains.
pub(crate) fn reverse(w: &mut World) {
    let start = w.onset();
    flood(w, start, 300, 12.0 * MINUTE, 120);
    w.expect_kind(w.server, Class::NdrFlood, "reverse", start);
}

/// A holiday: 60 auto-replies among 400 mails.
pub(crate) fn holiday(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    let name = w.host(server).name.clone();
    let away: Vec<String> = (0..5).map(|_| w.user()).collect();
    let mut replies = vec![false; 340];
    replies.extend([true; 60]);
    w.rng.shuffle(&mut replies);
    let null = w.rng.chance(0.7);
    for reply in replies {
        let partner = w.partner();
        if reply {
            let person = w.someone_at(partner);
            let me = away[w.rng.below(away.len())].clone();
            let question = Letter::new(&mut w.rng, &person, &me);
            let helo = w.host(partner).name.clone();
            let end = w.deliver(at, partner, server, &Manner::of_server(&helo), &[question]);
            let marks: &[&str] = if w.rng.chance(0.8) {
                &["Auto-Submitted: auto-replied"]
            } else {
                &["Precedence: bulk", "X-Autoreply: yes"]
            };
            let text = texts::mail(&mut w.rng, &me, &person, marks, 300);
            let from = if null { "" } else { me.as_str() };
            let answer = Letter::new(&mut w.rng, from, &person).with_text(text);
            w.deliver(end + 3 * SECOND, server, partner, &Manner::of_server(&name), &[answer]);
        } else {
            let from = w.user();
            w.send_out(at, &from, partner);
        }
        at += w.wait(40.0);
    }
}

/// 500 call-outs: the null sender, a recipient, and away.
pub(crate) fn callouts(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    let name = w.host(server).name.clone();
    let asked: Vec<Id> = (0..80).map(|_| w.outside()).collect();
    let missing = w.rng.within(0.1, 0.4);
    for _ in 0..500 {
        let mx = asked[w.rng.below(asked.len())];
        let to = w.someone_at(mx);
        let mut letter = Letter::new(&mut w.rng, "", &to).without_data();
        if w.rng.chance(missing) {
            letter = letter.refused(w.host(mx).mta.unknown(&to));
        }
        w.deliver(at, server, mx, &Manner::of_server(&name), &[letter]);
        at += w.wait(6.0);
    }
}
