//! One scenario through the whole program, from bytes to incidents, and what came of it beside what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use smtphound::capture::{Captured, FrameSource};
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{Class, DetectSettings, Family, Judge, Tier};
use smtphound::engine::Engine;
use smtphound::incident::Judgement;
use smtphound::limits::Limits;
use smtphound::net::HostKey;
use smtphound::session::{SessionEvent, SessionEventKind};
use smtphound::time::Ts;

use crate::baseline::Baselines;
use crate::scenario::Scenario;
use crate::world::{Expected, Label, Vary, World};

/// Polls while nothing is found: each of the first ones, then one in so many.
const POLLS_EACH: usize = 150;
const POLLS_THEN: usize = 10;
/// The sum at which D1's delay is measured, in dB.
const DELAY_DB: f64 = 30.0;

/// What does not change between runs.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) settings: DetectSettings,
    pub(crate) limits: Limits,
    pub(crate) rules: Arc<ReplyRules>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { settings: DetectSettings::default(), limits: Limits::default(), rules: Arc::new(ReplyRules::builtin()) }
    }
}

/// When something was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Delay {
    /// Novel mails of the host (for what is done to a server: mails and logins at it) since the first bad event.
    pub(crate) mails: usize,
    pub(crate) secs: f64,
}

/// What became of a label.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) what: &'static str,
    pub(crate) class: Option<Class>,
    /// At the tier that the scenario asks for, at the end or when it was asked in between: what an operator was told.
    pub(crate) found: bool,
    /// Found, and of the right kind.
    pub(crate) kind_right: bool,
    /// The tier asked for.
    pub(crate) asked: Tier,
    pub(crate) tier: Option<Tier>,
    /// Of offenders only.
    pub(crate) rank: Option<usize>,
    pub(crate) delay: Option<Delay>,
    /// Novel mails until D1's own sum was at 30 dB.
    pub(crate) mails_to_30_db: Option<usize>,
    /// Classes found on that host, `likely` or above.
    pub(crate) classes: Vec<Class>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: &'static str,
    pub(crate) plus: bool,
    pub(crate) vary: &'static str,
    pub(crate) seed: u64,
    pub(crate) frames: usize,
    pub(crate) checked: Vec<Checked>,
    /// Incidents at `likely` or above that are not true, with their summaries.
    pub(crate) false_alarms: Vec<(HostKey, Class, Tier, String)>,
    /// Suspicions that are not true.
    pub(crate) suspicions: Vec<(HostKey, Class, String)>,
    /// Classes that the scenario forbids even as a suspicion.
    pub(crate) forbidden: Vec<Class>,
    /// Relay verdicts that are not as they must be.
    pub(crate) verdicts_wrong: Vec<String>,
    pub(crate) verdicts_checked: usize,
    pub(crate) host_days: f64,
    /// Hosts that mass-mail, and those called so by each rule.
    pub(crate) mailers: BTreeSet<HostKey>,
    pub(crate) listed: BTreeSet<HostKey>,
    /// Hosts of which it is neither asked nor wrong.
    pub(crate) spared: BTreeSet<HostKey>,
    pub(crate) called: BTreeMap<&'static str, BTreeSet<HostKey>>,
    pub(crate) story: Vec<String>,
}

impl Outcome {
    /// Whether the scenario went as it must.
    pub(crate) fn is_right(&self) -> bool {
        self.checked.iter().all(|check| check.found && check.kind_right)
            && self.false_alarms.is_empty()
            && self.verdicts_wrong.is_empty()
            && (self.plus || self.forbidden.is_empty())
    }
}

/// A label while the capture runs.
struct Watch<'a> {
    label: &'a Label,
    host: HostKey,
    start: Ts,
    mails: usize,
    polls: usize,
    seen: BTreeSet<Vec<u8>>,
    delay: Option<Delay>,
    mails_to_30_db: Option<usize>,
}

impl Watch<'_> {
    /// Counts what the host did; whether it is worth asking the judge now.
    fn note(&mut self, event: &SessionEvent) -> bool {
        if event.at.ts < self.start {
            return false;
        }
        let Expected::Incident(class, _) = self.label.expected else { return true };
        let counts = match &event.kind {
            SessionEventKind::Transaction(head, tx) => {
                let outbound = head.id.orig.host == self.host;
                let sends =
                    matches!(class, Class::MassMailer | Class::NdrFlood | Class::Blocklisted | Class::RejectionStorm);
                let mut key = head.id.resp.host.site().octets().to_vec();
                key.extend_from_slice(tx.mailfrom.as_bytes());
                key.push(0);
                key.extend_from_slice(tx.rcptto.first().map_or(&b""[..], |rcpt| rcpt.to.as_bytes()));
                if sends { outbound && self.seen.insert(key) } else { head.id.resp.host == self.host }
            }
            SessionEventKind::Auth(head, _) => head.id.resp.host == self.host,
            SessionEventKind::Unanswered(attempt) => return attempt.id.orig.host == self.host,
            SessionEventKind::Closed(session) => {
                return [session.conn.id.orig.host, session.conn.id.resp.host].contains(&self.host);
            }
            _ => false,
        };
        self.mails += usize::from(counts);
        counts
    }

    fn poll(&mut self, judge: &Judge, now: Ts) {
        self.polls += 1;
        if self.polls > POLLS_EACH && !self.polls.is_multiple_of(POLLS_THEN) {
            return;
        }
        let (found, sum) = match &self.label.expected {
            Expected::Evidence(family) => (has_evidence(judge, self.host, *family), false),
            Expected::Incident(class, tier) => {
                let sum = *class == Class::MassMailer
                    && self.mails_to_30_db.is_none()
                    && judge.findings().iter().any(|finding| {
                        finding.host == self.host && finding.family == Family::Outcome && finding.db >= DELAY_DB
                    });
                let found = self.delay.is_none()
                    && Judgement::of(judge).incidents.iter().any(|incident| {
                        incident.host == self.host && incident.class == *class && incident.tier >= *tier
                    });
                (found, sum)
            }
        };
        if sum {
            self.mails_to_30_db = Some(self.mails);
        }
        if found && self.delay.is_none() {
            self.delay = Some(Delay { mails: self.mails, secs: now.since(self.start).as_secs_f64() });
        }
    }

    fn is_done(&self) -> bool {
        let Expected::Incident(class, _) = self.label.expected else { return self.delay.is_some() };
        self.delay.is_some() && (class != Class::MassMailer || self.mails_to_30_db.is_some())
    }
}

fn has_evidence(judge: &Judge, host: HostKey, family: Family) -> bool {
    judge.findings().iter().any(|finding| finding.host == host && finding.family == family && finding.db > 0.0)
}

/// Runs a scenario.
pub(crate) fn run(scenario: &Scenario, seed: u64, vary: Vary, setup: &Setup) -> Outcome {
    let world = scenario.world(seed, vary);
    let ports = PortSet::default();
    let judge = Judge::new(world.site.clone(), Arc::clone(&setup.rules), &setup.settings, &setup.limits.detect);
    let mut engine = Engine::new(&ports, &setup.limits, judge);
    let mut baselines = Baselines::new(world.site.ours());
    let key = |ip: std::net::IpAddr| HostKey::from(ip);
    let mut watches: Vec<Watch<'_>> = world
        .truth
        .labels
        .iter()
        .map(|label| Watch {
            label,
            host: key(world.shown(label.host)),
            start: Ts::from_nanos(label.start * 1000),
            mails: 0,
            polls: 0,
            seen: BTreeSet::new(),
            delay: None,
            mails_to_30_db: None,
        })
        .collect();
    let mut source = world.tape.source();
    while let Some(next) = source.next_frame() {
        let Ok(Captured::Frame(no, frame)) = next else { continue };
        let mut asked = vec![false; watches.len()];
        engine.handle_frame(no, &frame, &mut |event| {
            baselines.handle(event);
            for (watch, asked) in watches.iter_mut().zip(&mut asked) {
                *asked |= !watch.is_done() && watch.note(event);
            }
        });
        for (watch, asked) in watches.iter_mut().zip(asked) {
            if asked {
                watch.poll(engine.judge(), frame.ts);
            }
        }
    }
    let judge = engine.finish(&mut |event| baselines.handle(event)).judge;
    check(scenario, seed, vary, &world, &judge, &watches, baselines)
}

fn check(
    scenario: &Scenario,
    seed: u64,
    vary: Vary,
    world: &World,
    judge: &Judge,
    watches: &[Watch<'_>],
    baselines: Baselines,
) -> Outcome {
    let judgement = Judgement::of(judge);
    let shown = |id| HostKey::from(world.shown(id));
    let true_of = |host: HostKey, class: Class| {
        world.truth.granted.iter().any(|(id, granted)| shown(*id) == host && *granted == class)
            || world.truth.labels.iter().any(|label| {
                shown(label.host) == host && matches!(label.expected, Expected::Incident(own, _) if own == class)
            })
    };
    let (mut false_alarms, mut suspicions, mut forbidden) = (Vec::new(), Vec::new(), Vec::new());
    for incident in &judgement.incidents {
        if true_of(incident.host, incident.class) {
            continue;
        }
        if world.truth.never.contains(&incident.class) {
            forbidden.push(incident.class);
        }
        if incident.tier >= Tier::Likely {
            false_alarms.push((incident.host, incident.class, incident.tier, incident.summary.clone()));
        } else {
            suspicions.push((incident.host, incident.class, incident.summary.clone()));
        }
    }
    let checked = watches.iter().map(|watch| check_label(watch, judge, &judgement)).collect();
    let (verdicts_checked, verdicts_wrong) = check_verdicts(world, &judgement);
    let guilty: BTreeSet<HostKey> = world.truth.labels.iter().map(|label| shown(label.host)).collect();
    let days = world.tape.span().map_or(0.0, |(first, last)| (last - first) as f64 / 86_400e6);
    let benign = judgement.hosts.iter().filter(|host| !guilty.contains(&host.row.host)).count();
    let labelled = |wanted: Class| {
        let labels = world.truth.labels.iter();
        labels
            .filter(|label| matches!(label.expected, Expected::Incident(class, tier) if class == wanted && tier >= Tier::Likely))
            .map(|label| shown(label.host))
            .collect::<BTreeSet<HostKey>>()
    };
    let suspects = world.truth.labels.iter().filter(|label| {
        matches!(label.expected, Expected::Incident(Class::MassMailer, Tier::Suspect) | Expected::Evidence(_))
    });
    let granted = world.truth.granted.iter().filter(|(_, class)| *class == Class::MassMailer);
    let spared = suspects.map(|label| label.host).chain(granted.map(|(id, _)| *id)).map(shown).collect();
    let incidents_of = |wanted: Class| {
        let all = judgement.incidents.iter();
        all.filter(|incident| incident.class == wanted && incident.tier >= Tier::Likely)
            .map(|incident| incident.host)
            .collect::<BTreeSet<HostKey>>()
    };
    let mut called = baselines.finish();
    called.insert("smtphound", incidents_of(Class::MassMailer));
    called.insert("smtphound, listed", incidents_of(Class::Blocklisted));
    Outcome {
        scenario: scenario.name,
        plus: scenario.plus,
        vary: vary.name,
        seed,
        frames: world.tape.len(),
        checked,
        false_alarms,
        suspicions,
        forbidden,
        verdicts_wrong,
        verdicts_checked,
        host_days: benign as f64 * days,
        mailers: labelled(Class::MassMailer),
        listed: labelled(Class::Blocklisted),
        spared,
        called,
        story: judgement.incidents.iter().map(tell).collect(),
    }
}

/// An incident in some lines, for whoever looks for the reason of a failure.
fn tell(incident: &smtphound::incident::Incident) -> String {
    let mut text = format!(
        "{} {} {:?} {} {:?}: {}",
        incident.host,
        incident.class.name(),
        incident.kind,
        incident.tier.name(),
        incident.score_db,
        incident.summary
    );
    for line in &incident.evidence {
        let _ = write!(text, "\n        {} {:+.1} dB: {}", line.family.name(), line.db, line.says);
    }
    for verdict in &incident.verdicts {
        let _ = write!(text, "\n        {:?} {:?}", verdict.technique, verdict.verdict);
    }
    text
}

fn check_label(watch: &Watch<'_>, judge: &Judge, judgement: &Judgement) -> Checked {
    let own = || judgement.incidents.iter().filter(|incident| incident.host == watch.host);
    let classes = own().filter(|incident| incident.tier >= Tier::Likely).map(|incident| incident.class).collect();
    match &watch.label.expected {
        Expected::Evidence(family) => Checked {
            what: family.name(),
            class: None,
            found: watch.delay.is_some() || has_evidence(judge, watch.host, *family),
            kind_right: true,
            asked: Tier::Suspect,
            tier: None,
            rank: None,
            delay: watch.delay,
            mails_to_30_db: None,
            classes,
        },
        Expected::Incident(class, asked) => {
            let incident = own().find(|incident| incident.class == *class);
            let tier = incident.map(|incident| incident.tier);
            let rank = judgement.hosts.iter().find(|host| host.row.host == watch.host).map(|host| host.rank);
            Checked {
                what: class.name(),
                class: Some(*class),
                found: tier >= Some(*asked) || watch.delay.is_some(),
                kind_right: watch.label.kind.is_none() || incident.is_none_or(|own| own.kind == watch.label.kind),
                asked: *asked,
                tier,
                rank: rank.filter(|_| !class.is_victim()),
                delay: watch.delay,
                mails_to_30_db: watch.mails_to_30_db,
                classes,
            }
        }
    }
}

/// The tests of KB 304897: each technique's verdict, and no proof without an onward delivery.
fn check_verdicts(world: &World, judgement: &Judgement) -> (usize, Vec<String>) {
    let server = HostKey::from(world.shown(world.server));
    let all: Vec<_> = judgement.incidents.iter().flat_map(|incident| &incident.verdicts).collect();
    let mut wrong = Vec::new();
    for (technique, wanted) in &world.truth.verdicts {
        let own: Vec<_> =
            all.iter().filter(|seen| seen.server == server && seen.technique.contains(technique)).collect();
        let name = |outcome| match outcome {
            smtphound::detect::RelayOutcome::Rejected => "rejected",
            smtphound::detect::RelayOutcome::AcceptedUnproven => "accepted_unproven",
            smtphound::detect::RelayOutcome::AcceptedThenNdr => "accepted_then_ndr",
            smtphound::detect::RelayOutcome::Proven => "proven",
        };
        if own.is_empty() {
            wrong.push(format!("{technique}: {wanted} expected, nothing told"));
        }
        for seen in own {
            if name(seen.verdict) != *wanted {
                wrong.push(format!("{technique}: {wanted} expected, {} told", name(seen.verdict)));
            }
        }
    }
    (world.truth.verdicts.len(), wrong)
}
