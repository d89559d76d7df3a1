//! The stage: hosts inside and outside, the gateway between them, the tap, and what is true of it all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smtphound::detect::{Class, Family, Tier};
use smtphound::site::Site;

use crate::rng::Rng;
use crate::talk::{Stack, Talk, seconds};
use crate::texts::{self, Mta};
use crate::wire::{Micros, Peer, Tape};

/// Monday, 2026-03-02, midnight.
const MIDNIGHT: Micros = 1_772_409_600_000_000;
pub(crate) const MINUTE: f64 = 60.0;
pub(crate) const HOUR: f64 = 3600.0;

/// Where the tap is, and what else varies.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Vary {
    pub(crate) name: &'static str,
    /// How much faster than usual.
    pub(crate) rate: f64,
    /// The tap is outside the address translation.
    pub(crate) outside: bool,
    /// Share of frames that the capture misses.
    pub(crate) loss: f64,
    /// Share of sessions that go on under TLS.
    pub(crate) tls: f64,
    pub(crate) v6: bool,
    /// Everything that is harmless happens on the same day.
    pub(crate) busy: bool,
    /// The operator names servers and domains.
    pub(crate) told: bool,
}

impl Vary {
    pub(crate) const BASE: Self =
        Self { name: "base", rate: 1.0, outside: false, loss: 0.0, tls: 0.0, v6: false, busy: false, told: false };

    /// The base, and each variation alone.
    pub(crate) const ALL: [Self; 12] = [
        Self::BASE,
        Self { name: "rate x0.1", rate: 0.1, ..Self::BASE },
        Self { name: "rate x10", rate: 10.0, ..Self::BASE },
        Self { name: "tap outside NAT", outside: true, ..Self::BASE },
        Self { name: "loss 1 %", loss: 0.01, ..Self::BASE },
        Self { name: "loss 5 %", loss: 0.05, ..Self::BASE },
        Self { name: "TLS 50 %", tls: 0.5, ..Self::BASE },
        Self { name: "TLS 100 %", tls: 1.0, ..Self::BASE },
        Self { name: "IPv6", v6: true, ..Self::BASE },
        Self { name: "mixed background", busy: true, ..Self::BASE },
        Self { name: "servers and domains given", told: true, ..Self::BASE },
        Self { name: "outside, busy, 1 % lost", outside: true, busy: true, loss: 0.01, ..Self::BASE },
    ];
}

/// A host, by its place in the world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Id(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// What it takes mail for, or sends from.
    pub(crate) domain: String,
    pub(crate) mta: Mta,
    pub(crate) ip: IpAddr,
    /// The address that the world sees.
    pub(crate) public: IpAddr,
    pub(crate) inside: bool,
    stack: Stack,
    mac: [u8; 6],
    hops: u8,
    port: u16,
}

/// What is expected of the program.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// An incident of this class at this tier at least.
    Incident(Class, Tier),
    /// Evidence of this family against the host, whatever the score.
    Evidence(Family),
}

/// One thing that is true of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) host: Id,
    pub(crate) expected: Expected,
    pub(crate) kind: Option<&'static str>,
    pub(crate) start: Micros,
}

/// What a scenario is, apart from its frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    /// What must be found.
    pub(crate) labels: Vec<Label>,
    /// What is true too, and is neither asked for nor wrong.
    pub(crate) granted: Vec<(Id, Class)>,
    /// What must not be found even as a suspicion.
    pub(crate) never: Vec<Class>,
    /// Conditions on the relay verdicts: (technique, verdict).
    pub(crate) verdicts: Vec<(&'static str, &'static str)>,
}

/// The stage.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) vary: Vary,
    pub(crate) rng: Rng,
    pub(crate) tape: Tape,
    pub(crate) truth: Truth,
    pub(crate) site: Site,
    pub(crate) hosts: Vec<Host>,
    gateway: IpAddr,
    net: u8,
    /// Translated ports, so that one connection keeps its own.
    next_public_port: u16,
    pub(crate) server: Id,
    pub(crate) domain: String,
    pub(crate) users: Vec<String>,
    pub(crate) partners: Vec<Id>,
    pub(crate) pcs: Vec<Id>,
    /// When the line to the world is cut.
    pub(crate) blackout: Option<(Micros, Micros)>,
    /// Which partners refuse us for our address, from when to when.
    pub(crate) refusing: Vec<(Id, Micros, Micros)>,
}

impl World {
    /// An office that day: its server, its people, the others it writes to; nothing has happened yet.
    pub(crate) fn new(name: &str, seed: u64, vary: Vary) -> Self {
        let mut rng = Rng::new(seed, name);
        let domain = texts::domain(&mut rng);
        let net = rng.between(1, 250) as u8;
        let mut world = Self {
            vary,
            tape: Tape::default(),
            truth: Truth::default(),
            site: Site::default(),
            hosts: Vec::new(),
            gateway: Ipv4Addr::UNSPECIFIED.into(),
            net,
            next_public_port: rng.between(20_000, 50_000) as u16,
            server: Id(0),
            domain: domain.clone(),
            users: Vec::new(),
            partners: Vec::new(),
            pcs: Vec::new(),
            blackout: None,
            refusing: Vec::new(),
            rng,
        };
        world.gateway = world.public_ip();
        world.server = world.inside(&format!("mail.{domain}"), Stack::Linux);
        world.hosts[0].mta = [Mta::Postfix, Mta::Exim, Mta::Exchange][world.rng.below(3)];
        let people = world.rng.between(8, 25);
        world.users = (0..people).map(|i| format!("{}{i}", texts::person(&mut world.rng))).collect();
        for _ in 0..world.rng.between(20, 40) {
            let partner = world.outside();
            world.partners.push(partner);
        }
        for n in 0..world.rng.between(4, 9) {
            let pc = world.inside(&format!("pc-{n}.{domain}"), Stack::Windows);
            world.pcs.push(pc);
        }
        world
    }

    /// Another machine of ours.
    pub(crate) fn inside(&mut self, name: &str, stack: Stack) -> Id {
        let n = self.hosts.len() as u8;
        let ip = if self.vary.v6 {
            Ipv6Addr::new(0x2001, 0xdb8, 0x51, u16::from(self.net), 0, 0, 0x10, u16::from(n) + 5).into()
        } else {
            Ipv4Addr::new(192, 168, self.net, n.wrapping_add(5)).into()
        };
        let public = if self.vary.v6 { ip } else { self.gateway };
        let mac = [0x02, 0x1a, self.net, 0, 0, n];
        let domain = self.domain.clone();
        self.add(Host {
            name: name.to_owned(),
            domain,
            mta: Mta::Postfix,
            ip,
            public,
            inside: true,
            stack,
            mac,
            hops: 0,
            port: 0,
        })
    }

    /// Another mail server of the world.
    pub(crate) fn outside(&mut self) -> Id {
        let domain = texts::domain(&mut self.rng);
        let label = self.rng.pick(&["mx", "mail", "mx1", "smtp", "in", "mailgate"]);
        let name = format!("{label}.{domain}");
        let mta = Mta::any(&mut self.rng);
        let ip = self.public_ip();
        let hops = self.rng.between(5, 19) as u8;
        let mac = [0x00, 0x00, 0x5e, 0x00, 0x01, self.net];
        self.add(Host { name, domain, mta, ip, public: ip, inside: false, stack: Stack::Linux, mac, hops, port: 0 })
    }

    fn add(&mut self, mut host: Host) -> Id {
        host.port = self.rng.between(1_025, 60_000) as u16;
        self.hosts.push(host);
        Id(self.hosts.len() - 1)
    }

    fn public_ip(&mut self) -> IpAddr {
        let bits = self.rng.bits();
        if self.vary.v6 {
            let [a, b, c] = [bits as u16, (bits >> 16) as u16, (bits >> 32) as u16];
            return Ipv6Addr::new(0x2a00 | (a & 0xf), b, c, 0, 0, 0, 0, 25).into();
        }
        loop {
            let [a, b, c, d] = (self.rng.bits() as u32).to_be_bytes();
            let special = matches!(
                (a, b),
                (0 | 10 | 127 | 224.., _)
                    | (100, 64..128)
                    | (169, 254)
                    | (172, 16..32)
                    | (192, 0 | 88 | 168)
                    | (198, 18 | 19 | 51)
                    | (203, 0)
            );
            if !special && d != 0 && d != 255 {
                return Ipv4Addr::new(a, b, c, d).into();
            }
        }
    }

    /// A second public address, for a machine with its own.
    pub(crate) fn own_address(&mut self, host: Id) {
        if !self.vary.v6 {
            self.hosts[host.0].public = self.public_ip();
        }
    }

    pub(crate) fn host(&self, host: Id) -> &Host {
        &self.hosts[host.0]
    }

    /// The address under which the tap shows a host.
    pub(crate) fn shown(&self, host: Id) -> IpAddr {
        let host = self.host(host);
        if self.vary.outside { host.public } else { host.ip }
    }

    /// An instant of the day, in seconds since midnight.
    pub(crate) fn at(&self, secs: f64) -> Micros {
        MIDNIGHT + seconds(secs)
    }

    /// When the trouble begins: some time in working hours.
    pub(crate) fn onset(&mut self) -> Micros {
        let hour = self.rng.within(10.0, 14.0);
        self.at(hour * HOUR)
    }

    /// A length of time that the rate shortens.
    pub(crate) fn pace(&self, secs: f64) -> Micros {
        seconds(secs / self.vary.rate)
    }

    /// An exponential wait that the rate shortens.
    pub(crate) fn wait(&mut self, mean: f64) -> Micros {
        let wait = self.rng.wait(mean);
        self.pace(wait)
    }

    /// A connection to port 25.
    pub(crate) fn call(&mut self, at: Micros, from: Id, to: Id) -> Talk<'_> {
        let ends = [self.peer(from, true), self.peer(to, false)];
        let stacks = [self.host(from).stack, self.host(to).stack];
        let local = self.host(from).inside && self.host(to).inside;
        let visible = !(local && self.vary.outside);
        let mut talk = Talk::new(&mut self.tape, &mut self.rng, ends, stacks, visible, at);
        if local {
            talk.rtt = 400;
        }
        talk
    }

    fn peer(&mut self, host: Id, client: bool) -> Peer {
        let outside = self.vary.outside;
        self.next_public_port = self.next_public_port.checked_add(1).unwrap_or(20_000);
        let translated = self.next_public_port;
        let net = self.net;
        let host = &mut self.hosts[host.0];
        host.port = host.port.checked_add(1).unwrap_or(1_025);
        let behind = outside && host.inside;
        let port = match (client, behind) {
            (false, _) => 25,
            (true, true) => translated,
            (true, false) => host.port,
        };
        Peer {
            mac: if behind { [0x00, 0x1b, 0x21, net, 0, 1] } else { host.mac },
            ip: if behind { host.public } else { host.ip },
            port,
            ttl: host.stack.ttl() - host.hops - u8::from(behind),
        }
    }

    /// A question to a resolver and its answer, on port 53.
    pub(crate) fn dns(&mut self, at: Micros, client: Id, resolver: Id, name: &str, qtype: u16) {
        let (mut from, mut to) = (self.peer(client, true), self.peer(resolver, false));
        to.port = 53;
        from.port = from.port.max(1_025);
        let local = self.host(client).inside && self.host(resolver).inside;
        if local && self.vary.outside {
            return;
        }
        let id = self.rng.bits() as u16;
        let mut question = Vec::with_capacity(64);
        question.extend_from_slice(&id.to_be_bytes());
        question.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            question.push(label.len() as u8);
            question.extend_from_slice(label.as_bytes());
        }
        question.push(0);
        question.extend_from_slice(&qtype.to_be_bytes());
        question.extend_from_slice(&[0, 1]);
        self.tape.udp(at, from, to, &question);
        let mut answer = question;
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        let took = self.rng.between(400, 60_000) as Micros;
        self.tape.udp(at + took, to, from, &answer);
    }

    /// Expects an incident.
    pub(crate) fn expect(&mut self, host: Id, class: Class, tier: Tier, start: Micros) {
        self.truth.labels.push(Label { host, expected: Expected::Incident(class, tier), kind: None, start });
    }

    /// Expects an incident of a kind.
    pub(crate) fn expect_kind(&mut self, host: Id, class: Class, kind: &'static str, start: Micros) {
        let expected = Expected::Incident(class, Tier::Likely);
        self.truth.labels.push(Label { host, expected, kind: Some(kind), start });
    }

    /// Ends the day: the operator's words, the order of frames, what is lost.
    pub(crate) fn finish(&mut self) {
        if self.vary.outside || self.vary.v6 {
            let ours: Vec<IpAddr> = self.hosts.iter().filter(|host| host.inside).map(|host| self.seen(host)).collect();
            self.site.home_nets_given = true;
            self.site.home_nets = ours.into_iter().map(Into::into).collect();
            self.site.home_nets.sort();
            self.site.home_nets.dedup();
        }
        if self.vary.told {
            self.site.mail_servers = vec![self.shown(self.server)];
            self.site.local_domains = vec![self.domain.clone()];
        }
        let (loss, rng) = (self.vary.loss, &mut self.rng);
        self.tape.finish(loss, rng);
    }

    fn seen(&self, host: &Host) -> IpAddr {
        if self.vary.outside { host.public } else { host.ip }
    }

    pub(crate) fn grant(&mut self, host: Id, class: Class) {
        self.truth.granted.push((host, class));
    }
}
