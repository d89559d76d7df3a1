//! A relay attempt is `proven` only where the mail was seen to leave. Looked for in the sessions themselves, over all
//! captures of the repository and the corpus: every `proven` has a later session from a host of ours to the outside with
//! the same recipient and the same Message-ID or body; and where such sessions are cut out, nothing is proven any more.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::Replayed;
use ipnet::IpNet;
use serde_json::Value;
use smtphound::detect::{RelayOutcome, RelayVerdict};
use smtphound::incident::Judgement;
use smtphound::net::HostKey;
use smtphound::session::{MailFacts, Session, Transaction};
use smtphound::site::{Ours, Site};
use smtphound::smtp::Reply;
use smtphound::wire::Wire;

/// All mails to any domain are attempts to relay where the server's own domain is said to be another one.
const NOT_THEIRS: &str = "nobody.example";

fn proven(replayed: &Replayed) -> Vec<RelayVerdict> {
    let incidents = Judgement::of(&replayed.ran.finished.judge).incidents;
    let verdicts = incidents.into_iter().flat_map(|incident| incident.verdicts);
    verdicts.filter(|verdict| verdict.verdict == RelayOutcome::Proven).collect()
}

/// The mails between hosts of a kind.
fn mails(replayed: &Replayed, wanted: impl Fn(HostKey, HostKey) -> bool) -> Vec<&Arc<Transaction>> {
    let sessions = replayed.sessions().filter(|session| wanted(session.conn.id.orig.host, session.conn.id.resp.host));
    sessions.flat_map(|session| &session.smtp.transactions).collect()
}

/// Mails that hosts of ours brought to the outside.
fn outbound<'a>(replayed: &'a Replayed, ours: &Ours) -> Vec<&'a Arc<Transaction>> {
    mails(replayed, |orig, resp| ours.contains(orig) && !ours.contains(resp))
}

/// Whether one of the mails is the other one on its way to the recipient, and nobody refused it there.
fn left_again(taken: &Transaction, recipient: &Wire, onward: &[&Arc<Transaction>]) -> bool {
    onward.iter().any(|mail| {
        let for_whom = mail.rcptto.iter().any(|rcpt| {
            let same = rcpt.to.as_bytes().eq_ignore_ascii_case(recipient.as_bytes());
            same && rcpt.reply.as_ref().is_none_or(Reply::is_positive)
        });
        for_whom && mail.began.frame > taken.began.frame && is_same(taken.content.as_deref(), mail.content.as_deref())
    })
}

fn is_same(taken: Option<&MailFacts>, onward: Option<&MailFacts>) -> bool {
    let (Some(taken), Some(onward)) = (taken, onward) else { return false };
    (taken.msg_id.is_some() && taken.msg_id == onward.msg_id)
        || (taken.body_hash.is_some() && taken.body_hash == onward.body_hash)
}

/// Replays with the domains as they are learned, and with all mail an attempt to relay. Returns how many were proven.
fn check(file: &Path, ports: &[u16], site: &Site) -> usize {
    let domains = [vec![], vec![NOT_THEIRS.to_owned()]];
    let counts = domains.map(|local_domains| {
        let replayed = common::replay_at(&[file], ports, 1, Site { local_domains, ..site.clone() });
        let (verdicts, onward) = (proven(&replayed), outbound(&replayed, &site.ours()));
        for verdict in &verdicts {
            let taken = mails(&replayed, |orig, resp| (orig, resp) == (verdict.client, verdict.server));
            let attempt = taken.iter().find(|mail| mail.began.frame == verdict.frame).expect("the mail of the verdict");
            assert!(left_again(attempt, &verdict.effective, &onward), "{}: {verdict:?}", file.display());
        }
        verdicts.len()
    });
    counts.iter().sum()
}

/// What a filter has to let through so that no mail from `nets` to the outside is seen.
fn nothing_leaves(nets: &[IpNet]) -> String {
    let any = |end: &str| {
        let nets: Vec<String> = nets.iter().map(|net| format!("{end} net {net}")).collect();
        nets.join(" or ")
    };
    let (from, to) = (any("src"), any("dst"));
    format!("not (dst port 25 and ({from}) and not ({to})) and not (src port 25 and ({to}) and not ({from}))")
}

/// The captures of the repository with the home networks of their cards.
fn captures() -> impl Iterator<Item = (PathBuf, Site)> {
    common::capture_files().into_iter().map(|file| {
        let card: toml::Table = toml::from_str(&std::fs::read_to_string(file.with_extension("toml")).unwrap()).unwrap();
        let mut site = Site::default();
        if let Some(nets) = card["settings"].get("home_net") {
            site.home_nets =
                nets.as_array().unwrap().iter().map(|net| net.as_str().unwrap().parse().unwrap()).collect();
            site.home_nets_given = true;
        }
        (file, site)
    })
}

#[test]
fn every_proven_relay_of_our_captures_was_seen_to_leave() {
    let relays: Vec<String> = captures()
        .filter(|(file, site)| check(file, &[25], site) > 0)
        .map(|(file, _)| file.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(relays, ["open-relay", "relay-tests-open"], "no other server relays for strangers");
}

#[test]
fn every_mail_of_strangers_that_leaves_an_open_relay_is_proven() {
    let (site, file) = (Site::default(), common::captures().join("open-relay.pcap"));
    let (ours, replayed) = (site.ours(), common::replay_at(&[&file], &[25], 1, site));
    let onward = outbound(&replayed, &ours);
    let mut left = BTreeSet::new();
    for mail in mails(&replayed, |orig, resp| !ours.contains(orig) && ours.contains(resp)) {
        left.extend(mail.rcptto.iter().map(|rcpt| rcpt.to.clone()).filter(|to| left_again(mail, to, &onward)));
    }
    let found: BTreeSet<Wire> = proven(&replayed).into_iter().map(|verdict| verdict.recipient).collect();
    assert!(left.len() > 20, "{} recipients only", left.len());
    assert_eq!(found, left);
}

#[test]
fn nothing_is_proven_where_no_mail_leaves() {
    for (file, mut site) in captures() {
        site.local_domains = vec![NOT_THEIRS.to_owned()];
        let v4: Vec<IpNet> = site.home_nets.iter().copied().filter(|net| net.addr().is_ipv4()).collect();
        let filter = nothing_leaves(&v4);
        let cut = common::replay_filtered(&[&file], &[25], 1, site.clone(), Some(&filter));
        let (from, to) = (site.ours(), site.ours());
        let leaves =
            |session: &Session| from.contains(session.conn.id.orig.host) && !to.contains(session.conn.id.resp.host);
        assert!(!cut.sessions().any(|session| leaves(session)), "{}: cut out", file.display());
        assert_eq!(proven(&cut), [], "{}", file.display());
    }
}

#[test]
fn every_proven_relay_of_the_corpus_was_seen_to_leave() {
    let Some(corpus) = common::corpus() else { return };
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(corpus.join("MANIFEST.json")).unwrap()).unwrap();
    let mut servers_asked = 0;
    for capture in manifest["captures"].as_array().unwrap() {
        let file = corpus.join(capture["file"].as_str().unwrap());
        let servers: BTreeSet<IpAddr> = capture["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|session| session["server"].as_str().unwrap().rsplit_once(':')?.0.parse().ok())
            .collect();
        let ports = [25, 587, 465];
        check(&file, &ports, &Site::default());
        for server in servers {
            servers_asked += 1;
            let site = Site { home_nets: vec![server.into()], home_nets_given: true, ..Site::default() };
            check(&file, &ports, &site);
        }
    }
    assert!(servers_asked > 80, "{servers_asked} servers only");
}
