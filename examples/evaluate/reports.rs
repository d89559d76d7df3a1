//! The six reports of administrators: each the whole story, with what the program must say of it.

use smtphound::detect::{Class, Tier};

use crate::d1::Worm;
use crate::office::{Letter, Manner};
use crate::talk::seconds;
use crate::wire::SECOND;
use crate::world::{HOUR, Id, MINUTE, World};
use crate::{d4, d6, d7, d10};

/// R1: a worm behind the gateway, the server refused by the world; the PC goes, and mail flows again.
pub(crate) fn r1(w: &mut World) {
    let (start, pc) = (w.at(w.rng.clone().within(6.0, 8.0) * HOUR), w.pcs[0]);
    let mut worm = Worm::new(w, pc);
    worm.burst(w, start, pc, 120, 40, 60.0 * MINUTE);
    let listed = start + seconds(90.0 * MINUTE);
    worm.listed = true;
    worm.burst(w, listed, pc, 150, 40, 3.0 * HOUR);
    let (cured, cleared) = (w.at(14.0 * HOUR), w.at(16.0 * HOUR));
    debug_assert!(listed < cured);
    let refusers: Vec<Id> = w.partners[..w.partners.len() * 2 / 3].to_vec();
    w.refusing = refusers.iter().map(|&id| (id, listed, cleared)).collect();
    for partner in refusers {
        for from in [listed, cleared] {
            let (at, user) = (from + seconds(w.rng.within(60.0, 2.0 * HOUR)), w.user());
            w.send_out(at, &user, partner);
        }
    }
    w.expect(pc, Class::MassMailer, Tier::Confirmed, start);
    w.expect(w.server, Class::Blocklisted, Tier::Likely, listed);
}

/// R2: reports are nine tenths of what the server sends, until the patch.
pub(crate) fn r2(w: &mut World) {
    let start = w.at(w.rng.clone().within(8.0, 10.0) * HOUR);
    let spams = w.rng.between(500, 900);
    d4::flood(w, start, spams, 3.0 * HOUR, 200);
    w.expect_kind(w.server, Class::NdrFlood, "reverse", start);
}

/// R3: the same seen from the queue: most reports fail or are put off, and are tried again.
pub(crate) fn r3(w: &mut World) {
    let start = w.onset();
    let end = d4::flood(w, start, 250, 20.0 * MINUTE, 80);
    let (server, slow) = (w.server, w.outside());
    let name = w.host(server).name.clone();
    for n in 0..40 {
        let to = w.someone_at(slow);
        let text = crate::texts::report(&mut w.rng, &name, &to, &format!("nobody{n}@{}", w.domain));
        let letter = Letter::new(&mut w.rng, "", &to).with_text(text);
        for round in 0..3 {
            let words = format!("452 4.2.2 <{to}>: too much mail for this mailbox, queue it");
            let at = end + n * SECOND + round * seconds(16.0 * MINUTE);
            w.deliver(at, server, slow, &Manner::of_server(&name), &[letter.clone().refused(words)]);
        }
    }
    w.expect_kind(server, Class::NdrFlood, "reverse", start);
}

/// R4: a relay test site and its seven tests; nothing is relayed.
pub(crate) fn r4(w: &mut World) {
    let start = w.onset();
    d6::seven_tests(w, start, w.server);
    for technique in ["T1", "T2", "T3", "T4", "T5"] {
        w.truth.verdicts.push((technique, "rejected"));
    }
    for technique in ["T6", "T7"] {
        w.truth.verdicts.push((technique, "accepted_then_ndr"));
    }
    // What is expected is that it is told at all, and that nobody is called a relay.
    w.expect(w.server, Class::Relay, Tier::Suspect, start);
}

/// R5: a guest account is guessed and sends; beside it an open relay of the old kind is not there.
pub(crate) fn r5(w: &mut World) {
    let (start, bot) = (w.onset(), w.outside());
    let names: Vec<String> =
        ["administrator", "guest", "test", "www", "postmaster", "user"].map(str::to_owned).to_vec();
    let failures = w.rng.between(15, 60);
    let end = d7::guess(w, start, bot, &names, failures, "guest");
    let recipients = w.rng.between(400, 900);
    d7::abuse(w, end, &[bot], "guest", recipients);
    w.expect(w.server, Class::AuthGuessing, Tier::Likely, start);
    w.expect(w.server, Class::AccountAbuse, Tier::Likely, end);
}

/// R6: a travelling user behind a proxy that takes over port 25; the server never saw the user before.
pub(crate) fn r6(w: &mut World) {
    let start = w.onset();
    let user = w.users[0].clone();
    let tries = w.rng.between(6, 16);
    d10::proxied(w, start, &user, tries);
    w.expect(w.server, Class::Interception, Tier::Suspect, start);
    w.grant(w.server, Class::SenderSpoof);
}
