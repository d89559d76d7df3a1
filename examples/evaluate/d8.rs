//! D8: asking for recipients one after the other; not an old list, not call-outs.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::texts;
use crate::world::World;

/// 200 names, six of them valid, no mail.
pub(crate) fn harvest(w: &mut World) {
    let (start, server, from) = (w.onset(), w.server, w.outside());
    let mta = w.host(server).mta;
    let mut names: Vec<(String, bool)> = (0..194)
        .map(|_| (format!("{}{}", texts::person(&mut w.rng), w.rng.below(7_000)), false))
        .chain(w.users.iter().take(6).map(|user| (user.clone(), true)))
        .collect();
    if w.rng.chance(0.5) {
        names.sort();
    } else {
        w.rng.shuffle(&mut names);
    }
    let (per_session, sender) = (w.rng.between(5, 40), w.someone_at(from));
    let mut at = start;
    for part in names.chunks(per_session) {
        let to: Vec<(String, Option<String>)> = part
            .iter()
            .map(|(name, known)| {
                let to = format!("{name}@{}", w.domain);
                let no = (!known).then(|| mta.unknown(&to));
                (to, no)
            })
            .collect();
        let mut letter = Letter::new(&mut w.rng, &sender, &to[0].0).without_data();
        letter.to = to;
        let helo = texts::domain(&mut w.rng);
        let end = w.deliver(at, from, server, &Manner::of_server(&helo), &[letter]);
        at = end + w.wait(20.0);
    }
    w.expect(server, Class::DirectoryHarvest, Tier::Likely, start);
}

/// A list mails 300 of ours, 8 % of whom have left.
pub(crate) fn old_list(w: &mut World) {
    let (mut at, server, from) = (w.onset(), w.server, w.outside());
    let (mta, helo) = (w.host(server).mta, w.host(from).name.clone());
    let sender = format!("announce-bounces@{}", w.host(from).domain);
    for _ in 0..30 {
        let to: Vec<(String, Option<String>)> = (0..10)
            .map(|_| {
                let to = format!("{}{}@{}", texts::person(&mut w.rng), w.rng.below(900), w.domain);
                let gone = w.rng.chance(0.08).then(|| mta.unknown(&to));
                (to, gone)
            })
            .collect();
        let mut letter = Letter::new(&mut w.rng, &sender, &to[0].0);
        letter.to = to;
        w.deliver(at, from, server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(30.0);
    }
}

/// 50 call-outs of one MTA, a fifth of them about nobody: forged senders.
pub(crate) fn callouts(w: &mut World) {
    let (mut at, server, from) = (w.onset(), w.server, w.outside());
    let (mta, helo) = (w.host(server).mta, w.host(from).name.clone());
    for n in 0..50 {
        let unknown = n % 5 == 0;
        let to = if unknown { format!("{}@{}", texts::made_up(&mut w.rng), w.domain) } else { w.user() };
        let mut letter = Letter::new(&mut w.rng, "", &to).without_data();
        if unknown {
            letter = letter.refused(mta.unknown(&to));
        }
        w.deliver(at, from, server, &Manner::of_server(&helo), &[letter]);
        at += w.wait(60.0);
    }
}
