//! D12, second part: by which names a client introduces itself.
//!
//! Read RFC 5321 section 4.1.1.1: the argument of EHLO is the client's own name, fully qualified, or its address in
//! brackets. Bots say what suits them: the machine's bare name, the name of the server they talk to, a mail provider's.
//! Heuristic throughout, after what blocklists advise administrators to look for; see `docs/detectors/helo.md`.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::hosts::{HostIdx, PerHost};
use super::lapses::{Lapses, counted};
use super::novelty::{key, key_lower};
use super::observation::{Coming, Kind, Observation, Way, What};
use super::roles::{Voice, first_name, is_fqdn};
use super::score::{Class, Family};
use super::table::Weigh;
use super::voices::Voices;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::Session;
use crate::session::SessionEventKind;
use crate::smtp::path::{MailPath, address_literal, same_domain};
use crate::tcp::SynSignature;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D12's second part.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A bare name, `localhost.localdomain` or a bare address, in dB: bots say so, and so do many office machines.
    pub bare_db: f64,
    /// The name of the server it talks to, of the recipient's domain, or of a mail provider, in dB.
    pub borrowed_db: f64,
    /// Many names within an hour, in dB.
    pub many_db: f64,
    /// So many names within an hour are many.
    pub many: usize,
    /// Domains of mail providers, which no machine of ours is called: the large ones that hand out addresses to anybody.
    pub providers: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let providers = [
            "126.com",
            "163.com",
            "aol.com",
            "gmail.com",
            "gmx.com",
            "gmx.de",
            "gmx.net",
            "googlemail.com",
            "hotmail.com",
            "icloud.com",
            "live.com",
            "mail.com",
            "mail.ru",
            "msn.com",
            "outlook.com",
            "proton.me",
            "protonmail.com",
            "qq.com",
            "web.de",
            "yahoo.com",
            "yandex.ru",
        ];
        Self { bare_db: 3.0, borrowed_db: 6.0, many_db: 6.0, many: 3, providers: providers.map(str::to_owned).to_vec() }
    }
}

/// Names remembered within an hour; the threshold lies far below.
const NAMES_MAX: usize = 8;
/// Bytes of a name that are told apart: RFC 1035 section 2.3.4 allows 255.
const NAME_MAX: usize = 255;

/// How a client introduces itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HeloForm {
    /// Not at all, or by nothing.
    Missing,
    /// A name without a dot.
    Dotless,
    /// `localhost.localdomain`: a machine that nobody gave a name.
    Localhost,
    /// An address without brackets.
    BareAddress,
    /// An address in brackets, as RFC 5321 section 4.1.3 wants it.
    Literal,
    /// A name with dots.
    Name,
}

impl HeloForm {
    /// The form of an argument.
    pub fn of(helo: Option<&Wire>) -> Self {
        let Some(name) = helo.map(Wire::as_bytes).filter(|name| !name.is_empty()) else { return Self::Missing };
        if address_literal(name).is_some() {
            Self::Literal
        } else if name.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
            && std::str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok())
        {
            Self::BareAddress
        } else if same_domain(name, b"localhost.localdomain") {
            Self::Localhost
        } else if name.strip_suffix(b".").unwrap_or(name).contains(&b'.') {
            Self::Name
        } else {
            Self::Dotless
        }
    }

    /// Whether it says nothing about who the client is.
    pub const fn is_bare(self) -> bool {
        matches!(self, Self::Dotless | Self::Localhost | Self::BareAddress)
    }
}

/// The kinds, for people, in the order of the numbers.
const KINDS: [&str; 3] =
    ["no full name of its own", "the name of the server, the recipient or a mail provider", "one name after the other"];

#[derive(Debug, Default)]
struct Track {
    lapses: Lapses<3>,
    /// Names since the hour began.
    /// As hashes.
    hour: (Ts, SmallVec<[u64; 2]>),
    /// The shape of its SYNs, and whether there were several: then it may be a gateway, and many names are many hosts.
    shape: Option<(u8, u16, u16, u64)>,
    several: bool,
    /// The last name that counted.
    said: Option<(u64, Wire)>,
}

#[derive(Debug, Default)]
struct HostState {
    voices: Voices<Track>,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.voices.iter().map(|(_, track)| track.lapses.sessions()).sum()
    }
}

/// D12, second part.
#[derive(Debug)]
pub struct Helo {
    settings: Settings,
    /// The providers' domains without a final dot, and how long they are.
    providers: Vec<Box<[u8]>>,
    lengths: u64,
    hosts: PerHost<HostState>,
}

impl Helo {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        let bare = |provider: &String| provider.strip_suffix('.').unwrap_or(provider).as_bytes().into();
        let providers: Vec<Box<[u8]>> = settings.providers.iter().map(bare).collect();
        let lengths = providers.iter().fold(0, |lengths, provider| lengths | length_bit(provider));
        Self { providers, lengths, settings, hosts: PerHost::default() }
    }

    fn is_provider(&self, bare: &[u8]) -> bool {
        self.lengths & length_bit(bare) != 0 && self.providers.iter().any(|provider| same_domain(provider, bare))
    }

    fn closed(&mut self, client: HostIdx, seen: &Observation<'_>, session: &Session, ctx: &Context<'_>) {
        let smtp = &session.smtp;
        let Some(helo) = &smtp.helo else { return };
        let names = || std::iter::once(helo).chain(&smtp.more_helos);
        let bare = names().any(|name| HeloForm::of(Some(name)).is_bare());
        let borrowed = names().any(|name| self.is_borrowed(name, session, ctx));
        let settings = &self.settings;
        let track = self.hosts.touch(client).voices.touch(seen.voice);
        track.note_shape(session.conn.syn.as_ref());
        if seen.at.ts.since(track.hour.0) >= Span::hours(1) {
            track.hour = (seen.at.ts, SmallVec::new());
        }
        for name in names().take(NAMES_MAX.saturating_sub(track.hour.1.len())) {
            let key = key_lower(0, name.as_bytes().get(..NAME_MAX).unwrap_or(name.as_bytes()));
            if !track.hour.1.contains(&key) {
                track.hour.1.push(key);
            }
        }
        // Behind an address that serves, or whose connections differ in shape, many names are many machines.
        let many = track.hour.1.len() >= settings.many && !seen.takes_mail && !track.several;
        let kinds = [bare, borrowed, many];
        if kinds.contains(&true) {
            let hash = key(&[helo.as_bytes()]);
            if track.said.as_ref().is_none_or(|(known, _)| *known != hash) {
                track.said = Some((hash, Wire::capped(helo.as_bytes(), NAME_MAX)));
            }
        }
        let db = [settings.bare_db, settings.borrowed_db, settings.many_db];
        track.lapses.note(kinds, db, 1, seen.id, session.conn.first, seen.at.ts);
    }

    /// Whether a name belongs to somebody else: the server, a recipient's domain, a provider. Our own domains are ours.
    fn is_borrowed(&self, name: &Wire, session: &Session, ctx: &Context<'_>) -> bool {
        let name = name.as_bytes();
        if address_literal(name).is_some_and(|ip| HostKey::from(ip) == session.conn.id.resp.host) {
            return true;
        }
        let smtp = &session.smtp;
        let bare = name.strip_suffix(b".").unwrap_or(name);
        // Nearly all names are nobody else's. That shows at one end of a text, before it is taken apart.
        let is_server = |text: &[u8]| {
            let begin = text.trim_ascii_start().get(..bare.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(bare))
                && first_name(text).is_some_and(|server| same_domain(server, name))
        };
        let is_recipient = |path: &[u8]| {
            let path_bare = path.strip_suffix(b".").unwrap_or(path);
            let end = path_bare.len().checked_sub(bare.len()).and_then(|from| path_bare.get(from..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(bare)) && MailPath::new(path).domain_is(name)
        };
        let mut recipients = smtp.transactions.iter().flat_map(|tx| &tx.rcptto);
        let borrowed = smtp.greeting.as_ref().is_some_and(|reply| is_server(reply.text.as_bytes()))
            || recipients.any(|rcpt| is_recipient(rcpt.to.as_bytes()))
            || self.is_provider(bare);
        borrowed && is_fqdn(name) && !ctx.site.is_local_domain(name)
    }
}

/// A set of the lengths of texts, as bits; all long ones are alike.
const fn length_bit(text: &[u8]) -> u64 {
    1 << if text.len() < 63 { text.len() } else { 63 }
}

impl Track {
    fn note_shape(&mut self, syn: Option<&SynSignature>) {
        let Some(syn) = syn else { return };
        let shape = (syn.ttl, syn.mss, syn.wsize, syn.olayout);
        self.several |= *self.shape.get_or_insert(shape) != shape;
    }
}

impl Detector for Helo {
    fn name(&self) -> &'static str {
        "helo"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && kind == Kind::Closed
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        if let (Way::Outbound, Some(client), What::Closed(session)) = (seen.way, seen.client, seen.what) {
            self.closed(client, seen, session, ctx);
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let (Way::Outbound, SessionEventKind::Closed(_)) = (coming.way, coming.kind) else { return 0 };
        let state = coming.client.and_then(|client| self.hosts.get(client));
        state.map_or(0, |state| {
            let own = state.voices.own();
            let shape = u64::from(own.shape.is_some()) ^ u64::from(own.several);
            own.lapses.sessions() ^ own.hour.1.len() as u64 ^ own.hour.0.as_nanos() as u64 ^ shape
        })
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            for (voice, track) in state.voices.iter() {
                let lapses = &track.lapses;
                let db = lapses.db(now.ts);
                if db <= 0.0 || (ctx.role(host) == Role::Server && voice == Voice::Own) {
                    continue;
                }
                let [bare, borrowed, many] = lapses.counts();
                let (first, last) = lapses.span();
                out.push(Finding {
                    says: format!(
                        "it introduced itself in {} sessions as honest mail servers do not: {}; lately as \"{}\"",
                        lapses.sessions(),
                        counted(&KINDS, &lapses.counts()),
                        track.said.as_ref().map(|(_, name)| name.clone()).unwrap_or_default()
                    ),
                    numbers: Numbers::new()
                        .count("sessions", lapses.sessions())
                        .count("bare", bare)
                        .count("borrowed", borrowed)
                        .count("many", many),
                    frames: lapses.samples().frames(),
                    sessions: lapses.samples().sessions(),
                    ..Finding::summed(self.name(), host, Class::MassMailer, Family::Helo, db, first, last)
                });
            }
        }
    }

    fn weight(&self, host: HostIdx) -> u64 {
        self.hosts.weight(host)
    }

    fn forget(&mut self, host: HostIdx) {
        self.hosts.forget(host);
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats { hosts: self.hosts.len(), evicted: self.hosts.evicted(), early_turns: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Letter, Scene, site};
    use super::*;
    use crate::detect::Keys;
    use crate::incident::Judgement;
    use crate::site::Site;

    fn call(scene: &mut Scene, helo: &str) {
        scene
            .call("192.168.10.23", "198.51.100.25")
            .greets("220 mx.contoso.example ESMTP")
            .helo(helo)
            .mail(Letter::from("a@x.example").rcpt("b@fabrikam.example").data("1@x", "hello", "250 ok"))
            .quit();
    }

    fn db_of(site: Site, helos: &[&str]) -> f64 {
        let mut scene = Scene::new(site);
        for helo in helos {
            call(&mut scene, helo);
        }
        scene.findings("helo").iter().map(|finding| finding.db).sum()
    }

    #[test]
    fn forms_of_names() {
        let form = |name: &str| HeloForm::of(Some(&name.into()));
        assert_eq!(HeloForm::of(None), HeloForm::Missing);
        assert_eq!(form(""), HeloForm::Missing);
        assert_eq!(form("pc23"), HeloForm::Dotless);
        assert_eq!(form("pc23."), HeloForm::Dotless);
        assert_eq!(form("LOCALHOST.localdomain"), HeloForm::Localhost);
        assert_eq!(form("192.168.10.23"), HeloForm::BareAddress);
        assert_eq!(form("[192.168.10.23]"), HeloForm::Literal);
        assert_eq!(form("[IPv6:2001:db8::1]"), HeloForm::Literal);
        assert_eq!(form("mail.adatum.example"), HeloForm::Name);
    }

    #[test]
    fn each_kind_weighs_once() {
        let close = |db: f64, want: f64| assert!((db - want).abs() < 1e-9, "{db} is not {want}");
        close(db_of(Site::default(), &["mail.adatum.example"]), 0.0);
        close(db_of(Site::default(), &["[192.168.10.23]"]), 0.0);
        close(db_of(Site::default(), &["pc23", "pc23"]), 3.0);
        close(db_of(Site::default(), &["MX.contoso.example"]), 6.0);
        close(db_of(Site::default(), &["[198.51.100.25]"]), 6.0);
        close(db_of(Site::default(), &["fabrikam.example"]), 6.0);
        close(db_of(Site::default(), &["gmail.com"]), 6.0);
        close(db_of(site(&["fabrikam.example"]), &["fabrikam.example"]), 0.0);
        close(db_of(Site::default(), &["a.example", "b.example"]), 0.0);
        close(db_of(Site::default(), &["a.example", "b.example", "c.example"]), 6.0);
        close(db_of(Site::default(), &["pc23", "gmail.com", "yahoo.com"]), 15.0);
    }

    #[test]
    fn names_alone_make_no_incident() {
        let mut scene = Scene::new(Site::default());
        for helo in ["pc23", "gmail.com", "yahoo.com"] {
            call(&mut scene, helo);
        }
        assert!(Judgement::of(&scene.judge).incidents.is_empty(), "the family's cap is 8 dB");
    }

    #[test]
    fn many_names_over_many_hours_are_a_machine_that_was_renamed() {
        let mut scene = Scene::new(Site::default());
        for helo in ["a.example", "b.example", "c.example", "d.example"] {
            call(&mut scene, helo);
            scene.wait(Span::mins(31));
        }
        assert!(scene.findings("helo").is_empty());
    }

    #[test]
    fn many_names_behind_connections_of_several_shapes_are_many_machines() {
        let mut scene = Scene::new(Site::default());
        for (n, helo) in ["a.example", "b.example", "c.example", "d.example"].iter().enumerate() {
            let syn = SynSignature { ttl: 64 + 64 * u8::try_from(n % 2).unwrap(), ..SynSignature::default() };
            scene
                .call("192.168.10.1", "198.51.100.25")
                .syn(syn)
                .greets("220 mx.contoso.example ESMTP")
                .helo(helo)
                .quit();
        }
        assert!(scene.findings("helo").is_empty());
    }

    #[test]
    fn names_within_an_hour_are_bounded() {
        let mut scene = Scene::new(Site::default());
        let mut helo = Helo::new(Settings::default());
        for n in 0..100 {
            call(&mut scene, &format!("host{n}.example"));
        }
        let ctx = scene.judge.context();
        for n in 0..100 {
            let session = super::super::testing::session("192.168.10.23", "198.51.100.25", &format!("h{n}.example"));
            let seen = Observation {
                at: At::default(),
                id: session.conn.id,
                way: Way::Outbound,
                client: ctx.hosts.find(session.conn.id.orig.host),
                server: None,
                voice: Voice::Own,
                role: Role::Unknown,
                takes_mail: false,
                keys: Keys::default(),
                what: What::Closed(&session),
            };
            helo.handle(&seen, &ctx);
        }
        let (_, state) = helo.hosts.sorted(ctx.hosts)[0];
        assert_eq!(state.voices.own().hour.1.len(), NAMES_MAX);
    }
}
