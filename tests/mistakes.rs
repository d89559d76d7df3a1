//! Flags, variables and files: which goes before which, and what a mistake is told: one sentence, the place, the remedy.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::fs;

use assert_cmd::Command;
use serde_json::Value;

fn run(args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("smtphound").unwrap();
    let out = command.args(args).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn a_mistake_is_one_sentence_with_its_place_and_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (key, value) = (put("key.toml", "\nhome_net = []\n"), put("value.toml", "[detect.helo]\nmany = 99\n"));
    let (nets, reports) = (put("nets.txt", "10.0.0.0/8\n10.0.0\n"), put("other.json", "{}"));
    let capture = common::captures().join("names.pcap").to_str().unwrap().to_owned();
    let (at_nets, none) = (format!("@{nets}"), dir.path().join("none.toml").to_str().unwrap().to_owned());
    for (args, wanted) in [
        (vec![], vec!["a command is missing", "--help"]),
        (vec!["repaly", "x"], vec!["'repaly'", "'replay'"]),
        (vec!["replay"], vec!["<FILE>", "--help"]),
        (vec!["replay", "--home-nets", "x", "y"], vec!["'--home-nets'", "'--home-net'"]),
        (vec!["replay", "--home-net", "10.0.0/8", "y"], vec!["'--home-net <CIDR>'", "such as 192.0.2.0/24"]),
        (vec!["replay", "--mail-server", "mail", "y"], vec!["'--mail-server <IP>'", "such as 192.0.2.25"]),
        (vec!["replay", "--fail-on", "often", "y"], vec!["'--fail-on <TIER>'", "suspect, likely, confirmed"]),
        (vec!["replay", "--workers", "0", "y"], vec!["--workers <N>", "1..=16"]),
        (vec!["replay", "--format", "evf", "y"], vec!["--format <FORM>", "eve"]),
        (vec!["replay", "--config", &none, "y"], vec![&none, "cannot be read", "name a file that is there"]),
        (vec!["replay", "--config", &key, "y"], vec!["key.toml, line 2", "did you mean `home_nets`?"]),
        (vec!["replay", "--config", &value, "y"], vec!["value.toml, line 2", "detect.helo.many must be from 1 to 8"]),
        (vec!["replay", "--home-net", &at_nets, "y"], vec!["nets.txt, line 2", "is no network: write"]),
        (vec!["judge", "--home-net", "@", "y"], vec!["write a file after the @"]),
        (vec!["diff", &reports, &reports], vec!["other.json", "this is no report of smtphound", "what --report wrote"]),
        (vec!["diff", &none, &reports], vec![&none, "cannot be read", "name a file that is there"]),
        (
            vec!["watch", "-i", "lo", "--headless", "--metrics-listen", "0.0.0.0:9925"],
            vec!["--metrics-listen <ADDRESS:PORT>", "0.0.0.0 is not on the loopback device", "write 127.0.0.1:9925"],
        ),
        (vec!["replay", "--metrics-listen", "127.0.0.1:9925", "y"], vec!["'--metrics-listen'"]),
        (
            vec!["replay", "--quiet", "--syslog", "unix:none.socket", &capture],
            vec!["unix:none.socket cannot be written", "name a place that is there"],
        ),
        (
            vec!["replay", "--quiet", "--syslog", "tcp:127.0.0.1:1", &capture],
            vec!["tcp:127.0.0.1:1 cannot be written", "see that a receiver listens there"],
        ),
        (vec!["completions", "dos"], vec!["'dos'", "bash"]),
        (vec!["man", "replays"], vec!["there is no command replays", "replay, watch"]),
        (vec!["schema", "all"], vec!["'all'", "report, session"]),
    ] {
        let (status, stdout, stderr) = run(&args, &[]);
        assert_eq!((status, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{args:?}: {stderr}");
        assert!(stderr.starts_with("smtphound: "), "{stderr}");
        for words in wanted {
            assert!(stderr.contains(words), "{args:?}: {words} is not in {stderr}");
        }
    }
}

/// An input that is not there is no mistake of the command line alone (status 4), but the sentence is the same.
#[test]
fn an_input_that_is_not_there_is_told_with_its_remedy() {
    for args in [["replay", "none.pcap"], ["judge", "none.ndjson"]] {
        let (status, stdout, stderr) = run(&args, &[]);
        assert_eq!((status, stdout.as_str(), stderr.lines().count()), (4, "", 1), "{stderr}");
        assert!(stderr.contains(args[1]) && stderr.contains("; name a file that is there"), "{stderr}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (variable, value, words) in [
        ("SMTPHOUND_HOME_NET", "192.0.2.0/24,office", "`office` is no network"),
        ("SMTPHOUND_WORKERS", "many", "'many'"),
        ("SMTPHOUND_CONFIG", "none.toml", "none.toml cannot be read"),
    ] {
        let (status, _, stderr) = run(&["replay", "x.pcap"], &[(variable, value)]);
        assert_eq!((status, stderr.lines().count()), (2, 1), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
        assert!(variable == "SMTPHOUND_CONFIG" || stderr.contains(&format!("smtphound: {variable}: ")), "{stderr}");
    }
}

#[test]
fn flags_go_before_variables_and_they_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("smtphound.toml");
    fs::write(&file, "home_nets = ['192.0.2.0/24']\nlocal_domains = ['file.example']\n").unwrap();
    let (file, capture) = (file.to_str().unwrap(), common::captures().join("relay-tests.pcap"));
    let site = |flags: &[&str], variables: &[(&str, &str)]| -> (Value, Value) {
        let args = [&["replay", "--report", "-", "--config", file][..], flags, &[capture.to_str().unwrap()]].concat();
        let (status, stdout, stderr) = run(&args, variables);
        assert_eq!((status, stderr.as_str()), (0, ""));
        let report: Value = serde_json::from_str(&stdout).unwrap();
        (report["site"]["home_nets"].clone(), report["site"]["local_domains"].clone())
    };
    let variables = [("SMTPHOUND_HOME_NET", "198.51.100.0/24,203.0.113.0/24")];
    let of_file = serde_json::json!(["file.example"]);
    assert_eq!(site(&[], &[]), (serde_json::json!(["192.0.2.0/24"]), of_file.clone()));
    assert_eq!(site(&[], &variables).0, serde_json::json!(["198.51.100.0/24", "203.0.113.0/24"]));
    assert_eq!(site(&["--home-net", "10.0.0.0/8"], &variables), (serde_json::json!(["10.0.0.0/8"]), of_file));
}

#[test]
fn completions_and_man_pages_are_of_this_program() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (status, stdout, stderr) = run(&["completions", shell], &[]);
        assert_eq!((status, stderr.as_str()), (0, ""));
        assert!(stdout.contains("smtphound") && stdout.contains("home-net"), "{shell}");
    }
    let (_, page, _) = run(&["man"], &[]);
    assert!(page.contains(".TH smtphound 1") && page.contains("Exit status"), "{page}");
    let (_, page, _) = run(&["man", "replay"], &[]);
    assert!(page.contains("smtphound\\-replay") && page.contains("\\-\\-home\\-net"), "{page}");
}
