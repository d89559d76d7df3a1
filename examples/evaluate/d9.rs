//! D9: the world refuses our address; not a refused link in a mail, not our own refusals.

use smtphound::detect::{Class, Tier};

use crate::d1::Worm;
use crate::office::{Letter, Manner};
use crate::talk::seconds;
use crate::texts;
use crate::world::{HOUR, Id, MINUTE, World};

/// A worm two hours earlier, then six domains that refuse the server and name a list.
pub(crate) fn listed(w: &mut World) {
    let (start, pc) = (w.onset(), w.pcs[0]);
    let worm = Worm::new(w, pc);
    worm.burst(w, start, pc, 80, 30, 20.0 * MINUTE);
    let since = start + seconds(2.0 * HOUR);
    let until = w.at(24.0 * HOUR);
    let refusers: Vec<Id> = w.partners[..6].to_vec();
    w.refusing = refusers.iter().map(|&id| (id, since, until)).collect();
    // The office writes to them that afternoon.
    for &partner in &refusers {
        for _ in 0..w.rng.between(1, 3) {
            let (at, from) = (since + seconds(w.rng.within(10.0, 3.0 * HOUR)), w.user());
            w.send_out(at, &from, partner);
        }
    }
    let first = since;
    w.expect(w.server, Class::Blocklisted, Tier::Likely, first);
    w.expect(pc, Class::MassMailer, Tier::Likely, start);
}

/// Two mails are refused for a link in them.
pub(crate) fn bad_links(w: &mut World) {
    let (start, server) = (w.onset(), w.server);
    let name = w.host(server).name.clone();
    for n in 0..2 {
        let (partner, from) = (w.partners[n], w.user());
        let to = w.someone_at(partner);
        let words = if n == 0 {
            "554 5.7.1 Message blocked: contains a URL listed in multi.uribl.com (black)"
        } else {
            "550 5.7.1 Blacklisted URL in message. (cheap.test) in [black]. See http://lookup.uribl.com"
        };
        let letter = Letter::new(&mut w.rng, &from, &to).refused_after_data(words.to_owned());
        let at = start + w.pace(n as f64 * 40.0 * MINUTE);
        w.deliver(at, server, partner, &Manner::of_server(&name), &[letter]);
    }
    w.truth.never.push(Class::Blocklisted);
}

/// Our server turns spammers away by a list.
pub(crate) fn we_refuse(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    for _ in 0..60 {
        let spammer = w.outside();
        let ip = w.host(spammer).ip;
        let (from, to) = (w.someone_at(spammer), w.user());
        let words = format!(
            "554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{ip}"
        );
        let letter = Letter::new(&mut w.rng, &from, &to).refused(words);
        let helo = texts::domain(&mut w.rng);
        w.deliver(at, spammer, server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(30.0);
    }
    w.truth.never.push(Class::Blocklisted);
}
