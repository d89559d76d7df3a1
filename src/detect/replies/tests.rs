//! Classes. In here: examples, providers and lists, phrases, codes.

mod addresses;
mod files;
mod hostile;
mod patterns;

use super::example::reply;
use super::*;
use crate::smtp::EnhancedStatus;
use crate::wire::Wire;

fn builtin() -> ReplyRules {
    ReplyRules::builtin()
}

/// Asserts `stage reply => class` for each row.
#[track_caller]
fn says(rows: &[(Stage, &str, ReplyClass)]) {
    let rules = builtin();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(stage, line, class)| {
            let verdict = rules.classify(&reply(line), *stage);
            let rule = verdict.rule.unwrap_or("no rule");
            (verdict.class != *class).then(|| format!("{line}: {}, not {class} (by {rule})", verdict.class))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

mod builtin_rules {
    use super::*;

    #[test]
    fn every_rule_takes_its_own_examples() {
        let wrong: Vec<String> = builtin().mismatches().iter().map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_rule_tells_its_source_and_has_an_example() {
        let rules = builtin();
        for rule in rules.rules() {
            assert!(!rule.source.is_empty(), "{} has no source", rule.id);
            assert!(!rule.examples.is_empty(), "{} has no example", rule.id);
        }
        assert!(rules.rules().len() >= 100);
    }

    #[test]
    fn every_class_but_those_without_a_rule_has_one() {
        let rules = builtin();
        for class in ReplyClass::ALL {
            let has = rules.rules().iter().any(|rule| rule.class == *class);
            assert_eq!(has, !matches!(class, ReplyClass::Ok | ReplyClass::Other), "{class}");
            assert_eq!(ReplyClass::from_name(class.as_str()), Some(*class));
            assert_eq!(serde_json::to_string(class).unwrap(), format!("\"{class}\""));
        }
    }

    #[test]
    fn a_rule_that_takes_a_foreign_example_is_told() {
        let text = r#"
            [[rule]]
            id = "all"
            class = "policy"
            codes = ["5xx"]
            not = ["550 that one"]
            [[rule]]
            id = "never"
            class = "size"
            text = "large"
            examples = ["552 too large"]"#;
        let told: Vec<String> =
            ReplyRules::from_toml(text).unwrap().mismatches().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["rule `all`: `550 that one` is taken by all", "rule `never`: `552 too large` is taken by all"]
        );
    }
}

mod providers_and_lists {
    use super::ReplyClass::*;
    use super::Stage::*;
    use super::*;

    #[test]
    fn an_address_on_a_list() {
        says(&[
            (
                Rcpt,
                "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org",
                BlocklistIp,
            ),
            (Rcpt, "550 5.7.1 Mail refused, 203.0.113.5 listed at bl.spamcop.net", BlocklistIp),
            (Greeting, "554 rejected due to listing in Spamhaus XBL", BlocklistIp),
            (Mail, "521 5.7.1 Service unavailable; client [203.0.113.5] blocked using bl.example.net", BlocklistIp),
            (Mail, "553 5.7.1 203.0.113.5 is listed at dnsbl.example.net", BlocklistIp),
            (
                Greeting,
                "421 4.7.1 Service unavailable; client [203.0.113.5] blocked using b.barracudacentral.org",
                BlocklistIp,
            ),
            (Mail, "550 5.7.606 Access denied, banned sending IP [203.0.113.5]", BlocklistIp),
            (Mail, "550 5.7.649 Access denied, banned sending IP [203.0.113.5]", BlocklistIp),
            (Mail, "550 5.7.511 Access denied, banned sender[203.0.113.5]", BlocklistIp),
            (Mail, "550 5.7.708 Access denied, traffic not accepted from this IP", BlocklistIp),
            (
                Mail,
                "550 5.7.1 messages from [203.0.113.5] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).",
                BlocklistIp,
            ),
            (Greeting, "553 5.7.1 [BL21] Connections will not be accepted from 203.0.113.5", BlocklistIp),
            (Greeting, "554 5.7.1 [BL23] Connections not accepted", BlocklistIp),
            (Greeting, "553 5.7.1 [TSS07] All messages from 203.0.113.5 will be permanently deferred", BlocklistIp),
            (Greeting, "421 4.7.1 [TS03] All messages from 203.0.113.5 will be permanently deferred", BlocklistIp),
            (Greeting, "553 5.3.0 flph829 DNSBL:RBL 521< 203.0.113.5 >_is_blocked", BlocklistIp),
            (Greeting, "553 5.3.0 flph829 DNSBL:ATTRBL 521< 203.0.113.5 >_is_blocked", BlocklistIp),
            (
                Greeting,
                "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
                BlocklistIp,
            ),
            (Greeting, "554 mx.example.com 203.0.113.5 found on one or more DNSBLs", BlocklistIp),
            (Greeting, "554 RTR:BL http://postmaster.info.aol.com/errors/554rtrbl.html", BlocklistIp),
            (Greeting, "554 CON:B1", BlocklistIp),
            (Greeting, "554 IP=203.0.113.5 - A problem occurred. (BL)", BlocklistIp),
            (Mail, "550 SC-001 Mail rejected by Outlook.com for policy reasons", BlocklistIp),
            (Mail, "550 SC-004 Mail rejected", BlocklistIp),
            (Mail, "550 DY-001 Mail rejected", BlocklistIp),
            (Mail, "550 OU-001 Mail rejected", BlocklistIp),
            (Rcpt, "451 VS1-IP Excessive unknown recipients - possible Open Relay (#4.1.8)", BlocklistIp),
        ]);
    }

    /// The text tells neither a list nor an address; it comes for content, too.
    #[test]
    fn barracuda_blocked_is_a_policy_and_no_list() {
        says(&[(EndOfData, "550 permanent failure for one or more recipients (u@example.com:blocked)", Policy)]);
    }

    #[test]
    fn lists_are_named() {
        let rules = builtin();
        for (text, list) in [
            ("blocked using sbl-xbl.spamhaus.org", "spamhaus"),
            ("blocked using cbl.abuseat.org", "cbl"),
            ("see http://www.spamcop.net/bl.shtml?203.0.113.5", "spamcop"),
            ("blocked using dnsbl.sorbs.net", "sorbs"),
            ("blocked using b.barracudacentral.org", "barracuda"),
            ("blocked using dnsbl-2.uceprotect.net", "uceprotect"),
            ("blocked using psbl.surriel.com", "psbl"),
            ("blocked using ix.dnsbl.manitu.net", "manitu"),
            ("blocked using bl.mailspike.net", "mailspike"),
            ("blocked using ips.backscatterer.org", "backscatterer"),
        ] {
            let line = format!("554 5.7.1 Service unavailable; Client host [203.0.113.5] {text}");
            let verdict = rules.classify(&reply(&line), Rcpt);
            assert_eq!((verdict.class, verdict.list), (BlocklistIp, Some(list)), "{line}");
        }
    }

    /// A listed URL is the mail's, not the client's: an infected PC behind the gateway does not cause it.
    #[test]
    fn a_list_of_urls_is_content() {
        says(&[
            (EndOfData, "554 5.7.1 Blocked by SURBL: example.com, see http://www.surbl.org/", SpamContent),
            (EndOfData, "550 5.7.1 URL in body listed by multi.uribl.com", SpamContent),
            (EndOfData, "550 5.7.1 rejected, domain in dbl.spamhaus.org", SpamContent),
            (EndOfData, "554 5.7.1 Message contains a URL listed at https://www.spamhaus.org/sbl/", SpamContent),
            (
                EndOfData,
                "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org",
                BlocklistIp,
            ),
            (
                Mail,
                "554 5.7.1 Service unavailable; Sender address [u@example.com] blocked using dbl.spamhaus.org",
                SenderRejected,
            ),
        ]);
    }

    #[test]
    fn throttles() {
        says(&[
            (
                Greeting,
                "421-4.7.28 [203.0.113.5] Our system has detected an unusual rate of\n421 4.7.28 unsolicited mail originating from your IP address.",
                RateLimit,
            ),
            (
                Greeting,
                "421-4.7.0 [203.0.113.5] Our system has detected an unusual rate of\n421 4.7.0 unsolicited mail originating from your IP address.",
                RateLimit,
            ),
            (
                Mail,
                "421 4.7.0 [TSS04] Messages from 203.0.113.5 temporarily deferred due to unexpected volume or user complaints",
                RateLimit,
            ),
            (Mail, "421 4.7.0 [TSS05] Messages from 203.0.113.5 temporarily deferred", RateLimit),
            (
                Mail,
                "451 4.7.650 The mail server [203.0.113.5] has been temporarily rate limited due to IP reputation (S3114)",
                RateLimit,
            ),
            (Mail, "451 4.7.651 The mail server has been temporarily rate limited (S775)", RateLimit),
            (Mail, "451 4.7.500 Server busy. Please try again later from [203.0.113.5]. (AS777)", RateLimit),
            (
                Mail,
                "421 RP-001 The mail server IP connecting to Outlook.com has exceeded the rate limit allowed.",
                RateLimit,
            ),
            (Mail, "421 RP-003 The mail server IP has exceeded the connection limit allowed", RateLimit),
            (
                Rcpt,
                "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
                RateLimit,
            ),
            (Mail, "421 RLY:B1", RateLimit),
            (Mail, "421 DYN:T1", RateLimit),
            (Mail, "421 4.7.0 Try again later, closing connection.", RateLimit),
        ]);
    }

    #[test]
    fn the_same_words_with_5xx_are_a_block() {
        let text = "[203.0.113.5] Our system has detected an unusual rate of unsolicited mail originating from your IP";
        says(&[
            (EndOfData, &format!("421 4.7.0 {text}"), RateLimit),
            (EndOfData, &format!("550 5.7.1 {text}"), BlocklistIp),
        ]);
    }

    #[test]
    fn too_many_connections() {
        says(&[
            (Greeting, "421 4.7.0 mx.example.com Error: too many connections from 203.0.113.5", TooManyConnections),
            (Greeting, "421 Too many concurrent SMTP connections; please try again later.", TooManyConnections),
            (Greeting, "421 4.3.2 Connection rate limit exceeded.", TooManyConnections),
            (
                Greeting,
                "421 4.3.2 The maximum number of concurrent connections has exceeded a limit",
                TooManyConnections,
            ),
        ]);
    }
}

mod phrases {
    use super::ReplyClass::*;
    use super::Stage::*;
    use super::*;

    #[test]
    fn greylisting_that_says_so() {
        says(&[
            (Rcpt, "450 4.2.0 <u@example.com>: Recipient address rejected: Greylisted", Greylist),
            (Rcpt, "451 4.7.1 Greylisting in action, please come back later", Greylist),
            (Rcpt, "451 4.7.1 Please try again later", Greylist),
            (Rcpt, "451 4.3.2 Please try again later", Greylist),
            (Rcpt, "450 4.3.2 Service currently unavailable", Greylist),
        ]);
    }

    /// 4.7.1 with no word of greylisting is put off, not greylisted: only the retry can tell. Both are pending.
    #[test]
    fn greylisting_that_does_not() {
        says(&[
            (Rcpt, "450 4.7.1 <u@example.com>: Recipient address rejected", Deferred),
            (Rcpt, "451 4.7.1 no", Deferred),
            (Rcpt, "450 no", Deferred),
        ]);
        assert_eq!(builtin().classify(&reply("450 4.7.1 no"), Rcpt).outcome(), OutcomeClass::Pending);
        assert_eq!(builtin().classify(&reply("451 4.7.1 Greylisted"), Rcpt).outcome(), OutcomeClass::Pending);
    }

    #[test]
    fn relaying() {
        says(&[
            (Rcpt, "454 4.7.1 <u@example.org>: Relay access denied", RelayDenied),
            (Rcpt, "554 5.7.1 <u@example.org>: Relay access denied", RelayDenied),
            (Rcpt, "550 relay not permitted", RelayDenied),
            (Rcpt, "550 5.7.1 <u@example.org>... Relaying denied", RelayDenied),
            (Rcpt, "550 5.7.1 Unable to relay for u@example.org", RelayDenied),
            (Rcpt, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", RelayDenied),
            (Rcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", RelayDenied),
            (
                Rcpt,
                "503 This mail server requires authentication when attempting to send to a non-local e-mail address.",
                RelayDenied,
            ),
        ]);
    }

    #[test]
    fn authentication() {
        says(&[
            (Mail, "530 5.7.0 Authentication required", AuthRequired),
            (
                Mail,
                "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
                AuthRequired,
            ),
            (Mail, "550 5.7.1 Client was not authenticated to send anonymous mail", AuthRequired),
            (Auth, "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", AuthFailed),
            (Mail, "530 5.7.0 Must issue a STARTTLS command first", TlsRequired),
            (EndOfData, "550 5.7.1 DKIM authentication failed", SenderAuth),
        ]);
    }

    #[test]
    fn recipients() {
        says(&[
            (Rcpt, "550 5.1.1 User unknown", UserUnknown),
            (Rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound", UserUnknown),
            (Rcpt, "550 5.4.1 Recipient address rejected: Access denied.", UserUnknown),
            (Rcpt, "550 5.7.1 <u@example.com>: Recipient address rejected: Access denied", Policy),
            (Rcpt, "550 u@example.com does not exist", UserUnknown),
            (Rcpt, "550 sorry, no mailbox here by that name. (#5.7.17)", UserUnknown),
            (Rcpt, "452 4.2.2 The email account that you tried to reach is over quota", MailboxFull),
            (Rcpt, "552 5.2.2 mailbox full", MailboxFull),
            (Rcpt, "452 4.3.1 Insufficient system resources", System),
        ]);
    }

    #[test]
    fn content() {
        says(&[
            (EndOfData, "550 5.7.1 This message was detected as spam", SpamContent),
            (EndOfData, "554 5.7.1 message rejected due to spam", SpamContent),
            (EndOfData, "554 5.6.0 message rejected due to spam", SpamContent),
        ]);
    }

    #[test]
    fn names_of_addresses() {
        says(&[
            (Rcpt, "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.5]", Rdns),
            (Rcpt, "550 5.7.25 no", Rdns),
            (Greeting, "554 5.7.1 No PTR record for 203.0.113.5", Rdns),
        ]);
    }

    #[test]
    fn early_talkers() {
        says(&[
            (Greeting, "554 SMTP synchronization error", EarlyTalk),
            (Helo, "554 5.5.0 not accepting messages due to pre-greeting traffic", EarlyTalk),
            (Helo, "521 5.5.1 Protocol error", Protocol),
        ]);
    }

    #[test]
    fn five_seven_one_is_used_for_everything() {
        says(&[
            (Rcpt, "550 5.7.1 blocked using zen.spamhaus.org", BlocklistIp),
            (Rcpt, "550 5.7.1 Unable to relay", RelayDenied),
            (Rcpt, "550 5.7.1 Client was not authenticated", AuthRequired),
            (Rcpt, "550 5.7.1 Recipient address rejected: User unknown", UserUnknown),
            (EndOfData, "550 5.7.1 Message rejected as spam by Content Filtering.", SpamContent),
            (
                EndOfData,
                "550 5.7.1 Unauthenticated email from example.com is not accepted due to domain's DMARC policy.",
                SenderAuth,
            ),
            (Mail, "550 5.7.1 Fix reverse DNS for 203.0.113.5", Rdns),
            (Mail, "550 5.7.1 Sender denied", SenderRejected),
            (Rcpt, "550 5.7.1 go away", Policy),
        ]);
    }

    #[test]
    fn the_travelling_user_of_the_field_report() {
        let line =
            "550 5.2.1 Mailbox unavailable. Too many invalid delivery attempts were received from your IP address";
        assert_eq!(builtin().classify(&reply(line), Rcpt).rule, Some("too-many-invalid-attempts"));
    }
}

mod codes {
    use super::ReplyClass::*;
    use super::Stage::*;
    use super::*;

    #[test]
    fn a_bare_code_means_what_its_stage_makes_of_it() {
        says(&[
            (Greeting, "554 no", Policy),
            (Mail, "550 no", SenderRejected),
            (Rcpt, "550 no", UserUnknown),
            (EndOfData, "550 no", Policy),
            (Rcpt, "552 no", MailboxFull),
            (EndOfData, "552 no", Size),
            (Greeting, "421 no", System),
            (Helo, "501 no", Protocol),
            (Mail, "550 5.1.0 no", SenderRejected),
            (Rcpt, "550 5.1.0 no", UserUnknown),
        ]);
    }

    #[test]
    fn positive_codes_are_ok_whatever_they_say() {
        for line in ["250 2.1.5 ok", "354 go on", "235 2.7.0 in", "250 User unknown, blocked using zen.spamhaus.org"] {
            let rules = builtin();
            let verdict = rules.classify(&reply(line), Rcpt);
            assert_eq!((verdict.class, verdict.rule, verdict.named_ip), (Ok, None, None), "{line}");
        }
    }

    #[test]
    fn replies_without_a_code_count_by_their_status() {
        let bare = |class, subject, detail, text: &str| Reply {
            code: None,
            status: Some(EnhancedStatus { class, subject, detail }),
            text: Wire::from(text),
        };
        let rules = builtin();
        let verdict = rules.classify(&bare(4, 7, 0, "unusual rate of unsolicited mail"), Mail);
        assert_eq!((verdict.class, verdict.transient), (RateLimit, true));
        assert_eq!(rules.classify(&bare(5, 7, 1, "no"), Mail).class, Policy);
        assert_eq!(rules.classify(&bare(5, 9, 9, "no"), Mail).class, Policy);
        let nothing = Reply { code: None, status: None, text: Wire::default() };
        assert_eq!(rules.classify(&nothing, Mail).class, ReplyClass::Other);
        let odd = Reply { code: Some(999), status: None, text: Wire::from("no") };
        assert_eq!(rules.classify(&odd, Mail).class, ReplyClass::Other);
    }

    #[test]
    fn outcomes() {
        let rules = builtin();
        for (line, outcome) in [
            ("250 ok", OutcomeClass::Accepted),
            ("550 5.1.1 User unknown", OutcomeClass::BadRecipient),
            ("554 5.7.1 Client host blocked using zen.spamhaus.org", OutcomeClass::Policy),
            ("421 4.7.28 slow down", OutcomeClass::Policy),
            ("554 5.7.1 Relay access denied", OutcomeClass::Policy),
            ("451 4.7.1 Greylisted", OutcomeClass::Pending),
            ("452 4.3.1 Insufficient system resources", OutcomeClass::Pending),
            ("554 5.3.0 broken", OutcomeClass::Other),
            ("552 5.2.2 mailbox full", OutcomeClass::Other),
        ] {
            assert_eq!(rules.classify(&reply(line), Rcpt).outcome(), outcome, "{line}");
        }
    }
}
