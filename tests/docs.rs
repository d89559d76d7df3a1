//! Every example command in README and docs that can run without a network is run, and what the docs print is what the
//! program prints.
//!
//! In a block marked `console`, what follows a line with `$ ` is the output, where a line `...` stands for any lines. In a
//! block marked `sh`, each line is a command; those that need more than this machine may have are told apart by
//! [`ELSEWHERE`], each with its reason, and of those that begin with `watch` at least the flags are tried. A block marked
//! `bash` is one script, one marked `toml` a configuration or a file of reply rules.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// Beginnings of commands that are not run, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    (".ci/setup", "builds the program"),
    (".ci/run", "runs this test"),
    (".ci/package", "builds the package"),
    ("tests/consumers/run", "is a run of its own, outside of the gate"),
    ("cargo ", "builds, or runs this test"),
    ("sudo apt ", "changes the system; tests/consumers/run installs and purges the package"),
    ("sudo systemctl ", "changes the system; tests/consumers/run verifies the unit"),
    ("nft ", "changes the system; a test of its own runs it in a namespace"),
    ("sudo setcap ", "changes the installed program"),
    ("sudo ip ", "changes a network device"),
    ("kill ", "ends a process of the example before it"),
];

/// Pages whose blocks are small scripts, each page's one after the other in a directory of its own.
const SCRIPTS: [&str; 6] = ["judge.md", "eve.md", "xarf.md", "diff.md", "configuration.md", "tuning.md"];

/// Programs that an example may use and a machine may lack.
const OPTIONAL: &[&str] = &["tshark", "promtool", "jq", "rsyslogd"];

struct Block {
    kind: String,
    lines: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    pages.extend(common::files(&root().join("docs"), "md"));
    pages.extend(common::files(&root().join("docs/detectors"), "md"));
    pages
}

/// The fenced blocks of a page, those inside of lists too.
fn blocks(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), open) {
            (Some(kind), None) => {
                open = Some(line.len() - line.trim_start().len());
                blocks.push(Block { kind: kind.trim().to_owned(), lines: Vec::new() });
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(indent)) => {
                blocks.last_mut().unwrap().lines.push(line.get(indent..).unwrap_or_default().to_owned());
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", page.display());
    blocks
}

/// Zeek's logs of a connection.
const ZEEK_CONN: &str = r#"{"ts":1772617327.041431,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"192.168.10.23","id.orig_p":49152,"id.resp_h":"198.51.100.25","id.resp_p":25,"proto":"tcp","service":"smtp","duration":1.462,"orig_bytes":120,"resp_bytes":310,"conn_state":"SF","history":"ShADadFf"}
"#;
const ZEEK_SMTP: &str = r#"{"ts":1772617327.3,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"192.168.10.23","id.orig_p":49152,"id.resp_h":"198.51.100.25","id.resp_p":25,"trans_depth":1,"helo":"pc23","mailfrom":"a@b.example","rcptto":["c@d.example"],"last_reply":"550 5.1.1 unknown","path":["198.51.100.25","192.168.10.23"],"tls":false}
"#;

/// A directory with what the examples speak of.
fn desk() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let captures = common::captures();
    std::os::unix::fs::symlink(&captures, dir.path().join("captures")).unwrap();
    std::os::unix::fs::symlink(root().join("docs"), dir.path().join("docs")).unwrap();
    let infected = fs::read(captures.join("infected-pc.pcap")).unwrap();
    fs::copy(captures.join("infected-pc-outside.pcap"), dir.path().join("outside.pcap")).unwrap();
    for name in ["monday.pcap", "ring_1.pcapng"] {
        fs::write(dir.path().join(name), &infected).unwrap();
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&infected).unwrap();
    fs::write(dir.path().join("night.pcap.gz"), packed.finish().unwrap()).unwrap();
    fs::write(dir.path().join("conn.log"), ZEEK_CONN).unwrap();
    fs::write(dir.path().join("smtp.log"), ZEEK_SMTP).unwrap();
    // The gateway of the examples: what it records there is what lies here.
    let ssh = dir.path().join("ssh");
    fs::write(&ssh, "#!/bin/sh\n[ \"$1 $2\" = 'gateway tcpdump' ] && exec cat captures/infected-pc.pcap\n").unwrap();
    fs::set_permissions(&ssh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (report, capture) in [("before.json", "infected-pc"), ("after.json", "healthy-day")] {
        let made = run(&format!("smtphound replay --quiet --report {report} captures/{capture}.pcap"), dir.path());
        assert!(made.status.success());
    }
    dir
}

fn run(command: &str, desk: &Path) -> Output {
    let program = assert_cmd::cargo::cargo_bin("smtphound");
    let (program, before) = (program.parent().unwrap(), std::env::var("PATH").unwrap());
    let path = format!("{}:{}:{before}:/usr/sbin:/sbin", program.display(), desk.display());
    Command::new("sh").args(["-c", command]).current_dir(desk).env("PATH", path).output().unwrap()
}

/// Whether a command uses what this machine does not have.
fn lacks(command: &str) -> bool {
    let missing = OPTIONAL.iter().find(|program| {
        command.split_whitespace().any(|word| word == **program)
            && Command::new(program).arg("--version").output().is_err()
    });
    if let Some(program) = missing {
        eprintln!("skipped: no {program} for: {command}");
    }
    missing.is_some()
}

/// A command without the comment behind it.
fn bare(line: &str) -> &str {
    line.split("  #").next().unwrap_or(line).trim()
}

/// Whether lines are as the docs print them.
fn is_as_printed(printed: &[String], lines: &[&str]) -> bool {
    match printed {
        [] => lines.is_empty(),
        [mark, rest @ ..] if mark == "..." => (0..=lines.len()).any(|n| is_as_printed(rest, &lines[n..])),
        [line, rest @ ..] => lines.first() == Some(&line.as_str()) && is_as_printed(rest, &lines[1..]),
    }
}

#[test]
fn what_the_docs_print_is_what_the_program_prints() {
    let desk = desk();
    let mut tried = 0;
    for page in pages() {
        for block in blocks(&page).iter().filter(|block| block.kind == "console") {
            let (first, printed) = block.lines.split_first().unwrap();
            let command = first.strip_prefix("$ ").unwrap_or_else(|| panic!("{}: {first}", page.display()));
            if lacks(command) {
                continue;
            }
            let output = run(command, desk.path());
            let text = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert!(is_as_printed(printed, &lines), "{}: $ {command}\nprints\n{text}", page.display());
            tried += 1;
        }
    }
    assert!(tried >= 5, "only {tried} examples were found");
}

#[test]
fn every_example_command_can_be_run() {
    let desk = desk();
    let mut tried = 0;
    for page in pages() {
        if is_script(&page) {
            continue;
        }
        for line in blocks(&page).iter().filter(|block| block.kind == "sh").flat_map(|block| &block.lines) {
            let command = bare(line);
            let elsewhere = ELSEWHERE.iter().any(|(begin, _)| command.starts_with(begin));
            if command.is_empty() || command.starts_with('#') || elsewhere || lacks(command) {
                continue;
            }
            let command = command.strip_prefix("sudo ").unwrap_or(command);
            let (command, expected) = if command.contains(" watch ") {
                // The device is none, so that nothing is captured: status 3 says that all the rest was understood.
                let headless = if command.contains("--headless") { "" } else { " --headless" };
                let quiet = command.replace("-i eth1", "-i nodevice0").replace("-i br0", "-i nodevice0");
                (
                    quiet.replace("/var/lib/prometheus/node-exporter/", "").replacen(
                        " watch ",
                        &format!(" watch{headless} "),
                        1,
                    ),
                    3,
                )
            } else if command.contains("--tui") {
                // There is no terminal here, and the program says so after it has understood the rest.
                (command.to_owned(), 2)
            } else {
                let expected = i32::from(command.contains("--fail-on") && command.contains("night"));
                (command.replace("unix:/dev/log", "udp:127.0.0.1:9"), expected)
            };
            let output = run(&command, desk.path());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(expected), "{}: {command}\n{said}", page.display());
            assert!(expected != 2 || said.contains("--tui: standard output must be a terminal"), "{said}");
            tried += 1;
        }
    }
    assert!(tried >= 12, "only {tried} commands were found");
}

fn is_script(page: &Path) -> bool {
    SCRIPTS.iter().any(|name| page.ends_with(Path::new("docs").join(name)))
}

#[test]
fn pages_that_are_scripts_run_from_their_first_block_to_their_last() {
    for page in pages().into_iter().filter(|page| is_script(page)) {
        let (desk, scripts) = (desk(), blocks(&page));
        assert!(scripts.iter().any(|block| block.kind == "sh"), "{} has no example", page.display());
        for block in scripts.into_iter().filter(|block| block.kind == "sh") {
            let script = block.lines.join("\n");
            let output = run(&format!("set -e\n{script}"), desk.path());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {script}\n{said}", page.display());
        }
    }
}

#[test]
fn judging_again_comes_to_the_same_as_the_page_says() {
    let desk = desk();
    let page = blocks(&root().join("docs/judge.md"));
    assert!(run(&format!("set -e\n{}", page[0].lines.join("\n")), desk.path()).status.success());
    let incidents = |name: &str| {
        let report: serde_json::Value = serde_json::from_slice(&fs::read(desk.path().join(name)).unwrap()).unwrap();
        let mut incidents = report["incidents"].clone();
        // A machine is called there by what it told its neighbours, which lines do not hold.
        for incident in incidents.as_array_mut().unwrap() {
            assert!(incident["summary"].take().is_string());
        }
        incidents
    };
    assert_eq!(incidents("first.json"), incidents("again.json"));
}

#[test]
fn blocks_that_are_one_script_run_and_say_what_they_should() {
    let mut tried = 0;
    for page in pages() {
        for block in blocks(&page).iter().filter(|block| block.kind == "bash") {
            let script = block.lines.join("\n");
            if lacks(&script) {
                continue;
            }
            let desk = desk();
            // Whatever it started goes with it.
            let output = run(&format!("set -e\ntrap 'kill $! 2>/dev/null || true' EXIT\n{script}"), desk.path());
            let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{}: {script}\n{told}{said}", page.display());
            // The one that there is shows what rsyslog made of an incident.
            assert!(told.contains("smtphound mass_mailer crit [smtphound@32473 event=\"found\""), "{told}{said}");
            tried += 1;
        }
    }
    assert!(tried > 0 || OPTIONAL.iter().any(|program| lacks(program)), "no script was found");
}

#[test]
fn what_the_docs_configure_is_taken() {
    let mut tried = 0;
    for page in pages() {
        for block in blocks(&page).iter().filter(|block| block.kind == "toml") {
            let desk = desk();
            let text = block.lines.join("\n");
            fs::write(desk.path().join("block.toml"), &text).unwrap();
            let flag = if text.contains("[[rule]]") { "--reply-rules" } else { "--config" };
            let command = format!("smtphound replay --quiet {flag} block.toml captures/relay-tests-exim.pcap");
            let output = run(&command, desk.path());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{}: {text}\n{said}", page.display());
            tried += 1;
        }
    }
    assert!(tried >= 3, "only {tried} were found");
}

/// What `--help` proposes is proposed to everybody.
#[test]
fn examples_of_the_help_can_be_run() {
    let desk = desk();
    fs::create_dir_all(desk.path().join("var/log/smtphound")).unwrap();
    let lines = "smtphound replay --quiet --sessions var/log/smtphound/s.ndjson monday.pcap";
    assert!(run(lines, desk.path()).status.success());
    let mut tried = 0;
    for command in ["replay", "watch", "judge"] {
        let help = run(&format!("smtphound {command} --help"), desk.path());
        let help = String::from_utf8(help.stdout).unwrap();
        let examples = help.split("Examples:").nth(1).unwrap().lines().filter(|line| line.starts_with("      "));
        for line in examples.map(str::trim).filter(|line| !line.starts_with("kill ")) {
            if ELSEWHERE.iter().any(|(begin, _)| line.starts_with(begin)) {
                continue;
            }
            let line = line.strip_prefix("sudo ").unwrap_or(line).trim_end_matches('&').trim();
            let (line, expected) = if line.contains(" watch ") {
                let headless = if line.contains("--headless") { "" } else { " --headless" };
                (line.replace("-i eth0", &format!("-i nodevice0{headless}")), 3)
            } else {
                (line.to_owned(), i32::from(line.contains("--fail-on")))
            };
            let line = line.replace("/var/log/", "var/log/");
            let output = run(&line, desk.path());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(expected), "{command}: {line}\n{said}");
            tried += 1;
        }
    }
    assert!(tried >= 10, "only {tried} were found");
}

/// The unit starts the program as it may be started.
#[test]
fn the_units_flags_are_taken() {
    let desk = desk();
    let unit = fs::read_to_string(root().join("docs/smtphound.service")).unwrap();
    let (_, start) = unit.split_once("\nExecStart=").unwrap();
    let command: String = start
        .split_inclusive('\n')
        .scan(true, |more, line| {
            let taken = *more;
            *more = line.ends_with("\\\n");
            taken.then(|| line.trim_end_matches(['\\', '\n']))
        })
        .collect();
    let command = command.replace("%i", "nodevice0").replace("/etc/smtphound.toml", "docs/smtphound.toml");
    let command = command.replace("/var/lib/smtphound/", "");
    assert!(command.contains(" --headless ") && command.contains(" --report "), "{command}");
    let output = run(&command, desk.path());
    assert_eq!(output.status.code(), Some(3), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A router's copy of port 25, in a network namespace of its own with the devices that the page speaks of.
#[test]
fn a_routers_mirror_is_what_nftables_takes() {
    let page = blocks(&root().join("docs/quick-start.md"));
    let rules: Vec<&str> = page
        .iter()
        .flat_map(|block| &block.lines)
        .map(|line| bare(line))
        .filter(|line| line.starts_with("nft "))
        .collect();
    assert!(rules.len() >= 3, "{rules:?}");
    let devices = "ip link add eth0 type veth peer name peer0 && ip link add eth2 type veth peer name peer2";
    let desk = desk();
    let namespace = run(&format!("unshare --net sh -c '{devices}' && nft --version"), desk.path());
    if !namespace.status.success() {
        eprintln!("skipped: no namespace with nftables: {}", String::from_utf8_lossy(&namespace.stderr).trim_end());
        return;
    }
    let script = format!("set -e\n{devices}\n{}\nnft list ruleset\n", rules.join("\n"));
    fs::write(desk.path().join("mirror"), script).unwrap();
    let output = run("unshare --net sh mirror", desk.path());
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(told.contains("tcp dport 25 dup to \"eth2\"") && told.contains("tcp sport 25 dup to"), "{told}");
}

/// Field report R1, as a new user would go through it.
#[test]
fn the_walk_names_the_machine_within_five_commands() {
    let page = root().join("docs/my-mail-is-refused.md");
    let walk: Vec<Block> = blocks(&page).into_iter().filter(|block| block.kind == "console").collect();
    assert!(walk.len() <= 5);
    let named = walk.iter().position(|step| step.lines.iter().any(|line| line.contains("1  192.168.10.23  confirmed")));
    assert_eq!(named, Some(0), "the first command names it");
    assert!(walk.iter().any(|step| step.lines.iter().any(|line| line.contains("The server is the"))));
}

/// A name of a page that is not there helps nobody.
#[test]
fn pages_name_only_files_that_are_there() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for name in text.split('`').filter(|name| {
            (name.starts_with("docs/") || name.starts_with("tests/") || name.starts_with("src/"))
                && !name.contains([' ', '*', '<', ':', '{'])
        }) {
            assert!(root().join(name).exists(), "{} names {name}", page.display());
        }
    }
}
