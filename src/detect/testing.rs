//! What the tests of detectors are written with: sessions as transcripts, shown to a real [`Judge`].
//!
//! A [`Scene`] is a home network with a clock. [`Scene::call`] opens a connection; what is said on it reads like a
//! transcript, replies as a server writes them (`"550 5.7.1 relay not permitted"`):
//!
//! ```text
//! let mut scene = Scene::new(Site::default());
//! scene.call("198.51.100.150", "192.168.10.10")
//!     .greets("220 mail.adatum.example ESMTP")
//!     .helo("tester.example")
//!     .mail(Letter::from("a@contoso.example").to("b@fabrikam.example", "550 relay not permitted"))
//!     .quit();
//! ```
//!
//! The order of events is that of the dialogue: `Greeted`, `Auth`, `Transaction`, `Closed`.

#![allow(dead_code, reason = "a tool box: not every test needs every tool")]

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use crate::detect::replies::ReplyRules;
use crate::detect::{DetectSettings, Finding, Judge};
use crate::frame::{At, FrameNo};
use crate::identity::Fact;
use crate::limits::DetectLimits;
use crate::net::{Endpoint, HostKey, LinkFacts, Mac};
use crate::session::{
    AuthAttempt, AuthResult, CommandLog, Dialect, DnsQuery, Dsn, MailFacts, Outcome, Recipient, Session, SessionEvent,
    SessionEventKind, SessionHead, SmtpFacts, SmugglingFacts, Tls, TlsState, Transaction, Transfer,
};
use crate::site::Site;
use crate::smtp::Reply;
use crate::smtp::reply::parse_line;
use crate::tcp::{Attempt, ConnId, ConnState, Connection, SynSignature};
use crate::time::{Span, Ts};
use crate::weird::{Weird, WeirdSet};
use crate::wire::Wire;

/// Every scene begins here, so that frames and stamps in a failed test are easy to read.
const BEGIN: Ts = Ts::from_parts(1_772_617_320, 0);

/// The built-in rules, compiled once for all tests.
static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// A host by its address.
pub(crate) fn host(ip: &str) -> HostKey {
    ip.parse::<IpAddr>().unwrap().into()
}

/// A reply as it stands on the wire; lines are parted by line feeds.
pub(crate) fn reply(text: &str) -> Reply {
    let lines: Vec<_> = text.lines().map(|line| parse_line(line.as_bytes())).collect();
    let texts: Vec<&[u8]> = lines.iter().map(|line| line.text).collect();
    Reply {
        code: lines.iter().find_map(|line| line.code),
        status: lines.iter().find_map(|line| line.status),
        text: Wire::from(texts.join(&b'\n')),
    }
}

/// A site whose mail server is 192.168.10.10 and whose domains are given.
pub(crate) fn site(local_domains: &[&str]) -> Site {
    Site { local_domains: local_domains.iter().map(|&name| name.to_owned()).collect(), ..Site::default() }
}

/// A home network, a clock, and the judge.
pub(crate) struct Scene {
    pub(crate) judge: Judge,
    now: Ts,
    frame: u64,
    port: u16,
}

impl Scene {
    pub(crate) fn new(site: Site) -> Self {
        Self::with(site, &DetectSettings::default())
    }

    pub(crate) fn with(site: Site, settings: &DetectSettings) -> Self {
        Self::within(site, settings, &DetectLimits::default())
    }

    pub(crate) fn within(site: Site, settings: &DetectSettings, limits: &DetectLimits) -> Self {
        let judge = Judge::new(site, Arc::clone(&RULES), settings, limits);
        Self { judge, now: BEGIN, frame: 0, port: 1024 }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, span: Span) -> &mut Self {
        self.now = self.now + span;
        self
    }

    /// The time.
    pub(crate) const fn now(&self) -> Ts {
        self.now
    }

    /// Opens a connection from a client to a server's port 25. A millisecond passes at every frame.
    pub(crate) fn call(&mut self, client: &str, server: &str) -> Call<'_> {
        let at = self.tick();
        self.port = self.port.checked_add(1).unwrap_or(1024);
        let id = ConnId {
            ts: at.ts,
            orig: Endpoint { host: host(client), port: self.port },
            resp: Endpoint { host: host(server), port: 25 },
        };
        Call { id, first: at.frame, scene: self, facts: SmtpFacts::default(), gaps: 0, syn: None, history: "ShADadFf" }
    }

    /// A connection attempt that nobody answers.
    pub(crate) fn knock(&mut self, client: &str, server: &str) {
        self.knock_by(None, client, server);
    }

    /// An attempt whose answer the end of the capture may have hidden.
    pub(crate) fn knock_cut_short(&mut self, client: &str, server: &str) {
        self.attempt(None, client, server, true);
    }

    /// The same by a network card.
    pub(crate) fn knock_by(&mut self, mac: Option<Mac>, client: &str, server: &str) {
        self.attempt(mac, client, server, false);
    }

    fn attempt(&mut self, mac: Option<Mac>, client: &str, server: &str, cut_short: bool) {
        let call = self.call(client, server);
        let (id, first) = (call.id, call.first);
        let last = self.tick();
        let link = LinkFacts { macs: mac.map(|mac| (mac, Mac::default())), ..LinkFacts::default() };
        let syn = SynSignature::default();
        let attempt = Attempt { id, first, last, syns: 1, link, syn, cut_short };
        self.show(last, SessionEventKind::Unanswered(Box::new(attempt)));
    }

    /// A question to a DNS server.
    pub(crate) fn asks(&mut self, client: &str, server: &str, qtype: u16, qname: &str) {
        let at = self.tick();
        let end = |ip, port| Endpoint { host: host(ip), port };
        let query = DnsQuery { at, client: end(client, 5353), server: end(server, 53), qname: qname.into(), qtype };
        self.show(at, SessionEventKind::DnsQuery(Box::new(query)));
    }

    /// Machines tell of themselves.
    pub(crate) fn tells(&mut self, facts: &[Fact]) {
        let at = self.tick();
        self.show(at, SessionEventKind::Told(facts.into()));
    }

    /// The findings of one detector, by its name.
    pub(crate) fn findings(&self, detector: &str) -> Vec<Finding> {
        self.judge.findings().into_iter().filter(|finding| finding.detector == detector).collect()
    }

    fn tick(&mut self) -> At {
        self.now = self.now + Span::millis(1);
        self.frame += 1;
        At { ts: self.now, frame: FrameNo(self.frame) }
    }

    fn show(&mut self, at: At, kind: SessionEventKind) {
        self.judge.handle(&SessionEvent { at, kind });
    }
}

/// A connection being told; nothing of it is `Closed` before [`Call::quit`] or [`Call::hangs_up`].
#[must_use = "a call ends with quit or hangs_up"]
pub(crate) struct Call<'s> {
    scene: &'s mut Scene,
    id: ConnId,
    first: FrameNo,
    facts: SmtpFacts,
    gaps: u32,
    syn: Option<SynSignature>,
    history: &'static str,
}

impl Call<'_> {
    pub(crate) fn greets(mut self, greeting: &str) -> Self {
        let at = self.scene.tick();
        self.facts.greeting = Some(reply(greeting));
        self.facts.greeted = Some(at);
        let head = self.head();
        self.scene.show(at, SessionEventKind::Greeted(head));
        self
    }

    /// EHLO, answered by `250 ` and the name in the greeting.
    pub(crate) fn helo(mut self, name: &str) -> Self {
        self.scene.tick();
        let greeting = self.facts.greeting.as_ref().map(|reply| reply.text.clone()).unwrap_or_default();
        let own_name = greeting.as_bytes().split(|&b| b == b' ').next().unwrap_or_default();
        self.facts.helo = Some(name.into());
        self.facts.esmtp = Some(true);
        self.facts.helo_reply = Some(reply(&format!("250 {}", String::from_utf8_lossy(own_name))));
        self
    }

    /// AUTH LOGIN as a user, and what the server says to it.
    pub(crate) fn auth(mut self, user: &str, answer: &str) -> Self {
        let at = self.scene.tick();
        let answer = reply(answer);
        let auth = AuthAttempt {
            at,
            mechanism: "LOGIN".into(),
            user: Some(user.into()),
            result: if answer.is_positive() { AuthResult::Succeeded } else { AuthResult::Failed },
            reply: Some(answer),
        };
        self.facts.auth.push(auth.clone());
        let head = self.head();
        self.scene.show(at, SessionEventKind::Auth(head, auth));
        self
    }

    /// A command of which only the verb and the code are kept.
    pub(crate) fn command(mut self, verb: &'static str, code: u16) -> Self {
        self.scene.tick();
        self.facts.commands.push(CommandLog { verb, code: Some(code), ..CommandLog::default() });
        self.facts.commands_total += 1;
        self
    }

    /// STARTTLS: the rest is hidden, and so many bytes of it come from the client.
    pub(crate) fn starttls(mut self, orig_app_bytes: u64) -> Self {
        self.scene.tick();
        self.facts.tls = Tls { state: TlsState::Starttls, orig_app_bytes, ..Tls::default() };
        self
    }

    /// HELO or EHLO as before, and what else the server offers.
    pub(crate) fn offers(mut self, keywords: &[&str]) -> Self {
        self.facts.ehlo_keywords = keywords.iter().map(|&keyword| keyword.into()).collect();
        self
    }

    /// What was odd about the session.
    pub(crate) fn odd(mut self, weirds: &[Weird]) -> Self {
        for weird in weirds {
            self.facts.weird.insert(*weird);
        }
        self
    }

    /// How the client writes.
    pub(crate) fn speaks(mut self, dialect: Dialect) -> Self {
        self.facts.dialect = dialect;
        self
    }

    /// So many gaps in what was captured.
    pub(crate) fn gaps(mut self, gaps: u32) -> Self {
        self.gaps = gaps;
        self
    }

    /// What was captured of it, in Zeek's letters.
    pub(crate) fn seen_as(mut self, history: &'static str) -> Self {
        self.history = history;
        self
    }

    /// The shape of the client's SYN.
    pub(crate) fn syn(mut self, syn: SynSignature) -> Self {
        self.syn = Some(syn);
        self
    }

    /// A command, the code that answers it, and after how long; the clock goes on.
    pub(crate) fn timed(mut self, verb: &'static str, code: u16, wait: Span) -> Self {
        let said = self.scene.tick().ts;
        self.scene.wait(wait);
        let replied = Some(self.scene.now());
        self.facts.commands.push(CommandLog { verb, code: Some(code), said, replied });
        self.facts.commands_total += 1;
        self
    }

    /// A dot line of another form in the mail data, with a command behind it.
    pub(crate) fn smuggles(mut self, around: &str, crlf_lines: u64, lf_lines: u64) -> Self {
        let at = self.scene.tick();
        self.facts.weird.insert(Weird::SmugglingPattern);
        self.facts.smuggling = Some(Box::new(SmugglingFacts { at, around: around.into(), crlf_lines, lf_lines }));
        self
    }

    /// A mail transaction.
    pub(crate) fn mail(mut self, letter: Letter) -> Self {
        let began = self.scene.tick();
        let ended = self.scene.tick();
        let mut tx = letter.0;
        (tx.began, tx.ended, tx.trans_depth) = (began, ended, self.facts.transactions_total + 1);
        tx.outcome = outcome(&tx);
        tx.rcpt_total = tx.rcptto.len() as u32;
        let accepted = |rcpt: &&Recipient| rcpt.reply.as_ref().is_some_and(Reply::is_positive);
        tx.rcpt_accepted = tx.rcptto.iter().filter(accepted).count() as u32;
        tx.rcpt_rejected = tx.rcpt_total - tx.rcpt_accepted;
        let tx = Arc::new(tx);
        self.facts.transactions.push(Arc::clone(&tx));
        self.facts.transactions_total += 1;
        let head = self.head();
        self.scene.show(ended, SessionEventKind::Transaction(head, tx));
        self
    }

    /// QUIT and the end.
    pub(crate) fn quit(mut self) {
        self.facts.quit = true;
        self.hangs_up();
    }

    /// The end without QUIT.
    pub(crate) fn hangs_up(self) {
        let at = self.scene.tick();
        let (gaps, syn, history) = (self.gaps, self.syn, self.history.into());
        let conn = Connection { history, gaps, syn, ..connection(self.id, at.ts, self.first, at.frame) };
        let session = Arc::new(Session { conn, smtp: self.facts, outer: None });
        self.scene.show(at, SessionEventKind::Closed(session));
    }

    fn head(&self) -> Arc<SessionHead> {
        Arc::new(SessionHead {
            id: self.id,
            first: self.first,
            link: LinkFacts::default(),
            greeting: self.facts.greeting.clone(),
            helo: self.facts.helo.clone(),
            lossy: self.gaps > 0,
        })
    }
}

/// A connection that opened and ended as it should.
fn connection(id: ConnId, until: Ts, first: FrameNo, last: FrameNo) -> Connection {
    Connection {
        id,
        state: ConnState::Sf,
        history: "ShADadFf".into(),
        duration: until.since(id.ts),
        orig_bytes: 0,
        resp_bytes: 0,
        missed_bytes: 0,
        gaps: 0,
        first,
        last,
        frames: last.0 - first.0 + 1,
        link: LinkFacts::default(),
        syn: None,
        one_sided: false,
        cut_short: false,
        weird: WeirdSet::default(),
    }
}

/// A whole session of which only the client's name matters, for tests that look inside a detector.
pub(crate) fn session(client: &str, server: &str, helo: &str) -> Session {
    let end = |ip, port| Endpoint { host: host(ip), port };
    let id = ConnId { ts: BEGIN, orig: end(client, 1024), resp: end(server, 25) };
    let facts = SmtpFacts { helo: Some(helo.into()), ..SmtpFacts::default() };
    Session { conn: connection(id, BEGIN, FrameNo(1), FrameNo(1)), smtp: facts, outer: None }
}

/// What became of a transaction, by its replies.
fn outcome(tx: &Transaction) -> Outcome {
    let refused = |reply: &Reply| if reply.is_transient() { Outcome::Deferred } else { Outcome::Rejected };
    let is_refusal = |reply: &&Reply| reply.is_transient() || reply.is_permanent();
    let any = [&tx.mail_reply, &tx.data_cmd_reply, &tx.data_reply].into_iter().flatten().find(is_refusal);
    let rcpts: Vec<&Reply> = tx.rcptto.iter().filter_map(|rcpt| rcpt.reply.as_ref()).collect();
    match any {
        Some(reply) => refused(reply),
        None if !rcpts.is_empty() && rcpts.iter().all(is_refusal) => refused(rcpts[0]),
        None if tx.data_reply.as_ref().is_some_and(Reply::is_positive) => Outcome::Accepted,
        None => Outcome::Abandoned,
    }
}

/// A mail transaction in the making: envelope, replies, and what is kept of the data.
#[derive(Clone)]
pub(crate) struct Letter(Transaction);

impl Letter {
    /// `MAIL FROM:<sender>`, taken; `""` is the null sender.
    pub(crate) fn from(sender: &str) -> Self {
        Self(Transaction {
            trans_depth: 0,
            began: At::default(),
            ended: At::default(),
            mailfrom: sender.into(),
            null_sender: sender.is_empty(),
            declared_size: None,
            mail_reply: Some(reply("250 2.1.0 ok")),
            rcptto: SmallVec::new(),
            rcpt_total: 0,
            rcpt_accepted: 0,
            rcpt_rejected: 0,
            transfer: None,
            data_cmd_reply: None,
            data_reply: None,
            size: 0,
            complete: false,
            outcome: Outcome::Incomplete,
            content: None,
        })
    }

    /// Another reply to MAIL.
    pub(crate) fn mail_reply(mut self, answer: &str) -> Self {
        self.0.mail_reply = Some(reply(answer));
        self
    }

    /// `RCPT TO:<recipient>` and its reply; `""` for none seen.
    pub(crate) fn to(mut self, recipient: &str, answer: &str) -> Self {
        let answer = (!answer.is_empty()).then(|| reply(answer));
        self.0.rcptto.push(Recipient { to: recipient.into(), reply: answer });
        self
    }

    /// `RCPT TO:<recipient>`, taken.
    pub(crate) fn rcpt(self, recipient: &str) -> Self {
        self.to(recipient, "250 2.1.5 ok")
    }

    /// DATA, a mail with this Message-ID (none if empty) and body, and the reply to its end.
    pub(crate) fn data(mut self, msg_id: &str, body: &str, answer: &str) -> Self {
        self.0.transfer = Some(Transfer::Data);
        self.0.data_cmd_reply = Some(reply("354 go on"));
        self.0.data_reply = (!answer.is_empty()).then(|| reply(answer));
        self.0.size = 200 + (msg_id.len() + body.len()) as u64;
        self.0.complete = true;
        let content = self.0.content.get_or_insert_default();
        content.msg_id = (!msg_id.is_empty()).then(|| msg_id.into());
        content.body_hash = Some(xxhash_rust::xxh3::xxh3_128(body.as_bytes()));
        self
    }

    /// A mail whose headers and body nobody saw, so many bytes of it, taken.
    pub(crate) fn opaque(mut self, size: u64) -> Self {
        self = self.data("", "", "250 2.0.0 queued");
        (self.0.size, self.0.content) = (size, None);
        self
    }

    /// It is a delivery report on a recipient.
    pub(crate) fn reports(mut self, final_recipient: &str) -> Self {
        let dsn = Dsn { final_recipient: Some(final_recipient.into()), recipients: 1, ..Dsn::default() };
        self.content().dsn = Some(dsn);
        self
    }

    /// It says that a machine wrote it (`Auto-Submitted`).
    pub(crate) fn auto_submitted(mut self, value: &str) -> Self {
        self.content().auto_submitted = Some(value.into());
        self
    }

    fn content(&mut self) -> &mut MailFacts {
        self.0.content.get_or_insert_default()
    }
}
