//! Lines against what `docs/report-schema.md` promises.

use std::sync::Arc;

use smallvec::smallvec;

use super::*;
use crate::frame::{At, FrameNo};
use crate::net::{Encap, Endpoint, Ends, HostKey, LinkFacts, Mac};
use crate::session::{
    AuthAttempt, AuthResult, CommandLog, Dialect, DnsQuery, Dsn, HeadLog, MailFacts, Outcome, Outer, Recipient,
    Session, SmtpFacts, SmugglingFacts, Tls, TlsState, Transaction, Transfer,
};
use crate::smtp::{EnhancedStatus, Reply};
use crate::tcp::{Attempt, ConnId, ConnState, Connection, SynSignature};
use crate::time::{Span, Ts};
use crate::weird::{Weird, WeirdSet};
use crate::wire::Wire;

/// 2026-03-04T09:42:07.041431Z
const BEGIN: Ts = Ts::from_parts(1_772_617_327, 41_431_000);

fn at(millis: i64, frame: u64) -> At {
    At { ts: BEGIN + Span::millis(millis), frame: FrameNo(frame) }
}

fn end(ip: [u8; 4], port: u16) -> Endpoint {
    Endpoint { host: HostKey::v4(ip), port }
}

fn reply(code: u16, status: Option<(u8, u16, u16)>, text: &str) -> Reply {
    let status = status.map(|(class, subject, detail)| EnhancedStatus { class, subject, detail });
    Reply { code: Some(code), status, text: text.into() }
}

fn id() -> ConnId {
    ConnId { ts: BEGIN, orig: end([192, 0, 2, 7], 49152), resp: end([198, 51, 100, 25], 25) }
}

fn link() -> LinkFacts {
    LinkFacts {
        macs: Some((Mac([0, 0x16, 0x3e, 0, 0, 0x17]), Mac([0, 0x16, 0x3e, 0, 0, 1]))),
        vlans: [Some(12), None],
        encaps: [Some(Encap::Gre), Some(Encap::Erspan), None, None],
    }
}

fn syn() -> SynSignature {
    SynSignature {
        ttl: 64,
        mss: 1460,
        wsize: 64240,
        scale: Some(7),
        tsval: Some(77),
        ip_id: 5,
        ..SynSignature::default()
    }
}

fn connection() -> Connection {
    Connection {
        id: id(),
        state: ConnState::Sf,
        history: "ShADadFf".into(),
        duration: Span::millis(1462),
        orig_bytes: 120,
        resp_bytes: 200,
        missed_bytes: 0,
        gaps: 0,
        first: FrameNo(1),
        last: FrameNo(33),
        frames: 33,
        link: link(),
        syn: Some(syn()),
        one_sided: false,
        cut_short: false,
        weird: WeirdSet::default(),
    }
}

/// The refused mail of the schema's example.
fn transaction() -> Transaction {
    Transaction {
        trans_depth: 1,
        began: at(500, 14),
        ended: at(900, 20),
        mailfrom: "a@b.example".into(),
        null_sender: false,
        declared_size: None,
        mail_reply: Some(reply(250, Some((2, 1, 0)), "ok")),
        rcptto: smallvec![Recipient { to: "c@d.example".into(), reply: Some(reply(550, Some((5, 1, 1)), "unknown")) }],
        rcpt_total: 1,
        rcpt_accepted: 0,
        rcpt_rejected: 1,
        transfer: Some(Transfer::Data),
        data_cmd_reply: None,
        data_reply: None,
        size: 0,
        complete: false,
        outcome: Outcome::Rejected,
        content: None,
    }
}

fn session() -> Session {
    let command = |verb, code, said, replied: Option<i64>| CommandLog {
        verb,
        code,
        said: at(said, 0).ts,
        replied: replied.map(|millis| at(millis, 0).ts),
    };
    Session {
        outer: None,
        conn: connection(),
        smtp: SmtpFacts {
            greeting: Some(reply(220, None, "mx.example ESMTP")),
            greeted: Some(at(40, 4)),
            helo: Some("pc23".into()),
            esmtp: Some(true),
            auth: vec![AuthAttempt {
                at: at(300, 12),
                mechanism: "LOGIN".into(),
                user: Some("guest".into()),
                result: AuthResult::Failed,
                reply: Some(reply(535, Some((5, 7, 8)), "bad credentials")),
            }],
            transactions: smallvec![Arc::new(transaction())],
            transactions_total: 1,
            commands: vec![
                command("EHLO", Some(250), 100, Some(200)),
                command("AUTH", Some(535), 300, Some(400)),
                command("MAIL", Some(250), 500, Some(600)),
                command("RCPT", Some(550), 700, Some(900)),
                command("QUIT", Some(221), 1000, None),
            ],
            commands_total: 5,
            last_reply: Some(reply(221, None, "bye")),
            quit: true,
            heads: HeadLog { told: 3, before_helo: 1, ..HeadLog::default() },
            ..SmtpFacts::default()
        },
    }
}

fn attempt(ip: [u8; 4], to: u32, seconds: i64) -> Attempt {
    let ts = BEGIN + Span::secs(seconds);
    Attempt {
        id: ConnId { ts, orig: end(ip, 1024), resp: Endpoint { host: HostKey::v4(to.to_be_bytes()), port: 25 } },
        first: FrameNo(1),
        last: At { ts: ts + Span::secs(1), frame: FrameNo(2) },
        syns: 2,
        link: LinkFacts::default(),
        syn: syn(),
        cut_short: false,
    }
}

/// Lines of events that come at their own stamps.
fn lines(events: impl IntoIterator<Item = (Ts, SessionEventKind)>) -> Vec<String> {
    let mut writer = SessionWriter::new(Vec::new(), LineForm::Native);
    for (ts, kind) in events {
        writer.handle(&SessionEvent { at: At { ts, frame: FrameNo(99) }, kind }).unwrap();
    }
    let count = writer.lines();
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(lines.len() as u64 >= count && text.ends_with('\n') || text.is_empty());
    lines
}

fn line(session: Session) -> String {
    lines([(BEGIN, SessionEventKind::Closed(Arc::new(session)))]).remove(0)
}

fn value(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap()
}

/// Keys of the outermost object, in order.
fn keys(line: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut keys) = (0, false, Vec::new());
    let (mut start, mut chars) = (0, line.char_indices());
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' if in_text => drop(chars.next()),
            '"' if in_text => {
                in_text = false;
                if depth == 1 && line[i + 1..].starts_with(':') {
                    keys.push(line[start..i].to_owned());
                }
            }
            '"' => (in_text, start) = (true, i + 1),
            '{' | '[' if !in_text => depth += 1,
            '}' | ']' if !in_text => depth -= 1,
            _ => {}
        }
    }
    keys
}

#[test]
fn a_line_is_what_the_schema_says() {
    let id = id();
    let wanted = format!(
        concat!(
            r#"{{"ts":"2026-03-04T09:42:07.041431Z","uid":"{}","community_id":"{}","id.orig_h":"192.0.2.7","id.orig_p":49152,"#,
            r#""id.resp_h":"198.51.100.25","id.resp_p":25,"conn_state":"SF","history":"ShADadFf","duration":1.462,"#,
            r#""orig_bytes":120,"resp_bytes":200,"missed_bytes":0,"banner":"220 mx.example ESMTP","helo":"pc23","esmtp":true,"#,
            r#""tls":"none","auth":[{{"mechanism":"LOGIN","user":"guest","result":"failed","#,
            r#""reply":{{"code":535,"status":"5.7.8","text":"bad credentials"}},"ended":[0.3,12]}}],"#,
            r#""transactions":[{{"mailfrom":"a@b.example","null_sender":false,"#,
            r#""mail_reply":{{"code":250,"status":"2.1.0","text":"ok"}},"rcptto":[{{"to":"c@d.example","#,
            r#""reply":{{"code":550,"status":"5.1.1","text":"unknown"}}}}],"transfer":"DATA","data_reply":null,"size":0,"#,
            r#""outcome":"rejected","msg_id":null,"body_hash":null,"dsn":null,"began":[0.5,14],"ended":[0.9,20]}}],"#,
            r#""commands":["EHLO 250","AUTH 535","MAIL 250","RCPT 550","QUIT 221"],"last_reply":"221 bye","quit":true,"weird":[],"#,
            r#""vlan":[12],"mac":{{"orig":"00:16:3e:00:00:17","resp":"00:16:3e:00:00:01"}},"encap":["gre","erspan"],"#,
            r#""frames":{{"first":1,"last":33,"count":33}},"told":[0.0,99],"#,
            r#""syn":{{"p0f":"{}","tsval":77,"ip_id":5}},"greeted":[0.04,4],"#,
            r#""waits_us":[[100000,100000],[100000,100000],[100000,100000],[100000,200000],[100000,null]]}}"#
        ),
        id.uid(),
        id.community_id(),
        syn()
    );
    assert_eq!(line(session()), wanted);
}

#[test]
fn all_lines_have_the_same_keys_first() {
    // The test before this one says which; the 27th is the last that every line has.
    let whole = keys(&line(session()));
    assert_eq!(whole[26], "frames");
    let dropped = SessionEventKind::Unanswered(Box::new(attempt([10, 0, 0, 1], 7, 0)));
    let attempts = (0..150).map(|n| {
        let attempt = attempt([10, 0, 0, 9], n, 0);
        (attempt.last.ts, SessionEventKind::Unanswered(Box::new(attempt)))
    });
    let silent =
        SessionEventKind::Closed(Arc::new(Session { conn: connection(), smtp: SmtpFacts::default(), outer: None }));
    for line in lines([(BEGIN, dropped), (BEGIN, silent)].into_iter().chain(attempts)) {
        assert_eq!(keys(&line)[..27], whole[..27], "{line}");
    }
}

#[test]
fn nothing_that_a_detector_needs_is_missing() {
    let mut session = session();
    let conn = &mut session.conn;
    (conn.gaps, conn.missed_bytes, conn.one_sided, conn.cut_short) = (2, 9, true, true);
    conn.weird.insert(Weird::SynData);
    let smtp = &mut session.smtp;
    smtp.weird.insert(Weird::BareLf);
    smtp.more_helos = vec!["other".into()];
    smtp.helo_reply = Some(reply(250, None, "mx.example sees [203.0.113.5]"));
    smtp.ehlo_keywords = vec!["SIZE 1000".into()];
    smtp.tls = Tls {
        state: TlsState::Starttls,
        record_version: Some(0x0301),
        sni: Some("mx.example".into()),
        orig_app_bytes: 4000,
        resp_app_bytes: 200,
    };
    (smtp.transactions_total, smtp.commands_total, smtp.pipelined) = (1000, 5000, true);
    smtp.dialect = Dialect::default().with(Dialect::SIZE | Dialect::NO_BRACKETS);
    smtp.smuggling =
        Some(Box::new(SmugglingFacts { at: at(800, 18), around: "\n.\n".into(), crlf_lines: 4, lf_lines: 2 }));
    smtp.heads = HeadLog { told: 4, before_helo: 2, earlier: vec![(3, "first".into())], before_gap: Some(3), late: 2 };
    let gateway = Endpoint { host: HostKey::v4([203, 0, 113, 5]), port: 4711 };
    session.outer = Some(Outer { ends: Ends { orig: gateway, resp: id().resp }, proven: Some(at(20, 3)) });
    let smtp = &mut session.smtp;
    let mut tx = transaction();
    tx.declared_size = Some(10);
    tx.rcpt_total = 4;
    tx.data_cmd_reply = Some(reply(451, Some((4, 3, 0)), "later"));
    (tx.complete, tx.outcome) = (true, Outcome::Accepted);
    (tx.trans_depth, tx.ended) = (2, at(1462, 33));
    tx.content = Some(Box::new(MailFacts {
        msg_id: Some("1@pc23".into()),
        from_domain: Some("other.example".into()),
        to_domain: Some("another.example".into()),
        auto_submitted: Some("auto-replied".into()),
        body_hash: Some(0xff),
        dsn: Some(Dsn { status: Some("5.1.1".into()), recipients: 1, ..Dsn::default() }),
    }));
    smtp.transactions = smallvec![Arc::new(tx)];

    let line = value(&line(session));
    crate::output::testing::assert_documented(&line, &[]);
    for (path, wanted) in [
        ("/gaps", "2"),
        ("/one_sided", "true"),
        ("/cut_short", "true"),
        ("/weird", r#"["syn_data","bare_LF"]"#),
        ("/more_helos", r#"["other"]"#),
        ("/helo_reply", r#""250 mx.example sees [203.0.113.5]""#),
        ("/ehlo_keywords", r#"["SIZE 1000"]"#),
        ("/tls", r#""starttls""#),
        ("/tls_version", "769"),
        ("/sni", r#""mx.example""#),
        ("/tls_bytes", r#"{"orig":4000,"resp":200}"#),
        ("/transactions_total", "1000"),
        ("/commands_total", "5000"),
        ("/pipelined", "true"),
        ("/dialect", r#"["no_brackets","size"]"#),
        ("/smuggling/around", r#""\\x0a.\\x0a""#),
        ("/smuggling/at", "[0.8,18]"),
        ("/smuggling/lf_lines", "2"),
        ("/events", r#"{"before_gap":3,"before_helo":2,"helos":[{"helo":"first","until":3}],"late":2}"#),
        ("/translated/orig_h", r#""203.0.113.5""#),
        ("/translated/proven", "[0.02,3]"),
        ("/transactions/0/declared_size", "10"),
        ("/transactions/0/rcpt_totals", r#"{"accepted":0,"rejected":1,"total":4}"#),
        ("/transactions/0/trans_depth", "2"),
        ("/transactions/0/ended", "null"),
        ("/transactions/0/data_cmd_reply", r#""451 4.3.0 later""#),
        ("/transactions/0/complete", "true"),
        ("/transactions/0/msg_id", r#""1@pc23""#),
        ("/transactions/0/from_domain", r#""other.example""#),
        ("/transactions/0/to_domain", r#""another.example""#),
        ("/transactions/0/auto_submitted", r#""auto-replied""#),
        ("/transactions/0/body_hash", r#""000000000000000000000000000000ff""#),
        ("/transactions/0/dsn/status", r#""5.1.1""#),
    ] {
        let wanted: serde_json::Value = serde_json::from_str(wanted).unwrap();
        assert_eq!(line.pointer(path).unwrap_or(&serde_json::Value::Null), &wanted, "{path}");
    }
}

#[test]
fn what_follows_from_the_rest_is_left_out() {
    let mut session = session();
    let mut tx = transaction();
    (tx.complete, tx.data_reply, tx.outcome) = (true, Some(reply(250, None, "ok")), Outcome::Accepted);
    tx.content = Some(Box::new(MailFacts {
        from_domain: Some("B.example".into()),
        to_domain: Some("d.example".into()),
        ..MailFacts::default()
    }));
    let last = Transaction { trans_depth: 2, ended: at(1462, 33), ..tx.clone() };
    session.smtp.transactions = smallvec![Arc::new(tx), Arc::new(last)];
    session.smtp.heads.late = 1;
    let told = value(&line(session.clone()));
    for (no, missing) in [(0, &[][..]), (1, &["ended"][..])] {
        for key in [&["trans_depth", "complete", "from_domain", "to_domain"], missing].concat() {
            assert_eq!(told["transactions"][no].get(key), None, "{no} {key}");
        }
    }
    assert_eq!(told.get("events"), None);
    // It ended in the last frame, and not because that was the last.
    session.smtp.heads.late = 0;
    assert_eq!(value(&line(session))["events"], serde_json::json!({ "late": 0 }));
}

#[test]
fn a_question_has_a_line_by_the_names_of_zeek() {
    let query = DnsQuery {
        at: at(0, 7),
        client: end([192, 168, 0, 23], 5353),
        server: end([192, 168, 0, 1], 53),
        qname: "contoso.example".into(),
        qtype: 15,
    };
    let line = lines([(BEGIN, SessionEventKind::DnsQuery(Box::new(query)))]).remove(0);
    let question = value(&line);
    crate::output::testing::assert_documented(&question, &[]);
    assert_eq!(question["query"], "contoso.example");
    assert_eq!((&question["qtype"], &question["qtype_name"]), (&15.into(), &"MX".into()));
    assert_eq!((&question["id.orig_h"], &question["frames"]["first"]), (&"192.168.0.23".into(), &7.into()));
}

#[test]
fn hostile_bytes_are_text_in_a_line() {
    let mut session = session();
    let hostile = Wire::from(&b"a\x1b[2J\"\\\xff\n\0\x7f"[..]);
    session.smtp.helo = Some(hostile.clone());
    session.smtp.greeting = Some(Reply { code: None, status: None, text: hostile });
    let line = line(session);
    assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line}");
    assert_eq!(value(&line)["helo"], "a\\x1b[2J\"\\\\\\xff\\x0a\\x00\\x7f");
    assert_eq!(value(&line)["banner"], value(&line)["helo"]);
}

#[test]
fn a_flood_has_a_hundred_lines_and_a_sum_a_minute() {
    // 09:42:07: 53 seconds are left of the minute.
    let flood = (0..1000).map(|n| attempt([10, 0, 0, 9], n % 300, i64::from(n / 20)));
    let few = (0..100).map(|n| attempt([10, 0, 0, 8], n, 1));
    let events = flood.chain(few).map(|attempt| (BEGIN, SessionEventKind::Unanswered(Box::new(attempt))));
    let lines = lines(events);
    assert_eq!(lines.len(), 100 + 100 + 1);
    let sum = value(lines.last().unwrap());
    crate::output::testing::assert_documented(&sum, &[]);
    assert_eq!((&sum["id.orig_h"], &sum["id.orig_p"], &sum["id.resp_h"]), (&"10.0.0.9".into(), &().into(), &().into()));
    assert_eq!((&sum["id.resp_p"], &sum["conn_state"], &sum["community_id"]), (&25.into(), &"S0".into(), &().into()));
    assert_eq!((&sum["attempts"], &sum["frames"]["count"]), (&900.into(), &1800.into()));
    assert!(sum["servers"].as_u64().unwrap().abs_diff(300) <= 15, "{sum}");
    // The first that is summed is number 100, in second 5; the last SYN of the last one came in second 50.
    assert_eq!((&sum["ts"], &sum["duration"]), (&"2026-03-04T09:42:12.041431Z".into(), &45.0.into()));
}

#[test]
fn sums_come_when_their_minute_is_long_over_and_in_order() {
    let mut events = Vec::new();
    for host in [9, 3, 7] {
        events.extend((0..102).map(|n| attempt([10, 0, 0, host], n, 0)));
        events.extend((0..103).map(|n| attempt([10, 0, 0, host], n, 60)));
    }
    let mut events: Vec<_> = events.into_iter().map(|attempt| (BEGIN, attempt)).collect();
    events.push((BEGIN + Span::mins(4), attempt([10, 0, 0, 1], 1, 240)));
    let lines = lines(events.into_iter().map(|(ts, attempt)| (ts, SessionEventKind::Unanswered(Box::new(attempt)))));
    let sums: Vec<(usize, String, u64)> = lines
        .iter()
        .enumerate()
        .map(|(place, line)| (place, value(line)))
        .filter_map(|(place, line)| Some((place, line["id.orig_h"].to_string(), line["attempts"].as_u64()?)))
        .collect();
    // At 09:46:07 the minute of 09:42 is closed, and the one of 09:43 not yet.
    let wanted = [(600, 3, 2), (601, 7, 2), (602, 9, 2), (604, 3, 3), (605, 7, 3), (606, 9, 3)];
    assert_eq!(sums, wanted.map(|(place, host, attempts)| (place, format!("\"10.0.0.{host}\""), attempts)));
}

#[test]
fn a_flood_of_made_up_hosts_stays_within_bounds_and_loses_nothing() {
    let hosts = 40_000_u32;
    let mut told = 0;
    let many = (0..120).map(|n| attempt([192, 168, 0, 1], n, 0));
    let spoofed = (0..hosts).map(|n| attempt((0x0a00_0000 + n).to_be_bytes(), 1, 0));
    let events = many.chain(spoofed).map(|attempt| (BEGIN, SessionEventKind::Unanswered(Box::new(attempt))));
    for line in lines(events) {
        told += value(&line)["attempts"].as_u64().unwrap_or(1);
    }
    assert_eq!(told, u64::from(hosts) + 120);
}
