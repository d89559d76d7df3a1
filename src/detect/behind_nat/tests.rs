use super::*;
use crate::net::Endpoint;

fn state(helos: &[(&str, u64)]) -> HostState {
    HostState {
        helos: helos.iter().map(|(name, seen)| (xxh3_64(name.as_bytes()), *seen, (*name).into())).collect(),
        ..HostState::default()
    }
}

#[test]
fn a_worm_that_changes_its_name_is_one_more_sender() {
    let own = Wire::from("mail.example.com");
    let seen = state(&[("mail.example.com", 20), ("pc1", 1), ("pc2", 1), ("pc3", 1)]);
    assert_eq!(seen.at_least(Some(&own)), (1, 2));
    assert_eq!(state(&[("mail.example.com", 20), ("typo", 1)]).at_least(Some(&own)), (1, 1));
}

#[test]
fn the_gateway_stands_out_among_strangers() {
    let mut strangers = Strangers::default();
    let end = |n: u32| Endpoint { host: HostKey::v4(n.to_be_bytes()), port: 25 };
    for n in 1..2000 {
        strangers.note(ConnId { ts: Ts::EPOCH, orig: end(0xcb00_7105), resp: end(n) });
    }
    assert_eq!(strangers.candidates().len(), 1);
    assert_eq!(strangers.candidates()[0].0.to_string(), "203.0.113.5");
}

mod judged {
    use super::*;
    use crate::detect::testing::{Letter, Scene, host};
    use crate::detect::{Confidence, Tier};
    use crate::incident::{Incident, Judgement};
    use crate::site::Site;

    const GATEWAY: &str = "203.0.113.5";
    const LINUX: SynSignature = SynSignature {
        v6: false,
        ttl: 63,
        olen: 0,
        mss: 1460,
        wsize: 64_240,
        scale: Some(7),
        olayout: 0x31842,
        quirks: 0,
        tsval: None,
        ip_id: 0,
    };
    const WINDOWS: SynSignature = SynSignature { ttl: 127, wsize: 8192, scale: Some(2), olayout: 0x41132, ..LINUX };

    /// A tap outside the address translation.
    fn scene() -> Scene {
        Scene::new(Site { home_nets: vec!["203.0.113.5/32".parse().unwrap()], ..Site::default() })
    }

    /// The mail server behind the gateway takes a mail of each of three.
    fn serves(scene: &mut Scene) {
        for n in 0..3 {
            let letter = Letter::from("x@contoso.example").rcpt("u@adatum.example").data("", "", "250 queued");
            let call = scene.call(&format!("198.51.100.{n}"), GATEWAY).greets("220 mail.adatum.example ESMTP");
            call.helo("mx.contoso.example").mail(letter).quit();
        }
    }

    fn calls(scene: &mut Scene, n: u32, helo: &str, syn: SynSignature, answer: &str) {
        let mut letter = Letter::from("a@adatum.example").to(&format!("u{n}@d.example"), answer);
        if answer.starts_with('2') {
            letter = letter.data("", "", "250 queued");
        }
        let call = scene.call(GATEWAY, &format!("198.18.{n}.25")).greets("220 mx ESMTP").helo(helo).syn(syn);
        call.mail(letter).quit();
    }

    fn senders(scene: &Scene) -> Option<(f64, f64)> {
        let found = scene.findings("behind_nat");
        let number = |name: &str| found.first().map(|finding| finding.numbers.get(name).unwrap());
        Some((number("by_syn")?, number("by_helo")?))
    }

    fn incident(scene: &Scene) -> Option<Incident> {
        Judgement::of(&scene.judge).incidents.into_iter().find(|incident| incident.class == Class::MassMailer)
    }

    /// The honest server in the same minutes as a worm: told apart, never named.
    #[test]
    fn a_worm_and_the_mail_server_behind_one_address() {
        let mut scene = scene();
        serves(&mut scene);
        for n in 0..20 {
            calls(&mut scene, n, "mail.adatum.example", LINUX, "250 ok");
            calls(&mut scene, 100 + n, "pc23", WINDOWS, if n % 10 < 7 { "550 5.1.1 no" } else { "250 ok" });
        }
        assert_eq!(senders(&scene), Some((2.0, 2.0)));
        let incident = incident(&scene).unwrap();
        assert_eq!((incident.host, incident.confidence), (host(GATEWAY), Confidence::Low));
        assert!(incident.tier >= Tier::Likely, "the server's good mail does not clear the worm");
        assert!(incident.summary.starts_with("At least 2 different senders use the address 203.0.113.5"));
        let line = incident.evidence.iter().find(|line| line.detector == Some("behind_nat")).unwrap();
        assert_eq!((line.db, line.sessions.len()), (0.0, TUPLES_MAX));
        assert!(line.says.contains("203.0.113.5:1") && line.says.contains("translation log"), "{}", line.says);
        assert!(incident.remediation[0].contains("log of the gateway's address translation"));
    }

    #[test]
    fn one_server_that_keeps_its_name_is_one_sender() {
        let mut scene = scene();
        serves(&mut scene);
        for n in 0..50 {
            calls(&mut scene, n, "MAIL.adatum.example.", LINUX, "250 ok");
        }
        assert_eq!(senders(&scene), None);
        assert!(incident(&scene).is_none());
    }

    #[test]
    fn a_sign_counts_when_it_is_seen_three_times() {
        let mut scene = scene();
        serves(&mut scene);
        for n in 0..5 {
            calls(&mut scene, n, "mail.adatum.example", LINUX, "250 ok");
        }
        for n in 0..2 {
            calls(&mut scene, 10 + n, "mail.adatum.example", WINDOWS, "250 ok");
        }
        assert_eq!(senders(&scene), None, "a SYN with fewer options may be a second try");
        calls(&mut scene, 12, "mail.adatum.example", WINDOWS, "250 ok");
        assert_eq!(senders(&scene), Some((2.0, 1.0)));
        // Alone it explains, and accuses nobody.
        assert!(incident(&scene).is_none());
    }

    /// The way from the system to the tap shortens the hop limit, its clock and counter go on; the system stays the same.
    #[test]
    fn distance_clock_and_identification_make_no_second_system() {
        let mut scene = scene();
        serves(&mut scene);
        for n in 0..40_u8 {
            let syn = SynSignature { ttl: 64 - n % 5, tsval: Some(u32::from(n) * 1000), ip_id: u16::from(n), ..LINUX };
            calls(&mut scene, n.into(), "mail.adatum.example", syn, "250 ok");
        }
        assert_eq!(senders(&scene), None);
    }

    /// A single bot that changes its name at every call, and no mail server: its SYNs are all alike.
    #[test]
    fn many_names_without_a_mail_server_are_one_bots_habit() {
        let mut scene = scene();
        for n in 0..40 {
            calls(&mut scene, n, &format!("h{n}.d.example"), WINDOWS, "550 5.1.1 no");
        }
        assert_eq!(senders(&scene), None);
        assert!(!incident(&scene).unwrap().summary.contains("different senders"));
    }

    #[test]
    fn a_worm_of_many_names_does_not_crowd_out_the_servers() {
        let mut scene = scene();
        serves(&mut scene);
        for n in 0..40 {
            calls(&mut scene, n, &format!("h{n}.d.example"), LINUX, "550 5.1.1 no");
        }
        for n in 40..45 {
            calls(&mut scene, n, "mail.adatum.example", LINUX, "250 ok");
        }
        assert_eq!(senders(&scene), Some((1.0, 2.0)));
    }

    /// RFC 5321 section 2.3.5: names are the same in any case.
    #[test]
    fn the_servers_name_in_two_spellings_is_one_sender() {
        let mut scene = scene();
        serves(&mut scene);
        for n in 0..10 {
            let helo = if n % 2 == 0 { "mail.adatum.example" } else { "MAIL.ADATUM.EXAMPLE" };
            calls(&mut scene, n, helo, LINUX, "250 ok");
        }
        assert_eq!(senders(&scene), None);
    }
}
