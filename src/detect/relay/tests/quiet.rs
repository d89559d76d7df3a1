//! What must not fire, and what may where the domains were only learned.

use super::*;

#[test]
fn ordinary_mail_to_domains_that_nobody_told_us_is_no_attempt() {
    let mut scene = unknown();
    for n in 0..40 {
        let client = format!("198.51.{n}.7");
        brings(
            &mut scene,
            &client,
            taken("a@contoso.example", "jo@other-name.example", &format!("{n}@contoso.example")),
        );
        brings(
            &mut scene,
            &client,
            Letter::from("b@contoso.example").to("no@other-name.example", "550 5.1.1 unknown user"),
        );
        brings(&mut scene, &client, Letter::from("").rcpt("jo@third.example").data("", "bounce", QUEUED));
    }
    is_quiet(&scene);
}

#[test]
fn users_who_logged_in_relay_by_right() {
    let mut scene = ours();
    let letter = || taken("sales@adatum.example", "u@fabrikam.example", "1@contoso.example");
    scene
        .call(TESTER, SERVER)
        .greets(BANNER)
        .helo("laptop")
        .auth("sales", "535 5.7.8 wrong")
        .auth("sales", "235 2.7.0 ok")
        .mail(letter())
        .mail(letter())
        .quit();
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    is_quiet(&scene);
    // A login that failed is none, and neither is one of another session.
    scene.call(TESTER, SERVER).greets(BANNER).auth("sales", "535 5.7.8 wrong").mail(letter()).quit();
    assert_eq!(verdicts(&scene).len(), 1);
}

#[test]
fn a_session_without_its_beginning_may_have_logged_in() {
    let mut scene = ours();
    let letter = || taken("sales@adatum.example", "u@fabrikam.example", "1@contoso.example");
    scene.call(TESTER, SERVER).mail(letter()).quit();
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    is_quiet(&scene);
}

#[test]
fn hosts_of_ours_and_networks_named_may_relay() {
    let branch = Site { relay_networks: vec!["198.51.100.0/24".parse().unwrap()], ..site(&["adatum.example"]) };
    let mut scene = Scene::new(branch);
    let letter = || taken("copier@adatum.example", "u@fabrikam.example", "1@copier");
    for client in ["192.168.10.60", "198.51.100.9"] {
        brings(&mut scene, client, letter());
        hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    }
    is_quiet(&scene);
}

#[test]
fn a_backup_mx_passes_on_what_it_was_told_to() {
    let partner = Site { relay_domains: vec!["partner.example".to_owned()], ..site(&["adatum.example"]) };
    let mut scene = Scene::new(partner);
    for n in 0..20 {
        let letter = || taken("a@contoso.example", &format!("u{n}@Partner.example"), &format!("{n}@contoso.example"));
        brings(&mut scene, &format!("198.51.{n}.7"), letter());
        hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    }
    is_quiet(&scene);
}

#[test]
fn a_forwarded_mailbox_is_no_relay() {
    for mut scene in [ours(), unknown()] {
        brings(&mut scene, TESTER, taken("a@contoso.example", "jo@adatum.example", "1@contoso.example"));
        hands_on(&mut scene, SERVER, OUTSIDE_MX, taken("a@contoso.example", "jo@home.example", "1@contoso.example"));
        is_quiet(&scene);
    }
}

#[test]
fn odd_mailboxes_of_our_own_are_no_attempts() {
    let unknown_user = "550 5.1.1 User unknown";
    for mut scene in [ours(), unknown()] {
        for (sender, recipient, answer) in [
            ("a@contoso.example", "postmaster", "250 ok"),
            ("a@contoso.example", "jo+shop@adatum.example", "250 ok"),
            ("a@contoso.example", "sales%emea@adatum.example", "250 ok"),
            ("a@contoso.example", "\"Jo Doe\"@adatum.example", "250 ok"),
            ("a@contoso.example", "\"jo@home.example\"@adatum.example", unknown_user),
            ("a@contoso.example", "jo%home.example@adatum.example", unknown_user),
            ("", "list-bounces+jo=home.example@adatum.example", "250 ok"),
            ("", "list!jo!home.example@adatum.example", "250 ok"),
            ("", "home.example!jo@adatum.example", "250 ok"),
            ("", "srs0=hash=tt=home.example=jo@adatum.example", "250 ok"),
            ("", "prvs=1234=jo@adatum.example", "250 ok"),
        ] {
            brings(&mut scene, TESTER, Letter::from(sender).to(recipient, answer).data("", "x", QUEUED));
        }
        is_quiet(&scene);
    }
}

#[test]
fn a_few_refusals_are_no_scan() {
    let mut scene = ours();
    let refused = |n: u32| Letter::from("a@contoso.example").to(&format!("u{n}@fabrikam.example"), DENIED);
    for n in 0..9 {
        brings(&mut scene, TESTER, refused(n));
    }
    // The same again is not more.
    for n in 0..9 {
        brings(&mut scene, TESTER, refused(n));
    }
    is_quiet(&scene);
    brings(&mut scene, TESTER, refused(9));
    assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Info));

    let mut slow = ours();
    for n in 0..30 {
        slow.wait(Span::mins(10));
        brings(&mut slow, TESTER, refused(n));
    }
    is_quiet(&slow);
}

// Learned domains.

/// Enough ordinary mail that the server's own domain is learned.
pub(super) fn an_ordinary_day(scene: &mut Scene) {
    for n in 0..12 {
        brings(scene, &format!("198.51.{n}.7"), taken("a@contoso.example", "jo@adatum.example", ""));
        let out = taken("jo@adatum.example", "a@contoso.example", "");
        hands_on(scene, SERVER, OUTSIDE_MX, out);
    }
}

#[test]
fn an_open_relay_is_found_without_configuration() {
    let mut scene = unknown();
    an_ordinary_day(&mut scene);
    is_quiet(&scene);
    let relayed = |scene: &mut Scene, n: usize| {
        let letter = || taken("x@spam.example", &format!("u@victim{n}.example"), &format!("{n}@spam.example"));
        brings(scene, TESTER, letter());
        hands_on(scene, SERVER, OUTSIDE_MX, letter());
    };
    relayed(&mut scene, 0);
    // One domain may be a partner's.
    assert_eq!(ruling(&scene), (Tier::Likely, Severity::High));
    assert!(finding(&scene).says.contains("backup MX of victim0.example"), "{}", finding(&scene).says);
    (1..3).for_each(|n| relayed(&mut scene, n));
    assert_eq!(ruling(&scene), (Tier::Confirmed, Severity::Critical));
    assert_eq!(verdicts(&scene).len(), 3);
}

#[test]
fn without_any_domain_known_what_leaves_may_be_the_servers_purpose() {
    // A filter in front of a mail service elsewhere: all mail goes in and out again.
    let mut scene = unknown();
    for n in 0..12 {
        let letter = || taken("a@contoso.example", "jo@customer.example", &format!("{n}@contoso.example"));
        scene.call(&format!("198.51.{n}.7"), SERVER).greets("220 filter ready").mail(letter()).quit();
        hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    }
    is_quiet(&scene);
}

#[test]
fn unconfirmed_domains_cap_the_confidence() {
    let mut scene = unknown();
    brings(&mut scene, TESTER, taken("a@contoso.example", "u%fabrikam.example@adatum.example", ""));
    assert_eq!(finding(&scene).verdict.unwrap().confidence, Confidence::Medium);
    an_ordinary_day(&mut scene);
    assert_eq!(finding(&scene).verdict.unwrap().confidence, Confidence::High);
}

#[test]
fn where_frames_are_missing_a_login_may_be_among_them() {
    let mut scene = ours();
    for n in 0..5 {
        let (to, id) = (format!("u{n}@fabrikam.example"), format!("m{n}@adatum.example"));
        let letter = || taken("sales@adatum.example", &to, &id);
        scene.call(TESTER, SERVER).greets(BANNER).helo("desk").gaps(1).mail(letter()).quit();
        hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    }
    assert!(scene.findings("relay").is_empty(), "{:?}", scene.findings("relay"));
}
