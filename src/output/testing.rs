//! A small judgement made by hand, for the tests of all outputs.

use std::net::IpAddr;
use std::sync::Arc;

use super::{FrameCounts, InputFacts, Results, RunFacts};
use crate::detect::replies::ReplyRules;
use crate::detect::{
    Class, Confidence, DetectSettings, Family, Judge, Numbers, PRIOR_DB, Peer, RelayOutcome, RelayVerdict, Severity,
    Tier,
};
use crate::frame::{At, FrameNo};
use crate::identity::{Identity, NameSource, System};
use crate::incident::{EvidenceLine, Incident, IncidentId, Judgement, RankedHost};
use crate::ledger::{HostRow, Role, Used};
use crate::limits::DetectLimits;
use crate::net::{Endpoint, HostKey, Mac};
use crate::site::Site;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};

/// 2026-03-04T09:42:07.041431Z
pub(super) const BEGIN: Ts = Ts::from_parts(1_772_617_327, 41_431_000);
const END: Ts = Ts::from_parts(1_772_618_531, 500_000_000);

/// All that an output takes.
pub(super) struct Case {
    pub(super) facts: RunFacts,
    pub(super) judge: Judge,
    pub(super) judgement: Judgement,
    pub(super) candidates: Vec<(HostKey, f64)>,
}

impl Case {
    pub(super) fn results(&self) -> Results<'_> {
        Results { facts: &self.facts, judge: &self.judge, judgement: &self.judgement, candidates: &self.candidates }
    }

    /// Nothing was read, and nobody judged.
    pub(super) fn nothing() -> Self {
        Self {
            facts: RunFacts::default(),
            judge: judge(Site::default()),
            judgement: Judgement::default(),
            candidates: Vec::new(),
        }
    }

    /// A worm on a PC, seven relay tests at the mail server, and two hosts that did nothing.
    pub(super) fn infected() -> Self {
        let server = IpAddr::from([192, 168, 0, 2]);
        let site = Site {
            home_nets: vec!["192.168.0.0/24".parse().unwrap()],
            home_nets_given: true,
            mail_servers: vec![server],
            local_domains: vec!["adatum.example".to_owned()],
            ..Site::default()
        };
        let facts = RunFacts {
            inputs: vec![InputFacts {
                file: "infected-pc.pcap".to_owned(),
                frames: 12_345,
                bytes: 9_876_543,
                first_ts: Some(BEGIN),
                last_ts: Some(END),
                truncated: true,
                error: None,
                lines: None,
            }],
            frames: FrameCounts {
                total: 12_345,
                smtp: 10_960,
                dns: 40,
                names: 7,
                ignored: [("not_tcp", 1_330)].into_iter().collect(),
                undecoded: [("truncated_ip", 8), ("bad_tcp_header", 0)].into_iter().collect(),
            },
            gaps: 3,
            missed_bytes: 12_000,
            duplicates: 40,
            ..RunFacts::default()
        };
        let judgement = Judgement { hosts: hosts(), incidents: vec![worm(), relay_tests()] };
        Self { facts, judge: judge(site), judgement, candidates: Vec::new() }
    }
}

fn judge(site: Site) -> Judge {
    Judge::new(site, Arc::new(ReplyRules::builtin()), &DetectSettings::default(), &DetectLimits::default())
}

fn host(last: u8) -> HostKey {
    HostKey::v4([192, 168, 0, last])
}

fn row(last: u8) -> HostRow {
    let mut row = HostRow::new(host(last), At { ts: BEGIN, frame: FrameNo(1) });
    row.last = END;
    row.cards.push(Used::new(Mac([0, 0x16, 0x3e, 0, 0, last]), (BEGIN, END)));
    row
}

fn ranked(rank: usize, row: HostRow) -> RankedHost {
    RankedHost { rank, row, tier: None, severity: None, score_db: PRIOR_DB, classes: Vec::new(), behind_router: 0 }
}

/// A host's own words by every way, in a Windows network, and one that is not ASCII.
pub(super) fn told() -> Arc<Identity> {
    let mut told = Identity::of_client(Some("MSFT 5.0"), Some(System::Windows));
    let names = ["PC-ACCOUNTS", "PC-ACCOUNTS", "pc-accounts", "\u{1b}[2Jb\u{fc}ro"];
    for (source, name) in NameSource::ALL.into_iter().zip(names) {
        told.learn(source, &name.into(), true);
    }
    Arc::new(told)
}

/// A host that did nothing.
pub(super) fn quiet_host(n: u32) -> RankedHost {
    ranked(n as usize + 1, HostRow::new(HostKey::v4((0x0a00_0000 + n).to_be_bytes()), At::default()))
}

fn hosts() -> Vec<RankedHost> {
    let mut pc = row(23);
    pc.helos.push(Used::new("pc23".into(), (BEGIN, END)));
    pc.vlans.push(12);
    (pc.counts.connections, pc.counts.failed, pc.counts.sessions) = (90, 12, 78);
    (pc.counts.transactions, pc.counts.rcpt_accepted, pc.counts.rcpt_rejected, pc.counts.hidden) = (412, 60, 352, 2);
    (0..63).for_each(|n| pc.servers.outside[0].servers.insert(HostKey::v4([198, 51, 100, n])));
    let mut server = row(2);
    (server.role, server.role_given, server.served) = (Role::Server, true, 7);
    server.banner = Some("mx.adatum.example ESMTP".into());
    let mut printer = row(40);
    printer.counts.transactions = 1;
    vec![
        RankedHost {
            tier: Some(Tier::Confirmed),
            severity: Some(Severity::Critical),
            score_db: 39.0,
            classes: vec![Class::MassMailer],
            behind_router: 4,
            ..ranked(1, pc)
        },
        RankedHost {
            tier: Some(Tier::Suspect),
            severity: Some(Severity::Low),
            classes: vec![Class::Relay],
            ..ranked(2, server)
        },
        ranked(3, printer),
        ranked(4, row(41)),
    ]
}

fn line(family: Family, detector: Option<&'static str>, db: f64, says: &str) -> EvidenceLine {
    EvidenceLine {
        family,
        detector,
        db,
        says: says.to_owned(),
        numbers: Numbers::new(),
        frames: Vec::new(),
        sessions: Vec::new(),
    }
}

fn incident(class: Class, last: u8) -> Incident {
    Incident {
        id: IncidentId::new(class, host(last), BEGIN),
        class,
        kind: None,
        tier: Tier::Suspect,
        severity: Severity::Low,
        confidence: Confidence::High,
        host: host(last),
        score_db: None,
        accounts: Vec::new(),
        first: BEGIN,
        last: END,
        summary: String::new(),
        evidence: Vec::new(),
        verdicts: Vec::new(),
        peers: Vec::new(),
        remediation: Vec::new(),
        attack: Vec::new(),
    }
}

fn worm() -> Incident {
    let end = |ip, port| Endpoint { host: HostKey::v4(ip), port };
    let id = ConnId { ts: BEGIN, orig: end([192, 168, 0, 23], 1042), resp: end([198, 51, 100, 7], 25) };
    let refused = line(
        Family::Outcome,
        Some("outcome_burst"),
        36.0,
        "352 of 412 mails were refused, most because the recipient does not exist (\"550 5.1.1 User unknown\")",
    );
    let refused = EvidenceLine {
        numbers: Numbers::new().count("novel", 412).with("refused_share", 352.0 / 412.0),
        frames: vec![FrameNo(17), FrameNo(31)],
        sessions: vec![id],
        ..refused
    };
    let peer = |last, count, says: &str| Peer {
        ip: HostKey::v4([198, 51, 100, last]),
        role: "refuses",
        count,
        says: Some(says.into()),
        first_ts: BEGIN,
        last_ts: BEGIN + Span::secs(60),
    };
    Incident {
        tier: Tier::Confirmed,
        severity: Severity::Critical,
        score_db: Some(39.0),
        summary: "192.168.0.23 (calls itself \"pc23\", MAC 00:16:3e:00:00:17) has a mass-mailing worm or bot: since \
                  2026-03-04T09:42:07.041431Z it has been mailing the world by itself, past your mail server."
            .to_owned(),
        evidence: vec![
            line(Family::Prior, None, PRIOR_DB, "before any evidence: about one host in a hundred"),
            refused,
            line(Family::Outcome, Some("fresh_recipients"), 0.0, "98 % of its recipients were never mailed before"),
            line(
                Family::Direct,
                Some("direct_to_mx"),
                15.0,
                "mailed 63 foreign networks in an hour and is no mail server",
            ),
            line(Family::Helo, Some("helo"), 8.0, "introduces itself with a bare name"),
        ],
        peers: vec![peer(7, 2, "550 5.1.1 User unknown"), peer(9, 12, "554 5.7.1 go \x1b[2J away")],
        remediation: vec![
            "Find the switch port of MAC 00:16:3e:00:00:17 (Cisco: show mac address-table address 0016.3e00.0017)."
                .to_owned(),
            "Take 192.168.0.23 off the network.".to_owned(),
        ],
        attack: vec!["T1071.003"],
        ..incident(Class::MassMailer, 23)
    }
}

fn relay_tests() -> Incident {
    let verdict = |technique: &[&'static str], recipient: &str, verdict, reply: &str, frame| RelayVerdict {
        server: host(2),
        client: HostKey::v4([203, 0, 113, 77]),
        technique: technique.to_vec(),
        sender: "spam@probe.example".into(),
        recipient: recipient.into(),
        effective: "victim@contoso.example".into(),
        verdict,
        reply: Some(reply.into()),
        frame: FrameNo(frame),
    };
    Incident {
        summary: "Strangers tried 2 times to relay mail through 192.168.0.2: 1 was refused, 1 accepted, none was seen \
                  to be relayed."
            .to_owned(),
        evidence: vec![line(Family::Relay, Some("relay"), 0.0, "two of the seven tests of KB 304897 were made")],
        verdicts: vec![
            verdict(
                &["T1", "S2", "F1"],
                "victim@contoso.example",
                RelayOutcome::Rejected,
                "550 5.7.1 Unable to relay",
                900,
            ),
            verdict(
                &["T6", "F3", "S6"],
                "victim%contoso.example@[192.168.0.2]",
                RelayOutcome::AcceptedThenNdr,
                "250 2.1.5 ok",
                950,
            ),
        ],
        ..incident(Class::Relay, 2)
    }
}

/// Asserts that `docs/report-schema.md` knows every key of a value. `names` are objects whose keys are data.
pub(super) fn assert_documented(value: &serde_json::Value, names: &[&str]) {
    const DOCS: &str = include_str!("../../docs/report-schema.md");
    match value {
        serde_json::Value::Object(keys) => {
            for (key, value) in keys {
                let forms = [
                    format!("`{key}`"),
                    format!(".{key}`"),
                    format!("`{key}[]`"),
                    format!("`{key}."),
                    format!(".{key}[]`"),
                    format!("`{key}[]"),
                ];
                assert!(forms.iter().any(|form| DOCS.contains(form)), "{key} is not documented");
                if !names.contains(&key.as_str()) {
                    assert_documented(value, names);
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| assert_documented(value, names)),
        _ => {}
    }
}
