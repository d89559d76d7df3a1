//! The addresses that replies name.

use super::*;

#[track_caller]
fn names(line: &str, ip: Option<&str>) {
    let named = builtin().classify(&reply(line), Stage::Rcpt).named_ip;
    assert_eq!(named, ip.map(|ip| ip.parse().unwrap()), "{line}");
}

#[test]
fn positions_that_mean_you() {
    for line in [
        "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org",
        "554 5.7.1 refused, see http://www.spamhaus.org/query/bl?ip=203.0.113.5",
        "554 5.7.1 refused, see https://www.spamhaus.org/query/ip/203.0.113.5",
        "550 Blocked - see http://www.spamcop.net/bl.shtml?203.0.113.5",
        "421-4.7.28 [203.0.113.5      19] Gmail has detected an unusual rate of\n421 4.7.28 unsolicited mail",
        "421 4.7.0 [TSS04] Messages from 203.0.113.5 temporarily deferred - 4.16.55.1; see https://example.com",
        "554 IP=203.0.113.5 - None/bad reputation. (NOWL)",
        "553 5.3.0 flph829 DNSBL:RBL 521< 203.0.113.5 >_is_blocked",
        "554 For explanation visit https://postmaster.example/en/case?c=r0201&i=ip&v=203.0.113.5&r=1MNc",
        "554 resimta.example.net 203.0.113.5 found on one or more DNSBLs",
        "550 5.7.1 Rejected: 203.0.113.5 listed at bl.example.org",
        "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.5]",
        "550 5.7.1 Fix reverse DNS for 203.0.113.5.",
        "554 5.7.1 <unknown[203.0.113.5]>: Client host rejected: Access denied",
        "550 5.1.1 relay=[203.0.113.5]",
        "550 mx [198.51.100.1] refuses: at [198.51.100.2], your IP: 203.0.113.5",
    ] {
        names(line, Some("203.0.113.5"));
    }
    names("550 5.7.1 Client host [2001:db8::25] blocked using zen.spamhaus.org", Some("2001:db8::25"));
    names("550 5.7.1 [IPv6:2001:db8::25] blocked", Some("2001:db8::25"));
    names("550-5.7.1 [2001:db8::25      16] Our system has detected", Some("2001:db8::25"));
    names("550 5.7.1 from ::ffff:203.0.113.5, no", Some("203.0.113.5"));
}

#[test]
fn positions_that_do_not() {
    for line in [
        "550 5.1.1 <u@[198.51.100.1]>: Recipient address rejected",
        "554 5.7.1 refused by [198.51.100.1]",
        "554 5.7.1 connect to 198.51.100.1 refused",
        "550 host-203.0.113.5.example.net is dynamic",
        "554 5.7.1 5.113.0.203.zen.spamhaus.org",
        "554 5.7.1 listed (127.0.0.4)",
        "554 5.7.1 version 4.16.55.1",
        "550 5.7.1 go away - 4.16.55.1; see",
        "550 from 1.2.3, from 1.2.3.4.5, from 256.1.1.1, from 01.2.3.4, from ::, from 0.0.0.0, from 255.255.255.255",
        "550 from fe80::1eth, from 12:34:56, from :::, from dead:beef",
    ] {
        names(line, None);
    }
}

#[test]
fn the_address_that_an_ehlo_reply_sees() {
    for (text, ip) in [
        ("mx.example Hello client.example [203.0.113.5], pleased to meet you", Some("203.0.113.5")),
        ("mx.example Hello [203.0.113.5]", Some("203.0.113.5")),
        ("mx.example at your service, [203.0.113.5]\nSIZE 35882577", Some("203.0.113.5")),
        ("mx.example Hello client.example ([203.0.113.5]), nice to meet you", Some("203.0.113.5")),
        ("mx.example Hello [192.168.1.5] [203.0.113.5]", Some("203.0.113.5")),
        ("mx.example Hello [IPv6:2001:db8::25]", Some("2001:db8::25")),
        ("[198.51.100.1] Hello client.example", None),
        ("[198.51.100.1]", None),
        ("mx.example Hello 192.0.2.7, pleased to meet you", None),
        ("mx.example\nHELP [203.0.113.5]", None),
        ("", None),
    ] {
        assert_eq!(seen_ip(text.as_bytes()), ip.map(|ip| ip.parse().unwrap()), "{text}");
    }
}
