//! The example commands of the documentation are run as they stand there: each block of `sh` that calls the program, those of
//! one page after the other in one directory, beside the captures.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Pages whose blocks need nothing but the program and the captures.
const PAGES: [&str; 5] = ["judge.md", "eve.md", "xarf.md", "diff.md", "configuration.md"];

fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => block.extend([line, "\n"]),
            _ => {}
        }
    }
    blocks
}

#[test]
fn example_commands_do_what_they_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = assert_cmd::cargo::cargo_bin("smtphound");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for page in PAGES {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.join("captures"), dir.path().join("captures")).unwrap();
        let blocks = blocks(&fs::read_to_string(root.join("docs").join(page)).unwrap());
        assert!(!blocks.is_empty(), "{page} has no example");
        for block in blocks {
            let out = Command::new("sh").args(["-ec", &block]).current_dir(&dir).env("PATH", &path).output().unwrap();
            let stderr = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "{page}: {block}{stderr}");
        }
    }
}

#[test]
fn judging_again_comes_to_the_same_as_the_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = assert_cmd::cargo::cargo_bin("smtphound");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("captures"), dir.path().join("captures")).unwrap();
    let block = blocks(&fs::read_to_string(root.join("docs/judge.md")).unwrap()).remove(0);
    assert!(Command::new("sh").args(["-ec", &block]).current_dir(&dir).env("PATH", &path).status().unwrap().success());
    let incidents = |name: &str| {
        let report: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap();
        let mut incidents = report["incidents"].clone();
        // A machine is called there by what it told its neighbours, which lines do not hold.
        incidents
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|incident| incident["summary"].take().as_str().map(drop).unwrap());
        incidents
    };
    assert_eq!(incidents("first.json"), incidents("again.json"));
}
