//! Session lines and Zeek's logs, as `judge` reads them: what is read is told in order, counted, written again as it was,
//! and judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{RULES, is_harmless, judged, scratch};
use crate::detect::{DetectSettings, Judge};
use crate::engine::EVENTS_AT_ONCE;
use crate::frame::FrameNo;
use crate::judge;
use crate::limits::DetectLimits;
use crate::lines::{self, Feed, Kind, LineFile, ZeekLogs, find};
use crate::output::{LineForm, SessionWriter};
use crate::session::{Session, SessionEvent, SessionEventKind};
use crate::site::Site;
use crate::time::{Span, Ts};

/// Stands between files of one input (the file separator of ASCII, which is in no line of JSON), so that two logs of
/// Zeek, or the lines of several sensors, can be one input.
pub(super) const BETWEEN_FILES: u8 = 0x1c;

/// Files of one input.
const FILES_MAX: usize = 4;

/// Differences of times that lie within so much of a line's `ts` can be told: a century, of three that the type holds.
const TOLD_WITHIN: Span = Span::hours(100 * 365 * 24);

/// The bytes of files of lines: ours, or Zeek's.
pub fn session_lines(data: &[u8]) {
    let parts: Vec<&[u8]> = data.split(|byte| *byte == BETWEEN_FILES).take(FILES_MAX).collect();
    let paths: Vec<PathBuf> = (0..parts.len()).map(scratch).collect();
    // A full disk is none of the program's faults.
    if paths.iter().zip(&parts).all(|(path, part)| fs::write(path, part).is_ok()) {
        let once = run(&paths, 1);
        assert_eq!(once, run(&paths, EVENTS_AT_ONCE), "neither a hash seed nor how many are judged at once changes it");
        for (path, part) in paths.iter().zip(parts) {
            if lines::kind(path).is_ok_and(|kind| kind == Kind::Native) {
                native(path, part);
            }
        }
    }
    for path in paths {
        _ = fs::remove_file(path);
    }
}

/// Everything as `judge` does it, so many events at once; what it wrote.
fn run(paths: &[PathBuf], at_once: usize) -> Option<(String, String)> {
    let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
    let (mut conns, mut smtps) = (Vec::new(), Vec::new());
    for path in paths {
        let opened = lines::kind(path).and_then(|kind| {
            match kind {
                Kind::Native => feeds.push(Box::new(LineFile::open(path)?)),
                Kind::ZeekConn => conns.push(path.clone()),
                Kind::ZeekSmtp => smtps.push(path.clone()),
            }
            Ok(())
        });
        // Packed, or so it began; and then it was not.
        opened.ok()?;
    }
    feeds.push(Box::new(ZeekLogs::open(&conns, &smtps, &[25, 587]).ok()?));

    let limits = DetectLimits { hosts_max: 64, triplets_max: 1024, clients_max: 64, flood_attempts_min: 4 };
    let mut judge = Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &limits);
    let mut events = Vec::new();
    let merged = lines::merge(&mut feeds, &mut |event| {
        events.push(event);
        if events.len() == at_once {
            judge.handle_all(&events, &mut |_| ());
            events.clear();
        }
    });
    merged.ok()?;
    judge.handle_all(&events, &mut |_| ());
    let mut complaints = Vec::new();
    let facts = judge::facts(&feeds, &mut |error| complaints.push(error.to_string()));
    assert!(complaints.iter().all(|said| is_harmless(said)), "{complaints:?}");
    let damaged = feeds.iter().filter(|feed| feed.read().damaged.is_some()).count();
    assert_eq!(complaints.len(), damaged, "what is damaged is told");
    Some(judged(&facts, &judge))
}

/// A file of our own lines.
fn native(path: &Path, part: &[u8]) {
    let Some(events) = read(path, Some(part)) else { return };
    let mut wanted: BTreeMap<_, _> = events.iter().filter_map(ends).map(|between| (between, None)).collect();
    assert!(find(path, &mut wanted).is_ok(), "it was read before");
    assert!(wanted.values().all(Option::is_some), "each connection is found: {wanted:?}");

    // What was read is written as a run would have written it, and read again.
    let mut told: Vec<&SessionEvent> = events.iter().filter(|event| is_faithful(event)).collect();
    told.sort_by_key(|event| (event.at.frame, event.at.ts));
    let lines: String = told.iter().map(|event| line(event)).collect();
    let again = scratch(FILES_MAX);
    if fs::write(&again, &lines).is_err() {
        return;
    }
    let second = read(&again, Some(lines.as_bytes()));
    _ = fs::remove_file(&again);
    let Some(second) = second else { panic!("what was written can be read") };
    let mut last = FrameNo(0);
    for event in &second {
        assert!(event.at.frame >= last, "{event:?} comes after what {last:?} told");
        last = event.at.frame;
    }
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(
        sorted(told.into_iter().map(line).collect()),
        sorted(second.iter().filter(|event| is_line(event)).map(line).collect()),
        "what is read is what was written"
    );
}

/// The events of a file. Each line of `part`, if the file is not packed, is counted as one that was understood or not.
fn read(path: &Path, part: Option<&[u8]>) -> Option<Vec<SessionEvent>> {
    let mut file = LineFile::open(path).ok()?;
    let mut events = Vec::new();
    loop {
        match file.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break,
            Err(_) => return None,
        }
    }
    let read = file.read();
    if let Some(part) = part.filter(|part| part.len() as u64 == read.bytes) {
        let lines = part.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        let damaged = read.damaged.as_ref().map_or(0, |(count, _)| *count);
        assert_eq!(lines as u64, read.lines + damaged, "each line is understood, or it is damaged");
        assert_eq!(read.cut, !part.is_empty() && !part.ends_with(b"\n"), "a line without its end is told");
    }
    let lines = events.iter().filter(|event| is_line(event)).count() as u64;
    assert!(lines <= read.lines, "a line tells of one connection");
    Some(events)
}

/// Whether an event is one that a line is written for.
fn is_line(event: &SessionEvent) -> bool {
    matches!(event.kind, SessionEventKind::Closed(_) | SessionEventKind::Unanswered(_) | SessionEventKind::DnsQuery(_))
}

/// The line of an event; each has a writer of its own, so that none becomes part of a sum.
fn line(event: &SessionEvent) -> String {
    let mut writer = SessionWriter::new(Vec::new(), LineForm::Native);
    let line = writer.handle(event).and_then(|()| writer.finish()).ok().and_then(|line| String::from_utf8(line).ok());
    let Some(line) = line else { panic!("a line is UTF-8") };
    assert!(line.lines().count() == 1 && line.lines().all(is_harmless), "one line: {line}");
    line
}

/// The ends of a connection or of a question.
fn ends(event: &SessionEvent) -> Option<lines::Between> {
    match &event.kind {
        SessionEventKind::Closed(session) => {
            Some((session.conn.id.orig.host.ip(), Some(session.conn.id.resp.host.ip())))
        }
        SessionEventKind::Unanswered(attempt) => Some((attempt.id.orig.host.ip(), Some(attempt.id.resp.host.ip()))),
        _ => None,
    }
}

/// Whether a line could have been written by a run: its events lie between its first frame and the one that told of its
/// end, and no time is beyond all counting.
fn is_faithful(event: &SessionEvent) -> bool {
    match &event.kind {
        SessionEventKind::DnsQuery(_) => true,
        SessionEventKind::Unanswered(attempt) => {
            attempt.first <= event.at.frame && is_told(attempt.last.ts.since(attempt.id.ts))
        }
        SessionEventKind::Closed(session) => {
            let Session { conn, smtp, outer } = session.as_ref();
            let greeted = smtp.greeted.iter().map(|at| at.frame);
            let auths = smtp.auth.iter().map(|auth| auth.at.frame);
            let mails = smtp.transactions.iter().map(|tx| tx.ended.frame);
            let proven = outer.iter().filter_map(|outer| outer.proven).map(|at| at.frame);
            let mut frames = greeted.chain(auths).chain(mails).chain(proven);
            let near = |ts: Ts| is_told(ts.since(conn.id.ts));
            frames.all(|frame| (conn.first..=event.at.frame).contains(&frame))
                && conn.first <= event.at.frame
                && is_told(conn.duration)
                && smtp.commands.iter().all(|command| near(command.said) && command.replied.is_none_or(near))
        }
        _ => false,
    }
}

fn is_told(span: Span) -> bool {
    span.as_nanos().unsigned_abs() <= TOLD_WITHIN.as_nanos().unsigned_abs()
}
