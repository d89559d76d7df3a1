//! D5: bounces of mail that we never sent; not those of our own, not call-outs.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::talk::seconds;
use crate::texts;
use crate::world::{HOUR, Id, World};

/// 400 bounces an hour from 150 networks to users who never were.
pub(crate) fn backscatter(w: &mut World) {
    let (start, server) = (w.onset(), w.server);
    let sources: Vec<Id> = (0..150).map(|_| w.outside()).collect();
    let known = w.rng.within(0.0, 0.15);
    let mut at = start;
    for n in 0..400 {
        let from = sources[if n < 150 { n } else { w.rng.below(150) }];
        let name = w.host(from).name.clone();
        let known = w.rng.chance(known);
        let to = if known { w.user() } else { format!("{}@{}", texts::made_up(&mut w.rng), w.domain) };
        let about = w.someone_at(from);
        let text = texts::report(&mut w.rng, &name, &to, &about);
        let mut letter = Letter::new(&mut w.rng, "", &to).with_text(text);
        if !known {
            letter = letter.refused(w.host(server).mta.unknown(&to));
        }
        w.deliver(at, from, server, &Manner::of_server(&name), &[letter]);
        at += w.wait(HOUR / 400.0);
    }
    w.expect(server, Class::BackscatterVictim, Tier::Likely, start);
}

/// Our own newsletter of 5,000 recipients, sent by our server, and its bounces.
pub(crate) fn own_bounces(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    let name = w.host(server).name.clone();
    let mxs: Vec<Id> = (0..120).map(|_| w.outside()).collect();
    let from = format!("newsletter@{}", w.domain);
    let dead = w.rng.within(0.02, 0.06);
    for n in 0..1_250 {
        let mx = mxs[n % mxs.len()];
        let first = w.someone_at(mx);
        let mut letter = Letter::new(&mut w.rng, &from, &first);
        for _ in 0..3 {
            let to = w.someone_at(mx);
            letter.to.push((to, None));
        }
        let end = w.deliver(at, server, mx, &Manner::of_server(&name), &[letter]);
        for _ in 0..4 {
            if w.rng.chance(dead) {
                let helo = w.host(mx).name.clone();
                let text = texts::report(&mut w.rng, &helo, &from, &first);
                let bounce = Letter::new(&mut w.rng, "", &from).with_text(text);
                let wait = seconds(w.rng.within(2.0, 600.0));
                w.deliver(end + wait, mx, server, &Manner::of_server(&helo), &[bounce]);
            }
        }
        at += w.wait(3.0);
    }
}

/// One MTA calls out thirty times.
pub(crate) fn callouts(w: &mut World) {
    let (mut at, server, caller) = (w.onset(), w.server, w.outside());
    let helo = w.host(caller).name.clone();
    for _ in 0..30 {
        let to = w.user();
        let letter = Letter::new(&mut w.rng, "", &to).without_data();
        w.deliver(at, caller, server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(100.0);
    }
}
