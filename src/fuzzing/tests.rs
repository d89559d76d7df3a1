//! The corpora, replayed; and how their seeds are made.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The inputs of a target, in the order of their names.
fn inputs(target: &str) -> Vec<PathBuf> {
    let mut inputs: Vec<PathBuf> =
        fs::read_dir(corpus().join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

fn replay(target: &str) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let inputs = inputs(target);
    assert!(inputs.len() >= 5, "{target}: {} inputs", inputs.len());
    for input in inputs {
        let data = fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| run(&data));
        assert!(outcome.is_ok(), "{} breaks a promise; what is said above tells which", input.display());
    }
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed_and_has_a_program() {
            let named: BTreeSet<&str> = [$(stringify!($target)),*].into();
            assert_eq!(named, TARGETS.iter().map(|(name, _)| *name).collect());
            let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
            for target in named {
                assert!(programs.join(target).with_extension("rs").is_file(), "{target}");
            }
        }
    };
}

replayed! { frames segments lines commands replies dialogue dsn capture session_lines settings }

#[test]
fn the_corpora_are_small() {
    let size: u64 = TARGETS.iter().flat_map(|(name, _)| inputs(name)).map(|path| path.metadata().unwrap().len()).sum();
    assert!(size < 1 << 20, "{size} bytes");
}
