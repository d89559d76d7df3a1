//! Any bytes.

use proptest::prelude::*;

use super::*;

#[test]
fn lines_are_joined_and_cut() {
    let shown = |text: &[u8]| {
        let mut out = b"before".to_vec();
        plain(text, &mut out);
        out
    };
    assert_eq!(shown(b"  a\r\n\tb \x00\x7f c"), b"a b c");
    assert_eq!(shown(&[b'x'; 5000]).len(), TEXT_MAX);
    let late = format!("550 {}blocked using zen.spamhaus.org", " x".repeat(TEXT_MAX));
    assert_eq!(builtin().classify(&reply(&late), Stage::Data).class, ReplyClass::Policy);
}

/// What stands in a mailbox is the client's own choice.
#[test]
fn mailboxes_say_nothing() {
    for (text, shown) in [
        ("<pc@a.example> No such user", "<@> No such user"),
        ("a <b@c> d <e@f>, <g>, <@>: <h i@j> <<k@l> <m@n", "a <@> d <@>, <g>, <@>: <h i@j> <<@> <m@n"),
        ("<pc@a.example", "<pc@a.example"),
        ("<", "<"),
    ] {
        let mut out = Vec::new();
        plain(text.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), shown);
    }
    let verdict = |text: &str| builtin().classify(&reply(text), Stage::Rcpt).class;
    assert_eq!(verdict("550 <listed-in-zen.spamhaus.org@a.example>: no such user here"), ReplyClass::UserUnknown);
    assert_eq!(verdict("550 listed in zen.spamhaus.org"), ReplyClass::BlocklistIp);
}

proptest! {
    #[test]
    fn no_text_panics(
        code in proptest::option::of(0_u16..1000),
        status in proptest::option::of((0_u8..10, 0_u16..1000, 0_u16..1000)),
        text in proptest::collection::vec(any::<u8>(), 0..3000),
        stage in proptest::sample::select(Stage::ALL),
    ) {
        let rules = rules();
        let status = status.map(|(class, subject, detail)| EnhancedStatus { class, subject, detail });
        let reply = Reply { code, status, text: Wire::from(text) };
        let verdict = rules.classify(&reply, stage);
        prop_assert_eq!(verdict, rules.classify(&reply, stage));
        prop_assert_eq!(verdict.class == ReplyClass::Ok, reply.is_positive() || reply.is_intermediate());
        seen_ip(reply.text.as_bytes());
    }

    #[test]
    fn no_mixture_of_what_rules_look_for_panics(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "203.0.113.5", "[", "]", "IPv6:", "2001:db8::1", "::", ":", ".", "ip=", "from ", "blocked using ",
            "user ", "unknown", " listed at ", "spamhaus", "\n", "\u{fffd}", "6:", "@[", "quota ", "1.2.3.",
        ]), 0..60),
    ) {
        let text = words.concat();
        let reply = Reply { code: Some(550), status: None, text: Wire::from(text.as_str()) };
        let verdict = rules().classify(&reply, Stage::Rcpt);
        prop_assert!(verdict.rule.is_some());
        if let Some(ip) = verdict.named_ip {
            prop_assert!(!ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast());
        }
    }

    /// The pass for beginnings may only leave out rules that do not fit: against every rule, tried in order.
    #[test]
    fn the_first_rule_that_fits_is_found(
        pieces in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..80, 1_usize..60), 1..12),
        code in 400_u16..600,
        stage in proptest::sample::select(Stage::ALL),
    ) {
        let rules = rules();
        let examples: Vec<&str> = rules.rules().iter().flat_map(|rule| &rule.examples).map(String::as_str).collect();
        let mut text = Vec::new();
        for (which, from, len) in pieces {
            let example = which.get(&examples).as_bytes();
            text.extend(example.iter().skip(from).take(len));
        }
        let reply = Reply { code: Some(code), status: None, text: Wire::from(text) };
        let mut text = Vec::new();
        plain(reply.text.as_bytes(), &mut text);
        let said = Said { code: reply.code, status: None, stage, text: &text };
        let first = rules.rules().iter().find(|rule| rule.fits(said));
        prop_assert_eq!(rules.classify(&reply, stage).rule, first.map(|rule| rule.id.as_str()));
    }

    #[test]
    fn every_address_in_a_known_position_is_found(ip: std::net::Ipv4Addr, v6: std::net::Ipv6Addr) {
        let usable = !ip.is_loopback() && !ip.is_multicast() && !ip.is_broadcast() && ip.octets()[0] != 0;
        let line = format!("554 Client host [{ip}] blocked");
        let want = usable.then_some(IpAddr::V4(ip));
        prop_assert_eq!(rules().classify(&reply(&line), Stage::Rcpt).named_ip, want);
        let usable = !v6.is_loopback() && !v6.is_multicast() && !v6.is_unspecified() && v6.to_ipv4_mapped().is_none();
        let line = format!("554 Client host [{v6}] blocked");
        if usable {
            prop_assert_eq!(rules().classify(&reply(&line), Stage::Rcpt).named_ip, Some(IpAddr::V6(v6)));
        }
    }

    #[test]
    fn no_rules_file_panics(text in "(\\[\\[rule\\]\\]\n|id = \"a\"\n|class = \"policy\"\n|text = '[(a)x*]{0,5}'\n|codes = \\[\"5xx\"\\]\n|[a-z=\"\\[\\]\n]{0,9}){0,12}") {
        let _ = ReplyRules::from_toml(&text);
    }
}

/// Compiled once: proptest asks a few hundred times.
fn rules() -> &'static ReplyRules {
    static RULES: std::sync::LazyLock<ReplyRules> = std::sync::LazyLock::new(ReplyRules::builtin);
    &RULES
}
