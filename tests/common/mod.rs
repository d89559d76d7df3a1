//! What several integration tests share: running a capture through the library, and finding captures.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]
#![allow(unreachable_pub, reason = "a module of several test binaries")]
#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use smtphound::capture::{FrameSource, InputSummary, MergedSource, OpenOptions, open_file};
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::limits::Limits;
use smtphound::pipeline::{self, Plan, Ran};
use smtphound::session::{Session, SessionEvent, SessionEventKind};
use smtphound::site::Site;

/// All that came out of a capture.
pub struct Replayed {
    pub ran: Ran,
    pub events: Vec<SessionEvent>,
    pub inputs: Vec<InputSummary>,
}

impl Replayed {
    /// The sessions, in the order of their ends.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.events.iter().filter_map(|event| match &event.kind {
            SessionEventKind::Closed(session) => Some(session),
            _ => None,
        })
    }
}

/// Replays files with the default site.
pub fn replay(files: &[&Path], ports: &[u16], workers: usize) -> Replayed {
    replay_at(files, ports, workers, Site::default())
}

/// Replays files at a site.
pub fn replay_at(files: &[&Path], ports: &[u16], workers: usize, site: Site) -> Replayed {
    replay_filtered(files, ports, workers, site, None)
}

/// Replays of the files what a filter in libpcap's language lets through.
pub fn replay_filtered(files: &[&Path], ports: &[u16], workers: usize, site: Site, filter: Option<&str>) -> Replayed {
    let limits = Limits::default();
    let ports: PortSet = ports.iter().copied().collect();
    let judge = Judge::new(site, Arc::new(ReplyRules::builtin()), &DetectSettings::default(), &limits.detect);
    let options = OpenOptions { filter: filter.map(str::to_owned) };
    let opened: Vec<_> = files.iter().map(|file| open_file(file, &options).unwrap()).collect();
    let mut source = MergedSource::new(opened);
    let mut events = Vec::new();
    let ran = pipeline::run(
        &mut source,
        &Plan { ports: &ports, limits: &limits, workers },
        judge,
        &mut |event| events.push(event.clone()),
        &mut |_, _| {},
    );
    Replayed { ran, events, inputs: source.summaries() }
}

/// The captures of the repository.
pub fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// The files of a directory with an extension, in the order of their names.
pub fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// The captures of the repository, each a file.
pub fn capture_files() -> Vec<PathBuf> {
    files(&captures(), "pcap")
}

/// The corpus of public captures, which lies beside the repository and is not part of it; `None` where it is absent.
///
/// # Panics
///
/// In CI, where it must be there.
pub fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let corpus = std::env::var_os("SMTPHOUND_CORPUS").map_or(beside, PathBuf::from);
    if corpus.join("MANIFEST.json").is_file() {
        return Some(corpus);
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "in CI the corpus must be there: {}",
        corpus.display()
    );
    eprintln!("skipped: no corpus");
    None
}

/// A capture of the repository with the flags that its card gives.
pub struct Case {
    pub name: String,
    pub capture: PathBuf,
    pub flags: Vec<String>,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let case = |capture: PathBuf| {
        let card: toml::Table =
            toml::from_str(&std::fs::read_to_string(capture.with_extension("toml")).unwrap()).unwrap();
        let mut flags = Vec::new();
        for (key, values) in card["settings"].as_table().unwrap() {
            for value in values.as_array().unwrap() {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                flags.extend([format!("--{}", key.replace('_', "-")), value]);
            }
        }
        Case { name: capture.file_stem().unwrap().to_str().unwrap().to_owned(), capture, flags }
    };
    capture_files().into_iter().map(case).collect()
}

/// What `work` makes of each item, on as many threads as there are processors; in the order in which it is done.
pub fn each_in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = work(item);
                    done.lock().unwrap().push(made);
                }
            });
        }
    });
    done.into_inner().unwrap()
}
