use super::*;
use crate::detect::testing::{Letter, Scene, host, site};
use crate::detect::{Class, Confidence, DetectSettings, Peer, Severity, Tier};
use crate::incident::{Incident, Judgement};
use crate::limits::DetectLimits;
use crate::net::Mac;
use crate::site::Site;

const SERVER: &str = "192.168.10.10";
const PC: &str = "192.168.10.23";
const PHONE: &str = "198.51.100.20";
const GUESSER: &str = "203.0.113.66";
const ABUSER: &str = "192.0.2.235";
const WRONG: &str = "535 5.7.8 authentication failed";
const RIGHT: &str = "235 2.7.0 ok";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const QUEUED: &str = "250 2.0.0 queued";
const UNKNOWN: &str = "550 5.1.1 no such user";

fn scene() -> Scene {
    Scene::new(site(&["adatum.example"]))
}

/// One connection with one attempt.
fn tries(scene: &mut Scene, client: &str, name: &str, answer: &str) {
    scene.call(client, SERVER).greets(BANNER).helo("user").auth(name, answer).quit();
}

/// One connection with a login and a mail.
fn sends(scene: &mut Scene, client: &str, name: &str, letter: Letter) {
    scene.call(client, SERVER).greets(BANNER).helo("user").auth(name, RIGHT).mail(letter).quit();
}

fn to_outside(sender: &str, n: u32) -> Letter {
    Letter::from(sender).rcpt(&format!("user{n}@site{}.example", n % 40)).data(&format!("{n}@x"), "buy", QUEUED)
}

/// Our server hands a mail on, and the world answers.
fn hands_on(scene: &mut Scene, sender: &str, n: u32, answer: &str) {
    let letter = Letter::from(sender).to(&format!("user{n}@site{}.example", n % 40), answer);
    let letter = if answer.starts_with('2') { letter.data(&format!("{n}@x"), "buy", QUEUED) } else { letter };
    let mx = format!("203.0.{}.25", n % 40);
    scene.call(SERVER, &mx).greets("220 mx.site.example ESMTP").helo("mail.adatum.example").mail(letter).quit();
}

fn of(scene: &Scene, class: Class) -> Vec<Finding> {
    scene.findings("accounts").into_iter().filter(|finding| finding.class == class).collect()
}

fn incident(scene: &Scene, ip: &str, class: Class) -> Incident {
    let all = Judgement::of(&scene.judge).incidents;
    let found = all.iter().find(|incident| (incident.host, incident.class) == (host(ip), class));
    found.unwrap_or_else(|| panic!("no {class:?} of {ip} in {all:#?}")).clone()
}

fn is_quiet(scene: &Scene) {
    let findings = scene.findings("accounts");
    assert!(findings.is_empty(), "{findings:#?}");
}

/// The scenario of R5: 40 failures over 12 names, `test` is right, others relay with it.
fn guessed_and_abused() -> Scene {
    let mut scene = scene();
    let names =
        ["admin", "guest", "webmaster", "info", "sales", "office", "scan", "backup", "root", "hr", "jia", "test"];
    for n in 0..40 {
        tries(&mut scene, GUESSER, names[n % names.len()], WRONG);
        scene.wait(Span::secs(2));
    }
    tries(&mut scene, GUESSER, "test", RIGHT);
    scene.wait(Span::mins(1));
    for n in 0..800 {
        sends(&mut scene, ABUSER, "test", to_outside("x@fabrikam.example", n));
        hands_on(&mut scene, "x@fabrikam.example", n, if n % 10 < 7 { UNKNOWN } else { "250 ok" });
    }
    scene
}

#[test]
fn a_guessed_account_that_relays_is_told_as_one_story() {
    let scene = guessed_and_abused();
    let guessing = incident(&scene, SERVER, Class::AuthGuessing);
    assert_eq!((guessing.tier, guessing.severity), (Tier::Likely, Severity::High));
    assert_eq!(guessing.accounts, ["test".into()]);
    assert!(guessing.peers.iter().any(|peer| (peer.ip, peer.role, peer.count) == (host(GUESSER), "client", 40)));
    assert!(guessing.summary.contains("40 logins from one address"), "{}", guessing.summary);
    assert!(guessing.summary.contains("the password of the account \"test\" was found"), "{}", guessing.summary);
    assert!(guessing.remediation[0].starts_with("Lock \"test\""), "{:?}", guessing.remediation);

    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert_eq!((abuse.tier, abuse.severity, abuse.kind), (Tier::Confirmed, Severity::Critical, Some("guessed")));
    assert_eq!((&abuse.accounts[..], abuse.score_db), (&["test".into()][..], None));
    assert!(abuse.summary.contains("with the account \"test\""), "{}", abuse.summary);
    assert!(abuse.summary.contains("800 recipients outside, from 2 addresses"), "{}", abuse.summary);
    assert!(abuse.peers.iter().any(|peer| peer.ip == host(ABUSER)), "{:?}", abuse.peers);
    let first = scene.findings("accounts").iter().find(|f| f.kind == Some("guessed")).map(|f| f.first);
    assert_eq!(first, Some(abuse.first), "it begins with the guess");
}

/// What the world refuses to the server is the account's doing: one cause, one incident.
#[test]
fn the_servers_own_refusals_are_evidence_of_the_abuse() {
    let scene = guessed_and_abused();
    let d1 = scene.findings("outcome_burst");
    assert!(d1.iter().any(|finding| finding.host == host(SERVER)), "D1 sees it too: {d1:#?}");
    let incidents = Judgement::of(&scene.judge).incidents;
    assert!(incidents.iter().all(|incident| incident.class != Class::MassMailer), "{incidents:#?}");
    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert!(abuse.evidence.iter().any(|line| line.detector == Some("outcome_burst")));
    assert!(abuse.first > scene.findings("accounts").iter().map(|f| f.first).min().unwrap());
}

/// Spam by an account, most of it to nobody.
fn spams(scene: &mut Scene, client: &str, name: &str, count: u32) {
    for n in 0..count {
        sends(scene, client, name, to_outside("x@fabrikam.example", n));
        hands_on(scene, "x@fabrikam.example", n, if n % 10 < 7 { UNKNOWN } else { "250 ok" });
    }
}

/// Whether somebody stands in the report as a host that did nothing.
fn is_cleared(scene: &Scene, ip: &str) -> bool {
    Judgement::of(&scene.judge).hosts.iter().any(|ranked| ranked.row.host == host(ip) && ranked.classes.is_empty())
}

/// A PC of ours that sends spam with the login of its user: not a stranger, and not to be cleared.
#[test]
fn a_machine_of_ours_that_abuses_an_account_is_named() {
    let mut scene = scene();
    scene.knock_by(Some(Mac([0, 0x16, 0x3e, 0, 0, 0x17])), PC, "203.0.113.25");
    spams(&mut scene, PC, "jia", 150);
    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert_eq!((abuse.kind, abuse.tier), (Some("from_inside"), Tier::Likely));
    let who = format!("{PC} (calls itself \"user\", MAC 00:16:3e:00:00:17), a host of yours, very likely sends mail");
    assert!(abuse.summary.starts_with(&who), "{}", abuse.summary);
    assert!(!abuse.summary.contains("stranger"), "{}", abuse.summary);
    let roles: Vec<_> = abuse.peers.iter().filter(|peer| peer.ip == host(PC)).map(|peer| peer.role).collect();
    assert_eq!(roles, [Peer::INSIDE]);
    let steps = abuse.remediation.join("\n");
    for step in ["set from another machine", "the switch port of MAC 00:16:3e:00:00:17", "look for malware"] {
        assert!(steps.contains(step), "{step} in {steps}");
    }
    assert!(!steps.contains("Block"), "{steps}");
    let ranked = Judgement::of(&scene.judge).hosts;
    let pc = ranked.iter().find(|ranked| ranked.row.host == host(PC)).unwrap();
    assert_eq!((pc.tier, &pc.classes[..]), (Some(Tier::Likely), &[Class::AccountAbuse][..]));
}

/// The owner sits inside and mails for months; what a stranger sends is not outvoted by that.
#[test]
fn the_owners_machine_is_not_accused_of_what_a_stranger_sends() {
    let mut scene = scene();
    for n in 0..300 {
        sends(&mut scene, PC, "jia", to_outside("jia@adatum.example", n % 7));
        scene.wait(Span::mins(40));
    }
    spams(&mut scene, ABUSER, "jia", 150);
    for n in 0..300 {
        sends(&mut scene, PC, "jia", to_outside("jia@adatum.example", n % 7));
        scene.wait(Span::mins(40));
    }
    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert_eq!(abuse.kind, None);
    assert!(abuse.summary.starts_with("A stranger"), "{}", abuse.summary);
    assert!(is_cleared(&scene, PC));
}

/// A guess from outside makes nobody inside a stranger, although the account was not seen there before.
#[test]
fn the_owners_machine_is_not_accused_after_a_guess() {
    let mut scene = scene();
    for n in 0..8 {
        tries(&mut scene, GUESSER, &format!("name{n}"), WRONG);
    }
    tries(&mut scene, GUESSER, "jia", RIGHT);
    sends(&mut scene, PC, "jia", to_outside("jia@adatum.example", 1));
    assert_eq!(incident(&scene, SERVER, Class::AccountAbuse).kind, Some("guessed"));
    assert!(is_cleared(&scene, PC));
}

/// The telephone of the owner, another machine of the office, and an account that is only suspicious.
#[test]
fn who_has_little_part_in_it_is_not_accused() {
    let (mut scene, other, suspicious) = (scene(), "192.168.10.24", "192.168.10.25");
    spams(&mut scene, PC, "jia", 150);
    sends(&mut scene, PHONE, "jia", to_outside("jia@adatum.example", 3));
    sends(&mut scene, other, "jia", to_outside("jia@adatum.example", 4));
    for n in 0..3 {
        sends(&mut scene, suspicious, "scan", to_outside(&format!("a@other{n}.example"), n));
    }
    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert_eq!(abuse.insiders().iter().map(|peer| peer.ip).collect::<Vec<_>>(), [host(PC)]);
    assert!(abuse.summary.contains("others log in with it too"), "{}", abuse.summary);
    assert!(is_cleared(&scene, other) && is_cleared(&scene, suspicious));
    assert!(abuse.remediation.iter().any(|step| step.starts_with("Block those of") && step.contains(PHONE)));
}

/// A first large mailing is a suspicion: who sent it is asked before a machine is taken off the network.
#[test]
fn the_sender_of_a_first_large_mailing_is_asked() {
    let mut scene = scene();
    for n in 0..150 {
        sends(&mut scene, PC, "news", to_outside("news@adatum.example", n));
    }
    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert_eq!((abuse.kind, abuse.tier), (Some("from_inside"), Tier::Suspect));
    assert!(abuse.summary.contains("a host of yours, may be sending mail"), "{}", abuse.summary);
    assert!(abuse.remediation.iter().any(|step| step.starts_with(&format!("Ask who uses {PC}"))));
}

#[test]
fn two_machines_of_ours_are_both_named() {
    let (mut scene, other) = (scene(), "192.168.10.24");
    spams(&mut scene, PC, "jia", 150);
    spams(&mut scene, other, "jia", 100);
    let abuse = incident(&scene, SERVER, Class::AccountAbuse);
    assert!([PC, other].iter().all(|ip| abuse.summary.contains(ip)), "{}", abuse.summary);
    assert!(abuse.summary.contains(", hosts of yours, very likely send mail"), "{}", abuse.summary);
    assert!(!is_cleared(&scene, PC) && !is_cleared(&scene, other));
}

#[test]
fn a_telephone_with_an_old_password_is_no_guesser() {
    let mut scene = scene();
    for _ in 0..200 {
        tries(&mut scene, PHONE, "jia", WRONG);
        scene.wait(Span::secs(20));
    }
    is_quiet(&scene);
    // Nor is it one when somebody types the new password at last.
    sends(&mut scene, PHONE, "jia", to_outside("jia@adatum.example", 1));
    is_quiet(&scene);
    // Nor over a year.
    for _ in 0..365 {
        scene.wait(Span::hours(24));
        tries(&mut scene, PHONE, "jia", WRONG);
    }
    is_quiet(&scene);
}

#[test]
fn a_monthly_mailing_at_its_baseline_is_no_abuse() {
    let mut scene = scene();
    for _ in 0..3 {
        for n in 0..800 {
            sends(&mut scene, PHONE, "news", to_outside("news@adatum.example", n));
        }
        // Of the first one nobody can say whether it is usual; the later ones are.
        let found = of(&scene, Class::AccountAbuse);
        let ruling = found[0].verdict.unwrap();
        assert_eq!((ruling.tier, ruling.confidence), (Tier::Suspect, Confidence::Low));
        assert!(found[0].says.contains("this may be its habit"), "{}", found[0].says);
        scene.wait(Span::hours(30 * 24));
    }
}

#[test]
fn a_mailing_list_that_grew_slowly_has_a_baseline() {
    let mut scene = scene();
    for (month, size) in [90, 800, 850].into_iter().enumerate() {
        for n in 0..size {
            sends(&mut scene, PHONE, "news", to_outside("news@adatum.example", n));
        }
        assert!(of(&scene, Class::AccountAbuse).is_empty(), "month {month}");
        scene.wait(Span::hours(30 * 24));
    }
}

#[test]
fn ten_times_the_busiest_hour_is_abuse_of_a_known_account() {
    let burst = |size: u32| {
        let mut scene = scene();
        for n in 0..10 {
            sends(&mut scene, PHONE, "jia", to_outside("jia@adatum.example", n));
        }
        scene.wait(Span::hours(25));
        for n in 100..100 + size {
            sends(&mut scene, PHONE, "jia", to_outside("jia@adatum.example", n));
        }
        of(&scene, Class::AccountAbuse).first().and_then(|finding| finding.verdict)
    };
    assert_eq!(burst(100), None, "ten times, not more");
    let ruling = burst(101).unwrap();
    assert_eq!((ruling.tier, ruling.severity, ruling.confidence), (Tier::Likely, Severity::High, Confidence::High));
}

#[test]
fn six_names_reach_the_alarm_and_five_the_rule() {
    let names = |count: usize| {
        let mut scene = scene();
        for n in 0..count {
            tries(&mut scene, GUESSER, &format!("name{n}"), WRONG);
        }
        of(&scene, Class::AuthGuessing).first().map(|finding| finding.db)
    };
    assert_eq!(names(4), None);
    assert_eq!(names(5), Some(20.0));
    // Six times 9.03 dB.
    assert!((names(6).unwrap() - 54.19).abs() < 0.01, "{:?}", names(6));
}

#[test]
fn well_known_names_weigh_more() {
    let mut scene = scene();
    for name in ["admin", "TEST@adatum.example", "a", "b", "c"] {
        tries(&mut scene, GUESSER, name, WRONG);
    }
    assert_eq!(of(&scene, Class::AuthGuessing).first().map(|finding| finding.db), Some(26.0));
}

/// Behind one address sits an office: some of its people mistype.
#[test]
fn an_office_behind_one_address_is_no_guesser() {
    let mut scene = scene();
    for n in 0..30 {
        let name = format!("user{n}");
        if n % 5 == 0 {
            tries(&mut scene, PHONE, &name, WRONG);
        }
        tries(&mut scene, PHONE, &name, RIGHT);
    }
    is_quiet(&scene);
}

#[test]
fn an_account_that_fails_from_ten_addresses_is_under_attack() {
    let addresses = |count: u32, apart: Span| {
        let mut scene = scene();
        for n in 0..count {
            tries(&mut scene, &format!("203.0.{n}.9"), "jia", WRONG);
            scene.wait(apart);
        }
        of(&scene, Class::AuthGuessing)
    };
    assert!(addresses(9, Span::mins(1)).is_empty());
    assert!(addresses(40, Span::mins(7)).is_empty(), "never ten within an hour");
    let found = addresses(10, Span::mins(1));
    assert_eq!((found.len(), found[0].db), (1, 20.0));
    assert_eq!(found[0].peers.len(), 10);
    assert!(found[0].says.contains("\"jia\" was tried in vain 10 times"), "{}", found[0].says);
}

#[test]
fn the_owner_of_an_attacked_account_is_not_its_guesser() {
    let mut scene = scene();
    tries(&mut scene, PHONE, "jia", RIGHT);
    for n in 0..12 {
        tries(&mut scene, &format!("203.0.{n}.9"), "jia", WRONG);
    }
    tries(&mut scene, PHONE, "jia", RIGHT);
    assert!(of(&scene, Class::AuthGuessing).iter().all(|finding| finding.account.is_none()));
    // A network that never had the account, amid the attack.
    tries(&mut scene, ABUSER, "jia", RIGHT);
    let told: Vec<Finding> = of(&scene, Class::AuthGuessing).into_iter().filter(|f| f.account.is_some()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].says.contains(&format!("after 12 failures, {ABUSER} logged in")), "{}", told[0].says);
}

#[test]
fn one_name_tried_again_and_again_in_one_connection_is_guessing() {
    let mut scene = scene();
    let insist = |scene: &mut Scene, times: usize| {
        let mut call = scene.call(GUESSER, SERVER).greets(BANNER).helo("user");
        for _ in 0..times {
            call = call.auth("jia", WRONG);
        }
        call.hangs_up();
    };
    for _ in 0..30 {
        insist(&mut scene, 3);
    }
    is_quiet(&scene);
    insist(&mut scene, 9);
    assert_eq!(of(&scene, Class::AuthGuessing).len(), 1);
    // And then it is right.
    tries(&mut scene, GUESSER, "jia", RIGHT);
    assert_eq!(incident(&scene, SERVER, Class::AuthGuessing).accounts, ["jia".into()]);
}

#[test]
fn many_failures_of_one_program_are_a_suspicion_only() {
    let fails = |count: usize| {
        let mut scene = scene();
        for _ in 0..count {
            tries(&mut scene, GUESSER, "jia", WRONG);
            scene.wait(Span::secs(10));
        }
        scene
    };
    is_quiet(&fails(299));
    let scene = fails(300);
    let incident = incident(&scene, SERVER, Class::AuthGuessing);
    assert_eq!(incident.tier, Tier::Suspect);
    assert!(incident.summary.contains("may have been guessing"), "{}", incident.summary);
}

/// RFC 4954 section 6: what is not 535 says nothing of the password.
#[test]
fn trouble_of_the_server_is_no_wrong_password() {
    let mut scene = scene();
    for (n, answer) in ["454 4.7.0 try later", "504 5.5.4 no such mechanism", "538 5.7.11 encryption required"]
        .into_iter()
        .cycle()
        .take(60)
        .enumerate()
    {
        tries(&mut scene, PHONE, &format!("user{n}"), answer);
    }
    is_quiet(&scene);
}

#[test]
fn a_guesser_of_ours_is_the_host_to_look_at() {
    let mut scene = scene();
    let pc = "192.168.10.23";
    for n in 0..8 {
        tries(&mut scene, pc, &format!("name{n}"), WRONG);
    }
    let inside = incident(&scene, pc, Class::AuthGuessing);
    assert_eq!(inside.kind, Some("from_inside"));
    assert!(inside.peers.iter().any(|peer| (peer.ip, peer.role) == (host(SERVER), "attacked")));
    assert!(inside.remediation[0].contains(pc), "{:?}", inside.remediation);
    // The same at a foreign server.
    let other = "192.168.10.24";
    for n in 0..8 {
        let call = scene.call(other, "203.0.113.25").greets("220 mx.contoso.example ESMTP").helo("user");
        call.auth(&format!("name{n}"), WRONG).quit();
    }
    assert_eq!(incident(&scene, other, Class::AuthGuessing).kind, Some("from_inside"));
}

#[test]
fn three_networks_within_an_hour_are_a_suspicion_and_two_are_a_traveller() {
    let travels = |networks: u32, apart: Span| {
        let mut scene = scene();
        for n in 0..networks {
            sends(&mut scene, &format!("203.{n}.113.5"), "jia", to_outside("jia@adatum.example", n));
            sends(&mut scene, &format!("203.{n}.114.5"), "jia", to_outside("jia@adatum.example", n + 10));
            scene.wait(apart);
        }
        of(&scene, Class::AccountAbuse).first().and_then(|finding| finding.verdict).map(|ruling| ruling.tier)
    };
    assert_eq!(travels(2, Span::mins(5)), None);
    assert_eq!(travels(6, Span::mins(31)), None, "one after the other, as a traveller does");
    assert_eq!(travels(3, Span::mins(5)), Some(Tier::Suspect));
}

#[test]
fn foreign_sender_domains_count_from_three_on() {
    let forges = |domains: u32| {
        let mut scene = scene();
        for n in 0..domains {
            sends(&mut scene, PHONE, "scan@fabrikam.example", to_outside(&format!("a@other{n}.example"), n));
            sends(&mut scene, PHONE, "scan@fabrikam.example", to_outside("me@adatum.example", n));
            sends(&mut scene, PHONE, "scan@fabrikam.example", to_outside("me@fabrikam.example", n));
        }
        of(&scene, Class::AccountAbuse).first().and_then(|finding| finding.verdict).map(|ruling| ruling.tier)
    };
    assert_eq!(forges(2), None);
    assert_eq!(forges(3), Some(Tier::Suspect));
}

#[test]
fn refusals_of_recipients_count_and_one_dead_domain_does_not() {
    let mut scene = scene();
    for n in 0..30 {
        let letter =
            Letter::from("jia@adatum.example").to(&format!("user{n}@dead.example"), "550 5.1.2 no such domain");
        sends(&mut scene, PHONE, "jia", letter);
    }
    is_quiet(&scene);
    for n in 0..30 {
        let letter =
            Letter::from("jia@adatum.example").to(&format!("user{n}@dead{n}.example"), "550 5.1.2 no such domain");
        sends(&mut scene, PHONE, "jia", letter);
    }
    assert_eq!(of(&scene, Class::AccountAbuse)[0].verdict.unwrap().tier, Tier::Likely);
}

/// Without a login on the same connection a mail is nobody's, whoever logged in before.
#[test]
fn a_mail_belongs_to_the_login_of_its_own_connection() {
    let mut scene = scene();
    tries(&mut scene, PHONE, "jia", RIGHT);
    for n in 0..200 {
        scene.call(PHONE, SERVER).greets(BANNER).helo("user").mail(to_outside("a@other.example", n)).quit();
    }
    is_quiet(&scene);
}

#[test]
fn an_account_that_was_guessed_and_not_used_is_no_abuse() {
    let mut scene = scene();
    for n in 0..8 {
        tries(&mut scene, GUESSER, &format!("name{n}"), WRONG);
    }
    tries(&mut scene, GUESSER, "jia", RIGHT);
    assert!(of(&scene, Class::AccountAbuse).is_empty());
    // One mail by the guesser proves it.
    sends(&mut scene, GUESSER, "jia", to_outside("jia@adatum.example", 1));
    let ruling = of(&scene, Class::AccountAbuse)[0].verdict.unwrap();
    assert_eq!((ruling.tier, ruling.severity), (Tier::Confirmed, Severity::Critical));
}

#[test]
fn hostile_names_are_bounded_and_shown_as_text() {
    let mut scene = scene();
    for n in 0..8 {
        tries(&mut scene, GUESSER, &format!("\u{1b}[2J{n}{}", "x".repeat(300)), WRONG);
    }
    tries(&mut scene, GUESSER, &format!("\u{1b}[2J{}", "y".repeat(300)), RIGHT);
    let incident = incident(&scene, SERVER, Class::AuthGuessing);
    let lines: String = incident.evidence.iter().map(|line| line.says.as_str()).collect();
    assert!(!lines.contains('\u{1b}') && lines.contains("\\x1b[2J"), "{lines}");
    assert!(incident.summary.len() < 500, "{}", incident.summary);
}

#[test]
fn a_botnet_fills_the_table_and_the_guesser_stays() {
    let limits = DetectLimits { clients_max: 64, ..DetectLimits::default() };
    let mut scene = Scene::within(site(&["adatum.example"]), &DetectSettings::default(), &limits);
    for n in 0..12 {
        tries(&mut scene, GUESSER, &format!("name{n}"), WRONG);
    }
    for n in 0..2000_u32 {
        tries(&mut scene, &format!("100.{}.{}.7", n / 250, n % 250), &format!("other{n}"), WRONG);
    }
    let stats = scene.judge.stats();
    let (_, stats) = stats.detectors.iter().find(|(name, _)| *name == "accounts").unwrap();
    assert!(stats.evicted >= 2000 - 64 && stats.hosts <= 64 + 2012, "{stats:?}");
    let found = of(&scene, Class::AuthGuessing);
    assert!(found[0].peers.iter().any(|peer| peer.ip == host(GUESSER)), "{found:#?}");
}

/// Whatever happens in whatever order, what is told stays small.
mod any_order {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = (u8, u8, u8, i64)> {
        (0..6_u8, 0..40_u8, 0..40_u8, prop_oneof![Just(1), Just(600), Just(4000), Just(-50), Just(90_000)])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn no_panic_and_bounded(steps in prop::collection::vec(step(), 0..400)) {
            let mut scene = scene();
            for (what, who, name, secs) in steps {
                let client = if who < 4 { format!("192.168.10.{}", 20 + who) } else { format!("203.0.{who}.9") };
                let (name, to) = (format!("n{name}"), format!("n{name}@adatum.example"));
                match what {
                    0 => tries(&mut scene, &client, &name, WRONG),
                    1 => tries(&mut scene, &client, &name, RIGHT),
                    2 => sends(&mut scene, &client, &name, to_outside(&format!("{name}@x{who}.example"), who.into())),
                    3 => hands_on(&mut scene, &format!("{name}@x{who}.example"), who.into(), UNKNOWN),
                    4 => sends(&mut scene, &client, &name, Letter::from("").to(&to, UNKNOWN)),
                    _ => scene.call(&client, SERVER).greets(BANNER).helo("x").mail(Letter::from("").to(&to, UNKNOWN)).quit(),
                }
                scene.wait(Span::secs(secs));
            }
            for finding in scene.judge.findings() {
                prop_assert!(finding.first <= finding.last, "{finding:?}");
                prop_assert!(finding.peers.len() <= 64 && finding.says.len() < 2000, "{finding:?}");
                prop_assert!(finding.db.is_finite() && finding.numbers.iter().all(|(_, n)| n.is_finite()));
            }
            let again = Judgement::of(&scene.judge);
            prop_assert_eq!(again.incidents, Judgement::of(&scene.judge).incidents);
        }
    }
}

#[test]
fn a_login_without_a_name_is_nobodys() {
    let mut scene = Scene::new(Site::default());
    for n in 0..200 {
        sends(&mut scene, &format!("203.{}.113.5", n % 8), "", to_outside(&format!("a@other{n}.example"), n));
    }
    is_quiet(&scene);
}
