//! The list of scenarios, and how one becomes frames and truth.

use crate::office;
use crate::world::{Vary, World};
use crate::{d1, d2, d3, d4, d5, d6, d7, d8, d9, d10, d11, d12, d13, d14, reports};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// `d4+`, `d4-holiday`, `r2`.
    pub(crate) name: &'static str,
    /// Something must be found.
    pub(crate) plus: bool,
    play: fn(&mut World),
}

impl Scenario {
    /// The day with this scenario in it.
    pub(crate) fn world(&self, seed: u64, vary: Vary) -> World {
        let mut world = World::new(self.name, seed, vary);
        (self.play)(&mut world);
        office::day(&mut world);
        if vary.busy {
            busy(&mut world);
        }
        world.finish();
        world
    }
}

/// Everything that is harmless on one day. Its labels are not the scenario's.
fn busy(w: &mut World) {
    let truth = w.truth.clone();
    for actor in [d2::copier, d2::probe, d4::callouts, d4::holiday, d5::callouts, d6::forward, d7::phone, d8::old_list]
    {
        actor(w);
    }
    w.truth = truth;
}

const fn plus(name: &'static str, play: fn(&mut World)) -> Scenario {
    Scenario { name, plus: true, play }
}

const fn minus(name: &'static str, play: fn(&mut World)) -> Scenario {
    Scenario { name, plus: false, play }
}

/// All of them: 14 that must be found, 28 that must not, six reports.
pub(crate) const ALL: [Scenario; 48] = [
    plus("d1+", d1::worm),
    minus("d1-newsletter", d1::newsletter),
    minus("d1-dead-mx", d1::dead_mx),
    plus("d2+", d2::laptop),
    minus("d2-copier", d2::copier),
    minus("d2-probe", d2::probe),
    plus("d3+", d3::walker),
    minus("d3-outage", d3::outage),
    minus("d3-dead-domains", d3::dead_domains),
    plus("d4+", d4::reverse),
    minus("d4-holiday", d4::holiday),
    minus("d4-callouts", d4::callouts),
    plus("d5+", d5::backscatter),
    minus("d5-own-bounces", d5::own_bounces),
    minus("d5-callouts", d5::callouts),
    plus("d6+", d6::tests_and_relay),
    minus("d6-backup-mx", d6::backup_mx),
    minus("d6-forward", d6::forward),
    plus("d7+", d7::guessed),
    minus("d7-phone", d7::phone),
    minus("d7-mailing", d7::mailing),
    plus("d8+", d8::harvest),
    minus("d8-old-list", d8::old_list),
    minus("d8-callouts", d8::callouts),
    plus("d9+", d9::listed),
    minus("d9-bad-links", d9::bad_links),
    minus("d9-we-refuse", d9::we_refuse),
    plus("d10+", d10::intercepted),
    minus("d10-service", d10::service),
    minus("d10-spoofed", d10::spoofed),
    plus("d11+", d11::tarpit),
    minus("d11-greylisted", d11::greylisted),
    minus("d11-slow-scanner", d11::slow_scanner),
    plus("d12+", d12::early),
    minus("d12-copier", d12::copier),
    minus("d12-pipelining", d12::pipelining),
    plus("d13+", d13::smuggled),
    minus("d13-cron", d13::cron),
    minus("d13-quoted", d13::quoted),
    plus("d14+", d14::lookups),
    minus("d14-resolver", d14::resolver),
    minus("d14-dig", d14::dig),
    plus("r1", reports::r1),
    plus("r2", reports::r2),
    plus("r3", reports::r3),
    plus("r4", reports::r4),
    plus("r5", reports::r5),
    plus("r6", reports::r6),
];
