//! D11: a storm of refusals that come late on purpose; not greylisting, not a scanner that takes its time.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::talk::Stack;
use crate::texts;
use crate::world::{Id, MINUTE, World};

/// An application sends to 30 recipients of one server; refusals take five seconds, acceptances none.
pub(crate) fn tarpit(w: &mut World) {
    let (start, mx) = (w.onset(), w.outside());
    let app = w.inside(&format!("app.{}", w.domain), Stack::Linux);
    let (mta, name, helo) = (w.host(mx).mta, w.host(mx).name.clone(), w.host(app).name.clone());
    let from = format!("app@{}", w.domain);
    let (late, taken) = (w.rng.within(4.9, 5.3), w.rng.between(3, 5));
    let mut fates: Vec<bool> = (0..30).map(|n| n < taken).collect();
    w.rng.shuffle(&mut fates);
    let to: Vec<String> = (0..30).map(|_| format!("{}@{}", texts::made_up(&mut w.rng), w.host(mx).domain)).collect();
    // Why it refuses: people who do not exist, or a client that may not relay there.
    let unknown = w.rng.chance(0.5);
    let words = |to: &str| if unknown { mta.unknown(to) } else { mta.no_relay(to) };
    let mut at = start;
    for (fates, to) in fates.chunks(5).zip(to.chunks(5)) {
        let mut talk = w.call(at, app, mx);
        talk.think = 20_000;
        talk.open();
        talk.reply(&mta.banner(&name));
        talk.ask(&format!("EHLO {helo}"), &mta.ehlo(&name, &[]));
        talk.ask(&format!("MAIL FROM:<{from}>"), mta.ok());
        for (taken, to) in fates.iter().zip(to) {
            if *taken {
                talk.ask(&format!("RCPT TO:<{to}>"), mta.rcpt_ok());
            } else {
                talk.ask_slow(&format!("RCPT TO:<{to}>"), &words(to), late);
            }
        }
        at = talk.quit() + 500_000;
    }
    // By the design a storm is told as a suspicion: what is refused is not said to be wrong.
    w.expect(app, Class::RejectionStorm, Tier::Suspect, start);
    // Who asks one server for so many people that do not exist may as well be told to harvest addresses.
    if unknown {
        w.grant(app, Class::MassMailer);
    }
}

/// A newsletter that is greylisted nearly everywhere, and comes back.
pub(crate) fn greylisted(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    let name = w.host(server).name.clone();
    let from = format!("news@{}", w.domain);
    for _ in 0..120 {
        let mx = w.outside();
        let to = w.someone_at(mx);
        let letter = Letter::new(&mut w.rng, &from, &to);
        if w.rng.chance(0.8) {
            let words = w.host(mx).mta.greylisted(&mut w.rng, &to);
            w.deliver(at, server, mx, &Manner::of_server(&name), &[letter.clone().refused(words)]);
            let again = at + crate::talk::seconds(w.rng.within(6.0, 30.0) * MINUTE);
            w.deliver(again, server, mx, &Manner::of_server(&name), &[letter]);
        } else {
            w.deliver(at, server, mx, &Manner::of_server(&name), &[letter]);
        }
        at += w.wait(5.0);
    }
    w.truth.never.push(Class::RejectionStorm);
}

/// A partner's scanner takes 20 s for each mail.
pub(crate) fn slow_scanner(w: &mut World) {
    let (mut at, server, partner) = (w.onset(), w.server, w.partner());
    let (mta, name, helo) = (w.host(partner).mta, w.host(partner).name.clone(), w.host(server).name.clone());
    let targets: Vec<Id> = vec![partner];
    for _ in 0..30 {
        let (from, to) = (w.user(), w.someone_at(targets[0]));
        let text = texts::mail(&mut w.rng, &from, &to, &[], 900);
        let taken = mta.taken(&mut w.rng);
        let mut talk = w.call(at, server, partner);
        talk.open();
        talk.reply(&mta.banner(&name));
        talk.ask(&format!("EHLO {helo}"), &mta.ehlo(&name, &[]));
        talk.ask(&format!("MAIL FROM:<{from}>"), mta.ok());
        talk.ask(&format!("RCPT TO:<{to}>"), mta.rcpt_ok());
        talk.ask("DATA", "354 go ahead");
        talk.think = 20_000_000;
        talk.body(&text, &taken);
        talk.think = 1_000;
        at = talk.quit() + w.wait(60.0);
    }
    w.truth.never.push(Class::RejectionStorm);
}
