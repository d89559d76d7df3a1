//! From a session line back to the events that it stands for, in the order in which they were told.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Unseen;
use super::record::{AuthLine, Decimal, DsnLine, Micros, QuestionLine, SessionLine, SynLine, TransactionLine};
use crate::frame::{At, FrameNo};
use crate::net::{Encap, Endpoint, Ends, HostKey, LinkFacts, Translation};
use crate::session::{
    AuthAttempt, CommandLog, Dialect, DnsQuery, Dsn, HeadLog, MailFacts, Outer, Recipient, Session, SessionEvent,
    SessionEventKind, SessionHead, SmtpFacts, SmugglingFacts, Tls, Transaction,
};
use crate::smtp::reply::parse_words;
use crate::smtp::{Reply, logged_verb};
use crate::tcp::{Attempt, ConnId, ConnState, Connection, SynSignature, ToldSyn};
use crate::time::{Span, Ts};
use crate::weird::{Weird, WeirdSet};
use crate::wire::Wire;

/// The history of an attempt that nobody answered.
const ONE_SYN: &str = "S";

/// A question as the event that it is.
pub(super) fn question(line: QuestionLine) -> SessionEvent {
    let at = At { ts: line.ts, frame: FrameNo(line.frames.first) };
    let query = DnsQuery {
        at,
        client: Endpoint { host: line.orig_h, port: line.orig_p },
        server: Endpoint { host: line.resp_h, port: line.resp_p },
        qname: line.query,
        qtype: line.qtype,
    };
    SessionEvent { at, kind: SessionEventKind::DnsQuery(Box::new(query)) }
}

/// The events of a connection, and what the line does not tell.
pub(super) fn session(line: SessionLine, unseen: &mut Unseen) -> Vec<SessionEvent> {
    let (Some(resp_h), Some(orig_p), Some(resp_p)) = (line.resp_h, line.orig_p, line.resp_p) else {
        unseen.attempts = unseen.attempts.saturating_add(line.attempts.unwrap_or(1));
        return Vec::new();
    };
    let id = ConnId {
        ts: line.ts,
        orig: Endpoint { host: line.orig_h, port: orig_p },
        resp: Endpoint { host: resp_h, port: resp_p },
    };
    let last = At { ts: id.ts + line.duration.0, frame: FrameNo(line.frames.last) };
    let told = line.told.map_or(last, |told| told.of(id.ts));
    let syn = line.syn.as_ref().and_then(signature);
    let link = link(&line);
    if line.conn_state == ConnState::S0 && line.history == ONE_SYN {
        let (first, syns) = (FrameNo(line.frames.first), u32::try_from(line.frames.count).unwrap_or(u32::MAX));
        let syn = syn.unwrap_or_default();
        let attempt = Attempt { id, first, last, syns, link, syn, cut_short: line.cut_short };
        return vec![SessionEvent { at: told, kind: SessionEventKind::Unanswered(Box::new(attempt)) }];
    }

    let outer = line.translated.as_ref().map(|gateway| {
        let end = |own: Endpoint, host: Option<HostKey>, port: Option<u16>| Endpoint {
            host: host.unwrap_or(own.host),
            port: port.unwrap_or(own.port),
        };
        let ends = Ends {
            orig: end(id.orig, gateway.orig_h, gateway.orig_p),
            resp: end(id.resp, gateway.resp_h, gateway.resp_p),
        };
        Outer { ends, proven: gateway.proven.map(|proven| proven.of(id.ts)) }
    });
    let (of_tcp, of_smtp) = weirds(&line.weird);
    let conn = Connection {
        id,
        state: line.conn_state,
        history: line.history.as_str().into(),
        duration: line.duration.0,
        orig_bytes: line.orig_bytes,
        resp_bytes: line.resp_bytes,
        missed_bytes: line.missed_bytes,
        gaps: line.gaps,
        first: FrameNo(line.frames.first),
        last: FrameNo(line.frames.last),
        frames: line.frames.count,
        link,
        syn,
        one_sided: line.one_sided,
        cut_short: line.cut_short,
        weird: of_tcp,
    };
    let smtp = facts(line, id.ts, last, of_smtp);
    unseen.transactions += u64::from(smtp.transactions_total).saturating_sub(smtp.transactions.len() as u64);
    let mut events = Vec::with_capacity(smtp.auth.len() + smtp.transactions.len() + 3);
    if let Some(Outer { ends: outer, proven: Some(at) }) = outer {
        let inner = Ends { orig: id.orig, resp: id.resp };
        let kind = SessionEventKind::Translated(Translation { inner, outer, proven: true });
        events.push(SessionEvent { at, kind });
    }
    dialogue(&conn, &smtp, told, &mut events);
    events.push(SessionEvent { at: told, kind: SessionEventKind::Closed(Arc::new(Session { conn, smtp, outer })) });
    events
}

/// Something that was told while the connection lasted.
enum Step<'a> {
    Greeted,
    Auth(&'a AuthAttempt),
    Transaction(&'a Arc<Transaction>),
}

/// The events before the last, each with the head of its time.
fn dialogue(conn: &Connection, smtp: &SmtpFacts, told: At, out: &mut Vec<SessionEvent>) {
    let greeted = smtp.greeted.map(|at| (at, Step::Greeted));
    let auths = smtp.auth.iter().map(|auth| (auth.at, Step::Auth(auth)));
    let mails = smtp.transactions.iter().map(|tx| (tx.ended, Step::Transaction(tx)));
    let mut steps: Vec<(At, Step<'_>)> = greeted.into_iter().chain(auths).chain(mails).collect();
    // Stable: what one frame brought stays in this order.
    steps.sort_by_key(|(at, _)| at.frame);
    let late_from = steps.len().saturating_sub(smtp.heads.late as usize);
    let mut greeting = None;
    for (no, (at, step)) in steps.into_iter().enumerate() {
        if matches!(step, Step::Greeted) {
            greeting.clone_from(&smtp.greeting);
        }
        let event = no as u32;
        let head = Arc::new(SessionHead {
            id: conn.id,
            first: conn.first,
            link: conn.link,
            greeting: greeting.clone(),
            helo: smtp.heads.helo(event, smtp.helo.as_ref()).cloned(),
            lossy: smtp.heads.is_lossy(event),
        });
        let kind = match step {
            Step::Greeted => SessionEventKind::Greeted(head),
            Step::Auth(auth) => SessionEventKind::Auth(head, auth.clone()),
            Step::Transaction(tx) => SessionEventKind::Transaction(head, Arc::clone(tx)),
        };
        out.push(SessionEvent { at: if no < late_from { at } else { told }, kind });
    }
}

fn facts(line: SessionLine, begin: Ts, end: At, weird: WeirdSet) -> SmtpFacts {
    let greeted = line.greeted.map(|greeted| greeted.of(begin));
    // What ends with the connection is mostly told with it.
    let ended_last = line.transactions.iter().filter(|tx| tx.ended.is_none()).count() as u32;
    let mails = (1..).zip(line.transactions);
    let transactions: SmallVec<_> = mails.map(|(depth, tx)| Arc::new(transaction(tx, depth, begin, end))).collect();
    let tls_bytes = line.tls_bytes.map_or((0, 0), |bytes| (bytes.orig, bytes.resp));
    let auth: Vec<_> = line.auth.into_iter().map(|line| attempt(line, begin)).collect();
    let events = line.events;
    let told = u32::from(greeted.is_some()) + (auth.len() + transactions.len()) as u32;
    SmtpFacts {
        greeting: line.banner.as_ref().map(words),
        greeted,
        esmtp: line.esmtp,
        more_helos: line.more_helos,
        ehlo_keywords: line.ehlo_keywords,
        helo_reply: line.helo_reply.as_ref().map(words),
        tls: Tls {
            state: line.tls,
            record_version: line.tls_version,
            sni: line.sni,
            orig_app_bytes: tls_bytes.0,
            resp_app_bytes: tls_bytes.1,
        },
        auth,
        transactions_total: line.transactions_total.unwrap_or(transactions.len() as u32),
        transactions,
        commands_total: line.commands_total.unwrap_or(line.commands.len() as u32),
        commands: commands(&line.commands, &line.waits_us, begin),
        last_reply: line.last_reply.as_ref().map(words),
        quit: line.quit,
        pipelined: line.pipelined,
        weird,
        dialect: dialect(&line.dialect),
        smuggling: line.smuggling.map(|found| {
            Box::new(SmugglingFacts {
                at: found.at.of(begin),
                around: found.around,
                crlf_lines: found.crlf_lines,
                lf_lines: found.lf_lines,
            })
        }),
        heads: HeadLog {
            told,
            before_helo: events.before_helo.unwrap_or(u32::from(line.helo.is_some() && greeted.is_some())),
            earlier: events.helos.into_iter().map(|earlier| (earlier.until, earlier.helo)).collect(),
            before_gap: events.before_gap,
            late: events.late.unwrap_or(ended_last),
        },
        helo: line.helo,
    }
}

/// A reply that is told in one text.
fn words(text: &Wire) -> Reply {
    parse_words(text.as_bytes())
}

fn attempt(line: AuthLine, begin: Ts) -> AuthAttempt {
    AuthAttempt {
        at: line.ended.of(begin),
        mechanism: line.mechanism,
        user: line.user,
        result: line.result,
        reply: line.reply.map(Reply::from),
    }
}

/// A mail at its place in the list, of a connection that lasted so long.
fn transaction(line: TransactionLine, depth: u32, begin: Ts, end: At) -> Transaction {
    let rcptto: SmallVec<[Recipient; 1]> =
        line.rcptto.into_iter().map(|rcpt| Recipient { to: rcpt.to, reply: rcpt.reply.map(Reply::from) }).collect();
    let count =
        |is: fn(&Reply) -> bool| rcptto.iter().filter(|rcpt| rcpt.reply.as_ref().is_some_and(is)).count() as u32;
    let (rcpt_total, rcpt_accepted, rcpt_rejected) = if let Some(totals) = line.rcpt_totals {
        (totals.total, totals.accepted, totals.rejected)
    } else {
        let refused = count(|reply| reply.is_transient() || reply.is_permanent());
        (rcptto.len() as u32, count(Reply::is_positive), refused)
    };
    let content = MailFacts {
        msg_id: line.msg_id,
        from_domain: line.from_domain,
        to_domain: line.to_domain,
        auto_submitted: line.auto_submitted,
        body_hash: line.body_hash.and_then(|hash| u128::from_str_radix(&hash, 16).ok()),
        dsn: line.dsn.map(dsn),
    };
    Transaction {
        trans_depth: line.trans_depth.unwrap_or(depth),
        began: line.began.of(begin),
        ended: line.ended.map_or(end, |ended| ended.of(begin)),
        mailfrom: line.mailfrom,
        null_sender: line.null_sender,
        declared_size: line.declared_size,
        mail_reply: line.mail_reply.map(Reply::from),
        rcptto,
        rcpt_total,
        rcpt_accepted,
        rcpt_rejected,
        transfer: line.transfer,
        data_cmd_reply: line.data_cmd_reply.as_ref().map(words),
        complete: line.complete.unwrap_or(line.data_reply.is_some()),
        data_reply: line.data_reply.map(Reply::from),
        size: line.size,
        outcome: line.outcome,
        content: (line.size > 0 || content != MailFacts::default()).then(|| Box::new(content)),
    }
}

fn dsn(line: DsnLine) -> Dsn {
    Dsn {
        reporting_mta: line.reporting_mta,
        original_envelope_id: line.original_envelope_id,
        final_recipient: line.final_recipient,
        original_recipient: line.original_recipient,
        action: line.action,
        status: line.status,
        diagnostic_code: line.diagnostic_code,
        remote_mta: line.remote_mta,
        recipients: line.recipients,
    }
}

/// Commands with their codes, and their times where the line tells how long each was waited for.
fn commands(lines: &[String], waits: &[(Micros, Option<Micros>)], begin: Ts) -> Vec<CommandLog> {
    let waits = waits.iter().copied().chain(std::iter::repeat((Decimal(Span::ZERO), None)));
    let mut now = begin;
    let mut after = |Decimal(wait): Micros| {
        now = now + wait;
        now
    };
    let commands = lines.iter().zip(waits).map(|(line, (before, until_reply))| {
        let (verb, code) = line.split_once(' ').unwrap_or((line, ""));
        CommandLog {
            verb: logged_verb(verb),
            code: code.parse().ok(),
            said: after(before),
            replied: until_reply.map(&mut after),
        }
    });
    commands.collect()
}

fn weirds(names: &[String]) -> (WeirdSet, WeirdSet) {
    let (mut of_tcp, mut of_smtp) = (WeirdSet::default(), WeirdSet::default());
    for weird in names.iter().filter_map(|name| Weird::named(name)) {
        if weird.is_of_tcp() { of_tcp.insert(weird) } else { of_smtp.insert(weird) }
    }
    (of_tcp, of_smtp)
}

fn dialect(names: &[String]) -> Dialect {
    let known = Dialect::NAMES.iter().filter(|(_, name)| names.iter().any(|told| told == name));
    known.fold(Dialect::default(), |dialect, (bit, _)| dialect.with(*bit))
}

fn signature(line: &SynLine) -> Option<SynSignature> {
    let SynLine { p0f, wsize, option_words, tsval, ip_id } = line;
    SynSignature::from_told(&ToldSyn { p0f, wsize: *wsize, option_words: *option_words, tsval: *tsval, ip_id: *ip_id })
}

fn link(line: &SessionLine) -> LinkFacts {
    let mut link = LinkFacts { macs: line.mac.as_ref().map(|mac| (mac.orig, mac.resp)), ..LinkFacts::default() };
    link.vlans.iter_mut().zip(&line.vlan).for_each(|(place, vlan)| *place = Some(*vlan));
    let encaps = line.encap.iter().map(|name| Encap::ALL.into_iter().find(|encap| encap.name() == name));
    link.encaps.iter_mut().zip(encaps).for_each(|(place, encap)| *place = encap);
    link
}
