//! D3: a host that calls mail servers which do not answer; not an outage, not dead domains in a queue.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::wire::Micros;
use crate::world::{HOUR, Id, MINUTE, World};

/// A PC tries 30 addresses, 24 of which are silent.
pub(crate) fn walker(w: &mut World) {
    let (start, pc) = (w.onset(), w.pcs[0]);
    let mut answers: Vec<bool> = (0..30).map(|n| n >= 24).collect();
    w.rng.shuffle(&mut answers);
    let (mut at, helo) = (start, w.host(pc).name.split('.').next().unwrap_or("pc").to_owned());
    for answers in answers {
        let mx = w.outside();
        if answers {
            let (from, to) = (w.user(), w.someone_at(mx));
            let letter = Letter::new(&mut w.rng, &from, &to);
            w.deliver(at, pc, mx, &Manner::of_server(&helo), &[letter]);
        } else if w.rng.chance(0.85) {
            w.call(at, pc, mx).unanswered(3);
        } else {
            w.call(at, pc, mx).refused();
        }
        at += w.wait(8.0);
    }
    w.expect(pc, Class::MassMailer, Tier::Likely, start);
}

/// The line is cut: the server's queue and two application hosts with their smart host fail together.
pub(crate) fn outage(w: &mut World) {
    let start = w.onset();
    let minutes = w.rng.within(25.0, 90.0);
    let end = start + w.pace(minutes * MINUTE).min(w.pace(90.0 * MINUTE));
    w.blackout = Some((start, end));
    let senders: Vec<Id> = ["app", "erp", "backup"].map(|name| w.inside(name, crate::talk::Stack::Linux)).to_vec();
    let relay = w.outside();
    for app in senders {
        let helo = w.host(app).name.clone();
        let mut at: Micros = start - w.pace(30.0 * MINUTE);
        while at < end + w.pace(30.0 * MINUTE) {
            if at >= start && at < end {
                w.call(at, app, relay).unanswered(3);
            } else {
                let (from, to) = (w.user(), w.someone_at(relay));
                let letter = Letter::new(&mut w.rng, &from, &to);
                w.deliver(at, app, relay, &Manner::of_server(&helo), &[letter]);
            }
            at += w.wait(4.0 * MINUTE);
        }
    }
    // The server's queue tries everybody meanwhile.
    let mut at = start;
    while at < end {
        let partner = w.partner();
        w.call(at, w.server, partner).unanswered(3);
        at += w.wait(MINUTE);
    }
}

/// A server retries five dead domains for two days.
pub(crate) fn dead_domains(w: &mut World) {
    let (server, dead): (Id, Vec<Id>) = (w.server, (0..5).map(|_| w.outside()).collect());
    let mut wait = 5.0 * MINUTE;
    let mut at = w.at(0.3 * HOUR);
    let end = w.at(48.0 * HOUR);
    while at < end {
        for &mx in &dead {
            if w.rng.chance(0.7) {
                w.call(at, server, mx).unanswered(3);
            } else {
                w.call(at, server, mx).refused();
            }
            at += w.wait(3.0);
        }
        at += w.pace(wait);
        wait = (wait * 1.5).min(66.0 * MINUTE);
    }
}
