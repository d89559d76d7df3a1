//! Dialogues by chance: nothing panics, nothing is lost, and segment borders mean nothing.

use proptest::prelude::*;

use super::*;

/// Pieces of dialogues, good and bad.
fn pieces() -> impl Strategy<Value = Vec<(bool, u8, Vec<u8>)>> {
    let client = prop::sample::select(vec![
        &b"EHLO x\r\n"[..],
        b"HELO y\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"DATA\r\n",
        b".\r\n",
        b"\n.\n",
        b"\r\n.\r\n",
        b"BDAT 5\r\n",
        b"BDAT 3 LAST\r\n",
        b"BDAT x\r\n",
        b"abc",
        b"\r",
        b"RSET\r\n",
        b"AUTH LOGIN\r\n",
        b"Zm9v\r\n",
        b"*\r\n",
        b"STARTTLS\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"QUIT\r\n",
        b"XEXCH50 4 2\r\n",
        b"\xff\0\r\n",
        b"GET / HTTP/1.0\r\n",
        b"NOOP\r\n",
    ]);
    let server = prop::sample::select(vec![
        &b"220 x\r\n"[..],
        b"250-y\r\n",
        b"250 PIPELINING\r\n",
        b"250 ok\r\n",
        b"354 go\r\n",
        b"334 VXNlcm5hbWU6\r\n",
        b"235 ok\r\n",
        b"550 no\r\n",
        b"421 bye\r\n",
        b"221 bye\r\n",
        b"250",
        b"\n",
        b"what\r\n",
        b"\x16\x03\x03\x00\x01x",
    ]);
    let garbage = prop::collection::vec(any::<u8>(), 1..20);
    let piece = (any::<bool>(), 0_u8..10, prop::option::weighted(0.1, garbage), client, server).prop_map(
        |(from_client, kind, any, client, server)| {
            let bytes = any.unwrap_or_else(|| if from_client { client.to_vec() } else { server.to_vec() });
            (from_client, kind, bytes)
        },
    );
    prop::collection::vec(piece, 0..60)
}

/// Makes events of the pieces; some are gaps, some acknowledge too little or too much.
fn events(pieces: &[(bool, u8, Vec<u8>)]) -> Vec<Ev> {
    let (mut pos, mut out) = ([0_u64; 2], Vec::new());
    for (i, (from_client, kind, bytes)) in pieces.iter().enumerate() {
        let side = if *from_client { Side::Orig } else { Side::Resp };
        let (at, len) = (at(i as u64), bytes.len() as u64);
        let other = pos[side.other() as usize];
        let acked = match kind {
            0 => {
                out.push(Ev::Gap { side, at, len });
                pos[side as usize] += len;
                continue;
            }
            1 => other / 2,
            2 => other + 9,
            _ => other,
        };
        out.push(Ev::Data { side, at, offset: pos[side as usize], acked, bytes: bytes.clone() });
        pos[side as usize] += len;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_chunking_gives_the_same_steps(pieces in pieces(), sizes in prop::collection::vec(1_usize..12, 1..6)) {
        let events = events(&pieces);
        let whole = steps(&events);
        prop_assert_eq!(steps(&rechunk(&events, &sizes)), whole);
    }

    #[test]
    fn every_command_is_answered_once(pieces in pieces()) {
        let events = events(&pieces);
        let played = play_events(&events, true);
        let answered = steps(&events).iter().filter(|step| matches!(step, SmtpEvent::Answered { .. })).count();
        prop_assert_eq!(played.facts.commands_total as usize, answered);
        prop_assert_eq!(played.facts.transactions_total as usize, played.transactions.len());
        for (i, transaction) in played.transactions.iter().enumerate() {
            prop_assert!(transaction.trans_depth as usize <= played.transactions.len(), "{}", i);
            prop_assert!(transaction.rcpt_accepted + transaction.rcpt_rejected <= transaction.rcpt_total);
        }
    }

    #[test]
    fn random_bytes_are_taken(
        chunks in prop::collection::vec((any::<bool>(), any::<u64>(), prop::collection::vec(any::<u8>(), 1..50)), 0..20),
    ) {
        let mut pos = [0_u64; 2];
        let mut events = Vec::new();
        for (from_client, acked, bytes) in chunks {
            let side = if from_client { Side::Orig } else { Side::Resp };
            let offset = pos[side as usize];
            pos[side as usize] += bytes.len() as u64;
            events.push(Ev::Data { side, at: at(1), offset, acked, bytes });
        }
        play_events(&events, false);
    }
}
