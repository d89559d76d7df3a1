//! The table as people see it.

use super::*;
use crate::ledger::Used;
use crate::net::HostKey;
use crate::output::testing::{Case, quiet_host};
use crate::time::Ts;

fn shown(case: &Case, columns: usize) -> String {
    let mut out = Vec::new();
    write(&mut out, &case.results(), Style::new(columns, false)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_infected_pc_on_80_columns() {
    insta::assert_snapshot!(shown(&Case::infected(), 80), @r#"
    Read 12,345 frames of infected-pc.pcap, 2026-03-04 09:42:07 to 10:02:11 UTC;
    10,960 of SMTP.

    #  HOST          TIER         dB  MAILS  REFUSED  SERVERS  LAST SEEN
    1  192.168.0.23  confirmed  39.0    412     85 %       63  10:02:11
       mass_mailer, "pc23", 00:16:3e:00:00:17
    2  192.168.0.2   suspect       -      0        -        0  10:02:11
       relay, 00:16:3e:00:00:02

    Nothing against 2 hosts of yours on the SMTP ports: 192.168.0.40 (1 mail),
    192.168.0.41 (0 mails).

    1. 192.168.0.23: mass_mailer, confirmed, critical
       192.168.0.23 (calls itself "pc23", MAC 00:16:3e:00:00:17) has a mass-mailing
       worm or bot: since 2026-03-04T09:42:07.041431Z it has been mailing the world
       by itself, past your mail server.
       Who         192.168.0.23, MAC 00:16:3e:00:00:17 (this MAC belongs to a
                   router: it carries 5 of your addresses), VLAN 12, calls itself
                   "pc23" (HELO)
       When        2026-03-04 09:42:07 to 10:02:11 UTC
       Why          -20.0 dB  before any evidence: about one host in a hundred
                    +36.0 dB  352 of 412 mails were refused, most because the
                              recipient does not exist ("550 5.1.1 User unknown")
                        also  98 % of its recipients were never mailed before
                    +15.0 dB  mailed 63 foreign networks in an hour and is no mail
                              server
                     +8.0 dB  introduces itself with a bare name
                    +39.0 dB  in sum; 0 dB is as likely as not, each +10 dB ten
                              times as likely
       Refused by  198.51.100.9, 12 times: "554 5.7.1 go \x1b[2J away"
                   198.51.100.7, 2 times: "550 5.1.1 User unknown"
       What to do  1. Find the switch port of MAC 00:16:3e:00:00:17 (Cisco: show mac
                      address-table address 0016.3e00.0017).
                   2. Take 192.168.0.23 off the network.

    2. 192.168.0.2: relay, suspect, low
       Strangers tried 2 times to relay mail through 192.168.0.2: 1 was refused, 1
       accepted, none was seen to be relayed.
       Who         192.168.0.2, MAC 00:16:3e:00:00:02
       When        2026-03-04 09:42:07 to 10:02:11 UTC
       Why         - two of the seven tests of KB 304897 were made
       Attempts    refused            T1 S2 F1  by 203.0.113.77, frame 900
                     <spam@probe.example> to <victim@contoso.example>: "550 5.7.1
                     Unable to relay"
                   accepted, bounced  T6 F3 S6  by 203.0.113.77, frame 950
                     <spam@probe.example> to <victim%contoso.example@[192.168.0.2]>:
                     "250 2.1.5 ok"

    What could not be seen:
     - infected-pc.pcap could not be read to its end: it ends in the middle of a
       frame
     - 3 gaps in the conversations: 12,000 bytes missing from the capture
     - 2 conversations of your hosts went on under TLS: what was mailed there is
       hidden
     - 8 frames could not be decoded (8 truncated_ip)
    "#);
}

#[test]
fn on_a_wide_terminal_a_host_is_one_line() {
    let text = shown(&Case::infected(), 140);
    let table: Vec<&str> = text.lines().skip(2).take(3).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    #  HOST          TIER         dB  MAILS  REFUSED  SERVERS  LAST SEEN  WHAT
    1  192.168.0.23  confirmed  39.0    412     85 %       63  10:02:11   mass_mailer, "pc23", 00:16:3e:00:00:17
    2  192.168.0.2   suspect       -      0        -        0  10:02:11   relay, 00:16:3e:00:00:02
    "#);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in [80, 100, 140] {
        for line in shown(&Case::infected(), columns).lines() {
            assert!(super::super::text::width(line) <= columns, "{columns}: {line}");
        }
    }
}

#[test]
fn a_long_address_gets_a_line_for_itself() {
    let mut case = Case::infected();
    let ip: std::net::IpAddr = "2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap();
    case.judgement.hosts[0].row.host = ip.into();
    let table: Vec<String> = shown(&case, 80).lines().skip(2).take(5).map(str::to_owned).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"

    #  HOST                        TIER       dB  MAILS  REFUSED  SERVERS  LAST SEEN
    1  2001:db8:1234:5678:9abc:def0:1234:5678
                                   confirmed   -    412     85 %       63  10:02:11
       mass_mailer, "pc23", 00:16:3e:00:00:17
    "#);
}

#[test]
fn a_host_is_called_by_what_it_told_its_neighbours() {
    let mut case = Case::infected();
    case.judgement.hosts[0].row.identity = Some(crate::output::testing::told());
    let text = shown(&case, 80);
    assert!(text.contains("mass_mailer, \"PC-ACCOUNTS\", 00:16:3e:00:00:17"), "{text}");
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told =
        r#"calls itself "PC-ACCOUNTS" (DHCP, NetBIOS, mDNS), "\x1b[2Jbüro" (LLMNR), "pc23" (HELO), looks like Windows"#;
    assert!(joined.contains(told), "{joined}");
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_raw() {
    let mut case = Case::infected();
    case.judgement.hosts[0].row.helos =
        [Used::new(b"\x1b]0;owned\x07\xc2\x9b31m\xe2\x80\xae"[..].into(), (Ts::EPOCH, Ts::EPOCH))]
            .into_iter()
            .collect();
    case.judgement.incidents[0].summary = "slipped \x1b[2J through".to_owned();
    let text = shown(&case, 80);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(text.contains(r#" "\x1b]0;owned\x07\xc2\x9b31m\xe2\x80\xae""#), "{text}");
}

#[test]
fn colours_add_nothing_but_colour() {
    let case = Case::infected();
    let mut colored = Vec::new();
    write(&mut colored, &case.results(), Style::new(80, true)).unwrap();
    let colored = String::from_utf8(colored).unwrap();
    assert!(colored.contains("\x1b[1;31mconfirmed\x1b[0m"), "{colored}");
    let plain = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap().replace_all(&colored, "").into_owned();
    assert_eq!(plain, shown(&case, 80));
}

#[test]
fn all_quiet_is_said_with_what_was_looked_at() {
    let mut case = Case::nothing();
    case.facts.frames.total = 5000;
    case.facts.frames.smtp = 4000;
    case.judgement.hosts = (0..12).map(quiet_host).collect();
    case.judgement.hosts[0].row.counts.connections = 40;
    case.judgement.hosts[0].row.counts.transactions = 39;
    case.judgement.hosts[1].row.served = 2;
    insta::assert_snapshot!(shown(&case, 80), @r#"
    Read 5,000 frames; 4,000 of SMTP.

    No incident.
    Nothing speaks against any host of yours in 40 connections from and 2
    connections to them, with 39 mails sent.

    Looked at 12 hosts of yours on the SMTP ports: 10.0.0.0 (39 mails), 10.0.0.1 (0
    mails), 10.0.0.2 (0 mails), 10.0.0.3 (0 mails), 10.0.0.4 (0 mails), 10.0.0.5 (0
    mails), 10.0.0.6 (0 mails), 10.0.0.7 (0 mails), 10.0.0.8 (0 mails), 10.0.0.9 (0
    mails) and 2 more.

    Nothing was lost or hidden: every frame was read, no stream has a gap.
    "#);
}

#[test]
fn where_nobody_is_ours_the_likely_ones_are_named() {
    let mut case = Case::nothing();
    case.facts.frames.total = 10;
    case.facts.frames.smtp = 10;
    case.candidates =
        vec![(HostKey::v4([203, 0, 113, 5]), 0.97), ("2001:db8::5".parse::<std::net::IpAddr>().unwrap().into(), 0.25)];
    insta::assert_snapshot!(shown(&case, 80), @r#"
    Read 10 frames; 10 of SMTP.

    Nothing judged.
    No machine of yours appears in it: all SMTP connections have both ends outside
    the private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and their like),
    and nothing was judged. If some of the addresses are yours, say so.

    These take part in most connections and look like yours:
      --home-net 203.0.113.5/32   (97 % of connections)
      --home-net 2001:db8::5/128   (25 % of connections)

    Nothing was lost or hidden: every frame was read, no stream has a gap.
    "#);
}

#[test]
fn a_capture_without_smtp_says_so() {
    let mut case = Case::nothing();
    case.facts.frames.total = 10;
    insta::assert_snapshot!(shown(&case, 80), @r#"
    Read 10 frames; none of SMTP.

    Nothing judged.
    There is no SMTP connection in it. Is the capture from the right place? If mail
    is spoken on another port, name it with --port.

    Nothing was lost or hidden: every frame was read, no stream has a gap.
    "#);
}
