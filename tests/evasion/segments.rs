//! Overlapping, conflicting, tiny and misplaced segments.

use crate::wire::{C, S, Talk};

const RCPT: &str = "RCPT TO:<b@fabrikam.example>\r\n";
const PLAIN: &str = "a@adatum.example > b@fabrikam.example 550: Rejected";

/// A dialogue whose RCPT is sent by `send`.
fn with_rcpt(send: impl FnOnce(&mut Talk)) -> Talk {
    let mut talk = Talk::new();
    talk.begin();
    send(&mut talk);
    talk.skip(C, RCPT.len()).talk("S: 550 5.1.1 unknown").end();
    talk
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = orders(count - 1);
    shorter
        .iter()
        .flat_map(|order| {
            (0..count).map(|at| {
                let mut longer = order.clone();
                longer.insert(at, count - 1);
                longer
            })
        })
        .collect()
}

#[test]
fn overlapping_segments_that_agree_mean_the_same_in_every_order() {
    // Ptacek and Newsham's cases: begins before, ends behind, lies within, covers.
    let places = [(0, 12), (8, 24), (8, 10), (20, RCPT.len())];
    for order in orders(places.len()) {
        let talk = with_rcpt(|talk| {
            for piece in &order {
                let (from, to) = places[*piece];
                let seg = talk.seg(C).at(talk.pos(C) + from as i64).data(&RCPT[from..to]);
                talk.send(&seg);
            }
        });
        let concluded = talk.concluded();
        assert_eq!(concluded.mails(), [PLAIN], "{order:?}");
        assert_eq!(concluded.weird(), Vec::<&str>::new(), "{order:?}");
        assert_eq!(concluded.session().conn.gaps, 0);
    }
}

#[test]
fn of_conflicting_segments_the_first_bytes_are_kept_and_the_conflict_is_told_in_every_order() {
    const OTHER: &str = "RCPT TO:<x@nowhere---.example>\r\n";
    assert_eq!(RCPT.len() + 2, OTHER.len());
    let fake = &OTHER[9..25];
    // The true address whole, another one over it, and the part before both, which comes when it comes.
    let pieces = [(0, &RCPT[..9]), (9, &RCPT[9..]), (9, fake)];
    for order in orders(pieces.len()) {
        let talk = with_rcpt(|talk| {
            for piece in &order {
                let (from, text) = pieces[*piece];
                let seg = talk.seg(C).at(talk.pos(C) + from).data(text);
                talk.send(&seg);
            }
        });
        let concluded = talk.concluded();
        let fake_first = order.iter().position(|piece| *piece == 2) < order.iter().position(|piece| *piece == 1);
        let to = if fake_first {
            format!("{fake}{}", &RCPT[25..RCPT.len() - 3]).replace("RCPT TO:<", "")
        } else {
            "b@fabrikam.example".into()
        };
        assert_eq!(concluded.mails(), [format!("a@adatum.example > {to} 550: Rejected")], "{order:?}");
        assert_eq!(concluded.weird(), ["rexmit_inconsistency"], "{order:?}");
    }
}

/// What makes a receiver drop a segment that a passive reader sees: it never arrives, its checksum is wrong, its stamp is
/// too old (RFC 7323 section 5, PAWS). None of these can be known here (a mirror is not where the server is, and
/// offloading makes checksums wrong in honest captures): the inserted bytes are read, and the conflict is told.
#[test]
fn inserted_segments_are_read_and_give_themselves_away() {
    let fake = RCPT.replace("b@fabrikam", "x@fabrikam");
    let drops = [
        ("TTL", Talk::new().seg(C).short_lived()),
        ("checksum", Talk::new().seg(C).spoilt()),
        ("PAWS", Talk::new().seg(C).stamped(1)),
    ];
    for (name, seg) in drops {
        let talk = with_rcpt(|talk| {
            let seg = seg.at(talk.pos(C)).acked(talk.pos(S)).data(&fake);
            let real = talk.seg(C).stamped(1_000_000).data(RCPT);
            talk.send(&seg).send(&real);
        });
        let concluded = talk.concluded();
        assert_eq!(concluded.mails(), ["a@adatum.example > x@fabrikam.example 550: Rejected"], "{name}");
        assert_eq!(concluded.weird(), ["rexmit_inconsistency"], "{name}");
        // What counts for the judgement is the server's: one recipient, refused.
        let tx = &concluded.session().smtp.transactions[0];
        assert_eq!((tx.rcpt_total, tx.rcpt_rejected), (1, 1), "{name}");
    }
}

#[test]
fn a_dialogue_of_single_bytes_reads_like_any_other() {
    let mut talk = Talk::new();
    talk.open();
    for (who, line) in [
        (S, "220 mx.fabrikam.example ESMTP\r\n"),
        (C, "EHLO pc23.adatum.example\r\n"),
        (S, "250 mx.fabrikam.example\r\n"),
        (C, "MAIL FROM:<a@adatum.example>\r\n"),
        (S, "250 2.1.0 Ok\r\n"),
        (C, RCPT),
        (S, "250 2.1.5 Ok\r\n"),
        (C, "DATA\r\n"),
        (S, "354 go\r\n"),
        // The end of the data, torn in every place.
        (C, "Subject: x\r\n\r\nmail\r\n.\r\n"),
        (S, "250 2.0.0 queued\r\n"),
    ] {
        for at in 0..line.len() {
            talk.say(who, &line[at..=at]);
        }
    }
    talk.end();
    let concluded = talk.concluded();
    assert_eq!(concluded.mails(), ["a@adatum.example > b@fabrikam.example 250: Accepted"]);
    assert_eq!(concluded.weird(), Vec::<&str>::new());
    assert_eq!(concluded.session().smtp.transactions[0].size, 20);
}

#[test]
fn the_end_of_data_is_found_wherever_segments_are_cut_and_swapped() {
    const DATA: &str = "Subject: x\r\n\r\nmail\r\n..\r\n.\r\nQUIT\r\n";
    for cut in 10..DATA.len() {
        for swapped in [false, true] {
            let mut talk = Talk::new();
            talk.begin().talk("C: RCPT TO:<b@fabrikam.example>\nS: 250 2.1.5 Ok\nC: DATA\nS: 354 go");
            let (one, two) = DATA.split_at(cut);
            let (one, two) = (talk.seg(C).data(one), talk.seg(C).at(talk.pos(C) + cut as i64).data(two));
            if swapped {
                talk.send(&two).send(&one)
            } else {
                talk.send(&one).send(&two)
            };
            talk.skip(C, DATA.len()).talk("S: 250 2.0.0 queued\nS: 221 bye");
            let concluded = talk.concluded();
            assert_eq!(concluded.mails(), ["a@adatum.example > b@fabrikam.example 250: Accepted"], "{cut} {swapped}");
            let smtp = &concluded.session().smtp;
            assert!(smtp.quit && smtp.transactions[0].complete, "{cut} {swapped}");
        }
    }
}

#[test]
fn numbers_that_wrap_in_the_middle_of_a_word_change_nothing() {
    for before in [0, 1, 20, 34, 60, 75, 130] {
        let mut talk = Talk::new();
        talk.isn = [0_u32.wrapping_sub(before), 0_u32.wrapping_sub(before / 2)];
        talk.begin();
        // The halves of a command in the wrong order, with the wrap in one of them.
        let (one, two) = RCPT.split_at(14);
        let (one, two) = (talk.seg(C).data(one), talk.seg(C).at(talk.pos(C) + 14).data(two));
        talk.send(&two).send(&one).skip(C, RCPT.len()).talk("S: 550 5.1.1 unknown").end();
        let concluded = talk.concluded();
        assert_eq!((concluded.mails(), concluded.weird()), (vec![PLAIN.to_owned()], vec![]), "{before}");
    }
}

#[test]
fn urgent_bytes_are_part_of_the_stream_and_told() {
    // RFC 6093: they are data as any other; who reads them out of band reads another command.
    let talk = with_rcpt(|talk| {
        let seg = talk.seg(C).urgent(1).data(RCPT);
        talk.send(&seg);
    });
    let concluded = talk.concluded();
    assert_eq!((concluded.mails(), concluded.weird()), (vec![PLAIN.to_owned()], vec!["urgent_data"]));
}

#[test]
fn segments_beyond_the_window_are_not_read_even_where_they_would_complete_a_line() {
    let talk = with_rcpt(|talk| {
        let far = talk.seg(C).at(talk.pos(C) + 2_000_000).data("QUIT\r\n");
        let behind = talk.seg(C).at(talk.pos(C) - 2_000_000).data("QUIT\r\n");
        talk.send(&far).send(&behind);
        let real = talk.seg(C).data(RCPT);
        talk.send(&real);
    });
    let concluded = talk.concluded();
    assert_eq!(concluded.mails(), [PLAIN]);
    assert_eq!(concluded.session().smtp.commands_total, 4, "EHLO, MAIL, RCPT and the QUIT at the end");
}
