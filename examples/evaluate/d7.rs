//! D7: passwords guessed and an account abused; not a telephone with an old password, not a monthly mailing.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::texts;
use crate::wire::{Micros, SECOND};
use crate::world::{HOUR, Id, World};

/// Names tried one after the other, `right` last; returns the end.
pub(crate) fn guess(w: &mut World, start: Micros, from: Id, names: &[String], failures: usize, right: &str) -> Micros {
    let server = w.server;
    let mut at = start;
    for n in 0..failures {
        let name = names[n % names.len()].clone();
        let end = w.log_in(at, from, server, "ylmf-pc", &name, false);
        at = end.max(at + w.wait(4.0));
    }
    w.log_in(at, from, server, "ylmf-pc", right, true) + w.pace(60.0)
}

/// Spam through an account: so many recipients; returns the end.
pub(crate) fn abuse(w: &mut World, start: Micros, from: &[Id], user: &str, recipients: usize) -> Micros {
    let server = w.server;
    let name = w.host(server).name.clone();
    let targets: Vec<Id> = (0..60).map(|_| w.outside()).collect();
    let (bad, foreign) = (w.rng.within(0.2, 0.6), w.rng.chance(0.5));
    let sender = if foreign {
        let domain = texts::domain(&mut w.rng);
        format!("{}@{domain}", texts::person(&mut w.rng))
    } else {
        format!("{user}@{}", w.domain)
    };
    let (mut at, mut left) = (start, recipients);
    while left > 0 {
        let bot = from[w.rng.below(from.len())];
        let many = w.rng.between(1, 10).min(left);
        left -= many;
        let mxs: Vec<Id> = (0..many).map(|_| targets[w.rng.below(targets.len())]).collect();
        let to: Vec<String> = mxs.iter().map(|mx| w.someone_at(*mx)).collect();
        let mut letter = Letter::new(&mut w.rng, &sender, &to[0]);
        letter.to = to.iter().map(|to| (to.clone(), None)).collect();
        let end = w.deliver(at, bot, server, &Manner::logged_in("ylmf-pc", user), std::slice::from_ref(&letter));
        for (mx, to) in mxs.into_iter().zip(to) {
            let mut onward = letter.clone();
            let no = w.rng.chance(bad).then(|| w.host(mx).mta.unknown(&to));
            onward.to = vec![(to, no)];
            w.deliver(end + SECOND, server, mx, &Manner::of_server(&name), &[onward]);
        }
        at += w.wait(12.0);
    }
    at
}

fn bots(w: &mut World) -> Vec<Id> {
    (0..w.rng.between(1, 4)).map(|_| w.outside()).collect()
}

/// 40 failures over twelve names, `test` succeeds, 800 recipients.
pub(crate) fn guessed(w: &mut World) {
    let (start, bots) = (w.onset(), bots(w));
    let mut names: Vec<String> =
        ["admin", "info", "scanner", "sales", "office", "backup"].iter().map(|&name| name.to_owned()).collect();
    names.extend((0..6).map(|_| texts::person(&mut w.rng)));
    let end = guess(w, start, bots[0], &names, 40, "test");
    abuse(w, end, &bots, "test", 800);
    w.expect(w.server, Class::AuthGuessing, Tier::Likely, start);
    w.expect(w.server, Class::AccountAbuse, Tier::Likely, end);
}

/// A telephone fails 200 times with one name.
pub(crate) fn phone(w: &mut World) {
    let (mut at, phone, server) = (w.onset(), w.outside(), w.server);
    let user = w.users[1].clone();
    for _ in 0..200 {
        w.log_in(at, phone, server, "[192.168.43.11]", &user, false);
        at += w.wait(90.0);
    }
}

/// The monthly mailing of a user who logs in, as large as always: its hour of two days ago is in the capture.
pub(crate) fn mailing(w: &mut World) {
    let (server, desk) = (w.server, w.outside());
    let user = w.users[2].clone();
    let from = format!("{user}@{}", w.domain);
    let name = w.host(server).name.clone();
    let mxs: Vec<Id> = (0..50).map(|_| w.outside()).collect();
    let size = w.rng.between(300, 500);
    let hour = w.rng.within(9.0, 15.0);
    for day in [0.0, 2.0] {
        let mut at = w.at(day * 24.0 * HOUR + hour * HOUR);
        for _ in 0..size / 5 {
            let targets: Vec<Id> = (0..5).map(|_| mxs[w.rng.below(mxs.len())]).collect();
            let to: Vec<String> = targets.iter().map(|mx| w.someone_at(*mx)).collect();
            let mut letter = Letter::new(&mut w.rng, &from, &to[0]);
            letter.to = to.iter().map(|to| (to.clone(), None)).collect();
            let end = w.deliver(at, desk, server, &Manner::logged_in("desk", &user), std::slice::from_ref(&letter));
            for (mx, to) in targets.into_iter().zip(to) {
                let mut onward = letter.clone();
                let gone = w.rng.chance(0.02).then(|| w.host(mx).mta.unknown(&to));
                onward.to = vec![(to, gone)];
                w.deliver(end + SECOND, server, mx, &Manner::of_server(&name), &[onward]);
            }
            at += w.wait(25.0);
        }
    }
}
