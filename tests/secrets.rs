//! What was said in confidence stands in no output: every password, every line of an AUTH exchange and every line of a mail's
//! body, of every capture, is looked for in the report, the session lines, the table and all pages of the screen.
//!
//! The secrets are found by a reader of its own, as simple as can be, so that a mistake of the program does not hide itself.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use smtphound::balance;
use smtphound::capture::{Captured, LiveStats, OpenOptions, open_file};
use smtphound::cli::ThemeName;
use smtphound::config::Screen;
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::frame::LinkType;
use smtphound::incident::Judgement;
use smtphound::limits::Limits;
use smtphound::output::{Counts, LineForm, Results, SessionWriter, Style, report, table};
use smtphound::pipeline::Plan;
use smtphound::replay::stage_of;
use smtphound::session::SessionEvent;
use smtphound::site::Site;
use smtphound::tui::{Action, Bindings, Easel};

const PORTS: [u16; 4] = [25, 587, 465, 2525];

/// One connection as a simple reader sees it.
#[derive(Default)]
struct Dialogue {
    /// The next number of each side, client first.
    next: [Option<u32>; 2],
    text: [Vec<u8>; 2],
    state: State,
    /// The mechanism, and how many answers were given.
    auth: Option<(String, usize)>,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum State {
    #[default]
    Commands,
    Auth,
    Headers,
    Body,
}

/// What must not be shown, and what may be because it was said in the open.
#[derive(Default)]
struct Found {
    secrets: BTreeSet<String>,
    bodies: BTreeSet<String>,
    open: String,
}

impl Found {
    fn server_line(&mut self, dialogue: &mut Dialogue, line: &str) {
        self.open += &line.to_lowercase();
        self.open.push('\n');
        if line.starts_with("354") {
            dialogue.state = State::Headers;
        } else if dialogue.state == State::Auth && !line.starts_with("334") {
            dialogue.state = State::Commands;
        }
    }

    fn client_line(&mut self, dialogue: &mut Dialogue, line: &str) {
        match dialogue.state {
            State::Auth => self.answer(dialogue, line),
            State::Headers if line.is_empty() => dialogue.state = State::Body,
            State::Headers | State::Body if line == "." => dialogue.state = State::Commands,
            State::Body => {
                // Fields of delivery reports are told, on purpose.
                let field = [
                    "reporting-mta",
                    "final-recipient",
                    "original-recipient",
                    "diagnostic-code",
                    "remote-mta",
                    "action",
                    "status",
                ];
                let lower = line.to_lowercase();
                if line.len() >= 24
                    && !field.iter().any(|name| lower.starts_with(name))
                    && !line.starts_with([' ', '\t'])
                {
                    self.bodies.insert(line.to_owned());
                }
            }
            _ => {
                let mut words = line.split_whitespace();
                if words.next().is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH"))
                    && let Some(mechanism) = words.next()
                {
                    dialogue.state = State::Auth;
                    dialogue.auth = Some((mechanism.to_uppercase(), 0));
                    if let Some(initial) = words.next().filter(|initial| *initial != "=") {
                        self.answer(dialogue, initial);
                    }
                } else {
                    self.open += &line.to_lowercase();
                    self.open.push('\n');
                }
            }
        }
    }

    fn answer(&mut self, dialogue: &mut Dialogue, line: &str) {
        let Some((mechanism, answers)) = &mut dialogue.auth else { return };
        *answers += 1;
        let decoded = BASE64_STANDARD.decode(line).unwrap_or_default();
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        // Names are told; a guess that is a name somebody tried is no secret (in base64 it is).
        let name = match (mechanism.as_str(), *answers) {
            ("PLAIN", _) => decoded.rsplit_once('\0').map(|(names, _)| names),
            ("LOGIN", 1) => Some(decoded.as_str()),
            ("CRAM-MD5", _) => decoded.rsplit_once(' ').map(|(name, _)| name),
            _ => None,
        };
        if let Some(name) = name {
            self.open += &name.to_lowercase();
            self.open.push('\n');
        }
        let secret = match (mechanism.as_str(), *answers) {
            ("PLAIN", _) => decoded.rsplit('\0').next().map(ToOwned::to_owned),
            ("LOGIN", 1) => None, // the name, which is told
            ("LOGIN", _) => Some(decoded),
            ("CRAM-MD5", _) => decoded.rsplit(' ').next().map(ToOwned::to_owned),
            _ => None,
        };
        if line.len() >= 8 {
            self.secrets.insert(line.to_owned());
        }
        // Shorter ones stand in any text by chance.
        self.secrets.extend(secret.filter(|secret| secret.len() >= 6));
    }
}

/// Reads a capture's secrets.
fn read(path: &Path) -> Found {
    let mut found = Found::default();
    let mut dialogues: BTreeMap<(String, String), Dialogue> = BTreeMap::new();
    let Ok(mut source) = open_file(path, &OpenOptions::default()) else { return found };
    while let Some(Ok(Captured::Frame(_, frame))) = source.next_frame() {
        let packet = match frame.link {
            LinkType::ETHERNET => SlicedPacket::from_ethernet(frame.bytes),
            LinkType::LINUX_SLL => SlicedPacket::from_linux_sll(frame.bytes),
            LinkType::RAW => SlicedPacket::from_ip(frame.bytes),
            _ => continue,
        };
        let Ok(packet) = packet else { continue };
        let (Some(net), Some(TransportSlice::Tcp(tcp))) = (&packet.net, &packet.transport) else { continue };
        let (src, dst) = match net {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().to_string(), ip.header().destination_addr().to_string()),
            NetSlice::Arp(_) => continue,
        };
        let ends = (format!("{src}:{}", tcp.source_port()), format!("{dst}:{}", tcp.destination_port()));
        let (side, key) = if PORTS.contains(&tcp.destination_port()) {
            (0, ends)
        } else if PORTS.contains(&tcp.source_port()) {
            (1, (ends.1, ends.0))
        } else {
            continue;
        };
        let dialogue = dialogues.entry(key).or_default();
        if tcp.syn() {
            *dialogue = Dialogue { next: dialogue.next, ..Dialogue::default() };
            dialogue.next[side] = Some(tcp.sequence_number().wrapping_add(1));
            continue;
        }
        let payload = tcp.payload();
        let seq = *dialogue.next[side].get_or_insert(tcp.sequence_number());
        // In order only: what was sent again is passed over, what was lost ends nothing.
        let old = seq.wrapping_sub(tcp.sequence_number()) as usize;
        if payload.is_empty() || (old < 1 << 31 && old >= payload.len()) {
            continue;
        }
        let payload = payload.get(old..).unwrap_or(payload);
        dialogue.next[side] = Some(tcp.sequence_number().wrapping_add(tcp.payload().len() as u32));
        dialogue.text[side].extend_from_slice(payload);
        while let Some(end) = dialogue.text[side].iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = dialogue.text[side].drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if side == 0 { found.client_line(dialogue, &line) } else { found.server_line(dialogue, &line) }
        }
    }
    found
}

/// All that is said of a capture anywhere.
fn told(path: &Path, rules: &Arc<ReplyRules>) -> String {
    let (limits, ports) = (Limits::default(), PORTS.into_iter().collect::<PortSet>());
    let judge = || Judge::new(Site::default(), Arc::clone(rules), &DetectSettings::default(), &limits.detect);
    let plan = Plan { ports: &ports, limits: &limits, workers: 1 };
    let mut lines = SessionWriter::new(Vec::new(), LineForm::Native);
    let mut source = open_file(path, &OpenOptions::default()).unwrap();
    let mut sink = |event: &SessionEvent| lines.handle(event).unwrap();
    let ran = smtphound::pipeline::run(&mut source, &plan, judge(), &mut sink, &mut |_, _| {});
    let mut out = lines.finish().unwrap();
    let front = ran.finished.front.stats();
    let facts = balance::facts(&ran.at_end(&front), source.summaries(), Counts::default());
    let (judge_of, candidates) = (&ran.finished.judge, ran.finished.judge.strangers().candidates());
    let judgement = Judgement::of(judge_of);
    let results = Results { facts: &facts, judge: judge_of, judgement: &judgement, candidates: &candidates };
    report::write(&mut out, &results).unwrap();
    table::write(&mut out, &results, Style::new(200, false)).unwrap();
    // What tests and logs may print.
    for incident in &judgement.incidents {
        out.extend(format!("{incident:?}\n").bytes());
    }
    let mut source = open_file(path, &OpenOptions::default()).unwrap();
    let stage = stage_of(&mut source, &plan, judge(), Some(LiveStats::default()));
    let screen = Screen { theme: ThemeName::Dark, mouse: false, bindings: Bindings::default() };
    let mut easel = Easel::new(&screen, "eth0", &stage);
    let area = Rect::new(0, 0, 220, 60);
    // Each view, and into the first rows of it.
    for view in 1..=6 {
        for down in [0, 2] {
            let walk = [Action::View(view), Action::Top].into_iter().chain([Action::Down].repeat(down));
            for action in
                walk.chain([Action::Open, Action::PageDown, Action::Bottom, Action::Help, Action::Back, Action::Back])
            {
                easel.act(action);
                let mut buffer = Buffer::empty(area);
                easel.draw(area, &mut buffer);
                for row in buffer.content.chunks(usize::from(area.width)) {
                    for cell in row {
                        out.extend_from_slice(cell.symbol().as_bytes());
                    }
                    out.push(b'\n');
                }
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Which of `texts` stand somewhere in `all`: looked for at once, since there may be thousands of both.
fn standing_in<'a>(texts: &[&'a str], all: &str) -> BTreeSet<&'a str> {
    let searcher = AhoCorasick::new(texts).unwrap();
    searcher.find_overlapping_iter(all).map(|found| texts[found.pattern()]).collect()
}

/// What was looked for in what is told of one capture, and what was found there.
#[derive(Default)]
struct Searched {
    secrets: usize,
    bodies: usize,
    shown: Vec<(PathBuf, String)>,
}

impl Searched {
    fn of(file: &Path, rules: &Arc<ReplyRules>) -> Self {
        let Found { secrets, bodies, open } = read(file);
        if secrets.is_empty() && bodies.is_empty() {
            return Self::default();
        }
        let small: Vec<(String, &str)> =
            secrets.iter().chain(&bodies).map(|text| (text.to_lowercase(), text.as_str())).collect();
        let said = standing_in(&small.iter().map(|(small, _)| small.as_str()).collect::<Vec<_>>(), &open);
        // One of our own sentences has this word.
        let is_open = |small: &str| small == "password" || said.contains(small);
        let confidential: Vec<&str> =
            small.iter().filter(|(small, _)| !is_open(small)).map(|(_, text)| *text).collect();
        let shown = standing_in(&confidential, &told(file, rules));
        Self {
            secrets: confidential.iter().filter(|text| secrets.contains(**text)).count(),
            bodies: confidential.iter().filter(|text| bodies.contains(**text)).count(),
            shown: shown.into_iter().map(|text| (file.to_owned(), text.to_owned())).collect(),
        }
    }
}

#[test]
fn nothing_that_was_said_in_confidence_stands_in_any_output() {
    let mut files = common::capture_files();
    if let Some(corpus) = common::corpus() {
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
    let rules = Arc::new(ReplyRules::builtin());
    let searched = common::each_in_parallel(&files, |file| Searched::of(file, &rules));
    let shown: Vec<_> = searched.iter().flat_map(|searched| &searched.shown).collect();
    let secrets: usize = searched.iter().map(|searched| searched.secrets).sum();
    let bodies: usize = searched.iter().map(|searched| searched.bodies).sum();
    assert!(shown.is_empty(), "{shown:#?}");
    assert!(secrets > 20 && bodies > 200, "{secrets} secrets, {bodies} lines: the reader reads too little");
}
