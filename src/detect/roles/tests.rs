use super::*;
use crate::detect::testing::{Letter, Scene, host};
use crate::net::Mac;

#[test]
fn a_greeting_names_the_server() {
    assert_eq!(first_name(b"mx.example.com ESMTP Postfix"), Some(&b"mx.example.com"[..]));
    assert_eq!(first_name(b"mx.example.com\tESMTP Postfix\nand more"), Some(&b"mx.example.com"[..]));
    assert_eq!(first_name(b"mx.example.com"), Some(&b"mx.example.com"[..]));
    assert_eq!(first_name(b"mx.example.com, at your service"), None);
    assert_eq!(first_name(b"ESMTP ready"), None);
    assert_eq!(first_name(b"192.0.2.1 ready"), None);
    assert!(!is_fqdn(b"localhost"));
    assert!(same_name(&"MX.example.com.".into(), &"mx.example.com".into()));
}

const SERVER: &str = "192.168.10.10";

fn scene() -> Scene {
    Scene::new(Site::default())
}

fn role(scene: &Scene, client: &str) -> Role {
    scene.judge.context().role(host(client))
}

fn voice(scene: &Scene, helo: &str) -> Voice {
    let roles = scene.judge.roles();
    roles.book.voice(roles.hosts.find(host(SERVER)), Some(&helo.into()))
}

/// The `n`th of the world sends a mail to the server, which takes it.
fn serves(scene: &mut Scene, n: u32) {
    let letter = Letter::from("x@contoso.example").rcpt("u@adatum.example").data("", "", "250 queued");
    let call = scene.call(&format!("198.51.100.{n}"), SERVER).greets("220 mail.adatum.example ESMTP");
    call.helo("mx.contoso.example").mail(letter).quit();
}

/// The server (or somebody at its address) sends a mail to the `n`th of the world.
fn sends(scene: &mut Scene, client: &str, helo: &str, n: u32, answer: &str) {
    let mut letter = Letter::from("a@adatum.example").to(&format!("u{n}@d.example"), answer);
    if answer.starts_with('2') {
        letter = letter.data("", "", "250 queued");
    }
    scene.call(client, &format!("203.0.{n}.25")).greets("220 mx ESMTP").helo(helo).mail(letter).quit();
}

#[test]
fn three_clients_and_its_own_name_make_a_server() {
    let mut scene = scene();
    sends(&mut scene, SERVER, "mail.adatum.example", 0, "250 ok");
    serves(&mut scene, 1);
    serves(&mut scene, 2);
    serves(&mut scene, 2);
    sends(&mut scene, SERVER, "MAIL.adatum.example.", 1, "250 ok");
    assert_eq!(role(&scene, SERVER), Role::Unknown, "two clients");
    serves(&mut scene, 3);
    assert_eq!(role(&scene, SERVER), Role::Server);
}

#[test]
fn a_worm_never_becomes_a_server_by_sending() {
    let mut scene = scene();
    for n in 0..200 {
        sends(&mut scene, SERVER, "mail.adatum.example", n, "250 ok");
        sends(&mut scene, SERVER, "mail.adatum.example", n, "450 4.2.0 later");
        scene.wait(Span::mins(3));
        sends(&mut scene, SERVER, "mail.adatum.example", n, "250 ok");
    }
    assert_eq!(role(&scene, SERVER), Role::Client);
}

#[test]
fn a_queue_that_comes_back_after_a_minute_is_a_servers_too() {
    for (wait, expected) in [(Span::secs(30), Role::Unknown), (Span::mins(5), Role::Server)] {
        let mut scene = scene();
        for n in 1..4 {
            serves(&mut scene, n);
        }
        sends(&mut scene, SERVER, "exch01.adatum.example", 0, "450 4.2.0 later");
        scene.wait(wait);
        sends(&mut scene, SERVER, "exch01.adatum.example", 0, "250 ok");
        assert_eq!(role(&scene, SERVER), expected);
    }
}

#[test]
fn who_only_sends_is_a_sender_after_a_day_of_mail_that_is_taken() {
    let (mut good, mut bad, mut changing) = (scene(), scene(), scene());
    for n in 0..60 {
        sends(&mut good, SERVER, "news.adatum.example", n, "250 ok");
        sends(&mut bad, SERVER, "news.adatum.example", n, if n % 4 == 0 { "550 5.1.1 no" } else { "250 ok" });
        sends(&mut changing, SERVER, &format!("n{}.adatum.example", n / 59), n, "250 ok");
    }
    assert_eq!(role(&good, SERVER), Role::Unknown);
    for scene in [&mut good, &mut bad, &mut changing] {
        scene.wait(Span::hours(25));
        sends(scene, "192.168.10.99", "x.example", 0, "250 ok");
    }
    assert_eq!([&good, &bad, &changing].map(|scene| role(scene, SERVER)), [Role::Sender, Role::Client, Role::Client]);
}

#[test]
fn another_name_is_another_voice_once_the_server_was_heard() {
    let mut scene = scene();
    serves(&mut scene, 1);
    assert_eq!(voice(&scene, "pc23"), Voice::Own, "nobody knows yet how the server calls itself");
    sends(&mut scene, SERVER, "mail.adatum.example", 0, "250 ok");
    assert_eq!(voice(&scene, "pc23"), Voice::Other);
    assert_eq!(voice(&scene, "MAIL.ADATUM.example."), Voice::Own);
}

/// Greets as `mail`, calls itself `exch01`: one server, also for D2.
#[test]
fn a_server_of_two_names_is_one_voice() {
    let mut scene = Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() });
    serves(&mut scene, 1);
    for n in 0..20 {
        sends(&mut scene, SERVER, "exch01.adatum.example", n, "250 ok");
    }
    assert_eq!(voice(&scene, "exch01.adatum.example"), Voice::Own);
    assert!(scene.findings("direct_to_mx").is_empty());
    // It comes back to somebody who put it off: now its name is known, and others stand out.
    sends(&mut scene, SERVER, "exch01.adatum.example", 30, "450 4.2.0 later");
    scene.wait(Span::mins(5));
    sends(&mut scene, SERVER, "exch01.adatum.example", 30, "250 ok");
    assert_eq!([voice(&scene, "exch01.adatum.example"), voice(&scene, "pc23")], [Voice::Own, Voice::Other]);
}

/// Under TLS it is the size that tells that mail was taken.
#[test]
fn a_server_is_known_by_what_it_takes_under_tls() {
    for (bytes, name, expected) in [
        (600, "mail.adatum.example", Role::Server),
        (599, "mail.adatum.example", Role::Unknown),
        (600, "pc-23", Role::Unknown),
    ] {
        let mut scene = scene();
        for n in 1..=3 {
            let call = scene.call(&format!("198.51.100.{n}"), SERVER).greets("220 mail.adatum.example ESMTP");
            call.helo("mx.contoso.example").starttls(bytes).quit();
        }
        scene.call(SERVER, "203.0.1.25").greets("220 mx ESMTP").helo(name).starttls(9000).quit();
        assert_eq!(role(&scene, SERVER), expected, "{bytes} bytes, {name}");
    }
}

#[test]
fn a_worm_never_becomes_a_server_by_sending_under_tls() {
    let mut scene = scene();
    for n in 0..200 {
        let call = scene.call(SERVER, &format!("203.0.{n}.25")).greets("220 mx ESMTP");
        call.helo("mail.adatum.example").starttls(9000).quit();
        scene.wait(Span::mins(1));
    }
    assert_eq!(role(&scene, SERVER), Role::Client);
}

/// It is named by one address, and calls by the other one as well.
#[test]
fn a_named_server_is_one_by_its_address_of_the_other_family_too() {
    const SIX: &str = "fd00::10";
    let (card, other_card) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]));
    for (by, helo, expected) in [
        (card, "mail.adatum.example", Role::Server),
        (card, "pc23", Role::Unknown),
        (other_card, "mail.adatum.example", Role::Unknown),
    ] {
        let site = Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() };
        let mut scene = Scene::new(site);
        scene.knock_by(Some(card), SERVER, "192.0.2.25");
        sends(&mut scene, SERVER, "mail.adatum.example", 1, "250 ok");
        scene.knock_by(Some(by), SIX, "2001:db8::25");
        sends(&mut scene, SIX, helo, 2, "250 ok");
        assert_eq!(role(&scene, SIX), expected, "{by} {helo}");
    }
}
