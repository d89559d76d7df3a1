//! Lines back to events: what was written is what comes out, in its order.

use std::fs;
use std::path::Path;

use super::*;
use crate::detect::testing::session;
use crate::frame::{At, FrameNo};
use crate::output::{LineForm, SessionWriter};
use crate::session::{CommandLog, Session, SessionEventKind};
use crate::tcp::{Attempt, SynSignature};
use crate::time::{Span, Ts};

const BEGIN: Ts = Ts::from_parts(1_772_617_327, 0);

/// A session that began at one frame and was told at another.
fn closed(port: u16, first: u64, told: u64) -> SessionEvent {
    let mut session = session("192.168.0.23", "192.0.2.25", "pc.example");
    session.conn.id.orig.port = port;
    session.conn.id.ts = BEGIN + Span::secs(first.cast_signed());
    session.conn.first = FrameNo(first);
    session.conn.last = FrameNo(told);
    session.smtp.greeted = Some(At { ts: BEGIN + Span::secs(first.cast_signed() + 1), frame: FrameNo(first + 1) });
    session.smtp.heads.told = 1;
    session.smtp.heads.before_helo = 1;
    let at = At { ts: BEGIN + Span::secs(told.cast_signed()), frame: FrameNo(told) };
    SessionEvent { at, kind: SessionEventKind::Closed(session.into()) }
}

fn written(events: &[SessionEvent]) -> Vec<u8> {
    let mut writer = SessionWriter::new(Vec::new(), LineForm::Native);
    for event in events {
        writer.handle(event).unwrap();
    }
    writer.finish().unwrap()
}

fn read(path: &Path) -> Vec<SessionEvent> {
    let mut feed = LineFile::open(path).unwrap();
    std::iter::from_fn(|| feed.next_event().unwrap()).collect()
}

fn kind(event: &SessionEvent) -> &'static str {
    match event.kind {
        SessionEventKind::Greeted(_) => "greeted",
        SessionEventKind::Closed(_) => "closed",
        _ => "other",
    }
}

#[test]
fn events_of_overlapping_connections_come_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    // The second began first and ended last.
    let lines = [closed(1, 10, 20), closed(2, 5, 30), closed(3, 25, 40)];
    fs::write(&path, written(&lines)).unwrap();
    let events = read(&path);
    let places: Vec<_> = events.iter().map(|event| (event.at.frame.0, kind(event))).collect();
    let wanted = [(6, "greeted"), (11, "greeted"), (20, "closed"), (26, "greeted"), (30, "closed"), (40, "closed")];
    assert_eq!(places, wanted);
    let back = |event: &SessionEvent| match &event.kind {
        SessionEventKind::Closed(session) => Some(session.clone()),
        _ => None,
    };
    let (was, is): (Vec<_>, Vec<_>) =
        (lines.iter().filter_map(back).collect(), events.iter().filter_map(back).collect());
    assert_eq!(was, is);
}

#[test]
fn attempts_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    let attempts = [false, true].map(|cut_short| {
        let session = session("192.168.0.23", "192.0.2.25", "pc.example");
        let (id, link, syn) = (session.conn.id, session.conn.link, SynSignature::default());
        let last = At { ts: id.ts + Span::secs(1), frame: FrameNo(2) };
        Attempt { id, first: FrameNo(1), last, syns: 2, link, syn, cut_short }
    });
    let events = attempts
        .map(|attempt| SessionEvent { at: attempt.last, kind: SessionEventKind::Unanswered(Box::new(attempt)) });
    fs::write(&path, written(&events)).unwrap();
    let back = read(&path).into_iter().filter_map(|event| match event.kind {
        SessionEventKind::Unanswered(attempt) => Some(*attempt),
        _ => None,
    });
    assert_eq!(back.collect::<Vec<_>>(), attempts);
}

/// The stamps of a capture with nanoseconds, and of one that went on for years.
#[test]
fn times_are_exact_however_long() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    for span in [Span::from_nanos(1), Span::from_nanos(1_462_041_431_007), Span::hours(87_660) + Span::from_nanos(1001)]
    {
        let event = closed(1, 10, 20);
        let SessionEventKind::Closed(told) = &event.kind else { panic!("{event:?}") };
        let mut session = Session::clone(told);
        let (begin, at) = (session.conn.id.ts, |frame| At { ts: BEGIN + span, frame: FrameNo(frame) });
        session.conn.duration = span;
        session.smtp.greeted = Some(at(12));
        let replied = Some(begin + span + span);
        session.smtp.commands = vec![
            CommandLog { verb: "EHLO", code: Some(250), said: begin + span, replied },
            // Sent ahead of that reply.
            CommandLog { verb: "MAIL", code: None, said: begin, replied: None },
            CommandLog { verb: "QUIT", code: Some(221), said: begin + span, replied },
        ];
        session.smtp.commands_total = 3;
        let wanted = SessionEvent { at: at(20), kind: SessionEventKind::Closed(session.clone().into()) };
        fs::write(&path, written(std::slice::from_ref(&wanted))).unwrap();
        let again = read(&path).pop().unwrap();
        let SessionEventKind::Closed(told) = &again.kind else { panic!("{again:?}") };
        assert_eq!((again.at, told.as_ref()), (wanted.at, &session));
    }
}

/// A program between writer and reader may write the same numbers otherwise.
#[test]
fn times_may_have_exponents_or_more_digits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    let line = String::from_utf8(written(&[closed(1, 10, 20)])).unwrap();
    for (number, nanos) in
        [("1e1", 10_000_000_000), ("10.0000000004", 10_000_000_000), ("10", 10_000_000_000), ("-1.5E-6", -1500)]
    {
        let other = line.replace(r#""told":[10.0,"#, &format!(r#""told":[{number},"#));
        assert_ne!(other, line);
        fs::write(&path, other).unwrap();
        assert_eq!(read(&path).pop().unwrap().at.ts, BEGIN + Span::secs(10) + Span::from_nanos(nanos), "{number}");
    }
}

#[test]
fn a_connection_that_lasts_does_not_hold_the_others_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    let many = 10_000;
    let mut lines: Vec<_> = (0..many).map(|n| closed(2, 10 + n * 3, 12 + n * 3)).collect();
    lines.push(closed(1, 1, 12 + many * 3));
    fs::write(&path, written(&lines)).unwrap();
    let mut feed = LineFile::open(&path).unwrap();
    let mut held = 0;
    let mut last = 0;
    while let Some(event) = feed.next_event().unwrap() {
        assert!(event.at.frame.0 >= last, "{} after {last}", event.at.frame.0);
        last = event.at.frame.0;
        held = held.max(feed.held());
    }
    assert_eq!(feed.read().lines, many + 1);
    assert!(held < 1000, "{held} events were held at once");
}

#[test]
fn frames_that_begin_anew_are_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    let mut bytes = written(&[closed(1, 10, 20), closed(2, 15, 30)]);
    bytes.extend(written(&[closed(3, 1, 4)]));
    fs::write(&path, bytes).unwrap();
    let places: Vec<_> = read(&path).iter().map(|event| event.at.frame.0).collect();
    assert_eq!(places, [11, 16, 20, 30, 2, 4]);
}

#[test]
fn numbers_as_large_as_can_be_written_are_summed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions.ndjson");
    let line = String::from_utf8(written(&[closed(1, 10, 20)])).unwrap();
    let large = line.replace(r#""missed_bytes":0"#, &format!(r#""missed_bytes":{}"#, u64::MAX));
    let sum = large.replace(r#""id.resp_p":25,"#, &format!(r#""attempts":{},"#, u64::MAX));
    assert!(large != line && sum != large);
    fs::write(&path, [&*large, &*large, &*sum, &*sum].concat()).unwrap();
    let mut feed = LineFile::open(&path).unwrap();
    while feed.next_event().unwrap().is_some() {}
    let read = feed.read();
    assert_eq!((read.lines, read.missed_bytes, read.unseen.attempts), (4, u64::MAX, u64::MAX));
}

#[test]
fn files_of_several_sensors_are_merged_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    fs::write(&paths[0], written(&[closed(1, 10, 20), closed(2, 30, 40)])).unwrap();
    fs::write(&paths[1], written(&[closed(3, 15, 25)])).unwrap();
    let mut feeds: Vec<Box<dyn Feed>> =
        paths.iter().map(|path| Box::new(LineFile::open(path).unwrap()) as Box<dyn Feed>).collect();
    let mut seen = Vec::new();
    merge(&mut feeds, &mut |event| seen.push(event.at.frame.0)).unwrap();
    assert_eq!(seen, [11, 16, 20, 25, 31, 40]);
}

#[test]
fn zeeks_logs_are_told_apart_and_joined() {
    let dir = tempfile::tempdir().unwrap();
    let [conn, smtp] = ["conn.log", "smtp.log"].map(|name| dir.path().join(name));
    let ends = r#""id.orig_h":"192.168.0.23","id.orig_p":1025,"id.resp_h":"192.0.2.25","id.resp_p":25"#;
    fs::write(
        &conn,
        format!(
            concat!(
                r#"{{"ts":1772617327.5,"uid":"C1",{ends},"proto":"tcp","service":"smtp","duration":1.25,"orig_bytes":90,"#,
                r#""resp_bytes":200,"conn_state":"SF","missed_bytes":0,"history":"ShAdDafF","orig_pkts":9,"resp_pkts":8}}"#,
                "\n",
                r#"{{"ts":1772617330.5,"uid":"C2",{ends},"proto":"tcp","conn_state":"S0","history":"S","orig_pkts":3}}"#,
                "\n",
                r#"{{"ts":1772617330.5,"uid":"C3",{ends},"proto":"udp","conn_state":"SF"}}"#,
                "\n"
            ),
            ends = ends
        ),
    )
    .unwrap();
    fs::write(
        &smtp,
        format!(
            concat!(
                r#"{{"ts":1772617327.6,"uid":"C1",{ends},"trans_depth":1,"helo":"pc","mailfrom":"a@b.example","#,
                r#""rcptto":["c@d.example"],"last_reply":"550 5.1.1 User unknown","tls":false,"fuids":[]}}"#,
                "\n"
            ),
            ends = ends
        ),
    )
    .unwrap();
    assert_eq!([&conn, &smtp].map(|path| super::kind(path).unwrap()), [Kind::ZeekConn, Kind::ZeekSmtp]);
    let mut logs = ZeekLogs::open(&[conn], &[smtp], &[25]).unwrap();
    let events: Vec<_> = std::iter::from_fn(|| logs.next_event().unwrap()).collect();
    assert_eq!(events.len(), 4, "{events:#?}");
    let SessionEventKind::Transaction(head, tx) = &events[1].kind else { panic!("{events:#?}") };
    assert_eq!(head.helo.as_ref().unwrap().to_string(), "pc");
    assert_eq!((tx.outcome, tx.rcpt_rejected), (crate::session::Outcome::Rejected, 1));
    assert_eq!(tx.rcptto[0].reply.as_ref().unwrap().code, Some(550));
    assert!(matches!(events[3].kind, SessionEventKind::Unanswered(_)));
    assert_eq!((logs.read().lines, logs.read().unseen.zeek_connections), (4, 2));
}
