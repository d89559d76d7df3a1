//! Who is told what: most detectors look at one or two kinds of observations, and telling them of all others would cost
//! more than what they do.

use super::Detector;
use super::observation::{Kind, Way};

/// For each way and kind of observation the detectors that want it.
#[derive(Debug)]
pub(super) struct Audience([[Wanted; Kind::ALL.len()]; Way::HOME.len()]);

/// A set of detectors, by their places in the registry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Wanted(u32);

impl Audience {
    /// Asks each detector what it wants. There must be no more than 32.
    pub(super) fn of(detectors: &[Box<dyn Detector>]) -> Self {
        assert!(detectors.len() <= u32::BITS as usize, "a bit a detector");
        Self(Way::HOME.map(|way| {
            Kind::ALL.map(|kind| {
                let wants = detectors.iter().enumerate().filter(|(_, detector)| detector.wants(way, kind));
                Wanted(wants.fold(0, |set, (place, _)| set | 1 << place))
            })
        }))
    }

    /// Those who want this; nobody wants what is between others.
    pub(super) fn wanted_by(&self, way: Way, kind: Kind) -> Wanted {
        self.0.get(way as usize).map_or(Wanted(0), |kinds| kinds[kind as usize])
    }
}

impl Wanted {
    /// Whether the detector at a place is one of them.
    pub(super) const fn has(self, place: usize) -> bool {
        self.0 >> place & 1 != 0
    }

    /// Their places, in the order of the registry.
    pub(super) fn places(self) -> impl Iterator<Item = usize> {
        let later = |left: &u32| Some(left & left.wrapping_sub(1));
        std::iter::successors(Some(self.0), later)
            .take_while(|left| *left != 0)
            .map(|left| left.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{DetectSettings, registry};
    use crate::limits::DetectLimits;

    #[test]
    fn each_is_told_what_it_wants_in_the_order_of_the_registry() {
        let detectors = registry(&DetectSettings::default(), &DetectLimits::default());
        let audience = Audience::of(&detectors);
        for way in Way::HOME {
            for kind in Kind::ALL {
                let told: Vec<_> =
                    audience.wanted_by(way, kind).places().map(|place| detectors[place].name()).collect();
                let wants = detectors.iter().filter(|detector| detector.wants(way, kind));
                assert_eq!(told, wants.map(|detector| detector.name()).collect::<Vec<_>>(), "{way:?} {kind:?}");
            }
        }
        assert_eq!(audience.wanted_by(Way::Foreign, Kind::Closed), Wanted::default());
        let attempts = audience.wanted_by(Way::Outbound, Kind::Unanswered);
        assert!(attempts.places().count() < 8, "a flood of SYNs meets few");
    }
}
