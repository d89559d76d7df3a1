use super::*;
use crate::frame::FrameNo;
use crate::smtp::testing::{play, play_events, script};
use crate::tcp::ConnId;

const HELLO: &str = "S: 220 x\nC: EHLO y\nS: 250 z\n";
const MAIL: &str = "C: MAIL FROM:<a@b> SIZE=77\nS: 250 ok\n";

/// The outcomes of a script; `lost` as in [`SessionBuilder::finish`].
#[track_caller]
fn outcomes(text: &str, lost: bool, expected: &[Outcome]) {
    let played = play_events(&script(&format!("{HELLO}{text}")), lost);
    let outcomes: Vec<_> = played.transactions.iter().map(|transaction| transaction.outcome).collect();
    assert_eq!(outcomes, expected, "{text}");
}

#[test]
fn the_reply_to_the_data_decides_first() {
    let mail = |rcpt: &str, end: &str| {
        format!("{MAIL}C: RCPT TO:<c@d>\nS: {rcpt} x\nC: DATA\nS: 354 go\nC: x\nC: .\nS: {end} x\nC: QUIT\nS: 221 x")
    };
    outcomes(&mail("250", "250"), false, &[Outcome::Accepted]);
    outcomes(&mail("250", "451"), false, &[Outcome::Deferred]);
    outcomes(&mail("250", "554"), true, &[Outcome::Rejected]);
    outcomes(&mail("550", "250"), false, &[Outcome::Accepted]);
}

#[test]
fn a_refused_mail_is_a_transaction() {
    outcomes("C: MAIL FROM:<a@b>\nS: 550 no\nC: QUIT\nS: 221 x", false, &[Outcome::Rejected]);
    outcomes(
        "C: MAIL FROM:<a@b>\nS: 451 later\nC: MAIL FROM:<>\nS: 550 no",
        false,
        &[Outcome::Deferred, Outcome::Rejected],
    );
    outcomes("C: MAIL FROM:<a@b>\nS: 550 no", true, &[Outcome::Rejected]);
}

#[test]
fn refused_recipients_count_where_none_was_accepted() {
    let rcpts = |codes: &[u16]| {
        let rcpts: Vec<_> = codes.iter().map(|code| format!("C: RCPT TO:<c@d>\nS: {code} x\n")).collect();
        format!("{MAIL}{}C: QUIT\nS: 221 x", rcpts.concat())
    };
    outcomes(&rcpts(&[550, 450]), false, &[Outcome::Rejected]);
    outcomes(&rcpts(&[450, 451]), false, &[Outcome::Deferred]);
    outcomes(&rcpts(&[550, 250]), false, &[Outcome::Abandoned]);
    outcomes(&rcpts(&[]), false, &[Outcome::Abandoned]);
    // The capture ended: another recipient may have come.
    outcomes(&format!("{MAIL}C: RCPT TO:<c@d>\nS: 550 x"), true, &[Outcome::Incomplete]);
    outcomes(&format!("{MAIL}C: RCPT TO:<c@d>\nS: 550 x\nS$\nC$"), false, &[Outcome::Rejected]);
}

#[test]
fn refused_data() {
    let data = |code: &str| format!("{MAIL}C: RCPT TO:<c@d>\nS: 250 x\nC: DATA\nS: {code} x\nC: RSET\nS: 250 x");
    outcomes(&data("451"), false, &[Outcome::Deferred]);
    outcomes(&data("554"), false, &[Outcome::Rejected]);
}

#[test]
fn a_server_that_hangs_up_defers() {
    let to_command = |said: &str| format!("{MAIL}C: RCPT TO:<c@d>\nS: 250 x\n{said}\nS$\nC$");
    for said in [
        "S: 221 idle",
        "C: DATA\nS: 354 go\nC: hello\nS: 221 idle",
        "C: DATA\nS: 354 go\nC: hello\nS: 421 idle",
        "C: RCPT TO:<e@f>\nS: 421 too many",
        "C: NOOP\nS: 421 down",
        "C: RSET\nS: 421 down",
        "C: RCPT TO:<e@f>\nC: DATA\nS: 421 too many",
    ] {
        outcomes(&to_command(said), false, &[Outcome::Deferred]);
    }
    outcomes(&to_command("C: QUIT\nS: 421 too late"), false, &[Outcome::Abandoned]);
    outcomes(&format!("{MAIL}S: 421 timeout\nS$\nC$"), false, &[Outcome::Deferred]);
    outcomes(&format!("{MAIL}C: RCPT TO:<c@d>\nS: 421 going down\nS$\nC$"), false, &[Outcome::Deferred]);
    outcomes(
        &format!("{MAIL}C: RCPT TO:<c@d>\nS: 250 x\nC: DATA\nS: 354 x\nS: 451 x\nS$\nC$"),
        false,
        &[Outcome::Deferred],
    );
}

#[test]
fn what_was_not_seen_is_incomplete() {
    let sent = format!("{MAIL}C: RCPT TO:<c@d>\nS: 250 x\nC: DATA\nS: 354 go\nC: x\nC: .\n");
    outcomes(&format!("{sent}C^"), false, &[Outcome::Incomplete]);
    outcomes(&sent, true, &[Outcome::Incomplete]);
    outcomes(&format!("{MAIL}C: RCPT TO:<c@d>\nC$\nS$"), false, &[Outcome::Abandoned]);
    outcomes(&format!("{MAIL}C: RCPT TO:<c@d>"), true, &[Outcome::Incomplete]);
}

#[test]
fn what_ends_a_transaction_and_what_does_not() {
    for end in ["RSET", "EHLO y", "HELO y", "QUIT"] {
        outcomes(&format!("{MAIL}C: {end}\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 503 no"), false, &[Outcome::Abandoned]);
    }
    for other in ["NOOP", "VRFY x", "HELP", "what"] {
        outcomes(&format!("{MAIL}C: {other}\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 550 no"), false, &[Outcome::Rejected]);
    }
    // A refused EHLO leaves the envelope as it was.
    let played = play(&format!(
        "S: 220 x\nC: HELO first\nS: 250 z\n{MAIL}C: EHLO\nS: 501 what\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go\n\
         C: x\nC: .\nS: 250 ok"
    ));
    assert_eq!(played.mails(), ["a@b > c@d: accepted 3"]);
    assert_eq!(played.facts.helo.as_ref().unwrap().to_string(), "first");
    assert_eq!(played.facts.esmtp, Some(false));
}

#[test]
fn mail_inside_a_transaction() {
    // RFC 5321 section 4.1.4: refused, and the first one goes on.
    let played = play(&format!(
        "{HELLO}{MAIL}C: MAIL FROM:<e@f>\nS: 503 nested\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok"
    ));
    assert_eq!(played.mails(), ["e@f > : rejected 0", "a@b > c@d: accepted 3"]);
    assert_eq!(played.transactions.iter().map(|t| t.trans_depth).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(played.weird(), ["nested_mail_transaction"]);
    // Accepted, and the first one is gone.
    let played = play(&format!("{HELLO}{MAIL}C: MAIL FROM:<e@f>\nS: 250 ok\nC: QUIT\nS: 221 x"));
    assert_eq!(played.mails(), ["a@b > : abandoned 0", "e@f > : abandoned 0"]);
    assert_eq!(played.weird(), ["nested_mail_transaction"]);
}

#[test]
fn a_pipelined_group_belongs_to_its_refused_mail() {
    let played = play(
        "S: 220 x\nC: EHLO y\nS: 250-z\nS: 250 PIPELINING\nC: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nC: DATA\nS: 553 no\n\
         S: 503 no\nS: 503 no\nC: RSET\nS: 250 ok",
    );
    assert_eq!(played.mails(), ["a@b > c@d: rejected 0"]);
    let transaction = &played.transactions[0];
    assert_eq!(transaction.data_cmd_reply.as_ref().unwrap().code, Some(503));
    assert_eq!((transaction.transfer, played.weird().len()), (None, 0));
}

#[test]
fn commands_out_of_sequence() {
    let played = play(&format!("{HELLO}C: RCPT TO:<c@d>\nS: 503 no\nC: DATA\nS: 503 no"));
    assert_eq!((played.mails().len(), played.weird()), (0, vec!["command_out_of_sequence"]));
    // The server takes it: a mail without a sender that we saw, which is not the null sender.
    let played = play(&format!("{HELLO}C: DATA\nS: 354 go\nC: .\nS: 250 ok"));
    assert_eq!((played.mails(), played.weird()), (vec![" > : accepted 0".into()], vec!["command_out_of_sequence"]));
    assert!(!played.transactions[0].null_sender);
}

#[test]
fn the_facts_of_a_transaction() {
    let played = play(&format!(
        "{HELLO}C: MAIL FROM:<> SIZE=77\nS: 250 2.1.0 ok\nC: RCPT TO:<c@d>\nS: 550 5.1.1 unknown\nC: RCPT TO:<e@f>\nS: 251 forwarded\n\
         C: DATA\nS: 354 go\nC: Message-ID: <1@b>\nC: From: X <x@from.example>\nC: \nC: body\nC: .\nS: 250 2.0.0 queued"
    ));
    let transaction = &played.transactions[0];
    assert!(transaction.null_sender && transaction.complete);
    assert_eq!(transaction.declared_size, Some(77));
    assert_eq!((transaction.rcpt_total, transaction.rcpt_accepted, transaction.rcpt_rejected), (2, 1, 1));
    assert_eq!(transaction.rcptto[0].reply.as_ref().unwrap().status.unwrap().to_string(), "5.1.1");
    assert_eq!((transaction.began.frame.0, transaction.ended.frame.0), (4, 17));
    let content = transaction.content.as_ref().unwrap();
    assert_eq!(content.msg_id.as_ref().unwrap().to_string(), "1@b");
    assert_eq!(content.from_domain.as_ref().unwrap().to_string(), "from.example");
    assert!(content.body_hash.is_some());
}

#[test]
fn all_that_a_client_calls_itself() {
    let played = play(
        "S: 220 x\nC: HELO a\nS: 250 z\nC: EHLO b\nS: 250-z\nS: 250 SIZE 5\nC: HELO a\nS: 250 z\nC: HELO c\nS: 550 no",
    );
    let facts = &played.facts;
    assert_eq!(facts.helo.as_ref().unwrap().to_string(), "a");
    assert_eq!(facts.more_helos.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(facts.ehlo_keywords.len(), 1);
}

#[test]
fn events_share_what_is_known_so_far() {
    let limits = SmtpLimits::default();
    let host = crate::net::Endpoint { host: crate::net::HostKey::v4([192, 0, 2, 1]), port: 25 };
    let id = ConnId { ts: crate::time::Ts::EPOCH, orig: host, resp: host };
    let known = Known { start: &ConnStart::bare(id, FrameNo(7)), limits: &limits };
    let mut conversation = Conversation::new(&limits);
    let mut seen = Vec::new();
    for step in script(
        "S: 220 x\nC: EHLO y\nS: 250 z\nC: AUTH PLAIN AGEAYg==\nS: 535 no\nC: MAIL FROM:<a@b>\nS: 550 no\nC: QUIT\nS: 221 x",
    ) {
        conversation.handle(&step.event(), known, &mut |event| {
            let (name, head) = match event.kind {
                SessionEventKind::Greeted(head) => ("greeted", head),
                SessionEventKind::Auth(head, _) => ("auth", head),
                SessionEventKind::Transaction(head, _) => ("transaction", head),
                _ => return,
            };
            seen.push((name, event.at.frame.0, head.helo.as_ref().map(ToString::to_string)));
        });
    }
    let y = || Some("y".to_string());
    assert_eq!(seen, [("greeted", 1, None), ("auth", 5, y()), ("transaction", 9, y())]);
}

#[test]
fn what_the_end_of_the_connection_ends_bears_its_stamp() {
    let limits = SmtpLimits::default();
    let host = crate::net::Endpoint { host: crate::net::HostKey::v4([192, 0, 2, 1]), port: 25 };
    let id = ConnId { ts: crate::time::Ts::EPOCH, orig: host, resp: host };
    let at = |frame: u64| At { ts: crate::time::Ts::from_parts(frame.cast_signed(), 0), frame: FrameNo(frame) };
    let steps = script(&format!("{HELLO}{MAIL}C: RCPT TO:<c@d>\nS: 550 no\nC^"));
    let known = Known { start: &ConnStart::bare(id, FrameNo(1)), limits: &limits };
    let reset = steps.last().unwrap().event();
    let StreamEvent::Reset { at: reset, .. } = reset else { panic!("{reset:?}") };
    for (lost, ended) in [(false, reset), (true, at(900))] {
        let mut conversation = Conversation::new(&limits);
        let mut told = Vec::new();
        for step in &steps {
            conversation.handle(&step.event(), known, &mut |event| told.push(event));
        }
        conversation.finish(at(900), lost, known, &mut |event| told.push(event));
        let Some(SessionEvent { at: caused, kind: SessionEventKind::Transaction(_, transaction) }) = told.last() else {
            panic!("{told:?}")
        };
        assert_eq!((transaction.ended, *caused), (ended, at(900)));
    }
}

#[test]
fn a_session_is_bounded_and_counts_on() {
    let limits = SmtpLimits::default();
    let rcpts = "C: RCPT TO:<c@d>\nS: 250 ok\n".repeat(limits.recipients_max + 20);
    let mail = format!("{MAIL}{rcpts}C: RSET\nS: 250 ok\n");
    let played = play(&format!("{HELLO}{}", mail.repeat(limits.transactions_max + 5)));
    let facts = &played.facts;
    assert_eq!(facts.transactions_total as usize, limits.transactions_max + 5);
    assert_eq!(played.transactions.len(), limits.transactions_max + 5);
    assert_eq!(facts.transactions.len(), limits.session_recipients_max / limits.recipients_max);
    assert_eq!(facts.transactions[0].rcptto.len(), limits.recipients_max);
    assert_eq!(facts.transactions[0].rcpt_total as usize, limits.recipients_max + 20);
    assert_eq!(facts.transactions[0].rcpt_accepted as usize, limits.recipients_max + 20);
    assert_eq!(facts.commands.len(), limits.commands_max);
    assert_eq!(facts.commands_total as usize, 1 + (limits.transactions_max + 5) * (limits.recipients_max + 22));
    assert_eq!(played.weird(), ["session_limit_reached"]);
    let played = play(&format!("{HELLO}{}", format!("{MAIL}C: RSET\nS: 250 ok\n").repeat(limits.transactions_max + 5)));
    assert_eq!(played.facts.transactions.len(), limits.transactions_max);
}
