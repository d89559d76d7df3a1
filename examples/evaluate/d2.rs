//! D2: mail straight to the world from a machine that is no mail server; not a copier, not a probe.

use smtphound::detect::{Class, Tier};

use crate::office::{Letter, Manner};
use crate::talk::Stack;
use crate::texts;
use crate::world::{Id, MINUTE, World};

/// A laptop mails eight networks itself within 20 minutes, and all is taken. By the design this is a suspicion: nothing
/// is wrong with the mail.
pub(crate) fn laptop(w: &mut World) {
    let (start, pc) = (w.onset(), w.pcs[0]);
    let from = w.user();
    let helo = if w.rng.chance(0.5) { w.host(pc).name.clone() } else { "laptop".to_owned() };
    let mut at = start;
    let servers: Vec<Id> = (0..8).map(|_| w.outside()).collect();
    for n in 0..w.rng.between(8, 20) {
        let mx = servers[n % 8];
        let to = w.someone_at(mx);
        let letter = Letter::new(&mut w.rng, &from, &to);
        w.deliver(at, pc, mx, &Manner::of_server(&helo), &[letter]);
        at += w.wait(90.0);
    }
    w.expect(pc, Class::MassMailer, Tier::Suspect, start);
}

/// A copier sends 200 scans to one provider.
pub(crate) fn copier(w: &mut World) {
    let copier = w.inside("copier", Stack::Printer);
    let provider = w.outside();
    let from = format!("scan@{}", w.domain);
    let mut at = w.onset();
    let login = w.rng.chance(0.5);
    for _ in 0..200 {
        let to = w.user();
        let bytes = w.rng.between(3_000, 9_000);
        let text = texts::mail(&mut w.rng, &from, &to, &["X-Mailer: WorkCentre"], bytes);
        let letter = Letter::new(&mut w.rng, &from, &to).with_text(text);
        let how = if login { Manner::logged_in("copier", "scanner") } else { Manner::of_server("copier") };
        at = w.deliver(at, copier, provider, &how, &[letter]) + w.wait(60.0);
    }
}

/// A monitoring host greets three MX every five minutes and leaves.
pub(crate) fn probe(w: &mut World) {
    let monitor = w.inside(&format!("monitor.{}", w.domain), Stack::Linux);
    let servers: Vec<Id> = (0..3).map(|_| w.outside()).collect();
    let mut at = w.onset();
    let helo = w.rng.chance(0.5);
    for _ in 0..40 {
        for &mx in &servers {
            let (mta, name) = (w.host(mx).mta, w.host(mx).name.clone());
            let own = w.host(monitor).name.clone();
            let mut talk = w.call(at, monitor, mx);
            talk.open();
            talk.reply(&mta.banner(&name));
            if helo {
                talk.ask(&format!("HELO {own}"), &format!("250 {name}"));
            }
            talk.quit();
        }
        at += w.pace(5.0 * MINUTE);
    }
}
