//! Who floods, for programs and for people: the card, whose it may be, and where to look.

use schemars::JsonSchema;
use serde::Serialize;

use super::facts::Results;
use super::text::{counted, grouped, period};
use crate::flooders::Flooder;
use crate::identity::vendor;
use crate::net::{HostKey, Mac};
use crate::schema::{Ip, MacText, Time};
use crate::time::Ts;

/// Addresses of ours that are named as those of a card: with more it is a router's (see `incident::RankedHost`).
const HOSTS_MAX: usize = 2;

/// Floods that people are told of; more have made-up cards, and stand in the report.
pub const FLOODS_MAX: usize = 5;

/// What a flood is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FloodKind {
    /// Attempts of which no connection came.
    Attempts,
    /// Fragments of datagrams that never ended and had to go.
    Fragments,
}

impl FloodKind {
    /// The name, as in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Fragments => "fragments",
        }
    }
}

/// A card that floods.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Flood")]
pub struct Flood {
    /// What it sends.
    pub kind: FloodKind,
    /// The card; `None` for all that has no Ethernet address.
    #[schemars(with = "Option<MacText>")]
    pub mac: Option<Mac>,
    /// Its maker.
    pub vendor: Option<&'static str>,
    /// It is a router's: hosts outside were spoken with by it, or several of ours.
    pub router: bool,
    /// Addresses of ours that were spoken with by it; none where it is a router's.
    #[schemars(with = "Vec<Ip>")]
    pub hosts: Vec<HostKey>,
    /// The address that more than half of it came from.
    #[schemars(with = "Option<Ip>")]
    pub source: Option<HostKey>,
    /// Addresses that it came from, about.
    pub sources: u64,
    /// The address that more than half of it went to.
    #[schemars(with = "Option<Ip>")]
    pub toward: Option<HostKey>,
    /// How many attempts or datagrams, at least.
    pub count: u64,
    /// The first of them.
    #[schemars(with = "Time")]
    pub first_ts: Ts,
    /// The last of them.
    #[schemars(with = "Time")]
    pub last_ts: Ts,
}

impl Results<'_> {
    /// All floods: those of attempts, then those of fragments, the largest first.
    pub fn floods(&self) -> Vec<Flood> {
        let attempts = self.judge.flooders().into_iter().map(|flooder| self.flood(FloodKind::Attempts, &flooder));
        let fragments = self.facts.fragment_flooders.iter().map(|flooder| self.flood(FloodKind::Fragments, flooder));
        attempts.chain(fragments).collect()
    }

    fn flood(&self, kind: FloodKind, flooder: &Flooder) -> Flood {
        let &Flooder { mac, source, sources, toward, count, first, last } = flooder;
        let mut hosts: Vec<HostKey> = mac.map(|mac| self.spoken_with(mac)).unwrap_or_default();
        let router = hosts.len() > HOSTS_MAX || mac.is_some_and(|mac| self.judge.leads_out(mac));
        if router {
            hosts.clear();
        }
        let vendor = mac.and_then(vendor);
        Flood { kind, mac, vendor, router, hosts, source, sources, toward, count, first_ts: first, last_ts: last }
    }

    /// Hosts of ours that held a conversation by a card, so that their addresses are not made up; one more at most than are
    /// named.
    fn spoken_with(&self, mac: Mac) -> Vec<HostKey> {
        let rows = self.judgement.hosts.iter().map(|host| &host.row);
        let real = rows.filter(|row| row.spoke() && row.macs().any(|own| own == mac));
        let mut hosts: Vec<HostKey> = real.map(|row| row.host).take(HOSTS_MAX + 1).collect();
        hosts.sort_unstable();
        hosts
    }
}

impl Flood {
    /// The flood in plain sentences.
    pub fn says(&self) -> String {
        let card = match (self.mac, self.vendor) {
            (Some(mac), Some(vendor)) => format!("MAC {mac} ({vendor})"),
            (Some(mac), None) => format!("MAC {mac}"),
            (None, _) => "Frames without a MAC".to_owned(),
        };
        let what = match self.kind {
            FloodKind::Attempts => counted(
                self.count,
                "attempt to connect that came to nothing",
                "attempts to connect that came to nothing",
            ),
            FloodKind::Fragments => counted(self.count, "datagram that never ended", "datagrams that never ended"),
        };
        let from = match self.source {
            Some(source) if self.sources == 1 => format!("all from {source}"),
            Some(source) => format!("most of them from {source}"),
            None => format!("from some {} addresses", grouped(self.sources)),
        };
        let toward = self.toward.map(|host| format!(", most of them to {host}")).unwrap_or_default();
        let when = period(self.first_ts, self.last_ts);
        format!("{card}: {what}, {from}{toward}, {when}. {}", self.advice())
    }

    /// Where to look.
    fn advice(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        match (self.mac, hosts.as_slice()) {
            (None, _) => "Nothing in the capture tells which machine it is.".to_owned(),
            (Some(_), _) if self.router => "This is the MAC of a router: whoever floods is behind it.".to_owned(),
            (Some(_), []) => {
                "It is the machine or the router with this MAC, whatever its addresses say: find its switch port."
                    .to_owned()
            }
            (Some(_), hosts) => format!("This is the MAC of {}: find its switch port.", hosts.join(" and ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::{BEGIN, Case, assert_documented};
    use crate::output::{Style, html, report, table};

    fn flood() -> Flood {
        Flood {
            kind: FloodKind::Attempts,
            mac: Some(Mac([0, 0x16, 0x3e, 0, 0, 0x42])),
            vendor: Some("Xensource, Inc."),
            router: false,
            hosts: Vec::new(),
            source: None,
            sources: 91_234,
            toward: Some(HostKey::v4([192, 168, 0, 2])),
            count: 100_000,
            first_ts: BEGIN,
            last_ts: BEGIN,
        }
    }

    #[test]
    fn people_are_told_where_to_look() {
        let of_one = Flood { source: Some(HostKey::v4([192, 168, 0, 66])), sources: 1, toward: None, ..flood() };
        let floods = [
            flood(),
            Flood { router: true, ..flood() },
            Flood { hosts: vec![HostKey::v4([192, 168, 0, 66])], kind: FloodKind::Fragments, ..of_one.clone() },
            Flood { mac: None, vendor: None, sources: 3, ..of_one },
        ];
        let told: Vec<String> = floods.iter().map(Flood::says).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        MAC 00:16:3e:00:00:42 (Xensource, Inc.): 100,000 attempts to connect that came to nothing, from some 91,234 addresses, most of them to 192.168.0.2, 2026-03-04 09:42:07 UTC. It is the machine or the router with this MAC, whatever its addresses say: find its switch port.
        MAC 00:16:3e:00:00:42 (Xensource, Inc.): 100,000 attempts to connect that came to nothing, from some 91,234 addresses, most of them to 192.168.0.2, 2026-03-04 09:42:07 UTC. This is the MAC of a router: whoever floods is behind it.
        MAC 00:16:3e:00:00:42 (Xensource, Inc.): 100,000 datagrams that never ended, all from 192.168.0.66, 2026-03-04 09:42:07 UTC. This is the MAC of 192.168.0.66: find its switch port.
        Frames without a MAC: 100,000 attempts to connect that came to nothing, most of them from 192.168.0.66, 2026-03-04 09:42:07 UTC. Nothing in the capture tells which machine it is.
        ");
    }

    fn flooder(mac: [u8; 6]) -> Flooder {
        let source = Some(HostKey::v4([192, 168, 0, 66]));
        Flooder { mac: Some(Mac(mac)), source, sources: 1, toward: None, count: 20_000, first: BEGIN, last: BEGIN }
    }

    #[test]
    fn a_card_is_that_of_the_hosts_that_were_spoken_with_by_it() {
        let mut case = Case::infected();
        let pc = case.judgement.hosts[0].row.mac().unwrap();
        case.facts.fragment_flooders = vec![flooder(pc.0), flooder([2, 0, 0, 0, 0, 1])];
        let floods = case.results().floods();
        let told: Vec<_> = floods.iter().map(|flood| (flood.router, flood.hosts.as_slice())).collect();
        assert_eq!(told, [(false, &[case.judgement.hosts[0].row.host][..]), (false, &[])]);
        for host in &mut case.judgement.hosts {
            host.row.cards[0].what = pc;
            host.row.counts.sessions = 1;
        }
        let [flood, _] = case.results().floods().try_into().unwrap();
        assert_eq!((flood.router, flood.hosts), (true, Vec::new()), "four hosts");
    }

    #[test]
    fn every_output_tells_it() {
        let mut case = Case::infected();
        case.facts.fragment_flooders = (0..10).map(|n| flooder([2, 0, 0, 0, 0, n])).collect();
        let written = |write: &dyn Fn(&mut Vec<u8>) -> std::io::Result<()>| {
            let mut out = Vec::new();
            write(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let report = written(&|out| report::write(out, &case.results()));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_documented(&report, &["ignored", "undecoded", "drops", "limits_hit", "numbers"]);
        assert_eq!(report["capture"]["floods"].as_array().unwrap().len(), 10);
        assert_eq!(report["capture"]["floods"][9]["mac"], "02:00:00:00:00:09");
        let table = written(&|out| table::write(out, &case.results(), Style::new(80, false)));
        assert!(table.contains("Floods:\n - MAC 02:00:00:00:00:00: 20,000 datagrams"), "{table}");
        assert!(table.contains("5 more stand in the report"), "{table}");
        let page = written(&|out| html::write(out, &case.results(), None));
        assert!(page.contains("<h2>Floods</h2>\n<ul>\n<li>MAC 02:00:00:00:00:00: 20,000"), "{page}");
    }
}
