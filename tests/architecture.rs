//! The house keeps its order: which room may import which is a table, and the `use crate::` lines are held against it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms that it may import. The data flow one way: capture, decode, tcp, smtp, session, detect,
/// incident, output. Leaves import leaves at most.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Leaves.
    ("time", &[]),
    ("wire", &[]),
    ("values", &[]),
    ("schema", &[]),
    ("weird", &[]),
    ("net", &[]),
    ("frame", &["time"]),
    ("site", &["net"]),
    // A leaf: decode reads names with it, tcp tells systems by its list, and what it knows of a host goes along to the outputs.
    ("identity", &["net", "wire"]),
    ("limits", &["time"]),
    ("distinct", &["net"]),
    ("flooders", &["distinct", "net", "time"]),
    // The way of the data.
    ("capture", &["frame", "time", "wire"]),
    ("decode", &["flooders", "identity", "frame", "net", "time", "limits"]),
    ("tcp", &["decode", "identity", "frame", "net", "time", "limits", "weird"]),
    ("smtp", &["tcp", "frame", "net", "time", "limits", "weird", "wire"]),
    ("session", &["tcp", "smtp", "identity", "distinct", "frame", "net", "time", "limits", "weird", "wire"]),
    ("ledger", &["tcp", "identity", "distinct", "frame", "net", "time", "wire"]),
    // Records of outputs say the form of their fields to JSON Schema.
    (
        "detect",
        &[
            "session", "smtp", "tcp", "identity", "ledger", "distinct", "flooders", "site", "frame", "net", "time",
            "limits", "weird", "wire", "schema",
        ],
    ),
    ("incident", &["detect", "ledger", "tcp", "frame", "net", "time", "wire"]),
    ("engine", &["decode", "flooders", "tcp", "session", "detect", "incident", "frame", "net", "time", "limits"]),
    // The edges.
    ("pipeline", &["capture", "decode", "engine", "tcp", "session", "detect", "incident", "frame", "time", "limits"]),
    (
        "output",
        &[
            "distinct", "flooders", "identity", "incident", "detect", "ledger", "session", "smtp", "tcp", "site",
            "frame", "net", "time", "weird", "wire", "error", "schema",
        ],
    ),
    // A message quotes what an operator wrote.
    ("error", &["detect", "wire"]),
    // Man pages and completions are written here; of output it knows how a place of syslog is written.
    ("cli", &["capture", "values", "detect", "error", "output"]),
    ("config", &["capture", "cli", "values", "wire", "detect", "site", "limits", "output", "tui", "error"]),
    ("privileges", &[]),
    // Beside the judgement, for people who look on.
    ("activity", &["detect", "session", "smtp", "tcp", "net", "time", "wire"]),
    (
        "tui",
        &[
            "activity", "capture", "cli", "config", "detect", "error", "identity", "incident", "ledger", "net",
            "output", "session", "tcp", "time", "wire",
        ],
    ),
    // A second look at saved captures, for what the judgement names.
    ("evidence", &["capture", "decode", "error", "frame", "incident", "limits", "net", "output", "time", "wire"]),
    ("balance", &["capture", "decode", "error", "output", "pipeline", "wire"]),
    (
        "watch",
        &[
            "balance",
            "capture",
            "config",
            "decode",
            "detect",
            "error",
            "evidence",
            "incident",
            "net",
            "output",
            "pipeline",
            "privileges",
            "session",
            "time",
            "tui",
            "values",
        ],
    ),
    // Compiled for tests and fuzzing only: holds the rooms to their promises.
    (
        "fuzzing",
        &[
            "balance", "capture", "config", "decode", "detect", "engine", "frame", "incident", "judge", "limits",
            "lines", "net", "output", "pipeline", "session", "site", "smtp", "tcp", "time", "weird", "wire",
        ],
    ),
    // Session lines as a source of the same events, and what is made of reports afterwards.
    ("lines", &["capture", "session", "smtp", "tcp", "frame", "net", "schema", "time", "weird", "wire"]),
    ("judge", &["capture", "config", "detect", "engine", "error", "incident", "lines", "output", "session", "wire"]),
    ("reports", &["detect", "error", "time", "wire"]),
    ("diff", &["detect", "error", "output", "reports", "time"]),
    ("xarf", &["error", "lines", "net", "reports", "time", "values"]),
    // The binary wires all of it together.
    (
        "replay",
        &[
            "balance", "capture", "decode", "pipeline", "engine", "detect", "frame", "incident", "output", "config",
            "error", "evidence", "limits", "session", "time", "tui", "watch",
        ],
    ),
];

#[test]
fn every_room_imports_only_what_it_may() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_IMPORT.iter().map(|(room, others)| (*room, others.iter().copied().collect())).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in rust_files(&src) {
        let Some(room) = room_of(&src, &file) else { continue };
        seen.insert(room.clone());
        let Some(may) = allowed.get(room.as_str()) else {
            wrong.push(format!("{}: the room '{room}' is not in the table", file.display()));
            continue;
        };
        for other in imports(&fs::read_to_string(&file).unwrap()) {
            if other != room && !may.contains(other.as_str()) {
                wrong.push(format!("{}: '{room}' must not import '{other}'", file.display()));
            }
        }
    }
    assert!(seen.len() >= 15, "only {} rooms were found: the test looks in the wrong place", seen.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_forbidden_import_would_be_seen() {
    let found = imports("use crate::net::{A, B};\npub use crate::{wire::Wire, time};\nlet x = crate::tcp::f();\n");
    assert_eq!(found, ["net", "tcp", "time", "wire"].map(str::to_owned).into());
}

/// Test modules may look across the house; they are not on the way of the data.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|ext| ext == "rs")
            && !matches!(path.file_stem().and_then(|stem| stem.to_str()), Some("tests" | "testing"))
        {
            files.push(path);
        }
    }
    files
}

/// The first part of a file's path below `src`; `None` for the roots of library and binary.
fn room_of(src: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(src).ok()?.components().next()?;
    let name = Path::new(first.as_os_str()).file_stem()?.to_str()?.to_owned();
    (name != "lib" && name != "main").then_some(name)
}

/// The rooms named after `crate::` outside of test code and comments.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => name.clear(),
                    c if depth == 0 && (c.is_alphanumeric() || c == '_') => name.push(c),
                    _ => {
                        if depth == 0 && !name.is_empty() {
                            rooms.insert(std::mem::take(&mut name));
                        }
                    }
                }
            }
            if !name.is_empty() {
                rooms.insert(name);
            }
        } else {
            rooms.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms.retain(|room| room.chars().next().is_some_and(char::is_lowercase));
    rooms
}
