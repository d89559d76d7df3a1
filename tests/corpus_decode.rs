//! Reads and decodes every capture of the corpus: real traffic, whatever its format.
//!
//! The corpus is not part of the repository. It is looked for in `$SMTPHOUND_CORPUS`, then beside the repository in
//! `shared/corpus`; where there is none, the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use smtphound::capture::{Captured, FrameSource, OpenOptions, open_file};
use smtphound::decode::{DecodeStats, Decoded, Decoder, Ignored, PortSet, Undecoded};
use smtphound::limits::DecodeLimits;

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let corpus = std::env::var_os("SMTPHOUND_CORPUS").map_or(beside, PathBuf::from);
    corpus.join("MANIFEST.json").is_file().then_some(corpus)
}

/// Frames handed out, the error that ended them if one did, and what the decoder made of them.
fn decode(path: &Path, filter: Option<&str>) -> (u64, Option<String>, DecodeStats) {
    let options = OpenOptions { filter: filter.map(str::to_owned) };
    let mut source = open_file(path, &options).unwrap_or_else(|error| panic!("{error}"));
    let mut decoder = Decoder::new(PortSet::from_iter([25, 465, 587]), &DecodeLimits::default());
    let (mut frames, mut passed) = (0, 0);
    let mut error = None;
    while let Some(next) = source.next_frame() {
        match next {
            Ok(Captured::Frame(no, frame)) => {
                frames += 1;
                passed += 1;
                assert_eq!(no.0, frames, "{}", path.display());
                if let Decoded::Segment(segment) = decoder.decode(no, &frame) {
                    assert!(segment.payload.len() <= segment.head.payload_len as usize);
                }
            }
            Ok(Captured::Filtered(no, _)) => {
                frames += 1;
                assert_eq!(no.0, frames, "{}", path.display());
            }
            Ok(Captured::Idle(_)) => panic!("a file does not wait"),
            Err(said) => assert_eq!(error.replace(said.to_string()), None, "one error ends a file"),
        }
    }
    decoder.finish();
    let summary = &source.summaries()[0];
    let stats = decoder.stats().clone();
    assert_eq!((summary.frames, summary.frames - summary.filtered), (frames, passed), "{}", path.display());
    assert_eq!(summary.error, error, "{}", path.display());
    assert_eq!(stats.total(), passed, "{}", path.display());
    (frames, error, stats)
}

#[test]
#[expect(clippy::print_stderr, reason = "says that it tested nothing")]
fn every_capture_is_read_to_its_end_and_every_frame_accounted() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: no corpus");
        return;
    };
    let manifest = std::fs::read(corpus.join("MANIFEST.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let captures = manifest["captures"].as_array().unwrap();
    assert!(!captures.is_empty());
    let mut smtp = 0;
    for capture in captures {
        let file = capture["file"].as_str().unwrap();
        let facts = &capture["facts"];
        let (frames, error, stats) = decode(&corpus.join(file), None);
        assert_eq!(Some(frames), facts["packets"].as_u64(), "{file}");
        assert_eq!(error.is_some(), facts["file_cut_short"].as_bool().unwrap(), "{file}: {error:?}");
        assert_eq!(stats.undecoded(Undecoded::UnknownLinkType), 0, "{file}");
        let expected = facts["connections_by_server_port"]["25"].as_u64().unwrap_or(0);
        if expected > 0 {
            assert!(stats.segments() > 0, "{file}: {stats:?}");
            smtp += 1;
        }
        let fragments = facts["ip_fragments"].as_u64().unwrap_or(0);
        if fragments == 0 {
            let held = stats.ignored(Ignored::FragmentHeld) + stats.ignored(Ignored::FragmentOther);
            assert_eq!(held, 0, "{file}");
        }

        // With a filter for what the decoder looks for (no capture of the corpus has tags), the same segments come out.
        let (_, _, filtered) = decode(&corpus.join(file), Some("ip or ip6"));
        assert_eq!(filtered.segments(), stats.segments(), "{file}");
    }
    assert!(smtp > 50, "{smtp} captures with SMTP");
}
