//! D14: look-ups of mail servers by a PC; not by a resolver, not one question of a person.

use smtphound::detect::Family;

use crate::talk::Stack;
use crate::texts;
use crate::world::{Expected, Label, MINUTE, World};

/// MX (RFC 1035).
const MX: u16 = 15;

/// 40 names in two minutes, and a first mail or two.
pub(crate) fn lookups(w: &mut World) {
    let (start, pc) = (w.onset(), w.pcs[0]);
    let resolver = w.outside();
    let mut at = start;
    for _ in 0..40 {
        let name = texts::domain(&mut w.rng);
        w.dns(at, pc, resolver, &name, MX);
        at += w.wait(3.0);
    }
    let expected = Expected::Evidence(Family::Dns);
    w.truth.labels.push(Label { host: pc, expected, kind: None, start });
    let worm = crate::d1::Worm::new(w, pc);
    let mx = w.outside();
    worm.strike(w, at, pc, mx);
    // A worm it is: who calls it one after its first mail is not wrong.
    w.grant(pc, smtphound::detect::Class::MassMailer);
}

/// Our resolver asks the world on behalf of the mail server and of everybody.
pub(crate) fn resolver(w: &mut World) {
    let resolver = w.inside(&format!("ns.{}", w.domain), Stack::Linux);
    let world = w.outside();
    let mut at = w.onset();
    for n in 0..200 {
        let name = texts::domain(&mut w.rng);
        let asker = if n % 4 == 0 { w.pcs[n % w.pcs.len()] } else { w.server };
        let qtype = if asker == w.server { MX } else { 1 };
        w.dns(at, asker, resolver, &name, qtype);
        w.dns(at + 900, resolver, world, &name, qtype);
        at += w.wait(8.0);
    }
}

/// Somebody types `dig mx`.
pub(crate) fn dig(w: &mut World) {
    let (start, pc, resolver) = (w.onset(), w.pcs[0], w.outside());
    let name = texts::domain(&mut w.rng);
    w.dns(start, pc, resolver, &name, MX);
    let later = start + w.pace(20.0 * MINUTE);
    w.dns(later, pc, resolver, &name, MX);
}
