//! How the head of a session changed from event to event, so that a session line tells what each event bore.
//!
//! Events of a session are its greeting, its AUTH exchanges and its transactions, counted from 0 in the order in which they
//! were told. Nearly all sessions introduce themselves once, after the greeting, lose nothing and end what they began: then
//! all here is what anybody would guess, takes no memory beside itself, and is left out of the line.

use crate::wire::Wire;

/// See the head of the module.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HeadLog {
    /// Events told so far.
    pub told: u32,
    /// So many of them came before the client introduced itself.
    pub before_helo: u32,
    /// Names that it had called itself before the last one, each with the number of events told by then (bounded).
    pub earlier: Vec<(u32, Wire)>,
    /// So many events were told before bytes of either side were missing; `None` if none are.
    pub before_gap: Option<u32>,
    /// So many of the last events were told only because the connection ended, with it.
    pub late: u32,
}

impl HeadLog {
    /// The client introduced itself for the first time.
    pub(super) const fn introduced(&mut self) {
        self.before_helo = self.told;
    }

    /// The client calls itself otherwise from now on; `before` is its name so far.
    pub(super) fn renamed(&mut self, before: Wire, names_max: usize) {
        if self.earlier.len() < names_max {
            self.earlier.push((self.told, before));
        }
    }

    /// Bytes are missing from now on.
    pub(super) fn gapped(&mut self) {
        self.before_gap.get_or_insert(self.told);
    }

    /// The name that an event bore, if `last` is the last one.
    pub fn helo<'a>(&'a self, event: u32, last: Option<&'a Wire>) -> Option<&'a Wire> {
        if event < self.before_helo {
            return None;
        }
        self.earlier.iter().find(|(told, _)| event < *told).map(|(_, name)| name).or(last)
    }

    /// Whether parts of the dialogue before an event are missing.
    pub fn is_lossy(&self, event: u32) -> bool {
        self.before_gap.is_some_and(|whole| event >= whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_the_name_of_its_time() {
        let mut heads = HeadLog { told: 1, ..HeadLog::default() };
        heads.introduced();
        heads.told = 3;
        heads.renamed("a.example".into(), 4);
        heads.gapped();
        heads.told = 4;
        heads.renamed("b.example".into(), 4);
        let last = Wire::from("c.example");
        let names = [None, Some("a.example"), Some("a.example"), Some("b.example"), Some("c.example")];
        for (event, name) in names.into_iter().enumerate() {
            let found = heads.helo(event as u32, Some(&last)).map(Wire::to_string);
            assert_eq!(found.as_deref(), name, "{event}");
        }
        assert_eq!([2, 3, 4].map(|event| heads.is_lossy(event)), [false, true, true]);
        assert!(!HeadLog::default().is_lossy(9));
    }
}
