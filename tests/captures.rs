//! Every capture of the repository against its card: what `[expect]` states of `NAME.pcap` must come out of the binary.
//!
//! A key of a card that this test does not know is an error, so that no expectation is passed over. What is not met
//! yet stands in [`NOT_YET`], and the test fails when it comes to be met, so that the list never outlives its reasons.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test stops where something is not as it must be"
)]

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde::Deserialize;
use serde_json::Value;

/// Expectations (`capture: expectation`) that do not hold yet, each with its reason.
const NOT_YET: &[(&str, &str)] = &[];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the keys are read so that only known ones pass")]
struct Card {
    title: String,
    field_reports: Vec<String>,
    shows: String,
    recorded: Recorded,
    settings: Settings,
    network: Network,
    truth: toml::Table,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the keys are read so that only known ones pass")]
struct Recorded {
    began: String,
    command: String,
    seed: u64,
    tap: String,
    software: String,
    file_bytes: u64,
    frames: u64,
}

/// Flags that the card's reader is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    home_net: Vec<String>,
    #[serde(default)]
    mail_server: Vec<String>,
    #[serde(default)]
    local_domain: Vec<String>,
    #[serde(default)]
    port: Vec<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    host: Vec<NetworkHost>,
}

#[derive(Deserialize)]
struct NetworkHost {
    ip: IpAddr,
    name: Option<String>,
    #[serde(default)]
    policy: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Incidents that must be there.
    #[serde(default)]
    host: Vec<ExpectedHost>,
    /// Incidents that must not be there.
    #[serde(default)]
    never: Vec<Never>,
    /// What hosts call themselves.
    #[serde(default)]
    name: Vec<ExpectedName>,
    /// Attempts to relay, each with what became of it.
    #[serde(default)]
    verdict: Vec<ExpectedVerdict>,
    /// No incident at all.
    #[serde(default)]
    no_incidents: bool,
    /// Hosts that no incident is about.
    #[serde(default)]
    no_incident_hosts: Vec<IpAddr>,
    /// The mail servers, all of them.
    mail_servers: Option<BTreeSet<IpAddr>>,
    /// Domains that the server is known to take mail for.
    #[serde(default)]
    local_domains: Vec<String>,
    /// The one address that the world sees.
    public_ip: Option<IpAddr>,
    /// Whose servers refuse our mail server because of that address.
    #[serde(default)]
    refusing_domains: Vec<String>,
    /// How many senders share an address at least.
    senders_at_least: Option<u64>,
    /// Whom the remedy tells to block.
    #[serde(default)]
    clients_to_block: Vec<String>,
    /// Attempts whose onward delivery was seen.
    proven: Option<usize>,
    /// Attempts whose non-delivery report was seen.
    ndrs: Option<usize>,
    /// Secrets.
    #[serde(default)]
    never_in_output: Vec<String>,
    /// Replies come slower and slower, and the report says so.
    #[serde(default)]
    tarpit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedName {
    ip: IpAddr,
    source: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedHost {
    ip: IpAddr,
    class: String,
    kind: Option<String>,
    tier: Option<String>,
    tier_at_least: Option<String>,
    rank: Option<u64>,
    role: Option<String>,
    recovered: Option<bool>,
    account: Option<String>,
    client: Option<IpAddr>,
    helo: Option<String>,
    sender: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Never {
    ip: IpAddr,
    class: String,
    verdict: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedVerdict {
    server: IpAddr,
    client: IpAddr,
    technique: Vec<String>,
    mailfrom: String,
    rcptto: String,
    verdict: String,
}

/// What the binary told of a capture.
struct Told {
    report: Value,
    sessions: Vec<Value>,
    /// All of it, as bytes.
    everything: String,
}

impl Told {
    fn of(capture: &Path, flags: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (report, sessions) = (dir.path().join("report.json"), dir.path().join("sessions.ndjson"));
        let Output { status, stdout, stderr } = Command::cargo_bin("smtphound")
            .unwrap()
            .arg("replay")
            .args(flags)
            .arg("--report")
            .arg(&report)
            .arg("--sessions")
            .arg(&sessions)
            .arg(capture)
            .output()
            .unwrap();
        assert!(status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&stderr));
        assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
        let read = |path| std::fs::read_to_string(path).unwrap();
        let (report, sessions, table) = (read(&report), read(&sessions), String::from_utf8(stdout).unwrap());
        Self {
            report: serde_json::from_str(&report).unwrap(),
            // Questions to DNS servers stand between them.
            sessions: sessions
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .filter(|line| line.get("query").is_none())
                .collect(),
            everything: [report, sessions, table].concat(),
        }
    }

    fn incidents(&self) -> impl Iterator<Item = &Value> {
        list(&self.report["incidents"]).iter()
    }

    fn incident(&self, host: IpAddr, class: &str) -> Option<&Value> {
        self.incidents().find(|incident| is(&incident["host"], host) && incident["class"] == class)
    }

    fn host(&self, ip: IpAddr) -> Option<&Value> {
        list(&self.report["hosts"]).iter().find(|host| is(&host["ip"], ip))
    }

    fn verdicts(&self) -> impl Iterator<Item = &Value> {
        self.incidents().flat_map(|incident| list(&incident["verdicts"]))
    }

    /// The largest number of that name in any evidence.
    fn number(&self, name: &str) -> u64 {
        let evidence = self.incidents().flat_map(|incident| list(&incident["evidence"]));
        evidence.filter_map(|line| line["numbers"][name].as_u64()).max().unwrap_or(0)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn is(value: &Value, ip: IpAddr) -> bool {
    value.as_str().unwrap().parse() == Ok(ip)
}

/// Tiers from the least sure to the surest.
fn sureness(tier: &str) -> usize {
    ["suspect", "likely", "confirmed"].iter().position(|known| *known == tier).unwrap()
}

/// What was expected, and whether it holds; in the order of the card.
#[derive(Default)]
struct Checks(Vec<(String, Result<(), String>)>);

impl Checks {
    fn check(&mut self, name: impl Into<String>, holds: bool, found: impl ToString) {
        self.0.push((name.into(), if holds { Ok(()) } else { Err(found.to_string()) }));
    }
}

fn check(card: &Card, told: &Told) -> Checks {
    let (mut checks, expect, site) = (Checks::default(), &card.expect, &told.report["site"]);
    let input = &told.report["input"][0];
    checks.check("frames", input["frames"] == card.recorded.frames, &input["frames"]);
    for host in &expect.host {
        check_host(host, told, &mut checks);
    }
    for never in &expect.never {
        let found: Vec<_> = told.incident(never.ip, &never.class).into_iter().collect();
        let found = match &never.verdict {
            None => !found.is_empty(),
            Some(verdict) => found.iter().flat_map(|found| list(&found["verdicts"])).any(|v| v["verdict"] == **verdict),
        };
        checks.check(format!("never {} {}", never.ip, never.class), !found, "it is there");
    }
    let hosts: Vec<String> = told.incidents().map(|found| format!("{} {}", found["host"], found["class"])).collect();
    if expect.no_incidents {
        checks.check("no_incidents", hosts.is_empty(), hosts.join(", "));
    }
    for ip in &expect.no_incident_hosts {
        let innocent = !told.incidents().any(|incident| is(&incident["host"], *ip));
        checks.check(format!("no_incident_hosts {ip}"), innocent, hosts.join(", "));
    }
    check_verdicts(expect, told, &mut checks);
    if let Some(servers) = &expect.mail_servers {
        let found: BTreeSet<IpAddr> =
            list(&site["mail_servers"]).iter().map(|server| server["ip"].as_str().unwrap().parse().unwrap()).collect();
        checks.check("mail_servers", found == *servers, format!("{found:?}"));
    }
    for domain in &expect.local_domains {
        let found = list(&site["local_domains"]).iter().any(|found| found == domain.as_str());
        checks.check(format!("local_domains {domain}"), found, &site["local_domains"]);
    }
    if let Some(ip) = expect.public_ip {
        let found = list(&site["public_ips"]);
        checks.check("public_ip", found.len() == 1 && is(&found[0], ip), &site["public_ips"]);
    }
    for ExpectedName { ip, source, name } in &expect.name {
        let host = list(&told.report["hosts"]).iter().find(|host| is(&host["ip"], *ip));
        let found = host.map_or(&Value::Null, |host| &host["identity"]["names"][source]);
        checks.check(format!("name {ip} {source}"), found == name.as_str(), found);
    }
    for domain in &expect.refusing_domains {
        let name = format!("mx.{domain}");
        let server = card.network.host.iter().find(|host| host.name.as_ref() == Some(&name)).unwrap();
        // A throttle is no refusal: it is told as a number.
        let found = if server.policy.iter().any(|policy| policy == "throttle") {
            told.number("throttled") > 0
        } else {
            told.incidents()
                .flat_map(|incident| list(&incident["peers"]))
                .any(|peer| peer["role"] == "refuses" && is(&peer["ip"], server.ip))
        };
        checks.check(format!("refusing_domains {domain}"), found, format!("no word of {}", server.ip));
    }
    if let Some(least) = expect.senders_at_least {
        let found = told.number("senders_at_least");
        let said = told.incidents().any(|incident| {
            let summary = incident["summary"].as_str().unwrap();
            summary.contains(&format!("At least {found} different senders")) && summary.contains("A tap inside")
        });
        checks.check("senders_at_least", found >= least && said, found);
    }
    let remedies: Vec<&str> = told
        .incidents()
        .flat_map(|incident| list(&incident["remediation"]))
        .filter_map(Value::as_str)
        .filter(|remedy| remedy.starts_with("Block "))
        .collect();
    for client in &expect.clients_to_block {
        let found = remedies.iter().any(|remedy| words(remedy).any(|word| word == client));
        checks.check(format!("clients_to_block {client}"), found, remedies.join(" "));
    }
    for secret in &expect.never_in_output {
        checks.check(format!("never_in_output {secret}"), !told.everything.contains(secret.as_str()), "it is there");
    }
    if expect.tarpit {
        checks.check("tarpit", told.report["incidents"].to_string().contains("tarpit"), "not a word of it");
    }
    checks
}

/// Words of a sentence, without the punctuation around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').map(|word| word.trim_matches([',', '.', ';', ':']))
}

fn check_host(expected: &ExpectedHost, told: &Told, checks: &mut Checks) {
    let name = format!("host {} {}", expected.ip, expected.class);
    let Some(incident) = told.incident(expected.ip, &expected.class) else {
        let found: Vec<String> = told.incidents().map(|i| format!("{} {}", i["host"], i["class"])).collect();
        return checks.check(name, false, format!("no such incident, but {found:?}"));
    };
    checks.check(name.clone(), true, "");
    let text = incident.to_string();
    let tier = incident["tier"].as_str().unwrap();
    let said = |wanted: &str| text.contains(wanted);
    let row = told.host(expected.ip).unwrap();
    let classes = list(&row["classes"]).iter().any(|class| *class == *expected.class);
    checks.check(format!("{name} in its row"), classes, row);
    if let Some(kind) = &expected.kind {
        checks.check(format!("{name} kind"), incident["kind"] == **kind, &incident["kind"]);
    }
    if let Some(wanted) = &expected.tier {
        checks.check(format!("{name} tier"), wanted == tier, tier);
    }
    if let Some(wanted) = &expected.tier_at_least {
        checks.check(format!("{name} tier_at_least"), sureness(tier) >= sureness(wanted), tier);
    }
    if let Some(rank) = expected.rank {
        let found = list(&told.report["hosts"]).iter().position(|host| is(&host["ip"], expected.ip)).unwrap() as u64;
        checks.check(format!("{name} rank"), row["rank"] == rank && found + 1 == rank, &row["rank"]);
    }
    if let Some(role) = &expected.role {
        assert_eq!(role, "victim", "no other role is known");
        // A victim is called one, and no tier of suspicion stands beside it.
        checks.check(format!("{name} role"), said("victim") && row["tier"].is_null(), row);
    }
    if expected.recovered == Some(true) {
        let again = list(&incident["evidence"]).iter().any(|line| line["numbers"]["accepted_again"].as_u64() > Some(0));
        checks.check(format!("{name} recovered"), again, &incident["evidence"]);
    }
    if let Some(account) = &expected.account {
        let found = list(&incident["accounts"]).iter().any(|found| found == account.as_str());
        checks.check(format!("{name} account"), found, &incident["accounts"]);
    }
    if let Some(client) = expected.client {
        let found = list(&incident["peers"]).iter().any(|peer| peer["role"] == "client" && is(&peer["ip"], client));
        checks.check(format!("{name} client"), found, &incident["peers"]);
    }
    for (key, wanted) in [("helo", &expected.helo), ("sender", &expected.sender)] {
        if let Some(wanted) = wanted {
            checks.check(format!("{name} {key}"), said(wanted), incident);
        }
    }
}

fn check_verdicts(expect: &Expect, told: &Told, checks: &mut Checks) {
    let mut left: Vec<&Value> = told.verdicts().collect();
    for expected in &expect.verdict {
        let name = format!("verdict {} {} {}", expected.technique.join(" "), expected.mailfrom, expected.rcptto);
        // A card that names no test of the sequence, or no form, leaves it open; of what it names, all and nothing else.
        let same_technique = |found: &Value| {
            ["T", "F", "S"].iter().all(|family| {
                let of = |names: Vec<&str>| -> BTreeSet<String> {
                    names.into_iter().filter(|name| name.starts_with(family)).map(str::to_owned).collect()
                };
                let wanted = of(expected.technique.iter().map(String::as_str).collect());
                wanted.is_empty() || wanted == of(list(found).iter().filter_map(Value::as_str).collect())
            })
        };
        let found = left.iter().position(|found| {
            is(&found["server"], expected.server)
                && is(&found["client"], expected.client)
                && found["sender"] == unescaped(&expected.mailfrom)
                && found["recipient"] == unescaped(&expected.rcptto)
        });
        match found.map(|found| left.remove(found)) {
            Some(found) => {
                checks.check(name.clone(), same_technique(&found["technique"]), &found["technique"]);
                checks.check(format!("{name} verdict"), found["verdict"] == *expected.verdict, &found["verdict"]);
            }
            None => checks.check(name, false, "no such attempt"),
        }
    }
    let count = |verdict: &str| told.verdicts().filter(|found| found["verdict"] == verdict).count();
    if let Some(proven) = expect.proven {
        checks.check("proven", count("proven") == proven, count("proven"));
        // A card that counts these lists all attempts.
        checks.check("no other attempt", left.is_empty(), format!("{left:?}"));
    }
    if let Some(ndrs) = expect.ndrs {
        checks.check("ndrs", count("accepted_then_ndr") == ndrs, count("accepted_then_ndr"));
        let sent = told
            .sessions
            .iter()
            .filter(|line| expect.mail_servers.iter().flatten().any(|server| is(&line["id.orig_h"], *server)))
            .flat_map(|line| list(&line["transactions"]))
            .filter(|mail| mail["null_sender"] == true && !mail["dsn"].is_null())
            .count();
        checks.check("ndrs in session lines", sent >= ndrs && (ndrs > 0 || sent == 0), sent);
    }
}

/// Addresses of cards are as typed; the report escapes a backslash, of which they have none.
fn unescaped(address: &str) -> &str {
    assert!(!address.contains('\\'));
    address
}

fn flags(settings: &Settings) -> Vec<String> {
    let mut flags = Vec::new();
    for (flag, values) in [
        ("--home-net", settings.home_net.clone()),
        ("--mail-server", settings.mail_server.clone()),
        ("--local-domain", settings.local_domain.clone()),
        ("--port", settings.port.iter().map(ToString::to_string).collect()),
    ] {
        flags.extend(values.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    flags
}

#[test]
fn every_capture_shows_what_its_card_says() {
    let mut wrong = Vec::new();
    let mut unmet: BTreeSet<&str> = NOT_YET.iter().map(|(name, _)| *name).collect();
    let mut captures = 0;
    for capture in common::capture_files() {
        captures += 1;
        let name = capture.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(capture.with_extension("toml")).unwrap();
        let card: Card = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}.toml: {error}"));
        let told = Told::of(&capture, &flags(&card.settings));
        for (expectation, held) in check(&card, &told).0 {
            let expectation = format!("{name}: {expectation}");
            match (held, NOT_YET.iter().find(|(known, _)| *known == expectation)) {
                (Err(found), None) => wrong.push(format!("{expectation}: {found}")),
                (Err(_), Some((known, _))) => _ = unmet.remove(known),
                (Ok(()), _) => {}
            }
        }
    }
    assert!(captures >= 11, "{captures} captures only");
    assert!(wrong.is_empty(), "not as the cards say:\n{}", wrong.join("\n"));
    assert!(unmet.is_empty(), "these hold now: take them from NOT_YET: {unmet:?}");
    assert!(NOT_YET.iter().all(|(_, reason)| reason.len() > 20), "an expectation that is not met wants a reason");
}

#[test]
fn every_card_has_its_capture() {
    let cards: BTreeSet<_> = common::capture_files().iter().map(|capture| capture.with_extension("toml")).collect();
    let found: BTreeSet<_> = common::files(&common::captures(), "toml").into_iter().collect();
    assert_eq!(cards, found);
}

#[test]
fn the_infected_pc_is_named_and_the_honest_server_only_a_victim() {
    let capture = common::captures().join("infected-pc.pcap");
    let run = Command::cargo_bin("smtphound").unwrap().args(["replay", "--report", "-"]).arg(capture).output().unwrap();
    assert!(run.status.success());
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let worst = &report["hosts"][0];
    assert_eq!((&worst["ip"], &worst["rank"]), (&"192.168.10.23".into(), &1.into()));
    assert_eq!((&worst["tier"], &worst["classes"]), (&"confirmed".into(), &serde_json::json!(["mass_mailer"])));
    let incidents: BTreeSet<(&str, &str)> = list(&report["incidents"])
        .iter()
        .map(|incident| (incident["host"].as_str().unwrap(), incident["class"].as_str().unwrap()))
        .collect();
    let expected = [("192.168.10.23", "mass_mailer"), ("192.168.10.10", "blocklisted")];
    assert_eq!(incidents, BTreeSet::from(expected));
    assert_eq!(list(&report["incidents"]).len(), expected.len(), "each once");
    assert_eq!(report["summary"]["incidents"], serde_json::json!({"blocklisted": 1, "mass_mailer": 1}));
    let mass_mailer = list(&report["incidents"]).iter().find(|incident| incident["class"] == "mass_mailer").unwrap();
    assert_eq!(mass_mailer["tier"], "confirmed");
    let sum: f64 = list(&mass_mailer["evidence"]).iter().map(|line| line["db"].as_f64().unwrap()).sum();
    assert!((sum - mass_mailer["score_db"].as_f64().unwrap()).abs() < 0.01, "the score is the sum of its lines: {sum}");
}

#[test]
fn outside_the_gateway_the_address_is_named_and_a_tap_inside_asked_for() {
    let capture = common::captures().join("infected-pc-outside.pcap");
    let table = |flags: &[&str]| {
        let run = Command::cargo_bin("smtphound").unwrap().arg("replay").args(flags).arg(&capture).output().unwrap();
        assert!(run.status.success());
        // Lines are broken to fit a terminal.
        let text = String::from_utf8(run.stdout).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let blind = table(&[]);
    assert!(blind.contains("--home-net 203.0.113.5/32"), "{blind}");
    assert!(blind.contains("Nothing judged."), "{blind}");
    let seen = table(&["--home-net", "203.0.113.5/32"]);
    assert!(seen.contains("At least 2 different senders use the address 203.0.113.5"), "{seen}");
    assert!(seen.contains("A tap inside the network would name the machine."), "{seen}");
    assert!(!seen.contains("--home-net"), "{seen}");
}
