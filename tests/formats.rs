//! Every form of output against the schema of who reads it: our own, Suricata's, XARF's.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use common::{Case, cases};
use jsonschema::Validator;
use serde_json::{Value, json};

fn run(args: &[&str]) -> (i32, String, String) {
    let out = Command::cargo_bin("smtphound").unwrap().args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// What a command prints that goes well.
fn printed(args: &[&str]) -> String {
    let (status, stdout, stderr) = run(args);
    assert_eq!((status, stderr.as_str()), (0, ""), "{args:?}");
    stdout
}

fn schema(of: &str) -> Value {
    serde_json::from_str(&printed(&["schema", of])).unwrap()
}

/// The same schema, but no object may have a key that it does not name: what is written is documented.
fn closed(mut schema: Value) -> Value {
    fn close(value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        } else if let Some(list) = value.as_array_mut() {
            list.iter_mut().for_each(close);
        }
    }
    close(&mut schema);
    schema
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

fn assert_valid(validator: &Validator, value: &Value, what: &str) {
    let wrong: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).take(5).collect();
    assert!(wrong.is_empty(), "{what}: {}\n{value}", wrong.join("\n"));
}

struct Replayed {
    report: Value,
    report_file: PathBuf,
    lines_file: PathBuf,
    lines: Vec<Value>,
}

fn replayed(case: &Case, dir: &Path, more: &[&str]) -> Replayed {
    let file = |end: &str| dir.join(format!("{}{end}", case.name));
    let (report_file, lines_file) = (file(".json"), file(".ndjson"));
    let mut args = vec!["replay", "--quiet", "--report", report_file.to_str().unwrap()];
    args.extend(["--sessions", lines_file.to_str().unwrap()]);
    args.extend(case.flags.iter().map(String::as_str));
    args.extend(more);
    args.push(case.capture.to_str().unwrap());
    printed(&args);
    let text = fs::read_to_string(&lines_file).unwrap();
    Replayed {
        report: serde_json::from_str(&fs::read_to_string(&report_file).unwrap()).unwrap(),
        lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        report_file,
        lines_file,
    }
}

#[test]
fn reports_and_lines_are_as_their_schemas_say() {
    let dir = tempfile::tempdir().unwrap();
    let schemas = ["report", "session"].map(schema);
    let [report, session] = &schemas;
    for schema in &schemas {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        jsonschema::meta::validate(schema).unwrap();
    }
    let (open, strict) = ([report, session].map(validator), schemas.clone().map(|schema| validator(&closed(schema))));
    for case in cases() {
        let Replayed { report, lines, lines_file, .. } = replayed(&case, dir.path(), &[]);
        let again =
            printed(&[&["judge", "--report", "-", lines_file.to_str().unwrap()][..], &site_flags(&case)].concat());
        for validators in [&open, &strict] {
            assert_valid(&validators[0], &report, &case.name);
            assert_valid(&validators[0], &serde_json::from_str(&again).unwrap(), &case.name);
            for line in &lines {
                assert_valid(&validators[1], line, &case.name);
            }
        }
    }
    // A schema that takes everything proves nothing.
    let spoilt = |value: &Value, pointer: &str, to: Value| {
        let mut spoilt = value.clone();
        *spoilt.pointer_mut(pointer).unwrap() = to;
        spoilt
    };
    let case = &cases()[0];
    let Replayed { report, lines, .. } = replayed(case, dir.path(), &[]);
    for (pointer, to) in [
        ("/incidents/0/host", json!("nobody")),
        ("/incidents/0/tier", json!("perhaps")),
        ("/incidents/0/first_ts", json!("yesterday")),
        ("/hosts/0/counts/connections", json!(-1)),
        ("/capture/frames/total", json!("many")),
    ] {
        assert!(!open[0].is_valid(&spoilt(&report, pointer, to)), "{pointer}");
    }
    let line = lines.iter().find(|line| !line["transactions"].as_array().is_none_or(Vec::is_empty)).unwrap();
    for (pointer, to) in [
        ("/uid", json!("C1")),
        ("/conn_state", json!("FINE")),
        ("/commands/0", json!("EHLO")),
        ("/transactions/0/outcome", json!(null)),
        ("/frames/first", json!(-1)),
    ] {
        assert!(!open[1].is_valid(&spoilt(line, pointer, to)), "{pointer}");
    }
}

/// The flags of a case that `judge` has, too.
fn site_flags(case: &Case) -> Vec<&str> {
    case.flags.chunks(2).filter(|pair| pair[0] != "--port").flatten().map(String::as_str).collect()
}

#[test]
fn kept_reports_are_as_the_schema_says() {
    let strict = validator(&closed(schema("report")));
    for file in common::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), "snap") {
        let text = fs::read_to_string(&file).unwrap();
        let json = text.splitn(3, "---\n").nth(2).unwrap();
        assert_valid(&strict, &serde_json::from_str(json).unwrap(), &file.display().to_string());
    }
}

#[test]
fn eve_is_what_suricatas_schema_says() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas/suricata-eve.schema.json");
    let Ok(text) = fs::read_to_string(&beside) else {
        eprintln!("skipped: no schema of Suricata beside the repository");
        return;
    };
    let suricata = validator(&serde_json::from_str(&text).unwrap());
    let (own_session, own_report) = (validator(&schema("session")), schema("report"));
    let dir = tempfile::tempdir().unwrap();
    let mut kinds = BTreeSet::new();
    for case in cases() {
        let native = replayed(&case, dir.path(), &[]);
        let eve = replayed(&case, dir.path(), &["--format", "eve"]);
        assert_eq!(native.report, eve.report);
        let of = |kind: &str| eve.lines.iter().filter(|event| event["event_type"] == kind).collect::<Vec<_>>();
        for event in &eve.lines {
            kinds.insert(event["event_type"].as_str().unwrap().to_owned());
            // The schema is closed: what is ours stands under one key, and that alone is taken out.
            let mut theirs = event.clone();
            theirs.as_object_mut().unwrap().remove("smtphound");
            assert_valid(&suricata, &theirs, &case.name);
        }
        // Nothing is lost: the flows hold the lines, the alerts the incidents.
        let flows = of("flow").into_iter().chain(of("dns")).map(|event| event["smtphound"].to_string());
        let lines = native.lines.iter().map(Value::to_string);
        assert_eq!(flows.collect::<BTreeSet<_>>(), lines.collect::<BTreeSet<_>>(), "{}", case.name);
        let alerts: Vec<&Value> = of("alert").into_iter().map(|event| &event["smtphound"]).collect();
        assert_eq!(alerts, native.report["incidents"].as_array().unwrap().iter().collect::<Vec<_>>());
        let mails: usize = native.lines.iter().map(|line| line["transactions"].as_array().map_or(0, Vec::len)).sum();
        assert_eq!(of("smtp").iter().filter(|event| event.get("smtphound").is_some()).count(), mails, "{}", case.name);
        for event in of("flow") {
            assert_valid(&own_session, &event["smtphound"], &case.name);
            let flow_id = event["flow_id"].as_u64();
            assert!(flow_id.is_none_or(|id| id < 1 << 53), "{event}");
        }
    }
    assert!(own_report["properties"]["incidents"].is_object());
    assert_eq!(kinds, ["alert", "dns", "flow", "smtp"].map(str::to_owned).into());
}

#[test]
fn xarf_is_valid_and_of_the_right_type() {
    let dir = tempfile::tempdir().unwrap();
    let who = ["--org", "Adatum", "--contact", "abuse@adatum.example"];
    let mut types = BTreeSet::new();
    for case in cases() {
        let Replayed { report, report_file, lines_file, .. } = replayed(&case, dir.path(), &[]);
        let (report_file, lines_file) = (report_file.to_str().unwrap(), lines_file.to_str().unwrap());
        let (status, stdout, _) =
            run(&[&["report", "--xarf", report_file, "--sessions", lines_file][..], &who].concat());
        assert_eq!(status, 0, "{}", case.name);
        for line in stdout.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let errors = xarf::quick_errors(&record, false).unwrap();
            assert!(errors.is_empty(), "{}: {errors:?}\n{record}", case.name);
            let id = record["report_id"].as_str().unwrap();
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
            types.insert(format!(
                "{} {}/{}",
                record["tags"][0].as_str().unwrap(),
                record["category"].as_str().unwrap(),
                record["type"].as_str().unwrap()
            ));
            if record["type"] == "infected_host" {
                let public = &report["site"]["public_ips"];
                let source = &record["source_identifier"];
                assert!(
                    public.as_array().unwrap().is_empty() || public.as_array().unwrap().contains(source),
                    "{record}"
                );
            }
        }
    }
    let wanted = [
        "smtphound:account_abuse messaging/spam",
        "smtphound:auth_guessing connection/login_attack",
        "smtphound:directory_harvest connection/reconnaissance",
        "smtphound:mass_mailer connection/infected_host",
        "smtphound:ndr_flood vulnerability/misconfiguration",
        "smtphound:relay vulnerability/open_service",
    ];
    assert_eq!(types, wanted.map(str::to_owned).into());
}

#[test]
fn xarf_says_what_it_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    let case = cases().into_iter().find(|case| case.name == "account-abuse").unwrap();
    let Replayed { report, report_file, .. } = replayed(&case, dir.path(), &[]);
    let file = report_file.to_str().unwrap();
    let who = ["--org", "Adatum", "--contact", "abuse@adatum.example"];
    let (status, stdout, stderr) = run(&[&["report", "--xarf", file][..], &who].concat());
    assert_eq!((status, stdout.as_str()), (0, ""));
    assert_eq!(stderr.lines().count(), report["incidents"].as_array().unwrap().len(), "{stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("smtphound: ") && line.contains("--sessions FILE")), "{stderr}");
    let id = report["incidents"][0]["id"].as_str().unwrap();
    let (status, _, stderr) = run(&[&["report", "--xarf", file, "--incident", "i0"][..], &who].concat());
    assert_eq!(status, 2);
    assert!(stderr.contains("there is no incident i0") && stderr.contains(id), "{stderr}");
    for (args, words) in [
        (vec!["report", "--xarf", "none.json", "--org", "A", "--contact", "a@b.example"], "none.json cannot be read"),
        (vec!["report", "--xarf", file, "--org", "A", "--contact", "nobody"], "write the mail address"),
        (vec!["report", file, "--org", "A", "--contact", "a@b.example"], "--xarf"),
        (vec!["diff", file, case.capture.to_str().unwrap()], "this is no report of smtphound"),
    ] {
        let (status, stdout, stderr) = run(&args);
        assert_eq!((status, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}
