//! A live run: `watch --headless` on the mirror port of an office in network namespaces, with a real mail server, real
//! clients and the lab's worm, beside a recording of the same traffic.
//!
//! Needs root, and what `tests/lab/install` installs; elsewhere it says `skipped` and why. `cargo test --release --test
//! live` takes two minutes.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SKIPPED: i32 = 77;
const NO_RIGHTS: &str = "0000000000000000";
const NET_RAW: &str = "0000000000002000";

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{}: whole lines only", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Seconds since the epoch of a stamp.
fn seconds(ts: &Value) -> f64 {
    let stamp: jiff::Timestamp = ts.as_str().unwrap().parse().unwrap();
    stamp.as_nanosecond() as f64 / 1e9
}

/// What an incident comes to: what a replay has to find again.
fn verdicts(report: &Value) -> BTreeMap<String, (Value, Value, Value, Vec<Value>)> {
    let incidents = report["incidents"].as_array().unwrap();
    incidents
        .iter()
        .map(|incident| {
            let numbers = incident["evidence"].as_array().unwrap().iter().map(|line| line["numbers"].clone()).collect();
            let of = |key: &str| incident[key].clone();
            (of("id").as_str().unwrap().to_owned(), (of("class"), of("host"), of("tier"), numbers))
        })
        .collect()
}

#[test]
fn a_worm_is_confirmed_while_it_mails() {
    let program = env!("CARGO_BIN_EXE_smtphound");
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/live.py");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path();
    let Ok(run) = Command::new("python3").arg(lab).arg(program).arg(out).output() else {
        eprintln!("skipped: no python3");
        return;
    };
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    if run.status.code() == Some(SKIPPED) {
        eprint!("{said}");
        return;
    }
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stdout));
    let seen = json(&out.join("seen.json"));
    assert_eq!((&seen["status"], seen["stderr"].as_str().unwrap()), (&Value::from(0), ""));
    let guilty = seen["guilty"].as_str().unwrap();

    // Rights: the thread that copies frames may open a device, nobody else may anything.
    let threads = seen["threads"].as_object().unwrap();
    assert!(threads.contains_key("capture") && threads.contains_key("engine"), "{threads:?}");
    for (name, rights) in threads {
        let kept = if name == "capture" { NET_RAW } else { NO_RIGHTS };
        for thread in rights.as_array().unwrap() {
            assert_eq!(thread, &format!("{kept} {kept} {NO_RIGHTS} 1"), "{name}");
        }
    }

    // Confirmed, and how fast.
    let told = lines(&out.join("incidents.ndjson"));
    let mine = |line: &&Value| line["incident"]["host"] == guilty && line["incident"]["class"] == "mass_mailer";
    let confirmed = told.iter().filter(mine).find(|line| line["incident"]["tier"] == "confirmed").expect("confirmed");
    let mut sessions = lines(&out.join("sessions.ndjson.1"));
    sessions.extend(lines(&out.join("sessions.ndjson")));
    let mut ends: Vec<f64> = Vec::new();
    let is_theirs = |session: &&Value| session["id.orig_h"] == guilty && session.get("conn_state").is_some();
    for session in sessions.iter().filter(is_theirs) {
        let mails = session["transactions"].as_array().map_or(0, Vec::len);
        ends.extend(vec![seconds(&session["ts"]) + session["duration"].as_f64().unwrap(); mails]);
    }
    ends.sort_by(f64::total_cmp);
    assert!(ends.len() > 20, "the worm sent {} mails only", ends.len());
    let late = confirmed["arrived"].as_f64().unwrap() - ends[19];
    assert!(late <= 5.0, "confirmed {late:.1} s after the twentieth mail");
    let novel = |line: &Value| {
        let evidence = line["incident"]["evidence"].as_array().unwrap();
        evidence.iter().find_map(|line| line["numbers"]["novel"].as_u64())
    };
    eprintln!(
        "confirmed {late:+.1} s from the end of the twentieth mail, with {:?} novel mails counted, {} mails in all",
        novel(confirmed),
        ends.len()
    );
    for line in &told {
        let host = line["incident"]["host"].as_str().unwrap();
        assert!(!seen["quiet"].as_array().unwrap().iter().any(|quiet| quiet == host), "{line}");
        assert_eq!(line["event"].as_str().map(|event| ["opened", "raised", "closed"].contains(&event)), Some(true));
    }

    // Nothing was lost, and a report came when it was asked for.
    let report = json(&out.join("report.json"));
    assert_eq!(report["capture"]["drops"], serde_json::json!({}), "{}", report["capture"]);
    let early = json(&out.join("early.json"));
    let total = |report: &Value| report["capture"]["frames"]["total"].as_u64().unwrap();
    assert!(total(&early) > 0 && total(&early) < total(&report));
    assert_eq!(report["input"][0]["file"], "eth0");

    // What was watched, replayed, comes to the same: names, tiers, numbers.
    let replay = |capture: &str| {
        let to = out.join(format!("{capture}.json"));
        let mut command = Command::new(program);
        let run = command.args(["replay", "--quiet", "--report"]).arg(&to).arg(out.join(capture)).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        json(&to)
    };
    let watched = replay("watched.pcap");
    assert_eq!(verdicts(&watched), verdicts(&report));
    assert_eq!(watched["capture"], report["capture"]);
    // So does what another program recorded, but for names: the kernel stamps each frame once more for it.
    let kinds = |report: &Value| -> Vec<_> {
        verdicts(report)
            .into_values()
            .map(|(class, host, tier, _)| [class, host, tier].map(|v| v.to_string()))
            .collect()
    };
    let (mut beside, mut live) = (kinds(&replay("capture.pcap")), kinds(&report));
    beside.sort();
    live.sort();
    assert_eq!(beside, live);
}
