//! Incidents: one host, one behaviour, one story. Findings of all detectors are put together here, and hosts ranked.
//!
//! A score is the sum of its lines: the prior, and for each family the strongest finding, cut at the family's cap.
//! Nothing is hidden in it: every line says what it adds, and what the score would be without it.

mod advice;
mod cause;
mod past;
mod ranking;
mod summary;
mod words;

pub use past::Past;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use self::ranking::rank;
use crate::detect::{
    Class, Confidence, Family, Finding, Judge, Numbers, PRIOR_DB, Peer, RelayOutcome, RelayVerdict, Severity, Tier,
    Voice,
};
use crate::frame::FrameNo;
use crate::ledger::{HostRow, Mailed, carried};
use crate::net::HostKey;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// A mere suspicion is told once it has lasted so long: mail servers are known as such within their first mails, and
/// before that look a little like what they are not. What is likely is told at once.
pub const DOUBT: Span = Span::secs(30);

/// The name of an incident: the same for the same traffic, live or replayed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(u64);

impl IncidentId {
    /// From what makes an incident itself: its class, its host, and since when the host is known. When the incident began
    /// is no part of it: more evidence may reach further back, and its name stands in lines that were written before.
    pub fn new(class: Class, host: HostKey, known: Ts) -> Self {
        let mut bytes = class.name().as_bytes().to_vec();
        bytes.push(0);
        bytes.extend_from_slice(&host.octets());
        bytes.extend_from_slice(&known.as_nanos().to_be_bytes());
        Self(xxh3_64(&bytes))
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{:016x}", self.0)
    }
}

impl fmt::Debug for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One host and one behaviour.
#[derive(Clone, PartialEq, Debug)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// What it is.
    pub class: Class,
    /// A kind within the class.
    pub kind: Option<&'static str>,
    /// How sure.
    pub tier: Tier,
    /// How bad, if it is so.
    pub severity: Severity,
    /// How much could be seen.
    pub confidence: Confidence,
    /// The host.
    pub host: HostKey,
    /// The sum of the lines; `None` where the class is logic, not a sum.
    pub score_db: Option<f64>,
    /// Accounts that it is about, by the names used to log in, the worst first.
    pub accounts: Vec<Wire>,
    /// Since when.
    pub first: Ts,
    /// Until when.
    pub last: Ts,
    /// One plain sentence.
    pub summary: String,
    /// The lines.
    pub evidence: Vec<EvidenceLine>,
    /// Relay attempts and what came of them.
    pub verdicts: Vec<RelayVerdict>,
    /// Others who take part.
    pub peers: Vec<Peer>,
    /// What to do, in order.
    pub remediation: Vec<String>,
    /// MITRE ATT&CK techniques, where one is right.
    pub attack: Vec<&'static str>,
}

impl Incident {
    /// When sessions were that speak loudest for it, or else when it began and ended: whoever had the address then did it
    /// ([`HostRow::at`]).
    pub fn moments(&self) -> Vec<Ts> {
        let lines = self.evidence.iter().filter(|line| !line.sessions.is_empty());
        // The first of equals: verdicts weigh nothing.
        let loudest = lines.reduce(|loudest, line| if line.db > loudest.db { line } else { loudest });
        loudest.map_or_else(|| vec![self.first, self.last], |line| line.sessions.iter().map(|id| id.ts).collect())
    }

    /// Hosts of ours that are accused with it, beside its own host; the busiest first.
    pub fn insiders(&self) -> Vec<&Peer> {
        let mut insiders: Vec<&Peer> = self.peers.iter().filter(|peer| peer.role == Peer::INSIDE).collect();
        insiders.sort_by(|a, b| (b.count, a.ip).cmp(&(a.count, b.ip)));
        insiders
    }

    /// Whether it is told against this host.
    pub fn accuses(&self, host: HostKey) -> bool {
        self.host == host || self.peers.iter().any(|peer| (peer.ip, peer.role) == (host, Peer::INSIDE))
    }

    /// A number that a line rests on; of the first line that has it.
    fn number(&self, name: &str) -> Option<f64> {
        self.evidence.iter().find_map(|line| line.numbers.get(name))
    }

    /// How many senders share the address, at least.
    fn senders(&self) -> f64 {
        self.number("senders_at_least").unwrap_or(1.0)
    }

    /// Whether a family adds to the score.
    fn weighs(&self, family: Family) -> bool {
        self.evidence.iter().any(|line| line.family == family && line.db > 0.0)
    }

    /// Whether nothing but calls that came to nothing tells against the host.
    fn rests_on_calls(&self) -> bool {
        let mut lines = self.evidence.iter().filter(|line| line.db > 0.0).peekable();
        lines.peek().is_some() && lines.all(|line| line.family == Family::Connect)
    }
}

/// One line of a score.
#[derive(Clone, PartialEq, Debug)]
pub struct EvidenceLine {
    /// Its family.
    pub family: Family,
    /// The detector; `None` for the prior.
    pub detector: Option<&'static str>,
    /// What it adds after the cap, in dB.
    pub db: f64,
    /// A plain sentence.
    pub says: String,
    /// The numbers.
    pub numbers: Numbers,
    /// Frames to look at.
    pub frames: Vec<FrameNo>,
    /// Sessions to look at.
    pub sessions: Vec<ConnId>,
}

/// A host of ours in the order of what it did.
#[derive(Clone, Debug)]
pub struct RankedHost {
    /// From 1.
    pub rank: usize,
    /// The ledger's row.
    pub row: HostRow,
    /// The best-founded accusation; `None` for a host that is only a victim, or nothing at all.
    pub tier: Option<Tier>,
    /// Its worst severity among accusations.
    pub severity: Option<Severity>,
    /// The highest score of its accusations, or the prior.
    pub score_db: f64,
    /// Classes of the incidents that it is accused by or the victim of, accusations first.
    pub classes: Vec<Class>,
    /// Other addresses of ours whose frames come from the same Ethernet address, if it is a router's.
    pub behind_router: u32,
}

/// What the judge's findings come to.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// All hosts of ours, the worst first.
    pub hosts: Vec<RankedHost>,
    /// All incidents, the worst first.
    pub incidents: Vec<Incident>,
}

impl Judgement {
    /// Puts the judge's findings together, as of now.
    pub fn of(judge: &Judge) -> Self {
        let mut stories = Stories::new();
        judge.findings().into_iter().for_each(|finding| add(&mut stories, finding));
        Self::over(stories, judge, Past::default())
    }

    /// The same at the end of a run, with what is remembered of its earlier days, in less memory: see
    /// [`Judge::last_findings`].
    pub fn last(judge: &mut Judge, past: Past) -> Self {
        let mut stories = Stories::new();
        judge.last_findings(&mut |finding| add(&mut stories, finding));
        Self::over(stories, judge, past)
    }

    fn over(mut stories: Stories, judge: &Judge, mut past: Past) -> Self {
        let rows: BTreeMap<HostKey, HostRow> = judge.hosts().into_iter().map(|row| (row.host, row)).collect();
        scanners_are_not_worms(&mut stories);
        adopt(&mut stories);
        let routers = carried(rows.values());
        // Nearly every story comes to an incident, and room that doubled would be the most that a judgement takes.
        let mut incidents = Vec::with_capacity(stories.len());
        incidents.extend(
            stories.into_iter().filter_map(|((host, class), findings)| assemble(class, rows.get(&host)?, findings)),
        );
        words::put_into(&mut incidents, &rows, &routers);
        past.add_to(&mut incidents, |host| rows.get(&host).map(|row| row.role));
        incidents.sort_unstable_by(|a: &Incident, b: &Incident| {
            (a.class.is_victim(), b.tier, b.severity)
                .cmp(&(b.class.is_victim(), a.tier, a.severity))
                .then(b.score_db.unwrap_or(0.0).total_cmp(&a.score_db.unwrap_or(0.0)))
                .then((b.last, a.host, a.class).cmp(&(a.last, b.host, b.class)))
        });
        Self { hosts: rank(rows, &routers, &incidents), incidents }
    }
}

/// What was found of each host, by what it speaks for.
type Stories = BTreeMap<(HostKey, Class), Vec<Finding>>;

fn add(stories: &mut Stories, finding: Finding) {
    let story = stories.entry((finding.host, finding.class)).or_default();
    if story.len() == story.capacity() {
        // Findings are large and stories short: doubling would take half as much again in all.
        story.reserve_exact(1 + story.len() / 2);
    }
    story.push(finding);
}

/// Who calls servers and has nothing to say to them scans: what speaks for a worm there (many servers, most of them
/// silent) belongs to the scan's story, and is shown in it without weight.
fn scanners_are_not_worms(stories: &mut Stories) {
    let scanners: Vec<HostKey> =
        stories.keys().filter(|(_, class)| *class == Class::PortScan).map(|(host, _)| *host).collect();
    for host in scanners {
        let lines = stories.remove(&(host, Class::MassMailer)).unwrap_or_default();
        stories.entry((host, Class::PortScan)).or_default().extend(lines);
    }
}

/// A server that relays has a cause. Where the cause is seen, an abused account or a proven relay, that the server's own
/// mail is refused is evidence of that incident and no second one; and so are its reports to senders whom the same
/// clients forged.
fn adopt(stories: &mut Stories) {
    let causes: Vec<(HostKey, Class)> = stories
        .iter()
        .filter(|((_, class), findings)| match class {
            Class::AccountAbuse => {
                findings.iter().filter_map(|finding| finding.verdict).any(|ruling| ruling.tier >= Tier::Likely)
            }
            Class::Relay => {
                findings.iter().flat_map(|finding| &finding.relays).any(|relay| relay.verdict == RelayOutcome::Proven)
            }
            _ => false,
        })
        .map(|(key, _)| *key)
        .collect();
    for key in causes {
        let own = (key.0, Class::MassMailer);
        let reports = (key.0, Class::NdrFlood);
        let clients: Vec<HostKey> = stories.get(&key).into_iter().flatten().flat_map(clients).collect();
        let same_clients = |findings: &Vec<Finding>| {
            let mut triggers = findings.iter().flat_map(triggers).peekable();
            triggers.peek().is_some() && triggers.all(|client| clients.contains(&client))
        };
        let mut adopted = Vec::new();
        if let Some(mailer) = stories.remove(&own) {
            // Several senders behind the address: the masses may come from another of them than from the server.
            let shared = mailer.iter().any(|f| f.numbers.get("senders_at_least").is_some());
            let is_servers = |finding: &Finding| !shared || finding.voice == Some(Voice::Own);
            let (servers, others): (Vec<Finding>, Vec<Finding>) = mailer.into_iter().partition(is_servers);
            adopted.push(servers);
            if !others.is_empty() {
                stories.insert(own, others);
            }
        }
        if stories.get(&reports).is_some_and(same_clients) {
            adopted.extend(stories.remove(&reports));
        }
        let Some(cause) = stories.get_mut(&key) else { continue };
        for mut findings in adopted {
            // What the server sent before is not part of it.
            let since = cause.iter().map(|finding| finding.first).min();
            for finding in &mut findings {
                finding.first = since.map_or(finding.first, |since| finding.first.max(since));
                finding.last = finding.last.max(finding.first);
                finding.kind = None;
            }
            cause.append(&mut findings);
        }
    }
}

/// The clients that a finding names.
fn clients(finding: &Finding) -> impl Iterator<Item = HostKey> + '_ {
    finding.peers.iter().filter(|peer| peer.role == "client").map(|peer| peer.ip)
}

/// The clients whose mail was answered with reports.
fn triggers(finding: &Finding) -> impl Iterator<Item = HostKey> + '_ {
    finding.peers.iter().filter(|peer| peer.role == "triggers").map(|peer| peer.ip)
}

/// An incident without its words.
fn assemble(class: Class, row: &HostRow, mut findings: Vec<Finding>) -> Option<Incident> {
    findings.sort_by(|a, b| (a.family, b.db).partial_cmp(&(b.family, a.db)).unwrap_or(std::cmp::Ordering::Equal));
    let ruling =
        findings.iter().filter_map(|finding| finding.verdict).max_by_key(|ruling| (ruling.tier, ruling.severity));
    let mut evidence = Vec::with_capacity(findings.len() + 1);
    let mut families = Vec::new();
    if ruling.is_none() {
        evidence.push(EvidenceLine {
            family: Family::Prior,
            detector: None,
            db: PRIOR_DB,
            says: "before any evidence: about one host in a hundred".to_owned(),
            numbers: Numbers::new(),
            frames: Vec::new(),
            sessions: Vec::new(),
        });
    }
    for finding in &findings {
        // Within a family the strongest counts; the others are shown for what they say.
        let counts = ruling.is_none() && finding.db > 0.0 && !families.contains(&finding.family);
        if counts {
            families.push(finding.family);
        }
        evidence.push(EvidenceLine {
            family: finding.family,
            detector: Some(finding.detector),
            db: if counts { round(finding.db.min(finding.family.cap())) } else { 0.0 },
            says: finding.says.clone(),
            numbers: finding.numbers.clone(),
            frames: finding.frames.clone(),
            sessions: finding.sessions.clone(),
        });
    }
    let score = round(evidence.iter().map(|line| line.db).sum());
    let (tier, severity, confidence_max) = if let Some(ruling) = ruling {
        (ruling.tier, ruling.severity, ruling.confidence)
    } else {
        let severity_min = findings.iter().filter_map(|finding| finding.severity_min).max();
        let severity = severity_of(class, score, &families, row.mailed).max(severity_min.unwrap_or(Severity::Info));
        (Tier::of_score(score, families.len())?, severity, Confidence::High)
    };
    if ruling.is_none() {
        for line in &mut evidence {
            line.numbers = std::mem::take(&mut line.numbers).with("score_without_db", round(score - line.db));
        }
    }
    let (first, last) = span(&findings)?;
    let mut peers: Vec<Peer> = findings.iter().flat_map(|finding| finding.peers.iter().cloned()).collect();
    peers.sort_by(|a, b| (a.role, a.ip).cmp(&(b.role, b.ip)));
    peers.dedup_by_key(|peer| (peer.role, peer.ip));
    // In the order of the findings: a detector names the worst first.
    let mut accounts: Vec<Wire> = Vec::new();
    for account in findings.iter().filter_map(|finding| finding.account.as_ref()) {
        if !accounts.contains(account) {
            accounts.push(account.clone());
        }
    }
    let mut incident = Incident {
        id: IncidentId::new(class, row.host, row.known),
        class,
        kind: findings.iter().find_map(|finding| finding.kind),
        tier,
        severity,
        confidence: confidence_max,
        host: row.host,
        score_db: ruling.is_none().then_some(score),
        accounts,
        first,
        last,
        summary: String::new(),
        evidence,
        verdicts: findings.iter().flat_map(|finding| finding.relays.iter().cloned()).collect(),
        peers,
        remediation: Vec::new(),
        attack: attack(class),
    };
    incident.confidence = confidence(row, incident.senders()).min(confidence_max);
    Some(incident)
}

/// What a line weighs at least to say when an incident began, in dB: half of the prior. How a host calls itself and how its
/// program talks is told of all its mail, of that before the worm too, and weighs less.
const DATES_DB: f64 = PRIOR_DB / -2.0;

/// From when to when it went on: by what speaks for it, the weighty lines first. What is told beside it, without weight, may
/// reach back to the host's first mail.
fn span(findings: &[Finding]) -> Option<(Ts, Ts)> {
    let over = |at_least: f64| {
        let speaks = findings.iter().filter(|finding| finding.verdict.is_some() || finding.db >= at_least);
        speaks.map(|finding| (finding.first, finding.last)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    };
    [DATES_DB, f64::MIN_POSITIVE, f64::MIN].into_iter().find_map(over)
}

/// A hundredth of a decibel is more than any of these numbers is worth; sums of rounded lines are exact in print.
fn round(db: f64) -> f64 {
    (db * 100.0).round() / 100.0
}

/// Calls that nobody answers are `medium` by themselves, and without a mail nothing is more than `high`: what is
/// critical is spam that goes out.
fn severity_of(class: Class, score: f64, families: &[Family], mailed: Mailed) -> Severity {
    match class {
        Class::MassMailer if families == [Family::Connect] => Severity::Medium,
        Class::MassMailer if score >= 0.0 && mailed != Mailed::Nothing => Severity::Critical,
        Class::MassMailer | Class::NdrFlood | Class::AuthGuessing | Class::AccountAbuse => Severity::High,
        Class::PortScan => Severity::Info,
        _ => Severity::Medium,
    }
}

/// How much could be seen of what the judgement rests on (`detectors.md` section 6; a role that is unknown in the first
/// hour holds it at medium, as section 3 says).
fn confidence(row: &HostRow, senders: f64) -> Confidence {
    let counts = &row.counts;
    let hidden_share = counts.hidden_share();
    let gapped_share = counts.gapped as f64 / counts.connections.max(1) as f64;
    if hidden_share > 0.5 || senders > 1.0 {
        Confidence::Low
    } else if row.role_given && hidden_share <= 0.2 && gapped_share < 0.01 {
        Confidence::High
    } else {
        Confidence::Medium
    }
}

/// ATT&CK techniques, only where one says what was seen.
fn attack(class: Class) -> Vec<&'static str> {
    match class {
        Class::MassMailer => vec!["T1071.003"],
        Class::AuthGuessing => vec!["T1110"],
        Class::AccountAbuse => vec!["T1078"],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Ruling;
    use crate::frame::At;

    pub(super) fn row() -> HostRow {
        HostRow::new(HostKey::v4([192, 168, 0, 23]), At::default())
    }

    /// An incident of a host about which nothing else is known.
    pub(super) fn assembled(row: &HostRow, findings: Vec<Finding>) -> Option<Incident> {
        assemble(Class::MassMailer, row, findings)
    }

    pub(super) fn line(family: Family, db: f64) -> Finding {
        Finding::summed("a_detector", row().host, Class::MassMailer, family, db, Ts::EPOCH, Ts::EPOCH)
    }

    /// Under STARTTLS a session has a greeting too, and under TLS from the first byte it has none: each is one session.
    #[test]
    fn confidence_is_by_the_share_of_sessions_that_tls_hid() {
        for (sessions, hidden, readable, expected) in [
            (150, 150, 0, Confidence::Low),
            (100, 51, 49, Confidence::Low),
            (100, 50, 50, Confidence::Medium),
            (60, 15, 45, Confidence::Medium),
            (60, 12, 48, Confidence::High),
            (80, 20, 80, Confidence::High),
            (0, 0, 0, Confidence::High),
        ] {
            let mut row = row();
            row.role_given = true;
            (row.counts.sessions, row.counts.hidden, row.counts.readable) = (sessions, hidden, readable);
            assert_eq!(confidence(&row, 1.0), expected, "{hidden} of {}", hidden + readable);
        }
    }

    #[test]
    fn a_score_is_the_sum_of_its_lines() {
        let findings = vec![
            line(Family::Outcome, 36.0),
            line(Family::Direct, 15.0),
            line(Family::Helo, 3.0),
            line(Family::Context, 5.0),
        ];
        let incident = assembled(&row(), findings).unwrap();
        assert_eq!((incident.score_db, incident.tier), (Some(39.0), Tier::Confirmed));
        let sum: f64 = incident.evidence.iter().map(|line| line.db).sum();
        assert!((sum - 39.0).abs() < 1e-9);
        assert_eq!(incident.evidence[0].family, Family::Prior);
    }

    #[test]
    fn a_family_counts_once_and_up_to_its_cap() {
        let findings = vec![line(Family::Outcome, 90.0), line(Family::Outcome, 30.0)];
        let incident = assembled(&row(), findings).unwrap();
        assert_eq!((incident.score_db, incident.tier), (Some(20.0), Tier::Likely));
    }

    /// An account is abused at a server that shares its address with `senders`.
    fn abused(senders: Option<u64>) -> BTreeMap<(HostKey, Class), Vec<Finding>> {
        let host = row().host;
        let ruling = Ruling { tier: Tier::Likely, severity: Severity::High, confidence: Confidence::High };
        let abuse = Finding { class: Class::AccountAbuse, verdict: Some(ruling), ..line(Family::Auth, 0.0) };
        let mailer = |voice, family| Finding { voice, ..line(family, 30.0) };
        let mut lines = vec![
            mailer(Some(Voice::Own), Family::Outcome),
            mailer(Some(Voice::Other), Family::Outcome),
            mailer(None, Family::Helo),
        ];
        if let Some(senders) = senders {
            let numbers = Numbers::new().count("senders_at_least", senders);
            lines.push(Finding { numbers, ..line(Family::Context, 0.0) });
        }
        [((host, Class::AccountAbuse), vec![abuse]), ((host, Class::MassMailer), lines)].into()
    }

    #[test]
    fn a_servers_own_mail_is_evidence_of_its_abuse_and_that_of_others_is_not() {
        for (senders, adopted, left) in [(None, 3, 0), (Some(2), 1, 3)] {
            let mut stories = abused(senders);
            adopt(&mut stories);
            let count = |class| stories.get(&(row().host, class)).map_or(0, Vec::len);
            assert_eq!((count(Class::AccountAbuse) - 1, count(Class::MassMailer)), (adopted, left), "{senders:?}");
        }
    }

    #[test]
    fn an_incident_lasts_as_long_as_what_speaks_for_it() {
        let at = |secs| Ts::from_parts(secs, 0);
        let burst = Finding { first: at(500), last: at(600), ..line(Family::Outcome, 36.0) };
        let queue = Finding { first: at(10), last: at(900), ..line(Family::Context, 0.0) };
        assert_eq!(span(&[burst.clone(), queue.clone()]), Some((at(500), at(600))));
        let name = Finding { first: at(400), last: at(450), ..line(Family::Helo, 8.0) };
        assert_eq!(span(&[burst, name.clone()]), Some((at(500), at(600))), "a name is no begin");
        let context = Finding { first: at(300), last: at(350), ..line(Family::Context, 5.0) };
        assert_eq!(span(&[queue.clone(), name, context]), Some((at(300), at(450))));
        assert_eq!(span(&[queue]), Some((at(10), at(900))), "there is nothing else");
        assert_eq!(span(&[]), None);
    }

    #[test]
    fn weak_evidence_is_no_incident() {
        assert_eq!(assembled(&row(), vec![line(Family::Helo, 8.0)]), None);
    }
}
