//! D6: tests for open relays, a server that is none, and one that is; not a backup MX, not a forwarded mailbox.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::talk::{Stack, seconds};
use crate::texts;
use crate::wire::{Micros, SECOND};
use crate::world::{Id, MINUTE, World};

/// The seven tests of KB 304897 by hand: five are refused, two are taken and bounce.
pub(crate) fn seven_tests(w: &mut World, start: Micros, server: Id) -> Micros {
    let tester = w.outside();
    let (mta, name) = (w.host(server).mta, w.host(server).name.clone());
    let (ours, theirs) = (w.domain.clone(), w.host(tester).domain.clone());
    let user = w.users[0].clone();
    let (victim, sender) = (format!("relaytest@{theirs}"), format!("spamtest@{theirs}"));
    let ip = w.host(server).public;
    let literal = if ip.is_ipv6() { format!("IPv6:{ip}") } else { ip.to_string() };
    let tests = [
        (sender.clone(), victim.clone(), false),
        (user.clone(), victim.clone(), false),
        (String::new(), victim.clone(), false),
        (format!("{user}@{ours}"), victim.clone(), false),
        (format!("spamtest@[{literal}]"), victim.clone(), false),
        (sender.clone(), format!("relaytest%{theirs}@{ours}"), true),
        (sender.clone(), format!("\"{victim}\""), true),
    ];
    let mut at = start;
    for (from, to, taken) in tests {
        let mut letter = Letter::new(&mut w.rng, &from, &to);
        if !taken {
            letter = letter.refused(mta.no_relay(&to));
        }
        let how = Manner { may_tls: true, ..Manner::of_server(&theirs) };
        let end = w.deliver(at, tester, server, &how, &[letter]);
        if taken {
            let text = texts::report(&mut w.rng, &name, &from, &to);
            let report = Letter::new(&mut w.rng, "", &from).with_text(text);
            let wait = seconds(w.rng.within(1.0, 30.0));
            w.deliver(end + wait, server, tester, &Manner::of_server(&name), &[report]);
        }
        at = end + w.pace(w.rng.clone().within(5.0, 40.0)) + SECOND;
    }
    at
}

/// Mail of strangers for strangers, taken and passed on.
pub(crate) fn relayed(w: &mut World, start: Micros, server: Id, count: usize, greylisted: f64) -> Micros {
    let spammer = w.outside();
    let name = w.host(server).name.clone();
    let mut at = start;
    for _ in 0..count {
        let target = w.outside();
        let (from, to) = (w.someone_at(spammer), w.someone_at(target));
        let letter = Letter::new(&mut w.rng, &from, &to);
        let helo = texts::domain(&mut w.rng);
        let end = w.deliver(at, spammer, server, &Manner::of_server(&helo), std::slice::from_ref(&letter));
        let received =
            format!("Received: from {helo} by {name} with ESMTP; Mon, 2 Mar 2026 08:14:09 +0100\r\n{}", letter.text);
        let onward = letter.with_text(received);
        let mut leaves = end + seconds(w.rng.within(0.2, 8.0));
        let how = Manner::of_server(&name);
        if w.rng.chance(greylisted) {
            let words = w.host(target).mta.greylisted(&mut w.rng, &to);
            w.deliver(leaves, server, target, &how, &[onward.clone().refused(words)]);
            leaves += seconds(w.rng.within(6.0, 40.0) * MINUTE);
        }
        w.deliver(leaves, server, target, &how, &[onward]);
        at += w.wait(30.0);
    }
    at
}

/// The seven tests prove nothing; a second server really relays.
pub(crate) fn tests_and_relay(w: &mut World) {
    let start = w.onset();
    let server = w.server;
    seven_tests(w, start, server);
    for technique in ["T1", "T2", "T3", "T4", "T5"] {
        w.truth.verdicts.push((technique, "rejected"));
    }
    for technique in ["T6", "T7"] {
        w.truth.verdicts.push((technique, "accepted_then_ndr"));
    }
    w.grant(server, Class::Relay);
    let name = format!("old.{}", w.domain);
    let open = w.inside(&name, Stack::Linux);
    w.own_address(open);
    // The office uses it, too: it takes mail, knows who is nobody, and people send through it.
    for _ in 0..w.rng.between(12, 25) {
        let (partner, to, pc) = (w.partner(), w.user(), w.pcs[w.rng.below(w.pcs.len())]);
        let them = w.someone_at(partner);
        let at = start - seconds(w.rng.within(0.5, 3.0) * 3600.0);
        let mut letter = Letter::new(&mut w.rng, &them, &to);
        if w.rng.chance(0.15) {
            letter = letter.refused(w.host(open).mta.unknown(&to));
        }
        let helo = w.host(partner).name.clone();
        let end = w.deliver(at, partner, open, &Manner::of_server(&helo), &[letter]);
        let answer = Letter::new(&mut w.rng, &to, &them);
        let desk = w.host(pc).name.clone();
        let how = Manner { may_tls: false, ..Manner::of_server(&desk) };
        let end = w.deliver(end + 60 * SECOND, pc, open, &how, std::slice::from_ref(&answer));
        w.deliver(end + SECOND, open, partner, &Manner::of_server(&name), &[answer]);
    }
    let later = start + w.pace(20.0 * MINUTE);
    let count = w.rng.between(5, 25);
    relayed(w, later, open, count, 0.2);
    w.expect(open, Class::Relay, Tier::Confirmed, later);
}

/// We are the backup MX of a partner, as the operator says.
pub(crate) fn backup_mx(w: &mut World) {
    let (mut at, server, primary) = (w.onset(), w.server, w.outside());
    let domain = w.host(primary).domain.clone();
    w.site.relay_domains = vec![domain];
    let name = w.host(server).name.clone();
    for _ in 0..40 {
        let from = w.outside();
        let (sender, to) = (w.someone_at(from), w.someone_at(primary));
        let letter = Letter::new(&mut w.rng, &sender, &to);
        let helo = w.host(from).name.clone();
        let end = w.deliver(at, from, server, &Manner::of_server(&helo), std::slice::from_ref(&letter));
        w.deliver(end + 2 * SECOND, server, primary, &Manner::of_server(&name), &[letter]);
        at += w.wait(60.0);
    }
    w.truth.never.push(Class::Relay);
}

/// A user's mailbox is forwarded to a provider.
pub(crate) fn forward(w: &mut World) {
    let (mut at, server, provider) = (w.onset(), w.server, w.outside());
    let (me, elsewhere) = (w.user(), w.someone_at(provider));
    let name = w.host(server).name.clone();
    for _ in 0..40 {
        let partner = w.partner();
        let from = w.someone_at(partner);
        let letter = Letter::new(&mut w.rng, &from, &me);
        let helo = w.host(partner).name.clone();
        let end = w.deliver(at, partner, server, &Manner::of_server(&helo), std::slice::from_ref(&letter));
        let mut onward = letter;
        onward.to = vec![(elsewhere.clone(), None)];
        w.deliver(end + 2 * SECOND, server, provider, &Manner::of_server(&name), &[onward]);
        at += w.wait(90.0);
    }
    w.truth.never.push(Class::Relay);
}
