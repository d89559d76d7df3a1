//! The report against the keys that `docs/report-schema.md` promises.

use super::*;
use crate::ledger::Used;
use crate::output::testing::Case;

fn written(case: &Case) -> String {
    let mut out = Vec::new();
    write(&mut out, &case.results()).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_report_is_what_the_schema_says() {
    insta::assert_snapshot!(written(&Case::infected()), @r#"
    {"schema_version":1,
     "tool":{"name":"smtphound","version":"0.1.0"},
     "input":[
      {"file":"infected-pc.pcap","frames":12345,"bytes":9876543,"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z","truncated":true}],
     "capture":{"frames":{"total":12345,"smtp":10960,"dns":40,"names":7,"ignored":{"not_tcp":1330},"undecoded":{"truncated_ip":8}},"gaps":3,"missed_bytes":12000,"duplicates":40,"translated":0,"drops":{},"limits_hit":{}},
     "site":{"home_nets":["192.168.0.0/24"],"mail_servers":[{"ip":"192.168.0.2","learned":false,"banner":"mx.adatum.example ESMTP"}],"local_domains":["adatum.example"],"public_ips":[]},
     "hosts":[
      {"rank":1,"ip":"192.168.0.23","tier":"confirmed","score_db":39,"classes":["mass_mailer"],"identity":{"mac":["00:16:3e:00:00:17"],"vendor":"Xensource, Inc.","vlan":[12],"names":{"helo":"pc23"},"os":null},"counts":{"connections":90,"failed":12,"sessions":78,"transactions":412,"rcpt_accepted":60,"rcpt_rejected":352,"servers":63},"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z"},
      {"rank":2,"ip":"192.168.0.2","tier":"suspect","score_db":-20,"classes":["relay"],"identity":{"mac":["00:16:3e:00:00:02"],"vendor":"Xensource, Inc.","vlan":[],"names":{},"os":null},"counts":{"connections":0,"failed":0,"sessions":0,"transactions":0,"rcpt_accepted":0,"rcpt_rejected":0,"servers":0},"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z"},
      {"rank":3,"ip":"192.168.0.40","tier":null,"score_db":-20,"classes":[],"identity":{"mac":["00:16:3e:00:00:28"],"vendor":"Xensource, Inc.","vlan":[],"names":{},"os":null},"counts":{"connections":0,"failed":0,"sessions":0,"transactions":1,"rcpt_accepted":0,"rcpt_rejected":0,"servers":0},"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z"},
      {"rank":4,"ip":"192.168.0.41","tier":null,"score_db":-20,"classes":[],"identity":{"mac":["00:16:3e:00:00:29"],"vendor":"Xensource, Inc.","vlan":[],"names":{},"os":null},"counts":{"connections":0,"failed":0,"sessions":0,"transactions":0,"rcpt_accepted":0,"rcpt_rejected":0,"servers":0},"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z"}],
     "incidents":[
      {"id":"i8fc1154a4ce9f081","class":"mass_mailer","kind":null,"tier":"confirmed","severity":"critical","confidence":"high","host":"192.168.0.23","score_db":39,"accounts":[],"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z","summary":"192.168.0.23 (calls itself \"pc23\", MAC 00:16:3e:00:00:17) has a mass-mailing worm or bot: since 2026-03-04T09:42:07.041431Z it has been mailing the world by itself, past your mail server.","evidence":[{"family":"prior","db":-20,"says":"before any evidence: about one host in a hundred"},{"family":"outcome","detector":"outcome_burst","db":36,"says":"352 of 412 mails were refused, most because the recipient does not exist (\"550 5.1.1 User unknown\")","numbers":{"novel":412,"refused_share":0.854},"frames":[17,31],"sessions":["CQdCnIr0tNU7MSrAw0"]},{"family":"outcome","detector":"fresh_recipients","db":0,"says":"98 % of its recipients were never mailed before","numbers":{},"frames":[],"sessions":[]},{"family":"direct","detector":"direct_to_mx","db":15,"says":"mailed 63 foreign networks in an hour and is no mail server","numbers":{},"frames":[],"sessions":[]},{"family":"helo","detector":"helo","db":8,"says":"introduces itself with a bare name","numbers":{},"frames":[],"sessions":[]}],"verdicts":[],"peers":[{"ip":"198.51.100.7","role":"refuses","count":2,"says":"550 5.1.1 User unknown","first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T09:43:07.041431Z"},{"ip":"198.51.100.9","role":"refuses","count":12,"says":"554 5.7.1 go \\x1b[2J away","first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T09:43:07.041431Z"}],"remediation":["Find the switch port of MAC 00:16:3e:00:00:17 (Cisco: show mac address-table address 0016.3e00.0017).","Take 192.168.0.23 off the network."],"attack":["T1071.003"]},
      {"id":"i767ed37add702872","class":"relay","kind":null,"tier":"suspect","severity":"low","confidence":"high","host":"192.168.0.2","score_db":null,"accounts":[],"first_ts":"2026-03-04T09:42:07.041431Z","last_ts":"2026-03-04T10:02:11.500000Z","summary":"Strangers tried 2 times to relay mail through 192.168.0.2: 1 was refused, 1 accepted, none was seen to be relayed.","evidence":[{"family":"relay","detector":"relay","db":0,"says":"two of the seven tests of KB 304897 were made","numbers":{},"frames":[],"sessions":[]}],"verdicts":[{"server":"192.168.0.2","client":"203.0.113.77","technique":["T1","S2","F1"],"sender":"spam@probe.example","recipient":"victim@contoso.example","effective":"victim@contoso.example","verdict":"rejected","reply":"550 5.7.1 Unable to relay","frame":900},{"server":"192.168.0.2","client":"203.0.113.77","technique":["T6","F3","S6"],"sender":"spam@probe.example","recipient":"victim%contoso.example@[192.168.0.2]","effective":"victim@contoso.example","verdict":"accepted_then_ndr","reply":"250 2.1.5 ok","frame":950}],"peers":[],"remediation":[],"attack":[]}],
     "summary":{"hosts":4,"incidents":{"mass_mailer":1,"relay":1}}}
    "#);
}

#[test]
fn a_report_without_anything_has_every_key() {
    insta::assert_snapshot!(written(&Case::nothing()), @r#"
    {"schema_version":1,
     "tool":{"name":"smtphound","version":"0.1.0"},
     "input":[],
     "capture":{"frames":{"total":0,"smtp":0,"dns":0,"names":0,"ignored":{},"undecoded":{}},"gaps":0,"missed_bytes":0,"duplicates":0,"translated":0,"drops":{},"limits_hit":{}},
     "site":{"home_nets":["10.0.0.0/8","172.16.0.0/12","192.168.0.0/16","169.254.0.0/16","fc00::/7","fe80::/10"],"mail_servers":[],"local_domains":[],"public_ips":[]},
     "hosts":[],
     "incidents":[],
     "summary":{"hosts":0,"incidents":{}}}
    "#);
}

#[test]
fn every_key_is_documented() {
    let report = serde_json::from_str(&written(&Case::infected())).unwrap();
    crate::output::testing::assert_documented(&report, &["ignored", "undecoded", "drops", "limits_hit", "numbers"]);
}

#[test]
fn the_list_of_hosts_is_bounded_and_its_length_is_told() {
    let mut case = Case::nothing();
    case.judgement.hosts = (0..HOSTS_MAX + 5).map(|n| crate::output::testing::quiet_host(n as u32)).collect();
    let report: serde_json::Value = serde_json::from_str(&written(&case)).unwrap();
    assert_eq!(report["hosts"].as_array().unwrap().len(), HOSTS_MAX);
    assert_eq!(report["summary"]["hosts"], HOSTS_MAX + 5);
}

#[test]
fn names_stand_by_their_sources_and_are_documented() {
    let mut case = Case::infected();
    case.judgement.hosts[0].row.identity = Some(crate::output::testing::told());
    let report: serde_json::Value = serde_json::from_str(&written(&case)).unwrap();
    crate::output::testing::assert_documented(&report, &["ignored", "undecoded", "drops", "limits_hit", "numbers"]);
    let identity = &report["hosts"][0]["identity"];
    assert_eq!((&identity["os"], &identity["dhcp_vendor_class"]), (&"Windows".into(), &"MSFT 5.0".into()));
    let names =
        r#"{"dhcp":"PC-ACCOUNTS","helo":"pc23","llmnr":"\\x1b[2Jbüro","mdns":"pc-accounts","netbios":"PC-ACCOUNTS"}"#;
    assert_eq!(identity["names"].to_string(), names);
}

#[test]
fn hostile_names_are_text_in_a_report() {
    let mut case = Case::infected();
    case.judgement.hosts[0].row.helos =
        [Used::new(Wire::from(&b"\x1b]0;x\x07\xff\""[..]), (Ts::EPOCH, Ts::EPOCH))].into_iter().collect();
    let text = written(&case);
    assert!(text.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["hosts"][0]["identity"]["names"]["helo"], r#"\x1b]0;x\x07\xff""#);
}
