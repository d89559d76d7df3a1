//! SYN, FIN, RST and ACK where they do not belong: the connection lives for as long as its server goes on.

use crate::wire::{ACK, C, Concluded, FIN, RST, S, SYN, Seg, Talk};

const MAIL: &str = "a@adatum.example > b@fabrikam.example 550: Rejected";

/// A dialogue into which `inject` throws a segment after MAIL, and which goes on as if nothing had been.
fn despite(inject: impl FnOnce(&Talk) -> Seg) -> Concluded {
    let mut talk = Talk::new();
    talk.begin();
    let seg = inject(&talk);
    talk.send(&seg);
    talk.talk("C: RCPT TO:<b@fabrikam.example>\nS: 550 5.1.1 unknown").end();
    talk.concluded()
}

#[test]
fn a_reset_out_of_the_window_ends_nothing() {
    for ahead in [-5_000, -1, 70_000, 1_000_000] {
        for who in [C, S] {
            let concluded = despite(|talk| talk.seg(who).at(talk.pos(who) + ahead).flags(RST));
            assert_eq!(concluded.mails(), [MAIL], "{who:?} {ahead}");
            assert_eq!(concluded.weird(), ["RST_out_of_window"], "{who:?} {ahead}");
            assert!(concluded.session().smtp.quit);
        }
    }
}

#[test]
fn a_reset_that_its_receiver_did_not_take_ends_nothing() {
    // RFC 5961 section 3.2: in the window but not at its beginning, it is challenged. With a short life, or forged by
    // somebody on the way, it never arrives. The server tells: it goes on.
    for ahead in [0, 1, 500] {
        let concluded = despite(|talk| talk.seg(C).at(talk.pos(C) + ahead).flags(RST).short_lived());
        assert_eq!(concluded.mails(), [MAIL], "{ahead}");
        assert!(concluded.session().smtp.quit, "{ahead}");
    }
}

#[test]
fn a_fin_that_its_receiver_did_not_take_ends_nothing() {
    for ahead in [0, 200] {
        let concluded = despite(|talk| talk.seg(C).at(talk.pos(C) + ahead).flags(FIN | ACK).short_lived());
        assert_eq!(concluded.mails(), [MAIL], "{ahead}");
        assert!(concluded.session().smtp.quit, "{ahead}");
    }
}

#[test]
fn a_syn_in_the_middle_ends_nothing() {
    for flags in [SYN, SYN | ACK, SYN | FIN, SYN | RST] {
        for who in [C, S] {
            let concluded = despite(|talk| talk.seg(who).at(talk.pos(who) + 123_456).flags(flags));
            assert_eq!(concluded.mails(), [MAIL], "{who:?} {flags:x}");
            assert!(concluded.session().smtp.quit);
        }
    }
}

/// What a SYN carries is read when it comes (RFC 9293 section 3.10.7.2 lets a server take it; hardly any does). Where the server did
/// not take it and the client says something else in its place, that is an insertion like any other: the first bytes are kept,
/// and the conflict is told.
#[test]
fn data_in_a_syn_are_read_and_give_themselves_away() {
    let hello = "EHLO pc23.adatum.example\r\n";
    for (taken, sender, weird) in [
        (true, "a@adatum.example", vec!["syn_data"]),
        (false, "not@here.example", vec!["rexmit_inconsistency", "syn_data"]),
    ] {
        let mut talk = Talk::new();
        let syn = talk.seg(C).at(-1).flags(SYN).data(if taken { hello } else { "MAIL FROM:<not@here.example>\r\n" });
        let acked = if taken { hello.len() as i64 } else { 0 };
        let syn_ack = talk.seg(S).at(-1).acked(acked).flags(SYN | ACK);
        talk.send(&syn).send(&syn_ack);
        if taken {
            talk.skip(C, hello.len());
        }
        let ack = talk.seg(C);
        talk.send(&ack).talk("S: 220 mx.fabrikam.example ESMTP");
        if !taken {
            talk.say(C, hello);
        }
        talk.talk("S: 250 mx.fabrikam.example\nC: MAIL FROM:<a@adatum.example>\nS: 250 2.1.0 Ok");
        talk.talk("C: RCPT TO:<b@fabrikam.example>\nS: 550 5.1.1 unknown").end();
        let concluded = talk.concluded();
        assert_eq!(concluded.mails(), [format!("{sender} > b@fabrikam.example 550: Rejected")], "{taken}");
        let said = concluded.weird();
        assert!(weird.iter().all(|weird| said.contains(weird)), "{taken}: {said:?}");
    }
}

#[test]
fn acknowledgements_of_what_was_never_said_hold_nothing_up() {
    // A client that acknowledges in advance, to be read as a pipeliner or to make the reader wait for what never comes.
    for ahead in [1, 60, 1_400, 100_000] {
        let mut talk = Talk::new();
        talk.begin();
        let rcpt = "RCPT TO:<b@fabrikam.example>\r\n";
        let seg = talk.seg(C).acked(talk.pos(S) + ahead).data(rcpt);
        talk.send(&seg).skip(C, rcpt.len()).talk("S: 550 5.1.1 unknown").end();
        let concluded = talk.concluded();
        assert_eq!(concluded.mails(), [MAIL], "{ahead}");
        assert!(concluded.session().smtp.quit, "{ahead}");
    }
}

#[test]
fn ports_used_again_at_once_are_as_many_sessions() {
    let mut frames = Vec::new();
    for turn in 0..40_u32 {
        let mut talk = Talk::new();
        talk.isn = [turn.wrapping_mul(0x1234_5678), turn.wrapping_mul(0x0bad_cafe)];
        talk.begin().talk("C: RCPT TO:<b@fabrikam.example>\nS: 550 5.1.1 unknown");
        // Every other client leaves without a word, and its port is used again.
        if turn % 2 == 0 {
            talk.end();
        }
        frames.extend(talk.frames);
        // What comes late, sent again as a datagram of its own, is of a connection before.
        if frames.len() > 60 {
            let mut late = frames[frames.len() - 40].clone();
            late[18..20].copy_from_slice(&(40_000 + turn as u16).to_be_bytes());
            frames.push(late);
        }
    }
    let concluded = crate::wire::conclude(&frames);
    assert_eq!(concluded.sessions.len(), 40);
    // Of those that left without a word nobody knows whether they were done.
    let left = MAIL.replace("Rejected", "Incomplete");
    let expected: Vec<&str> = (0..40).map(|turn| if turn % 2 == 0 { MAIL } else { &left }).collect();
    assert_eq!(concluded.mails(), expected);
}

#[test]
fn two_clients_of_one_name_do_not_mix() {
    // Interleaved frame by frame, with the ports swapped between client and server side.
    let talk = |ports, to: &str| {
        let mut talk = Talk::new();
        talk.ports = ports;
        talk.begin().talk(&format!("C: RCPT TO:<{to}>\nS: 550 5.1.1 unknown")).end();
        talk.frames
    };
    let (one, two) = (talk([49_152, 25], "one@x.example"), talk([25, 25], "two@x.example"));
    let frames: Vec<_> = one.into_iter().zip(two).flat_map(|(one, two)| [one, two]).collect();
    let concluded = crate::wire::conclude(&frames);
    let mut mails = concluded.mails();
    mails.sort();
    let expected = ["one", "two"].map(|who| format!("a@adatum.example > {who}@x.example 550: Rejected"));
    assert_eq!(mails, expected);
}
