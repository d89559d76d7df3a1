//! Evidence: for each incident a capture with just its connections, and on each frame that the judgement rests on a
//! comment that says why.
//!
//! The judgement names frames and connections; the frames themselves are gone by then. So the captures are read again:
//! once to learn which connections the named frames belong to, once to copy. That costs time and no memory, and is why
//! it works for saved captures, and of a live run for the frames that are still at hand. The copies are whole frames, with
//! mails, names and passwords as they went by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender};

use crate::capture::{AnnotatedWriter, Captured, FrameSource};
use crate::decode::{Decoded, Decoder, PortSet};
use crate::error::Error;
use crate::frame::{Frame, FrameNo};
use crate::incident::Incident;
use crate::limits::DecodeLimits;
use crate::net::{End, FlowKey, HostKey};
use crate::output::{Sink, Target, counted};
use crate::time::Ts;
use crate::wire::shown;

/// Incidents that get a file, the worst first: nobody opens more, and each is a file held open.
const INCIDENTS_MAX: usize = 50;

/// Bytes of frames in one file: what Wireshark opens at once and a ticket takes. Frames with a comment come on top.
const BYTES_MAX: u64 = 16 << 20;

/// Where evidence goes that a screen asks for, in the directory that the program runs in: what it writes there holds whole
/// mails, so it has a directory that only the operator may read.
pub const DIRECTORY: &str = "smtphound-evidence";

/// Opens the captures once more, as they were opened for the judgement.
pub type Reopen<'a> = dyn Fn() -> Result<Box<dyn FrameSource + Send>, Error> + 'a;

/// What did not fit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LeftOut {
    /// Incidents without a file.
    pub incidents: u64,
    /// Frames of the others' connections.
    pub frames: u64,
    /// Frames and beginnings of connections that incidents rest on, from before the first frame that could be read again.
    pub gone: u64,
}

/// Writes evidence whenever a screen asks for it, until it goes away, and says in a sentence what came of it. For a thread of
/// its own: reading a large capture twice takes a while.
pub fn serve(
    asked: &Receiver<Vec<Incident>>,
    told: &Sender<String>,
    directory: &Path,
    write: &dyn Fn(&[Incident]) -> Result<LeftOut, Error>,
) {
    for incidents in asked {
        let said = match write(&incidents) {
            Ok(left_out) => sentence(&incidents, directory, left_out),
            Err(error) => error.to_string(),
        };
        // Who asked may have left.
        let _ = told.send(said);
    }
}

fn sentence(incidents: &[Incident], directory: &Path, left_out: LeftOut) -> String {
    let mut said = match incidents {
        [one] => format!("written to {}", shown(&path(directory, one))),
        several => {
            let files = (several.len() as u64).saturating_sub(left_out.incidents);
            format!("{} written to {}", counted(files, "file", "files"), shown(directory))
        }
    };
    if left_out.gone > 0 {
        let frames = counted(left_out.gone, "frame", "frames");
        said = format!("{said}; {frames} of what it rests on went by too long ago (--write FILE keeps all)");
    }
    if left_out.frames > 0 {
        let frames = counted(left_out.frames, "frame", "frames");
        said = format!("{said}; {frames} had no room in a file");
    }
    said
}

/// Writes the files of incidents, the worst of which comes first, into a directory, which is made if it is not there.
pub fn write(
    directory: &Path,
    incidents: &[Incident],
    ports: &PortSet,
    limits: &DecodeLimits,
    reopen: &Reopen<'_>,
) -> Result<LeftOut, Error> {
    make(directory).map_err(|source| Target::File(directory.to_owned()).error(source))?;
    let (told, untold) = incidents.split_at(incidents.len().min(INCIDENTS_MAX));
    let mut wanted = Wanted::of(told);
    if told.is_empty() {
        return Ok(LeftOut::default());
    }
    let decoder = || Decoder::new(ports.clone(), limits);
    read(reopen()?.as_mut(), &mut decoder(), &mut |no, _, key| {
        wanted.learn(no, key);
        Ok(no < wanted.last)
    })?;
    let mut files: Vec<File> =
        told.iter().map(|incident| File::create(directory, incident)).collect::<Result<_, _>>()?;
    let mut first = None;
    read(reopen()?.as_mut(), &mut decoder(), &mut |no, frame, key| {
        first.get_or_insert((no, frame.ts));
        for (file, remarks) in wanted.who_wants(no, frame.ts, key) {
            if let Some(file) = files.get_mut(file) {
                file.add(frame, &remarks)?;
            }
        }
        Ok(true)
    })?;
    let mut left_out = LeftOut { incidents: untold.len() as u64, frames: 0, gone: wanted.before(first) };
    for file in files {
        left_out.frames += file.left_out;
        file.writer.into_inner().finish()?;
    }
    Ok(left_out)
}

/// Whoever may read a mail server's traffic may not be whoever has an account on this machine.
fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Shows every frame with the connection it belongs to, until `each` has seen enough. Where an input is damaged, that
/// was told by the judgement's own reading.
fn read(
    source: &mut dyn FrameSource,
    decoder: &mut Decoder,
    each: &mut dyn FnMut(FrameNo, &Frame<'_>, Seen) -> Result<bool, Error>,
) -> Result<(), Error> {
    while let Some(captured) = source.next_frame() {
        let Ok(Captured::Frame(no, frame)) = captured else { continue };
        let seen = match decoder.decode(no, &frame) {
            Decoded::Segment(segment) => Seen::Of(segment.head.key),
            _ => Seen::Other,
        };
        if !each(no, &frame, seen)? {
            break;
        }
    }
    Ok(())
}

/// What a frame is part of.
#[derive(Clone, Copy)]
enum Seen {
    /// A connection to an SMTP port.
    Of(FlowKey),
    /// Nothing that is followed, or a copy.
    Other,
}

/// The place of an incident's file.
type Place = usize;

/// What the files want of the captures.
#[derive(Default)]
struct Wanted {
    /// Whose incident each file is about.
    hosts: Vec<HostKey>,
    /// Frames that are evidence by themselves, and why.
    frames: BTreeMap<FrameNo, Vec<(Place, String)>>,
    /// First frames of connections that are evidence as a whole, and why.
    openings: HashMap<(FlowKey, Ts), Vec<(Place, String)>>,
    /// Connections.
    flows: HashMap<FlowKey, BTreeSet<Place>>,
    /// The last frame that is evidence by itself.
    last: FrameNo,
}

impl Wanted {
    fn of(incidents: &[Incident]) -> Self {
        let mut wanted = Self { hosts: incidents.iter().map(|incident| incident.host).collect(), ..Self::default() };
        for (place, incident) in incidents.iter().enumerate() {
            for line in &incident.evidence {
                let Some(detector) = line.detector else { continue };
                let why = match incident.score_db {
                    Some(_) => format!("{detector} ({:+.1} dB): {}", line.db, line.says),
                    None => format!("{detector}: {}", line.says),
                };
                for no in &line.frames {
                    wanted.frames.entry(*no).or_default().push((place, why.clone()));
                }
                for id in &line.sessions {
                    let (key, _) = FlowKey::of(id.orig, id.resp);
                    wanted.flows.entry(key).or_default().insert(place);
                    let remark = format!("connection {} begins. {why}", id.uid());
                    wanted.openings.entry((key, id.ts)).or_default().push((place, remark));
                }
            }
            for verdict in &incident.verdicts {
                let reply = verdict.reply.as_ref().map(|reply| format!(": {reply}")).unwrap_or_default();
                let remark = format!(
                    "relay attempt {}, {}: <{}> to <{}>{reply}",
                    verdict.technique.join(" "),
                    verdict.verdict.name(),
                    verdict.sender,
                    verdict.recipient
                );
                wanted.frames.entry(verdict.frame).or_default().push((place, remark));
            }
        }
        wanted.last = wanted.frames.last_key_value().map(|(no, _)| *no).unwrap_or_default();
        wanted
    }

    /// How much of it was before the first frame that could be read.
    fn before(&self, first: Option<(FrameNo, Ts)>) -> u64 {
        let gone = match first {
            Some((no, begin)) => {
                self.frames.range(..no).count() + self.openings.keys().filter(|(_, ts)| *ts < begin).count()
            }
            None => self.frames.len() + self.openings.len(),
        };
        gone as u64
    }

    /// A connection is wanted by whoever wants one of its frames.
    fn learn(&mut self, no: FrameNo, seen: Seen) {
        if let (Seen::Of(key), Some(reasons)) = (seen, self.frames.get(&no)) {
            let places: Vec<Place> =
                reasons.iter().map(|(place, _)| *place).filter(|place| self.is_part(*place, &key)).collect();
            if !places.is_empty() {
                self.flows.entry(key).or_default().extend(places);
            }
        }
    }

    /// Whether a file's host takes part in a connection. That somebody does not answer is noticed at a later frame,
    /// which may be of anybody: such a frame marks a time and is no evidence.
    fn is_part(&self, place: Place, key: &FlowKey) -> bool {
        self.hosts.get(place).is_some_and(|host| [End::Lower, End::Upper].iter().any(|end| key.end(*end).host == *host))
    }

    /// The files that want a frame, with their remarks on it.
    fn who_wants(&self, no: FrameNo, ts: Ts, seen: Seen) -> BTreeMap<Place, Vec<String>> {
        let mut files: BTreeMap<Place, Vec<String>> = BTreeMap::new();
        let mut reasons: Vec<&(Place, String)> = Vec::new();
        if let Seen::Of(key) = seen {
            let Some(places) = self.flows.get(&key) else { return files };
            files.extend(places.iter().map(|place| (*place, Vec::new())));
            reasons.extend(self.openings.get(&(key, ts)).into_iter().flatten());
        }
        let here = |(place, _): &&(Place, String)| match seen {
            Seen::Of(key) => self.is_part(*place, &key),
            Seen::Other => true,
        };
        reasons.extend(self.frames.get(&no).into_iter().flatten().filter(here));
        for (place, remark) in reasons {
            let remarks = files.entry(*place).or_default();
            if !remarks.contains(remark) {
                remarks.push(remark.clone());
            }
        }
        files
    }
}

/// One incident's file.
struct File {
    target: Target,
    writer: AnnotatedWriter<Sink>,
    bytes: u64,
    left_out: u64,
}

impl File {
    fn create(directory: &Path, incident: &Incident) -> Result<Self, Error> {
        let target = Target::File(path(directory, incident));
        let kind = incident.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
        let comment = format!(
            "{}: {}{kind}, {}, incident {}\n{}",
            incident.host,
            incident.class.name(),
            incident.tier.name(),
            incident.id,
            incident.summary
        );
        let writer = AnnotatedWriter::new(target.open()?, &comment).map_err(|source| target.error(source))?;
        Ok(Self { target, writer, bytes: 0, left_out: 0 })
    }

    fn add(&mut self, frame: &Frame<'_>, remarks: &[String]) -> Result<(), Error> {
        if remarks.is_empty() {
            let bytes = self.bytes + frame.bytes.len() as u64;
            if bytes > BYTES_MAX {
                self.left_out += 1;
                return Ok(());
            }
            self.bytes = bytes;
        }
        self.writer.frame(frame, remarks).map_err(|source| self.target.error(source))
    }
}

/// Named by what the incident is: the same incident of another run takes the same place.
fn path(directory: &Path, incident: &Incident) -> PathBuf {
    let host = incident.host.to_string().replace(':', "_");
    directory.join(format!("{}-{host}-{}.pcapng", incident.class.name(), incident.id))
}
