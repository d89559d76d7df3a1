//! Fragments and tunnels.

use smtphound::decode::{Ignored, Undecoded};

use crate::wire::{C, Talk, ethernet};

const RCPT: &str = "RCPT TO:<b@fabrikam.example>\r\n";
const MAIL: &str = "a@adatum.example > b@fabrikam.example 550: Rejected";

/// A datagram's payload from one byte to another as a fragment of it.
fn fragment(datagram: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut header: [u8; 20] = datagram[..20].try_into().unwrap();
    let payload = &datagram[20..];
    let to = to.min(payload.len());
    header[2..4].copy_from_slice(&((20 + to - from) as u16).to_be_bytes());
    let place = (from / 8) as u16 | u16::from(to < payload.len()) << 13;
    header[6..8].copy_from_slice(&place.to_be_bytes());
    ethernet(0x0800, &[&header[..], &payload[from..to]].concat())
}

/// A dialogue whose RCPT comes in the fragments that `cut` makes of its datagram.
fn with_rcpt(cut: impl FnOnce(&[u8]) -> Vec<Vec<u8>>) -> Talk {
    let mut talk = Talk::new();
    talk.begin();
    let datagram = talk.datagram(&talk.seg(C).data(RCPT), 700);
    talk.frames.extend(cut(&datagram));
    talk.skip(C, RCPT.len()).talk("S: 550 5.1.1 unknown").end();
    talk
}

#[test]
fn the_smallest_fragments_mean_the_same_forwards_and_backwards() {
    // RFC 1858: eight bytes, so that ports and flags are in different fragments.
    for backwards in [false, true] {
        let talk = with_rcpt(|datagram| {
            let mut pieces: Vec<_> =
                (0..datagram.len() - 20).step_by(8).map(|from| fragment(datagram, from, from + 8)).collect();
            if backwards {
                pieces.reverse();
            }
            pieces
        });
        let concluded = talk.concluded();
        assert_eq!((concluded.mails(), concluded.weird()), (vec![MAIL.to_owned()], vec![]), "{backwards}");
        let decode = concluded.finished.front.decode_stats();
        assert_eq!((decode.fragments().completed, decode.ignored(Ignored::FragmentHeld)), (1, 6), "{backwards}");
    }
}

#[test]
fn of_conflicting_fragments_the_first_are_kept_and_counted() {
    // "b@" stands in bytes 24..32 of the payload (behind 20 bytes of header).
    for fake_first in [true, false] {
        let talk = with_rcpt(|datagram| {
            let mut fake = fragment(datagram, 24, 32);
            let last = fake.len();
            fake[last - 8..].copy_from_slice(b" TO:<x@f");
            let real = fragment(datagram, 24, 32);
            let rest = [fragment(datagram, 0, 24), fragment(datagram, 32, 4096)];
            let mut pieces = if fake_first { vec![fake, real] } else { vec![real, fake] };
            pieces.extend(rest);
            pieces
        });
        let concluded = talk.concluded();
        let fragments = concluded.finished.front.decode_stats().fragments();
        assert_eq!((fragments.overlaps, fragments.overlaps_disagree), (1, 1), "{fragments:?}");
        let to = if fake_first { "x@fabrikam.example" } else { "b@fabrikam.example" };
        assert_eq!(concluded.mails(), [format!("a@adatum.example > {to} 550: Rejected")]);
    }
}

#[test]
fn a_fragment_that_never_comes_is_a_hole_and_its_sender_no_liar() {
    let talk = with_rcpt(|datagram| vec![fragment(datagram, 0, 24), fragment(datagram, 32, 4096)]);
    let concluded = talk.concluded();
    let session = concluded.session();
    assert_eq!(concluded.finished.front.decode_stats().fragments().unfinished, 1);
    assert_eq!((session.conn.gaps, session.conn.missed_bytes), (1, RCPT.len() as u64));
    assert_eq!(concluded.mails(), ["a@adatum.example > : Incomplete"], "what was lost is not made up");
    assert!(session.smtp.quit);
}

/// GRE (RFC 2784) between two routers around a datagram.
fn in_gre(inner: &[u8]) -> Vec<u8> {
    let total = ((24 + inner.len()) as u16).to_be_bytes();
    let ip = [0x45, 0, total[0], total[1], 0, 7, 0, 0, 62, 47, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2];
    [&ip[..], &[0, 0, 8, 0], inner].concat()
}

#[test]
fn tunnels_in_tunnels_are_followed_to_a_depth_and_counted_beyond() {
    for depth in 0..=6 {
        let mut talk = Talk::new();
        talk.begin().talk("C: RCPT TO:<b@fabrikam.example>\nS: 550 5.1.1 unknown").end();
        let frames: Vec<Vec<u8>> = talk
            .frames
            .iter()
            .map(|frame| ethernet(0x0800, &(0..depth).fold(frame[14..].to_vec(), |inner, _| in_gre(&inner))))
            .collect();
        let concluded = crate::wire::conclude(&frames);
        let too_deep = concluded.finished.front.decode_stats().undecoded(Undecoded::TunnelTooDeep);
        if depth <= 4 {
            assert_eq!((concluded.mails(), too_deep), (vec![MAIL.to_owned()], 0), "{depth}");
        } else {
            assert_eq!((concluded.mails(), too_deep), (vec![], frames.len() as u64), "{depth}");
        }
    }
}

#[test]
fn a_dialogue_half_in_a_tunnel_and_half_outside_is_one() {
    let mut talk = Talk::new();
    talk.begin().talk("C: RCPT TO:<b@fabrikam.example>\nS: 550 5.1.1 unknown").end();
    for (no, frame) in talk.frames.iter_mut().enumerate() {
        if no % 2 == 1 {
            *frame = ethernet(0x0800, &in_gre(&frame[14..]));
        }
    }
    assert_eq!(talk.concluded().mails(), [MAIL]);
}
