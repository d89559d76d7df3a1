//! The inputs at small scales, read back frame by frame.

use std::collections::{HashMap, HashSet};

use crate::inputs::{self, Input, Scale};
use crate::truth::Truth;
use crate::wire::FILE_HEADER;

/// Bytes of a record header.
const RECORD_HEADER: usize = 16;

/// The segments of one side: sequence number and payload.
type Stream<'a> = Vec<(u32, &'a [u8])>;

const ALL: [(Input, &str); 5] =
    [(Input::A, "1/500"), (Input::B, "1/100"), (Input::C, "1/1000"), (Input::D, "1/1000"), (Input::E, "1/1000")];

fn make(input: Input, scale: &str) -> (Vec<u8>, Truth) {
    let mut out = Vec::new();
    let scale: Scale = scale.parse().unwrap();
    let truth = inputs::write(&mut out, input, scale, 25).unwrap();
    (out, truth)
}

/// A frame as a reader that shares no code with the writer finds it.
struct Read<'a> {
    at: u64,
    from: ([u8; 4], u16),
    to: ([u8; 4], u16),
    proto: u8,
    /// Flags, sequence number and payload of TCP.
    flags: u8,
    seq: u32,
    data: &'a [u8],
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Sixteen bits at a time, as RFC 1071 says it; zero for a valid checksum.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}

fn read(file: &[u8]) -> Vec<Read<'_>> {
    let mut frames = Vec::new();
    let mut rest = &file[FILE_HEADER..];
    while !rest.is_empty() {
        let at = u64::from(le32(rest, 0)) * 1_000_000 + u64::from(le32(rest, 4));
        let length = le32(rest, 8) as usize;
        assert_eq!(le32(rest, 12) as usize, length);
        let (frame, after) = rest[RECORD_HEADER..].split_at(length);
        rest = after;
        let ip = &frame[14..];
        assert_eq!(usize::from(be16(ip, 2)), ip.len());
        assert_eq!(checksum(&[&ip[..20]]), 0, "IPv4 checksum");
        let (proto, transport) = (ip[9], &ip[20..]);
        let length = (transport.len() as u16).to_be_bytes();
        let pseudo = [&ip[12..20], &[0, proto], &length, transport];
        assert_eq!(checksum(&pseudo), 0, "transport checksum");
        let tcp = proto == 6;
        let header = if tcp { usize::from(transport[12] >> 4) * 4 } else { 8 };
        frames.push(Read {
            at,
            from: (ip[12..16].try_into().unwrap(), be16(transport, 0)),
            to: (ip[16..20].try_into().unwrap(), be16(transport, 2)),
            proto,
            flags: if tcp { transport[13] } else { 0 },
            seq: if tcp { le32(transport, 4).swap_bytes() } else { 0 },
            data: &transport[header..],
        });
    }
    frames
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for (input, scale) in ALL {
        let (first, truth) = make(input, scale);
        assert_eq!((first, truth), make(input, scale), "{input:?}");
    }
}

#[test]
fn another_seed_gives_other_bytes() {
    let scale: Scale = "1/1000".parse().unwrap();
    let (mut one, mut other) = (Vec::new(), Vec::new());
    inputs::write(&mut one, Input::D, scale, 1).unwrap();
    inputs::write(&mut other, Input::D, scale, 2).unwrap();
    assert_ne!(one, other);
}

#[test]
fn times_never_run_backwards_and_the_sums_are_true() {
    for (input, scale) in ALL {
        let (file, truth) = make(input, scale);
        let frames = read(&file);
        assert!(frames.windows(2).all(|pair| pair[0].at <= pair[1].at), "{input:?}");
        assert_eq!(truth.frames, frames.len() as u64, "{input:?}");
        assert_eq!(truth.bytes, file.len() as u64, "{input:?}");
        assert_eq!(truth.first_ts, frames[0].at, "{input:?}");
        assert_eq!(truth.last_ts, frames[frames.len() - 1].at, "{input:?}");
        let smtp = |f: &&Read<'_>| f.proto == 6 && (f.from.1 == 25 || f.to.1 == 25);
        assert_eq!(truth.smtp_frames, frames.iter().filter(smtp).count() as u64, "{input:?}");
    }
}

/// What the SMTP clients and servers of a file said, by connection, with the
/// segments put in order and repeated ones dropped.
fn dialogues(frames: &[Read<'_>]) -> Vec<[String; 2]> {
    let mut streams: HashMap<_, [Stream<'_>; 2]> = HashMap::new();
    for frame in frames.iter().filter(|f| f.proto == 6) {
        let (key, side) = match (frame.from.1, frame.to.1) {
            (_, 25) => ((frame.from, frame.to), 0),
            (25, _) => ((frame.to, frame.from), 1),
            _ => continue,
        };
        let stream = &mut streams.entry(key).or_default()[side];
        let isn = stream.first().map_or(frame.seq, |first| first.0);
        assert!(stream.is_empty() == (frame.flags & 2 != 0), "one SYN, and it is first");
        if stream.is_empty() || !frame.data.is_empty() {
            stream.push((frame.seq, frame.data));
        }
        assert!(frame.seq.wrapping_sub(isn) < 1 << 20);
    }
    let join = |mut stream: Stream<'_>| {
        let isn = stream[0].0;
        stream.sort_by_key(|(seq, _)| seq.wrapping_sub(isn));
        stream.dedup();
        let mut next = 1;
        let mut text = Vec::new();
        for (seq, data) in &stream[1..] {
            assert_eq!(seq.wrapping_sub(isn), next, "no gap, no overlap");
            next += data.len() as u32;
            text.extend_from_slice(data);
        }
        String::from_utf8(text).unwrap()
    };
    streams.into_values().map(|pair| pair.map(join)).collect()
}

#[test]
fn a_whole_session_reads_as_a_delivery() {
    let (file, truth) = make(Input::A, "1/100");
    let frames = read(&file);
    let dialogues = dialogues(&frames);
    assert_eq!(dialogues.len() as u64, truth.sessions);
    let (mut recipients, mut nulls, mut bytes) = (0, 0, 0);
    for [client, server] in &dialogues {
        let (commands, rest) = client.split_once("DATA\r\n").unwrap();
        let (message, quit) = rest.rsplit_once("QUIT\r\n").unwrap();
        assert_eq!(quit, "");
        let rcpt = commands.matches("RCPT TO:<").count();
        assert!((1..=3).contains(&rcpt));
        recipients += rcpt as u64;
        nulls += u64::from(commands.contains("MAIL FROM:<>\r\n"));
        bytes += message.len() as u64;
        assert!((1 << 10..22 << 10).contains(&message.len()), "{}", message.len());
        // One final dot, no other, no bare line end, no line that is too long.
        assert_eq!(message.matches("\r\n.\r\n").count(), 1);
        assert!(message.ends_with("\r\n.\r\n"));
        assert_eq!(message.matches('\n').count(), message.matches("\r\n").count());
        assert!(message.split("\r\n").all(|line| line.len() < 998));
        assert!(message.split("\r\n").all(|line| !line.starts_with('.') || line == "." || line.starts_with("..")));

        let codes: Vec<&str> =
            server.split_terminator("\r\n").filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
        let mut expected = vec!["220", "250", "250"];
        expected.extend(vec!["250"; rcpt]);
        expected.extend(["354", "250", "221"]);
        assert_eq!(codes, expected);
    }
    assert_eq!(truth.recipients, recipients);
    assert_eq!(truth.null_senders, nulls);
    assert_eq!(truth.message_bytes, bytes);
    assert!(nulls > 0);
}

#[test]
fn mishaps_are_as_many_as_the_truth_says() {
    let (file, truth) = make(Input::A, "1/50");
    let (mut again, mut swapped) = (0, 0);
    let mut seen = HashSet::new();
    let mut newest: HashMap<_, u32> = HashMap::new();
    for frame in read(&file).iter().filter(|f| !f.data.is_empty()) {
        let key = (frame.from, frame.to);
        let newest = newest.entry(key).or_insert(frame.seq);
        let behind = frame.seq.wrapping_sub(*newest) > u32::MAX / 2;
        if !seen.insert((key, frame.seq)) {
            again += 1;
        } else if behind {
            swapped += 1;
        }
        if !behind {
            *newest = frame.seq;
        }
    }
    assert_eq!((truth.retransmitted, truth.reordered), (again, swapped));
    assert!(again > 0 && swapped > 0);
}

#[test]
fn a_refused_session_has_eleven_frames() {
    let (file, truth) = make(Input::D, "1/1000");
    assert_eq!((truth.sessions, truth.frames), (500, 5500));
    assert_eq!((truth.recipients_rejected, truth.recipients_accepted), (500, 0));
    let frames = read(&file);
    let resets = frames.iter().filter(|f| f.flags == 0x14).count();
    assert_eq!(resets, 500);
    for [client, server] in dialogues(&frames) {
        assert_eq!(client.matches("\r\n").count(), 3, "HELO, MAIL, RCPT");
        let codes: Vec<&str> = server.split_terminator("\r\n").map(|line| &line[..3]).collect();
        assert_eq!(codes, ["220", "250", "250", "550"]);
    }
}

#[test]
fn a_crowd_comes_from_everywhere_once() {
    let (file, truth) = make(Input::E, "1/1000");
    let frames = read(&file);
    let came: HashSet<_> = frames.iter().filter(|f| f.flags == 2 && f.to.0[0] == 10).map(|f| f.from.0).collect();
    let went: HashSet<_> = frames.iter().filter(|f| f.flags == 2 && f.from.0[0] == 10).map(|f| f.from.0).collect();
    assert_eq!((came.len(), went.len()), (1000, 65));
    assert_eq!((truth.clients, truth.sessions), (65, 65 * 16 + 1000));
    let (mut guesses, mut relayed) = (0, 0);
    for [client, server] in dialogues(&frames) {
        guesses += server.matches("535 5.7.8").count();
        relayed += usize::from(server.contains("550 5.1.1") && client.contains("DATA\r\n"));
    }
    assert!(guesses > 300 && relayed > 150, "{guesses} {relayed}");
}

#[test]
fn a_flood_never_tries_an_address_twice() {
    let (file, truth) = make(Input::C, "1/100");
    let frames = read(&file);
    let tried: HashSet<_> = frames.iter().map(|f| f.to).collect();
    assert_eq!(tried.len() as u64, truth.distinct_destinations);
    assert_eq!(tried.len(), 100_000);
    assert!(frames.iter().all(|f| f.flags == 2 && f.to.1 == 25 && f.from.0 == frames[0].from.0));
    assert_eq!(file.len(), FILE_HEADER + 82 * 100_000);
}

#[test]
fn a_mirror_port_carries_three_percent_mail() {
    let (file, truth) = make(Input::B, "1/20");
    let per_mille = truth.smtp_frames * 1000 / truth.frames;
    assert!((28..=32).contains(&per_mille), "{per_mille}");
    let frames = read(&file);
    assert_eq!(dialogues(&frames).len() as u64, truth.sessions);
    let services: HashSet<_> = frames.iter().map(|f| (f.proto, f.from.1.min(f.to.1))).collect();
    for service in [(6, 25), (6, 443), (6, 80), (6, 22), (6, 53), (17, 53), (17, 443), (17, 123)] {
        assert!(services.contains(&service), "{service:?}");
    }
}

#[test]
fn a_scale_multiplies_hosts_and_sessions() {
    let (_, one) = make(Input::A, "1/1000");
    let (_, four) = make(Input::A, "4/1000");
    assert_eq!(four.sessions, 4 * one.sessions);
    assert_eq!(four.clients, 4 * one.clients);
    assert_eq!(four.distinct_destinations, 4 * one.distinct_destinations);
    for wrong in ["", "0", "1/0", "-1", "2/", "1001"] {
        assert!(wrong.parse::<Scale>().is_err(), "{wrong:?}");
    }
}
