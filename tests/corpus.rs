//! The corpus of real captures against its ground truth: every session found, every field that names people and
//! replies equal. What differs stands in `corpus-exceptions.toml` with its reason, and may be no more than 3 %.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use smtphound::session::{Session, Transaction};

/// What the ground truth says of a session, or what we say of it, as comparable lines.
type Facts = BTreeMap<String, String>;

#[test]
fn every_session_is_as_the_ground_truth_states() {
    let Some(corpus) = common::corpus() else { return };
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(corpus.join("MANIFEST.json")).unwrap()).unwrap();
    let exceptions = exceptions();
    let (mut sessions, mut differing, mut used) = (0, Vec::new(), BTreeSet::new());
    for capture in manifest["captures"].as_array().unwrap() {
        let id = capture["id"].as_str().unwrap();
        let ports: Vec<u16> = capture["facts"]["connections_by_server_port"]
            .as_object()
            .unwrap()
            .keys()
            .filter_map(|port| port.parse().ok())
            .collect();
        let replayed = common::replay(&[&corpus.join(capture["file"].as_str().unwrap())], &ports, 1);
        let mut found: BTreeMap<(String, String), Vec<&Session>> = BTreeMap::new();
        for session in replayed.sessions() {
            let conn = session.conn.id;
            let ends =
                (format!("{}:{}", conn.orig.host, conn.orig.port), format!("{}:{}", conn.resp.host, conn.resp.port));
            found.entry(ends).or_default().push(session);
        }
        for (no, truth) in capture["sessions"].as_array().unwrap().iter().enumerate() {
            sessions += 1;
            let name = format!("{id}#{no}");
            let ends = (plain(&truth["client"]), plain(&truth["server"]));
            let same_ends = found.get_mut(&ends).filter(|sessions| !sessions.is_empty());
            let differences = match same_ends {
                None => vec![format!("{ends:?}: no session found")],
                Some(sessions) => {
                    let high = capture["ground_truth_confidence"] == "high";
                    compare(&stated(truth, high), &ours(sessions.remove(0), high))
                }
            };
            if differences.is_empty() {
                continue;
            }
            if exceptions.contains_key(&name) {
                used.insert(name);
            } else {
                differing.push(format!("{name}\n    {}", differences.join("\n    ")));
            }
        }
        for other in capture["other_connections"].as_array().unwrap() {
            let ends = (plain(&other["client"]), plain(&other["server"]));
            for session in found.get(&ends).into_iter().flatten() {
                let smtp = &session.smtp;
                if smtp.greeting.is_some() || smtp.helo.is_some() || smtp.transactions_total > 0 {
                    differing.push(format!("{id}: {ends:?} is no SMTP, but a dialogue was found"));
                }
            }
        }
    }
    assert!(sessions > 100, "the ground truth holds {sessions} sessions only");
    assert!(differing.is_empty(), "{} of {sessions} sessions differ:\n{}", differing.len(), differing.join("\n"));
    let stale: Vec<_> = exceptions.keys().filter(|name| !used.contains(*name)).collect();
    assert!(stale.is_empty(), "these exceptions are none any more: {stale:?}");
    assert!(exceptions.len() * 100 <= sessions * 3, "{} exceptions of {sessions} sessions", exceptions.len());
}

#[test]
fn frames_of_every_capture_are_accounted_for() {
    let Some(corpus) = common::corpus() else { return };
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(corpus.join("MANIFEST.json")).unwrap()).unwrap();
    for capture in manifest["captures"].as_array().unwrap() {
        let replayed = common::replay(&[&corpus.join(capture["file"].as_str().unwrap())], &[25, 587, 465], 2);
        let stats = replayed.ran.finished.front.decode_stats();
        let read: u64 = replayed.inputs.iter().map(|input| input.frames).sum();
        let sum =
            stats.segments() + stats.questions() + stats.names() + stats.ignored_total() + stats.undecoded_total();
        assert_eq!(sum, read, "{}", capture["id"]);
        assert_eq!(read, capture["facts"]["packets"].as_u64().unwrap(), "{}", capture["id"]);
    }
}

/// `tests/corpus-exceptions.toml`: `"capture#session" = "reason"`.
fn exceptions() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus-exceptions.toml");
    let all: BTreeMap<String, String> = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(all.values().all(|reason| reason.len() > 20), "an exception wants a reason");
    all
}

fn compare(stated: &Facts, ours: &Facts) -> Vec<String> {
    let keys: BTreeSet<&String> = stated.keys().chain(ours.keys()).collect();
    keys.into_iter()
        .filter(|key| stated.get(*key) != ours.get(*key))
        .map(|key| format!("{key}: stated {:?}, found {:?}", stated.get(key), ours.get(key)))
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn stated(truth: &Value, high: bool) -> Facts {
    let mut facts = Facts::new();
    facts.insert("helo".to_owned(), plain(&truth["helo"]));
    facts.insert("greeting".to_owned(), plain(&truth["greeting"]));
    for (i, tx) in truth["transactions"].as_array().unwrap().iter().enumerate() {
        let mut put = |key: &str, value: String| facts.insert(format!("tx{i}.{key}"), value);
        put("mail_from", plain(&tx["mail_from"]));
        put("null_sender", plain(&tx["null_sender"]));
        put("mail_code", plain(&tx["mail_code"]));
        let rcpts = tx["rcpt_to"].as_array().unwrap();
        let rcpts: Vec<String> =
            rcpts.iter().map(|rcpt| format!("{} {}", plain(&rcpt["to"]), plain(&rcpt["code"]))).collect();
        put("rcpt_to", first_of(&rcpts));
        put("rcpt_count", plain(&tx["rcpt_count"]));
        if high {
            put("data_cmd_code", plain(&tx["data_cmd_code"]));
            put("final_code", plain(&tx["final_code"]));
            put("transfer", plain(&tx["transfer"]));
        }
    }
    if high {
        let dialogue: Vec<String> = truth["dialogue"].as_array().unwrap().iter().map(plain).collect();
        facts.insert("dialogue".to_owned(), first_of(&dialogue));
        facts.insert("quit".to_owned(), plain(&truth["quit"]));
    }
    facts
}

fn ours(session: &Session, high: bool) -> Facts {
    let smtp = &session.smtp;
    let code = |code: Option<u16>| code.map_or("-".to_owned(), |code| code.to_string());
    let mut facts = Facts::new();
    facts.insert("helo".to_owned(), smtp.helo.as_ref().map_or("-".to_owned(), text));
    facts.insert("greeting".to_owned(), code(smtp.greeting.as_ref().and_then(|reply| reply.code)));
    for (i, tx) in smtp.transactions.iter().enumerate() {
        let tx: &Transaction = tx;
        let mut put = |key: &str, value: String| facts.insert(format!("tx{i}.{key}"), value);
        // Recipients or data without MAIL make a transaction too; its reverse-path is unknown, not null.
        let no_mail = tx.mailfrom.is_empty() && !tx.null_sender && tx.mail_reply.is_none();
        put("mail_from", if no_mail { "-".to_owned() } else { text(&tx.mailfrom) });
        put("null_sender", tx.null_sender.to_string());
        put("mail_code", code(tx.mail_reply.as_ref().and_then(|reply| reply.code)));
        let rcpts: Vec<String> = tx
            .rcptto
            .iter()
            .map(|rcpt| format!("{} {}", text(&rcpt.to), code(rcpt.reply.as_ref().and_then(|reply| reply.code))))
            .collect();
        put("rcpt_to", first_of(&rcpts));
        put("rcpt_count", tx.rcpt_total.to_string());
        if high {
            put("data_cmd_code", code(tx.data_cmd_reply.as_ref().and_then(|reply| reply.code)));
            put("final_code", code(tx.data_reply.as_ref().and_then(|reply| reply.code)));
            put("transfer", tx.transfer.map_or("-".to_owned(), |transfer| format!("{transfer:?}").to_uppercase()));
        }
    }
    if high {
        let verb = |verb: &'static str| match verb {
            "." => "<EOD>",
            "*" => "<AUTHDATA>",
            verb => verb,
        };
        let dialogue: Vec<String> =
            smtp.commands.iter().map(|log| format!("{} {}", verb(log.verb), code(log.code))).collect();
        facts.insert("dialogue".to_owned(), first_of(&dialogue));
        facts.insert("quit".to_owned(), smtp.quit.to_string());
    }
    facts
}

/// The first so many of a list: we keep a bounded number of each, and the ground truth leaves out the middle of long
/// dialogues; how many there were is compared apart.
fn first_of(list: &[String]) -> String {
    list.iter().take(40).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn text(wire: &smtphound::wire::Wire) -> String {
    String::from_utf8_lossy(wire.as_bytes()).into_owned()
}
