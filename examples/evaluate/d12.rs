//! D12: a client that talks out of turn; not a copier with odd line ends, not a server that pipelines as it may.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::talk::{Side, Stack};
use crate::texts::{self, Mta};
use crate::world::{Id, World};

/// A PC talks before the greeting and sends header lines as commands, to five servers.
pub(crate) fn early(w: &mut World) {
    let (start, pc) = (w.onset(), w.pcs[0]);
    let helo = texts::domain(&mut w.rng);
    let mut at = start;
    let servers: Vec<Id> = (0..5).map(|_| w.outside()).collect();
    for n in 0..w.rng.between(5, 12) {
        let mx = servers[n % 5];
        let (mta, name) = (w.host(mx).mta, w.host(mx).name.clone());
        let (from, to) = (w.someone_at(mx), w.someone_at(mx));
        let (subject, taken) = (texts::phrase(&mut w.rng, 4), mta.taken(&mut w.rng));
        let mut talk = w.call(at, pc, mx);
        talk.open();
        talk.say_unasked(&format!("HELO {helo}"));
        talk.reply(&format!("{}\n250 {name}", mta.banner(&name)));
        talk.ask(&format!("MAIL FROM:<{from}>"), mta.ok());
        talk.ask(&format!("RCPT TO:<{to}>"), mta.rcpt_ok());
        talk.ask(&format!("Subject: {subject}"), "502 5.5.2 Error: command not recognized");
        talk.ask("DATA", "354 End data with <CR><LF>.<CR><LF>");
        talk.body(&format!("{subject}\r\n"), &taken);
        at = talk.reset() + w.wait(45.0);
    }
    w.expect(pc, Class::MassMailer, Tier::Likely, start);
}

/// A copier that ends its lines by LF alone, and has one smart host.
pub(crate) fn copier(w: &mut World) {
    let (mut at, copier, provider) = (w.onset(), w.inside("copier", Stack::Printer), w.outside());
    let (mta, name) = (w.host(provider).mta, w.host(provider).name.clone());
    for _ in 0..60 {
        let to = w.user();
        let taken = mta.taken(&mut w.rng);
        let text = texts::mail(&mut w.rng, "scan@copier", &to, &[], 900).replace("\r\n", "\n");
        let mut talk = w.call(at, copier, provider);
        talk.open();
        talk.reply(&mta.banner(&name));
        for (line, reply) in [
            ("HELO copier".to_owned(), format!("250 {name}")),
            ("MAIL FROM:<scan@copier>".to_owned(), mta.ok().to_owned()),
            (format!("RCPT TO:<{to}>"), mta.rcpt_ok().to_owned()),
            ("DATA".to_owned(), "354 go ahead".to_owned()),
        ] {
            talk.put(Side::Client, format!("{line}\n").as_bytes());
            talk.reply(&reply);
        }
        talk.put(Side::Client, format!("{text}\r\n.\r\n").as_bytes());
        talk.reply(&taken);
        at = talk.quit() + w.wait(120.0);
    }
}

/// Our server pipelines wherever that is offered.
pub(crate) fn pipelining(w: &mut World) {
    let (mut at, server) = (w.onset(), w.server);
    let name = w.host(server).name.clone();
    let offering: Vec<Id> = w
        .partners
        .clone()
        .into_iter()
        .filter(|id| matches!(w.host(*id).mta, Mta::Postfix | Mta::Exim | Mta::Exchange | Mta::Sendmail))
        .collect();
    for _ in 0..120 {
        let Some(&partner) = offering.get(w.rng.below(offering.len().max(1))) else { return };
        let (from, to) = (w.user(), w.someone_at(partner));
        let letter = Letter::new(&mut w.rng, &from, &to);
        let how = Manner { pipelines: true, ..Manner::of_server(&name) };
        w.deliver(at, server, partner, &how, &[letter]);
        at += w.wait(20.0);
    }
}
