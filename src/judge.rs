//! `smtphound judge`: the same judgement from session lines, without a frame.

use std::io;

use crate::capture::CaptureError;
use crate::config::{Config, Input};
use crate::detect::Judge;
use crate::engine::{EVENTS_AT_ONCE, judge_all};
use crate::error::{Error, Status};
use crate::incident::{Judgement, Past};
use crate::lines::{self, Feed, Kind, LineError, LineFile, LinesRead, ZeekLogs};
use crate::output::{self, InputFacts, Results, RunFacts};
use crate::session::SessionEvent;
use crate::wire::{escape, shown};

/// Judges session lines as `config` says. What is wrong with one input is told to `complain`, and the others go on.
pub fn judge(config: &Config, complain: &mut dyn FnMut(&Error)) -> Result<Status, Error> {
    let mut feeds: Vec<Box<dyn Feed>> = Vec::with_capacity(config.inputs.len());
    let (mut conns, mut smtps) = (Vec::new(), Vec::new());
    let mut failed = Vec::new();
    for input in &config.inputs {
        let Input::File(path) = input else {
            let message = "lines are read twice, which standard input cannot be: save them to a file first";
            return Err(Error::Usage(message.to_owned()));
        };
        let opened = lines::kind(path).and_then(|kind| {
            match kind {
                Kind::Native => feeds.push(Box::new(LineFile::open(path)?)),
                Kind::ZeekConn => conns.push(path.clone()),
                Kind::ZeekSmtp => smtps.push(path.clone()),
            }
            Ok(())
        });
        match opened {
            Ok(()) => {}
            Err(error) if failed.len() + 1 == config.inputs.len() => return Err(told(&error)),
            Err(error) => {
                complain(&told(&error));
                let error = Some(escape(error.to_string().as_bytes()).into_owned());
                failed.push(InputFacts { file: shown(path), lines: Some(0), error, ..InputFacts::default() });
            }
        }
    }
    if conns.is_empty() && !smtps.is_empty() {
        let message = "an smtp.log of Zeek tells nothing without the conn.log beside it: name both".to_owned();
        return Err(Error::Usage(message));
    }
    if !conns.is_empty() {
        feeds.push(Box::new(ZeekLogs::open(&conns, &smtps, &config.ports).map_err(|error| told(&error))?));
    }

    let mut judge =
        Judge::new(config.site.clone(), config.reply_rules.clone(), &config.settings, &config.limits.detect);
    let mut past = Past::default();
    let mut events: Vec<SessionEvent> = Vec::with_capacity(EVENTS_AT_ONCE);
    lines::merge(&mut feeds, &mut |event| {
        events.push(event);
        if events.len() == EVENTS_AT_ONCE {
            judge_all(&events, &mut judge, &mut past, &mut |_| ());
            events.clear();
        }
    })
    .map_err(|error| told(&error))?;
    judge_all(&events, &mut judge, &mut past, &mut |_| ());

    let mut facts = facts(&feeds, complain);
    facts.inputs.extend(failed);
    facts.limits_hit.add("past_incidents", past.left_out());
    let damaged = facts.inputs.iter().any(|input| input.error.is_some());
    let judgement = Judgement::last(&mut judge, past);
    let candidates = judge.candidates();
    let results = Results { facts: &facts, judge: &judge, judgement: &judgement, candidates: &candidates };
    output::deliver(config.report.as_ref(), config.table, &results, &mut io::BufWriter::new(io::stdout().lock()))?;
    let surest = judgement.incidents.iter().map(|incident| incident.tier).max();
    Ok(Status::of_run(surest, config.fail_on, damaged))
}

/// What was read of inputs that are read to their ends. What was wrong with one is told to `complain`.
pub(crate) fn facts(feeds: &[Box<dyn Feed>], complain: &mut dyn FnMut(&Error)) -> RunFacts {
    let mut facts = RunFacts::default();
    for feed in feeds {
        let (input, error) = note(&mut facts, feed.as_ref());
        if let Some(error) = error {
            complain(&error);
        }
        facts.inputs.push(input);
    }
    facts
}

/// Adds what was read of an input, and tells what was wrong with it.
fn note(facts: &mut RunFacts, feed: &dyn Feed) -> (InputFacts, Option<Error>) {
    let LinesRead { lines, bytes, first_ts, last_ts, translated, gaps, missed_bytes, damaged, cut, unseen } =
        feed.read();
    facts.translated += translated;
    facts.gaps += gaps;
    facts.missed_bytes = facts.missed_bytes.saturating_add(*missed_bytes);
    facts.unseen.add("attempts_in_sums", unseen.attempts);
    facts.unseen.add("mails_not_listed", unseen.transactions);
    facts.unseen.add("zeek_connections", unseen.zeek_connections);
    let file = shown(feed.path());
    let error = damaged.as_ref().map(|(count, first)| match count {
        1 => escape(first.as_bytes()).into_owned(),
        _ => format!("{} ({} more like it)", escape(first.as_bytes()), count - 1),
    });
    let complaint = error.as_ref().map(|error| Error::Input(format!("{file}, {error}")));
    let input = InputFacts {
        file,
        lines: Some(*lines),
        bytes: *bytes,
        first_ts: *first_ts,
        last_ts: *last_ts,
        truncated: *cut,
        error,
        ..InputFacts::default()
    };
    (input, complaint)
}

fn told(error: &LineError) -> Error {
    match error {
        LineError::Open(CaptureError::Directory { file }) => {
            Error::Input(format!("{} is a directory: name the files in it", escape(file.as_bytes())))
        }
        other => Error::Input(escape(other.to_string().as_bytes()).into_owned()),
    }
}
