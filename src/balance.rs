//! What a run read and what it lost, in the words of the outputs: every frame stands in one line of it.

use crate::capture::{CaptureError, InputSummary, LiveStats};
use crate::decode::{Ignored, Undecoded};
use crate::error::Error;
use crate::output::{Counts, FrameCounts, InputFacts, RunFacts};
use crate::pipeline::SoFar;
use crate::wire;

/// The facts of a run, ended or not.
pub fn facts(so_far: &SoFar<'_>, inputs: Vec<InputSummary>, drops: Counts) -> RunFacts {
    let &SoFar { front, tcp, twins, filtered, .. } = so_far;
    let decode = &front.decode;
    let mut ignored: Counts = Ignored::ALL.iter().map(|why| (why.name(), decode.ignored(*why))).collect();
    ignored.add("filtered", filtered);
    let mut limits_hit = Counts::default();
    for (name, count) in [
        ("attempts_evicted", tcp.attempts_evicted),
        ("connections_closed_early", tcp.closed_early),
        ("quiet_connections_evicted", tcp.quiet_evicted),
        ("active_connections_evicted", tcp.active_evicted),
        ("reassembly_of_one_connection", tcp.held_flow_limit),
        ("reassembly_of_all", tcp.held_total_limit),
        ("fragments_evicted", decode.fragments().evicted),
        ("flooders_forgotten", front.flooders_forgotten),
        ("names_of_one_frame", decode.names_left()),
        ("translations_forgotten", twins.forgotten()),
        ("stamps_ignored", front.stamps_ignored),
        ("stamps_backward", front.stamps_backward),
    ] {
        limits_hit.add(name, count);
    }
    RunFacts {
        inputs: inputs.into_iter().map(input_facts).collect(),
        frames: FrameCounts {
            total: decode.total() + filtered,
            smtp: decode.segments(),
            dns: decode.questions(),
            names: decode.names(),
            ignored,
            undecoded: Undecoded::ALL.iter().map(|why| (why.name(), decode.undecoded(*why))).collect(),
        },
        gaps: tcp.gaps,
        missed_bytes: tcp.missed_bytes,
        duplicates: decode.ignored(Ignored::Duplicate),
        translated: twins.joined(),
        drops,
        limits_hit,
        fragment_flooders: front.flooders.clone(),
        unseen: Counts::default(),
    }
}

/// An error of an input or a device, as the operator is told.
pub fn told(error: &CaptureError) -> Error {
    match error {
        CaptureError::Device { device, reason } => Error::Capture {
            device: wire::escape(device.as_bytes()).into_owned(),
            message: wire::escape(reason.as_bytes()).into_owned(),
        },
        CaptureError::Filter { filter, reason, .. } => {
            Error::Filter { filter: filter.clone(), message: reason.clone() }
        }
        CaptureError::Write { file, source } => {
            Error::Write { target: wire::escape(file.as_bytes()).into_owned(), source: source.kind().into() }
        }
        other => Error::Input(wire::escape(other.to_string().as_bytes()).into_owned()),
    }
}

/// What a device lost on the way in, by where.
pub fn drops(live: &LiveStats) -> Counts {
    [("kernel", live.kernel_drops), ("interface", live.interface_drops), ("queue", live.queue_drops)]
        .into_iter()
        .collect()
}

fn input_facts(input: InputSummary) -> InputFacts {
    InputFacts {
        file: wire::escape(input.file.as_bytes()).into_owned(),
        frames: input.frames,
        bytes: input.bytes,
        first_ts: input.first_ts,
        last_ts: input.last_ts,
        truncated: input.truncated,
        lines: None,
        error: input.error.map(|error| wire::escape(error.as_bytes()).into_owned()),
    }
}
