//! Where the corpora begin: frames, segments, dialogues and files written as this module's tests read them. The seeds of
//! the other targets are text and stand in `fuzz/corpus/` as somebody wrote them.
//!
//! `cargo test --lib fuzzing::seeds -- --ignored` writes them anew.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::RULES;
use super::sessions::BETWEEN_FILES;
use crate::capture::{OpenOptions, open_file};
use crate::decode::PortSet;
use crate::decode::testing::{Tcp, ethernet, gre, ipv4, ipv4_fragment, ipv6, ipv6_fragment, join, udp, vlan};
use crate::detect::{DetectSettings, Judge};
use crate::limits::Limits;
use crate::net::Side;
use crate::output::{LineForm, SessionWriter};
use crate::pipeline::{self, Plan};
use crate::site::Site;
use crate::smtp::testing::{Step, script};

const IPV4: u16 = 0x0800;

fn put(target: &str, name: &str, bytes: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!("seed-{name}")), bytes).unwrap();
}

/// Frames as `frames` reads them; `kind` names the link type by its place in that target's table.
fn frames(kind: u8, frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().flat_map(|frame| join(&[&[kind, 0], &(frame.len() as u16).to_be_bytes(), frame])).collect()
}

/// The first frames of a capture, and the bytes of the file that hold them.
fn first(pcap: &[u8], count: usize) -> (Vec<Vec<u8>>, &[u8]) {
    let (mut frames, mut at) = (Vec::new(), 24);
    for _ in 0..count {
        let Some(captured) = pcap.get(at + 8..at + 12) else { break };
        let end = at + 16 + u32::from_le_bytes(captured.try_into().unwrap()) as usize;
        frames.push(pcap[at + 16..end].to_vec());
        at = end;
    }
    (frames, &pcap[..at])
}

/// The same frames as pcapng with one interface.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = ((12 + body.len() + padding.len()) as u32).to_le_bytes();
        join(&[&kind.to_le_bytes(), &length, body, &padding, &length])
    };
    let mut file = block(0x0a0d_0d0a, &join(&[&0x1a2b_3c4d_u32.to_le_bytes(), &[1, 0, 0, 0], &[0xff; 8]]));
    file.extend(block(1, &[1, 0, 0, 0, 0, 0, 0, 0]));
    for (no, frame) in frames.iter().enumerate() {
        let length = (frame.len() as u32).to_le_bytes();
        let stamp = (no as u32 * 1000).to_le_bytes();
        file.extend(block(6, &join(&[&[0, 0, 0, 0, 0xd5, 0x4d, 6, 0], &stamp, &length, &length, frame])));
    }
    file
}

#[test]
#[ignore = "writes fuzz/corpus"]
fn frames_and_files() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for name in ["infected-pc", "relay-tests", "intercepted-user", "account-abuse", "reverse-ndr"] {
        let file = fs::read(captures.join(name).with_extension("pcap")).unwrap();
        let (some, bytes) = first(&file, 24);
        put("frames", name, &frames(0, &some[..8]));
        put("capture", name, bytes);
        if name == "relay-tests" {
            put("capture", "pcapng", &pcapng(&some));
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(bytes).unwrap();
            put("capture", "gzip", &gzip.finish().unwrap());
        }
    }
    let (v4, v6) = (Tcp::default().v4(), Tcp::default().v6());
    let inner = ethernet(IPV4, &v4);
    let vxlan = udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &inner]));
    put(
        "frames",
        "tags",
        &frames(
            0,
            &[
                ethernet(0x88a8, &vlan(100, 0x8100, &vlan(23, IPV4, &v4))),
                ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 99, 0x00, 0x21], &v4])),
                ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &v4])),
            ],
        ),
    );
    put(
        "frames",
        "tunnels",
        &frames(
            0,
            &[
                ethernet(IPV4, &ipv4(4, &v4)),
                ethernet(IPV4, &ipv4(47, &gre(0x1000, 0x88be, &[0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &inner))),
                ethernet(IPV4, &ipv4(17, &vxlan)),
                ethernet(IPV4, &ipv4(17, &udp(37008, &join(&[&[1, 0, 0, 1, 0, 10, 2, 7, 7, 1], &inner])))),
                ethernet(IPV4, &ipv4(17, &udp(2152, &join(&[&[0x30, 255, 0, 59, 0, 0, 0, 1], &v4])))),
            ],
        ),
    );
    let parts = |cut: usize| {
        let (one, two) = v4[20..].split_at(cut);
        [ipv4_fragment(9, 6, 0, true, one), ipv4_fragment(9, 6, cut, false, two)]
    };
    put("frames", "fragments", &frames(4, &parts(24)));
    put("frames", "tiny-fragments", &frames(4, &parts(8)));
    let (one, two) = v6[40..].split_at(32);
    let v6_parts = [(0, true, one), (32, false, two)];
    put(
        "frames",
        "fragments-ipv6",
        &frames(5, &v6_parts.map(|(offset, more, part)| ipv6(44, &ipv6_fragment(6, 7, offset, more, part)))),
    );
    let tunnel = ipv4(17, &vxlan);
    let (one, two) = tunnel[20..].split_at(48);
    put(
        "frames",
        "fragmented-tunnel",
        &frames(4, &[ipv4_fragment(3, 17, 48, false, two), ipv4_fragment(3, 17, 0, true, one)]),
    );
    put("frames", "cooked", &frames(8, &[join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], &v4])]));
    put("frames", "null", &frames(6, &[join(&[&[2, 0, 0, 0], &v4])]));
}

/// Operations as `segments` reads them: connection, side, flags by their place in that target's table, how far ahead, how
/// far the acknowledgement is ahead, length.
fn ops(list: &[(u8, u8, u8, i8, i8, u8)]) -> Vec<u8> {
    list.iter()
        .flat_map(|&(pair, side, flags, ahead, acked, len)| {
            [pair | side << 2 | flags << 3, ahead.cast_unsigned(), acked.cast_unsigned(), len, 255]
        })
        .collect()
}

#[test]
#[ignore = "writes fuzz/corpus"]
fn segments() {
    const OPEN: [(u8, u8, u8, i8, i8, u8); 3] = [(0, 0, 1, 0, 0, 0), (0, 1, 2, 0, 0, 0), (0, 0, 0, 0, 0, 0)];
    let with = |rest: &[(u8, u8, u8, i8, i8, u8)]| ops(&[&OPEN, rest].concat());
    let talk = [(0, 1, 0, 0, 0, 30), (0, 0, 0, 0, 0, 20), (0, 1, 0, 0, 0, 10)];
    put(
        "segments",
        "ordinary",
        &with(&[&talk[..], &[(0, 0, 3, 0, 0, 0), (0, 1, 3, 0, 0, 0), (0, 0, 0, 0, 0, 0)]].concat()),
    );
    put("segments", "refused", &ops(&[(0, 0, 1, 0, 0, 0), (0, 1, 5, 0, 0, 0)]));
    put("segments", "scan", &ops(&[(0, 0, 1, 0, 0, 0), (1, 0, 1, 0, 0, 0), (2, 0, 1, 0, 0, 0), (3, 0, 1, 0, 0, 0)]));
    put(
        "segments",
        "disorder",
        &with(&[(0, 0, 0, 20, 0, 20), (0, 0, 0, -40, 0, 20), (0, 0, 0, -10, 0, 30), (0, 1, 0, 0, 0, 9)]),
    );
    put("segments", "overlap", &with(&[(0, 0, 0, 0, 0, 20), (0x40, 0, 0, -10, 0, 20), (0, 1, 0, 0, -5, 9)]));
    put("segments", "hole", &with(&[(0, 0, 0, 30, 0, 10), (0, 1, 0, 0, 0, 5), (0, 1, 0, 0, 0, 5), (0, 0, 0, 0, 0, 5)]));
    put("segments", "reset", &with(&[&talk[..], &[(0, 0, 4, 0, 0, 0), (0, 1, 0, 0, 0, 10)]].concat()));
    put("segments", "reset-out-of-window", &with(&[&talk[..], &[(0, 0, 4, 100, 0, 0), (0, 1, 0, 0, 0, 10)]].concat()));
    put(
        "segments",
        "reuse",
        &with(&[&talk[..], &[(0, 0, 1, 90, 0, 0), (0, 1, 2, 90, 0, 0), (0, 0, 0, 0, 0, 10)]].concat()),
    );
    put("segments", "midstream", &ops(&[(2, 1, 0, 0, 0, 30), (2, 0, 0, 0, 0, 20), (2, 0, 3, 0, 0, 5)]));
    put("segments", "land", &ops(&[(3, 0, 1, 0, 0, 0), (3, 1, 1, 0, 0, 0), (3, 0, 2, 0, 0, 9), (3, 1, 2, 0, 0, 9)]));
    put("segments", "syn-data", &ops(&[(0, 0, 1, 0, 0, 20), (0, 1, 2, 0, 0, 5), (0, 0, 0, 0, 0, 5)]));
    put(
        "segments",
        "reset-taken-back",
        &with(&[(0, 0, 4, 0, 0, 0), (0, 0, 0, 0, 0, 20), (0, 1, 0, 0, 0, 10), (0, 0, 0, 0, 0, 9)]),
    );
    put(
        "segments",
        "fin-taken-back",
        &with(&[(0, 0, 3, 0, 0, 0), (0, 0, 0, -1, 0, 20), (0, 1, 0, 0, 0, 10), (0, 0, 3, 0, 0, 0)]),
    );
    put("segments", "urgent", &with(&[(0, 0, 6, 0, 0, 20), (0, 1, 6, 0, 0, 20)]));
}

/// Records as `dialogue` reads them.
fn records(small: bool, text: &str) -> Vec<u8> {
    let (mut out, mut pos) = (vec![u8::from(small)], [0_u64; 2]);
    for step in script(text) {
        let side = step.side();
        let lowest = u8::from(side == Side::Resp);
        match step {
            Step::Data { acked, bytes, .. } => {
                let kind = if acked < pos[side.other() as usize] { 3 } else { 0 };
                pos[side as usize] += bytes.len() as u64;
                out.extend([lowest | kind << 1, u8::try_from(bytes.len()).unwrap()]);
                out.extend(bytes);
            }
            Step::Gap { len, .. } => {
                pos[side as usize] += len;
                out.extend([lowest | 5 << 1, u8::try_from(len).unwrap()]);
            }
            Step::Fin { .. } => out.extend([lowest | 6 << 1, 0]),
            Step::Reset { .. } => out.extend([lowest | 7 << 1, 0]),
        }
    }
    out
}

const HELLO: &str = "S: 220 mx.example ESMTP\nC: EHLO pc23\nS: 250-mx.example\nS: 250-PIPELINING\nS: 250-AUTH LOGIN PLAIN\nS: 250 STARTTLS\n";
const ENVELOPE: &str =
    "C: MAIL FROM:<a@b.example> SIZE=120\nS: 250 2.1.0 ok\nC: RCPT TO:<c@d.example>\nS: 250 2.1.5 ok\n";
const BYE: &str = "C: QUIT\nS: 221 bye\nS$\nC$\n";

#[test]
#[ignore = "writes fuzz/corpus"]
fn dialogues() {
    for (name, middle) in [
        ("mail", format!("{ENVELOPE}C: DATA\nS: 354 go\nC: Subject: x\nC:\nC: ..y\nC: .\nS: 250 2.0.0 queued\n{BYE}")),
        ("refused", format!("C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<x@y.example>\nS: 550 5.1.1 unknown\nC: RSET\nS: 250 ok\n{BYE}")),
        ("pipelined", "C: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nC: DATA\nS: 250 ok\nS: 550 no\nS: 554 none\nC: QUIT\nS: 221 bye".into()),
        ("chunks", format!("{ENVELOPE}C: BDAT 5\nC| ab\\r\\nc\nS: 250 ok\nC: BDAT 0 LAST\nS: 250 queued\nC: BDAT 99999999999999999999\nS: 501 no\n{BYE}")),
        ("login", format!("C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dGVzdA==\nS: 334 UGFzc3dvcmQ6\nC: d3Jvbmc=\nS: 535 no\nC: AUTH PLAIN AHRlc3QAeA==\nS: 235 ok\n{BYE}")),
        ("tls", "C: STARTTLS\nS: 220 go\nC| \\x16\\x03\\x01\\x00\\x05\\x01\\x00\\x00\\x01\\x03\nS| \\x16\\x03\\x03\\x00\\x02\\x02\\x00\nC| \\x17\\x03\\x03\\x00\\x03abc".into()),
        ("smuggling", format!("{ENVELOPE}C: DATA\nS: 354 go\nC| x\\n.\\nMAIL FROM:<e@e>\\r\\nRCPT TO:<g@h>\\r\\nDATA\\r\\ny\\r\\n.\\r\\n\nS: 250 one\nS: 250 ok\nS: 250 ok\nS: 354 go\nS: 250 two\n{BYE}")),
        ("gaps", format!("{ENVELOPE}C: DATA\nS: 354 go\nC| Subject: x\\r\\n\nC~ 40\nC| z\\r\\n.\\r\\n\nS: 250 ok\nC~ 9\nS~ 30\nS: 250 what\n{BYE}")),
        ("blob", format!("C: XEXCH50 4 2\nS: 354 go\nC| \\x00\\xff\\r\\n\nS: 250 ok\n{BYE}")),
        ("report", format!("C: MAIL FROM:<>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go\nC: Content-Type: multipart/report; report-type=delivery-status; boundary=b\nC:\nC: --b\nC: Content-Type: message/delivery-status\nC:\nC: Reporting-MTA: dns; mx.example\nC:\nC: Final-Recipient: rfc822; x@y.example\nC: Action: failed\nC: Status: 5.1.1\nC:\nC: --b--\nC: .\nS: 250 ok\n{BYE}")),
        ("early", "C! EHLO early\nS: 220 late\nS: 250 ok\nC! MAIL FROM:<a@b>\nC! RCPT TO:<c@d>\nS: 421 go away\nS^".into()),
    ] {
        let text = format!("{HELLO}{middle}");
        put("dialogue", name, &records(false, &text));
        put("dialogue", &format!("{name}-small"), &records(true, &text));
    }
}

/// Of what a capture comes to: the line that tells the most in two thousand bytes, and the first of an attempt and of a
/// question.
fn lines(pcap: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("capture.pcap");
    fs::write(&path, pcap).unwrap();
    let mut source = open_file(&path, &OpenOptions::default()).unwrap();
    let (ports, limits) = (PortSet::from_iter([25, 587]), Limits::default());
    let judge = Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &limits.detect);
    let mut writer = SessionWriter::new(Vec::new(), LineForm::Native);
    let plan = Plan { ports: &ports, limits: &limits, workers: 1 };
    pipeline::run(&mut source, &plan, judge, &mut |event| writer.handle(event).unwrap(), &mut |_, _| {});
    let written = String::from_utf8(writer.finish().unwrap()).unwrap();
    let all = || written.split_inclusive('\n');
    let longest = all().filter(|line| line.len() <= 2000).max_by_key(|line| line.len());
    let first = |mark: &str| all().find(|line| line.contains(mark));
    [longest, first(r#""conn_state":"S0""#), first(r#""query""#)].into_iter().flatten().collect::<String>().into_bytes()
}

#[test]
#[ignore = "writes fuzz/corpus"]
fn session_lines() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut sensors = Vec::new();
    for name in ["infected-pc", "relay-tests", "intercepted-user", "account-abuse", "reverse-ndr"] {
        let file = fs::read(captures.join(name).with_extension("pcap")).unwrap();
        let some = lines(&file);
        put("session_lines", name, &some);
        sensors.push(some);
    }
    put("session_lines", "two-sensors", &sensors[..2].join(&[BETWEEN_FILES][..]));
    let ends = r#""id.orig_h":"192.168.0.23","id.orig_p":1025,"id.resp_h":"192.0.2.25","id.resp_p":25"#;
    let conn = format!(
        concat!(
            r#"{{"ts":1772617327.5,"uid":"C1",{ends},"proto":"tcp","service":"smtp","duration":1.25,"orig_bytes":90,"#,
            r#""resp_bytes":200,"conn_state":"SF","missed_bytes":7,"history":"ShAdDafF","orig_pkts":9,"resp_pkts":8,"#,
            r#""orig_l2_addr":"02:00:00:00:00:01","resp_l2_addr":"02:00:00:00:00:02","vlan":7}}"#,
            "\n",
            r#"{{"ts":"2026-03-04T09:42:07Z","uid":"C2",{ends},"proto":"tcp","conn_state":"S0","history":"S","orig_pkts":3}}"#,
            "\n"
        ),
        ends = ends
    );
    let smtp = format!(
        concat!(
            r#"{{"ts":1772617327.6,"uid":"C1",{ends},"trans_depth":1,"helo":"pc","mailfrom":"a@b.example","#,
            r#""rcptto":["c@d.example","e@f.example"],"last_reply":"550 5.1.1 User unknown","tls":false,"fuids":[]}}"#,
            "\n",
            r#"{{"ts":1772617327.9,"uid":"C1",{ends},"trans_depth":2,"helo":"pc","mailfrom":"<>","rcptto":["<c@d.example>"],"#,
            r#""msg_id":"<1@b.example>","last_reply":"250 2.0.0 queued","tls":true,"fuids":["F1"]}}"#,
            "\n"
        ),
        ends = ends
    );
    put("session_lines", "zeek", &[conn.as_bytes(), smtp.as_bytes()].join(&[BETWEEN_FILES][..]));
    put("session_lines", "zeek-and-ours", &[conn.as_bytes(), &sensors[1]].join(&[BETWEEN_FILES][..]));
}
