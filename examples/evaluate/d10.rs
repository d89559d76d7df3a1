//! D10: a user whose port 25 somebody took over; not a service that sends for us, not spoofed mail.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::texts;
use crate::wire::Micros;
use crate::world::{HOUR, Id, MINUTE, World};

const TOO_MANY: &str =
    "550 5.2.1 Mailbox unavailable. Too many invalid delivery attempts were received from your IP address";

/// The user's client, through two machines of the access provider's proxy; the server holds back and refuses.
pub(crate) fn proxied(w: &mut World, start: Micros, user: &str, tries: usize) -> Micros {
    let server = w.server;
    let proxies = [w.outside(), w.outside()];
    let provider = texts::domain(&mut w.rng);
    let (mta, name) = (w.host(server).mta, w.host(server).name.clone());
    let from = format!("{user}@{}", w.domain);
    let (other, inside) = (w.outside(), w.user());
    let friends = [w.someone_at(other), w.someone_at(other), inside];
    let others = w.someone_at(other);
    let late = w.rng.within(4.0, 8.0);
    let mut at = start;
    for n in 0..tries {
        let proxy = proxies[n % 2];
        let to = friends[n % 3].clone();
        let mut talk = w.call(at, proxy, server);
        talk.open();
        talk.reply(&mta.banner(&name));
        talk.ask(&format!("EHLO mail{}.{provider}", n % 2 + 1), &mta.ehlo(&name, &["AUTH PLAIN LOGIN"]));
        talk.ask(&format!("MAIL FROM:<{from}>"), mta.ok());
        talk.ask_slow(&format!("RCPT TO:<{to}>"), TOO_MANY, late);
        let end = talk.quit();
        // The proxy serves its other customers, too.
        if n % 2 == 1 {
            let to = w.user();
            let letter = Letter::new(&mut w.rng, &others, &to);
            let how = Manner { may_tls: false, ..Manner::of_server(&format!("mail{}.{provider}", n % 2 + 1)) };
            w.deliver(end + 1_000_000, proxy, server, &how, &[letter]);
        }
        at = end + w.wait(4.0 * MINUTE);
    }
    at
}

/// A travelling user who otherwise logs in: two names of a proxy, three recipients, refused.
pub(crate) fn intercepted(w: &mut World) {
    let (start, server, home) = (w.onset(), w.server, w.outside());
    let user = w.users[0].clone();
    // The evening before: from home, logged in.
    for _ in 0..w.rng.between(1, 4) {
        let (partner, from) = (w.partner(), format!("{user}@{}", w.domain));
        let to = w.someone_at(partner);
        let letter = Letter::new(&mut w.rng, &from, &to);
        let at = w.at(w.rng.clone().within(0.5, 7.0) * HOUR);
        let end =
            w.deliver(at, home, server, &Manner::logged_in("[192.168.178.20]", &user), std::slice::from_ref(&letter));
        let name = w.host(server).name.clone();
        w.deliver(end + 1_000_000, server, partner, &Manner::of_server(&name), &[letter]);
    }
    let tries = w.rng.between(6, 14);
    proxied(w, start, &user, tries);
    // By the design four points are a suspicion; what this scenario shows is worth more.
    w.expect(server, Class::Interception, Tier::Suspect, start);
    w.grant(server, Class::SenderSpoof);
}

/// A service sends our invoices as billing@, and is taken.
pub(crate) fn service(w: &mut World) {
    let (mut at, server, saas) = (w.onset(), w.server, w.outside());
    let helo = w.host(saas).name.clone();
    let from = format!("billing@{}", w.domain);
    for _ in 0..w.rng.between(4, 9) {
        let to = w.user();
        let letter = Letter::new(&mut w.rng, &from, &to);
        w.deliver(at, saas, server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(25.0 * MINUTE);
    }
    w.truth.never.push(Class::Interception);
}

/// The chief's address from twenty places: a spoof, no interception.
pub(crate) fn spoofed(w: &mut World) {
    let (start, server) = (w.onset(), w.server);
    let from = format!("ceo@{}", w.domain);
    let places: Vec<Id> = (0..20).map(|_| w.outside()).collect();
    let mut at = start;
    for n in 0..w.rng.between(20, 40) {
        let to = w.user();
        let letter = Letter::new(&mut w.rng, &from, &to);
        let helo = texts::domain(&mut w.rng);
        w.deliver(at, places[n % 20], server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(60.0);
    }
    w.truth.never.push(Class::Interception);
    if w.vary.rate >= 1.0 {
        w.expect(server, Class::SenderSpoof, Tier::Likely, start);
    } else {
        w.grant(server, Class::SenderSpoof);
    }
}
