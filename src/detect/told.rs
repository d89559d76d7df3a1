//! What is left of a detector that has told all it knows.

use super::finding::Finding;
use super::observation::{Kind, Observation, Way};
use super::{Context, Detector, DetectorStats};
use crate::frame::At;

/// Its name, and how full its tables were.
#[derive(Debug)]
pub(super) struct Told {
    name: &'static str,
    stats: DetectorStats,
}

impl Told {
    pub(super) fn of(detector: &dyn Detector) -> Self {
        Self { name: detector.name(), stats: detector.stats() }
    }
}

impl Detector for Told {
    fn name(&self) -> &'static str {
        self.name
    }

    fn wants(&self, _: Way, _: Kind) -> bool {
        false
    }

    fn handle(&mut self, _: &Observation<'_>, _: &Context<'_>) {}

    fn findings(&self, _: At, _: &Context<'_>, _: &mut Vec<Finding>) {}

    fn stats(&self) -> DetectorStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Letter, Scene};
    use crate::incident::{Judgement, Past};
    use crate::site::Site;

    #[test]
    fn the_last_judgement_is_as_any_other_and_what_was_counted_stays() {
        let mut scene = Scene::new(Site::default());
        for n in 0..60 {
            let letter = Letter::from("a@bulk.example").to(&format!("u{n}@d{n}.example"), "550 5.1.1 no such user");
            let call = scene.call("192.168.10.23", &format!("198.51.{n}.25")).greets("220 mx.example ESMTP");
            call.helo("pc").mail(letter).quit();
        }
        let (before, stats) = (Judgement::of(&scene.judge), scene.judge.stats());
        assert!(!before.incidents.is_empty());
        let last = Judgement::last(&mut scene.judge, Past::default());
        assert_eq!(last.incidents, before.incidents);
        assert_eq!(scene.judge.stats(), stats);
        assert!(scene.judge.findings().is_empty(), "given back");
    }
}
