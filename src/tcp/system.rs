//! What the first segment of a connection says of the sender's operating system.
//!
//! Read first: `syn`, and p0f v3's README, section 5. What is known here are the habits that p0f's published signatures
//! agree on for whole families (`p0f.fp` of version 3): the order of the options and the first time to live. These have not changed for decades, while windows and scales change with every version and are not looked at.
//!
//! A hint, no proof: hop limits and options are settings, middleboxes rewrite both, and what carries mail for others
//! (a proxy, a gateway) shows its own.

use super::SynSignature;
use super::syn::layout::{EOL, MSS, NOP, SOK, TS, WS};
use crate::identity::System;

/// A family, its options in order, and its first time to live; where none is given, any.
type Habit = (System, u64, Option<u8>);

const HABITS: [Habit; 9] = [
    (System::Linux, packed(&[MSS, SOK, TS, NOP, WS]), Some(64)),
    (System::Linux, packed(&[MSS, NOP, NOP, SOK, NOP, WS]), Some(64)), // without time stamps
    (System::Windows, packed(&[MSS, NOP, WS, NOP, NOP, SOK]), Some(128)),
    (System::Windows, packed(&[MSS, NOP, NOP, SOK]), Some(128)), // without scaling
    (System::Windows, packed(&[MSS, NOP, WS, SOK, TS]), Some(128)), // with time stamps, as it answers
    (System::Apple, packed(&[MSS, NOP, WS, NOP, NOP, TS, SOK, EOL, 0, 1]), Some(64)),
    (System::FreeBsd, packed(&[MSS, NOP, WS, SOK, TS]), Some(64)),
    (System::OpenBsd, packed(&[MSS, NOP, NOP, SOK, NOP, WS, NOP, NOP, TS]), Some(64)),
    (System::Small, packed(&[MSS]), None), // p0f: nmap's SYN scan, systems of before 1999
];

/// Option kinds as `SynSignature::olayout` holds them.
const fn packed(codes: &[u64]) -> u64 {
    let (mut all, mut place) = (0, 0);
    while place < codes.len() {
        all |= codes[place] << (4 * place);
        place += 1;
    }
    all
}

impl SynSignature {
    /// The family that the sender's system seems to be of.
    pub fn system(&self) -> Option<System> {
        if self.has(Self::BAD) {
            return None;
        }
        let fits = |(_, layout, ittl): &&Habit| *layout == self.olayout && ittl.is_none_or(|ittl| ittl == self.ittl());
        HABITS.iter().find(fits).map(|(system, ..)| *system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Segment;
    use crate::tcp::testing::Script;

    /// What a SYN with these options and this hop limit says.
    fn system(ttl: u8, options: &[u8]) -> Option<System> {
        let mut head = Script::new().syn(1).head;
        head.ip.ttl = ttl;
        SynSignature::from_segment(&Segment { head: &head, options, payload: b"" }).system()
    }

    /// From p0f's signatures for these systems, `mss,sok,ts,nop,ws` and so on, written out.
    #[test]
    fn families_are_told_by_the_order_of_their_options() {
        let stamps = [8, 10, 0, 0, 1, 1, 0, 0, 0, 0];
        let linux = [&[2, 4, 5, 180, 4, 2][..], &stamps, &[1, 3, 3, 7]].concat();
        let windows: &[u8] = &[2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2];
        let apple = [&[2, 4, 5, 180, 1, 3, 3, 6, 1, 1][..], &stamps, &[4, 2, 0, 0]].concat();
        let freebsd = [&[2, 4, 5, 180, 1, 3, 3, 6, 4, 2][..], &stamps].concat();
        let openbsd = [&[2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 6, 1, 1][..], &stamps].concat();
        assert_eq!(system(64, &linux), Some(System::Linux));
        assert_eq!(system(57, &linux), Some(System::Linux), "seven hops away");
        assert_eq!(system(64, &[2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]), Some(System::Linux));
        assert_eq!(system(128, windows), Some(System::Windows));
        assert_eq!(system(128, &[2, 4, 5, 180, 1, 1, 4, 2]), Some(System::Windows));
        assert_eq!(system(128, &freebsd), Some(System::Windows), "with time stamps");
        assert_eq!(system(64, &apple), Some(System::Apple));
        assert_eq!(system(64, &freebsd), Some(System::FreeBsd));
        assert_eq!(system(64, &openbsd), Some(System::OpenBsd));
        assert_eq!([255, 64].map(|ttl| system(ttl, &[2, 4, 5, 180])), [Some(System::Small); 2]);
    }

    #[test]
    fn what_does_not_fit_together_says_nothing() {
        let linux = [&[2, 4, 5, 180, 4, 2, 8, 10][..], &[0; 8], &[1, 3, 3, 7]].concat();
        assert_eq!(system(128, &linux), None, "another hop limit");
        assert_eq!(system(128, &[2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]), None);
        assert_eq!(system(64, &[]), None);
        assert_eq!(system(128, &[2, 4, 5, 180, 1, 1, 4, 2, 77]), None);
        assert_eq!(system(64, &[2, 9, 5, 180]), None, "a wrong length");
        assert_eq!(
            system(64, &[2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2, 0]),
            None,
            "padding"
        );
    }
}
