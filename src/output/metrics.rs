//! Metrics in Prometheus' text format, as a file for the textfile collector of its node exporter.
//!
//! Names follow Prometheus' conventions: base units, `_total` on what only grows. Incidents are a gauge, because one may
//! be taken back when more was seen. Labels are names of ours and addresses, never text from the wire, and their number is
//! bounded: what an attacker can make many of must not make many series.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use super::facts::{Counts, Results};
use crate::session::{SessionEvent, SessionEventKind};
use crate::time::Ts;

/// Hosts and incidents with a series of their own, the worst: each costs the server memory for as long as it keeps data.
const TOP: usize = 20;

/// What the facts of a run do not count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    sessions: u64,
    unanswered: u64,
}

impl Tally {
    /// Counts an event.
    pub const fn handle(&mut self, event: &SessionEvent) {
        match &event.kind {
            SessionEventKind::Closed(_) => self.sessions += 1,
            SessionEventKind::Unanswered(_) => self.unanswered += 1,
            SessionEventKind::Flooded(flood) => self.unanswered += flood.attempts,
            _ => {}
        }
    }
}

/// Writes all metrics.
pub fn write(out: &mut dyn Write, results: &Results<'_>, tally: &Tally) -> io::Result<()> {
    let (facts, judgement) = (results.facts, results.judgement);
    let mut page = Page { out };
    page.family("build_info", Kind::Gauge, "The program that wrote this.")?;
    page.sample("build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1)?;
    page.counter("frames_total", "Frames read.", facts.frames.total)?;
    page.counter("smtp_frames_total", "Frames with a TCP segment of an SMTP port.", facts.frames.smtp)?;
    page.counts("ignored_frames_total", "Frames that are none of ours.", "reason", &facts.frames.ignored)?;
    page.counts("undecoded_frames_total", "Frames that could not be read.", "reason", &facts.frames.undecoded)?;
    let drops = |place| facts.drops.get(place);
    page.counter("kernel_drops_total", "Frames that the kernel had no room for.", drops("kernel"))?;
    page.counter("interface_drops_total", "Frames that the device or its driver dropped.", drops("interface"))?;
    page.counter("queue_drops_total", "Frames dropped because the judgement did not keep up.", drops("queue"))?;
    page.counter("stream_gaps_total", "Holes in TCP streams.", facts.gaps)?;
    page.counter("missed_bytes_total", "Bytes in holes of TCP streams.", facts.missed_bytes)?;
    page.counts("limits_hit_total", "Times that a limit took something away.", "limit", &results.limits_hit())?;
    page.counter("sessions_total", "TCP connections to SMTP ports that ended.", tally.sessions)?;
    page.counter("unanswered_attempts_total", "Connection attempts that nobody answered.", tally.unanswered)?;
    if let Some(last) = facts.inputs.iter().filter_map(|input| input.last_ts).max() {
        page.family("last_frame_timestamp_seconds", Kind::Gauge, "When the last frame was seen.")?;
        page.sample("last_frame_timestamp_seconds", &[], seconds(last))?;
    }
    page.family("hosts", Kind::Gauge, "Hosts of ours that had to do with SMTP.")?;
    page.sample("hosts", &[], judgement.hosts.len())?;

    let mut incidents = BTreeMap::<_, u64>::new();
    for incident in &judgement.incidents {
        *incidents.entry((incident.class.name(), incident.tier.name())).or_default() += 1;
    }
    if !incidents.is_empty() {
        page.family("incidents", Kind::Gauge, "Incidents that stand now, by class and tier.")?;
        for ((class, tier), count) in incidents {
            page.sample("incidents", &[("class", &class), ("tier", &tier)], count)?;
        }
        page.family("incident_last_seen_timestamp_seconds", Kind::Gauge, "When something last came to an incident.")?;
        for incident in judgement.incidents.iter().take(TOP) {
            let labels: [(&str, &dyn Display); 2] = [("class", &incident.class.name()), ("host", &incident.host)];
            page.sample("incident_last_seen_timestamp_seconds", &labels, seconds(incident.last))?;
        }
    }
    let accused: Vec<_> = judgement.hosts.iter().filter(|host| host.tier.is_some()).take(TOP).collect();
    if !accused.is_empty() {
        page.family("host_score_db", Kind::Gauge, "The worst hosts' scores in decibans.")?;
        for host in accused {
            page.sample("host_score_db", &[("host", &host.row.host)], format!("{:.1}", host.score_db))?;
        }
    }
    let floods = results.floods();
    if !floods.is_empty() {
        page.family("flood_last_seen_timestamp_seconds", Kind::Gauge, "When a card last sent what makes it a flood.")?;
        for flood in floods.iter().take(TOP) {
            let mac = flood.mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
            let labels: [(&str, &dyn Display); 2] = [("kind", &flood.kind.name()), ("mac", &mac)];
            page.sample("flood_last_seen_timestamp_seconds", &labels, seconds(flood.last_ts))?;
        }
    }
    Ok(())
}

fn seconds(ts: Ts) -> String {
    format!("{:.3}", ts.as_nanos() as f64 / 1e9)
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

struct Page<'a> {
    out: &'a mut dyn Write,
}

impl Page<'_> {
    fn family(&mut self, name: &str, kind: Kind, help: &str) -> io::Result<()> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        writeln!(self.out, "# HELP smtphound_{name} {help}\n# TYPE smtphound_{name} {kind}")
    }

    fn counter(&mut self, name: &str, help: &str, count: u64) -> io::Result<()> {
        self.family(name, Kind::Counter, help)?;
        self.sample(name, &[], count)
    }

    /// A series for each name that counts something; no family without one.
    fn counts(&mut self, name: &str, help: &str, label: &str, counts: &Counts) -> io::Result<()> {
        if counts.is_empty() {
            return Ok(());
        }
        self.family(name, Kind::Counter, help)?;
        counts.iter().try_for_each(|(of, count)| self.sample(name, &[(label, &of)], count))
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) -> io::Result<()> {
        write!(self.out, "smtphound_{name}")?;
        for (i, (label, of)) in labels.iter().enumerate() {
            let of = of.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.out, "{}{label}=\"{of}\"", if i == 0 { "{" } else { "," })?;
        }
        writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BEGIN, Case, quiet_host};
    use super::*;
    use crate::detect::Tier;
    use crate::flooders::Flooder;
    use crate::net::Mac;

    fn page(case: &Case) -> String {
        let mut out = Vec::new();
        write(&mut out, &case.results(), &Tally { sessions: 7, unanswered: 9 }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_sample_has_a_family_and_counts_are_those_of_the_run() {
        let page = page(&Case::infected());
        for line in [
            "smtphound_frames_total 12345",
            "smtphound_undecoded_frames_total{reason=\"truncated_ip\"} 8",
            "smtphound_kernel_drops_total 0",
            "smtphound_sessions_total 7",
            "smtphound_unanswered_attempts_total 9",
            "smtphound_incidents{class=\"mass_mailer\",tier=\"confirmed\"} 1",
            "smtphound_host_score_db{host=\"192.168.0.23\"} 39.0",
            "smtphound_last_frame_timestamp_seconds 1772618531.500",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(page.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }

    #[test]
    fn who_floods_has_a_series_and_made_up_cards_have_few() {
        let mut case = Case::infected();
        assert!(!page(&case).contains("smtphound_flood"));
        let flooder = |n| Flooder {
            mac: Some(Mac([2, 0, 0, 0, 0, n])),
            source: None,
            sources: 9,
            toward: None,
            count: 20_000,
            first: BEGIN,
            last: BEGIN,
        };
        case.facts.fragment_flooders = (0..64).map(flooder).collect();
        let page = page(&case);
        assert_eq!(page.matches("smtphound_flood_last_seen_timestamp_seconds{").count(), TOP);
        let first = r#"{kind="fragments",mac="02:00:00:00:00:00"} "#;
        assert!(page.contains(first), "{page}");
    }

    #[test]
    fn a_flood_of_hosts_makes_no_flood_of_series() {
        let mut case = Case::infected();
        case.judgement.hosts = (0..500).map(quiet_host).collect();
        case.judgement.hosts.iter_mut().for_each(|host| host.tier = Some(Tier::Suspect));
        assert_eq!(page(&case).matches("smtphound_host_score_db{").count(), TOP);
    }
}
