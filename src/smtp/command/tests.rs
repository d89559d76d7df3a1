use proptest::prelude::*;

use super::*;

const CLEAN: Sins = Sins {
    space_after_colon: false,
    no_brackets: false,
    verb_not_upper: false,
    trailing_blanks: false,
    space_before_colon: false,
    extra_blanks: false,
    display_name: false,
};

fn path_of(line: &str) -> (&str, Sins) {
    match parse(line.as_bytes()) {
        Command::Mail { path, sins, .. } | Command::Rcpt { path, sins, .. } => {
            (std::str::from_utf8(path).unwrap(), sins)
        }
        other => panic!("{line:?} is {other:?}"),
    }
}

fn params_of(line: &str) -> MailParams<'_> {
    match parse(line.as_bytes()) {
        Command::Mail { params, .. } | Command::Rcpt { params, .. } => params,
        other => panic!("{line:?} is {other:?}"),
    }
}

#[test]
fn rfc_5321_appendix_d1() {
    let script = [
        ("EHLO bar.com", Command::Ehlo(b"bar.com")),
        (
            "MAIL FROM:<Smith@bar.com>",
            Command::Mail { path: b"Smith@bar.com", params: MailParams::default(), sins: CLEAN },
        ),
        (
            "RCPT TO:<Jones@foo.com>",
            Command::Rcpt { path: b"Jones@foo.com", params: MailParams::default(), sins: CLEAN },
        ),
        ("DATA", Command::Data),
        ("RSET", Command::Rset),
        ("VRFY Crispin", Command::Vrfy(b"Crispin")),
        ("EXPN Example-People", Command::Expn(b"Example-People")),
        ("QUIT", Command::Quit),
    ];
    for (line, command) in script {
        assert_eq!(parse(line.as_bytes()), command, "{line}");
        assert_eq!(parse(line.to_lowercase().as_bytes()).verb(), command.verb(), "{line}");
    }
}

#[test]
fn extensions_that_name_a_command() {
    // RFC 3030 section 4
    assert_eq!(parse(b"BDAT 86 LAST"), Command::Bdat { size: Some(86), last: true });
    assert_eq!(parse(b"BDAT 100000"), Command::Bdat { size: Some(100_000), last: false });
    assert_eq!(parse(b"bdat 0  last "), Command::Bdat { size: Some(0), last: true });
    assert_eq!(parse(b"BDAT 18446744073709551615"), Command::Bdat { size: Some(u64::MAX), last: false });
    assert_eq!(parse(b"BDAT 18446744073709551616 LAST"), Command::Bdat { size: None, last: true });
    assert_eq!(parse(b"BDAT -1 LAST"), Command::Bdat { size: None, last: true });
    assert_eq!(parse(b"BDAT 0x10"), Command::Bdat { size: None, last: false });
    assert_eq!(parse(b"BDAT"), Command::Bdat { size: None, last: false });
    // RFC 3207
    assert_eq!(parse(b"STARTTLS"), Command::StartTls);
    // RFC 4954 section 4.1
    assert_eq!(
        parse(b"AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ="),
        Command::Auth { mechanism: b"PLAIN", initial: Some(b"dGVzdAB0ZXN0ADEyMzQ=") }
    );
    assert_eq!(parse(b"AUTH LOGIN dXNlcg=="), Command::Auth { mechanism: b"LOGIN", initial: Some(b"dXNlcg==") });
    assert_eq!(parse(b"auth CRAM-MD5 "), Command::Auth { mechanism: b"CRAM-MD5", initial: None });
    assert_eq!(parse(b"AUTH EXTERNAL ="), Command::Auth { mechanism: b"EXTERNAL", initial: Some(b"=") });
    assert_eq!(parse(b"AUTH"), Command::BadArguments("AUTH"));
    // Exchange and Postfix
    assert_eq!(parse(b"X-ANONYMOUSTLS"), Command::StartTls);
    assert_eq!(parse(b"X-EXPS LOGIN"), Command::Auth { mechanism: b"LOGIN", initial: None });
    assert_eq!(parse(b"x-exps GSSAPI YIIF"), Command::Auth { mechanism: b"GSSAPI", initial: Some(b"YIIF") });
    assert_eq!(parse(b"X-EXPS"), Command::BadArguments("AUTH"));
    assert_eq!(parse(b"X-LINK2STATE FIRST CHUNK={1}").verb(), "X-LINK2STATE");
    assert_eq!(parse(b"xshadow 1").verb(), "XSHADOW");
    assert_eq!(parse(b"XSHADOWREQUEST 1").verb(), "XSHADOWREQUEST");
    assert_eq!(parse(b"XSHADOWREQUESTS").verb(), "?");
    assert_eq!(parse(b"XEXCH50 2476 2"), Command::Xexch50 { size: Some(2476) });
    assert_eq!(parse(b"XEXCH50"), Command::Xexch50 { size: None });
    assert_eq!(parse(b"XCLIENT ADDR=192.0.2.1"), Command::Xclient(b"ADDR=192.0.2.1"));
    assert_eq!(parse(b"XFORWARD NAME=spike"), Command::Xforward(b"NAME=spike"));
    assert_eq!(parse(b"etrn example.com").verb(), "ETRN");
    assert_eq!(parse(b"Etrn example.com"), Command::Other(b"Etrn"));
}

#[test]
fn a_greeting_may_lack_its_name() {
    assert_eq!(parse(b"HELO"), Command::Helo(b""));
    assert_eq!(parse(b"EHLO "), Command::Ehlo(b""));
    assert_eq!(parse(b"ehlo\t[192.0.2.7] "), Command::Ehlo(b"[192.0.2.7]"));
    assert_eq!(parse(b"HELO a b"), Command::Helo(b"a b"));
}

#[test]
fn every_usual_sin_is_tolerated_and_noted() {
    let sin = |set: fn(&mut Sins)| {
        let mut sins = CLEAN;
        set(&mut sins);
        sins
    };
    let rows: &[(&str, &str, Sins)] = &[
        ("MAIL FROM:<a@b>", "a@b", CLEAN),
        ("MAIL FROM:<>", "", CLEAN),
        ("MAIL From:<a@b>", "a@b", CLEAN),
        ("MAIL FROM: <a@b>", "a@b", sin(|s| s.space_after_colon = true)),
        ("MAIL FROM :<a@b>", "a@b", sin(|s| s.space_before_colon = true)),
        ("MAIL FROM:a@b", "a@b", sin(|s| s.no_brackets = true)),
        ("MAIL FROM:a@b SIZE=5", "a@b", sin(|s| s.no_brackets = true)),
        ("MAIL FROM:<a@b SIZE=5", "a@b", sin(|s| s.no_brackets = true)),
        ("MAIL FROM:a@b> SIZE=5", "a@b", sin(|s| s.no_brackets = true)),
        ("MAIL FROM:", "", sin(|s| s.no_brackets = true)),
        ("mail FROM:<a@b>", "a@b", sin(|s| s.verb_not_upper = true)),
        ("Mail From:<a@b>", "a@b", sin(|s| s.verb_not_upper = true)),
        ("MAIL FROM:<a@b> ", "a@b", sin(|s| s.trailing_blanks = true)),
        (" MAIL FROM:<a@b>", "a@b", sin(|s| s.extra_blanks = true)),
        ("MAIL  FROM:<a@b>", "a@b", sin(|s| s.extra_blanks = true)),
        ("MAIL FROM:< a@b >", "a@b", sin(|s| s.extra_blanks = true)),
        ("MAIL FROM:Jo Doe <a@b>", "a@b", sin(|s| s.display_name = true)),
        ("MAIL FROM:\"a@b\" <a@b> SIZE=1", "a@b", sin(|s| s.display_name = true)),
        (
            "rcpt to : a@b ",
            "a@b",
            Sins {
                space_after_colon: true,
                no_brackets: true,
                verb_not_upper: true,
                trailing_blanks: true,
                space_before_colon: true,
                ..CLEAN
            },
        ),
    ];
    for &(line, path, sins) in rows {
        assert_eq!(path_of(line), (path, sins), "{line}");
    }
}

#[test]
fn paths_are_kept_as_they_stand() {
    let rows = [
        (r#"RCPT TO:<"Joe Blow"@example.com>"#, r#""Joe Blow"@example.com"#),
        (r#"RCPT TO:<"a\"b>c"@example.com> NOTIFY=NEVER"#, r#""a\"b>c"@example.com"#),
        (r#"RCPT TO:<"a\\">"#, r#""a\\""#),
        (r#"RCPT TO:"Joe Blow"@example.com NOTIFY=NEVER"#, r#""Joe Blow"@example.com"#),
        (r#"RCPT TO:<"never closed@example.com> SIZE=1"#, r#""never closed@example.com"#),
        ("RCPT TO:<@a.example,@b.example:u@c.example>", "@a.example,@b.example:u@c.example"),
        ("RCPT TO:<a@b>,<c@d>", "<a@b>,<c@d>"),
        ("RCPT TO:a@b,c@d", "a@b,c@d"),
        ("RCPT TO:<a b@c>", "a b@c"),
        ("RCPT TO:<Postmaster>", "Postmaster"),
        ("RCPT TO:<пользователь@пример.example> SMTPUTF8", "пользователь@пример.example"),
        ("RCPT TO:<u%ext.example@[192.0.2.1]>", "u%ext.example@[192.0.2.1]"),
        ("RCPT TO:<a=b@c>", "a=b@c"),
        ("RCPT TO:a=b@c", "a=b@c"),
    ];
    for (line, path) in rows {
        assert_eq!(path_of(line).0, path, "{line}");
    }
    assert!(params_of("RCPT TO:<пользователь@пример.example> SMTPUTF8").smtputf8);
    assert_eq!(params_of(r#"RCPT TO:"Joe Blow"@example.com NOTIFY=NEVER"#).notify, Some(b"NEVER" as &[u8]));
    assert!(matches!(parse(b"RCPT TO:<\xff\x00>"), Command::Rcpt { path: b"\xff\x00", .. }));
}

#[test]
fn parameters() {
    // RFC 3461 section 10
    let params = params_of("MAIL FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159");
    assert_eq!((params.ret, params.envid), (Some(b"HDRS" as &[u8]), Some(b"QQ314159" as &[u8])));
    let params = params_of("RCPT TO:<Carol@Ivory.EDU> NOTIFY=FAILURE,DELAY ORCPT=rfc822;Carol@Ivory.EDU");
    assert_eq!(params.notify, Some(b"FAILURE,DELAY" as &[u8]));
    assert_eq!(params.orcpt, Some(b"rfc822;Carol@Ivory.EDU" as &[u8]));
    let params =
        params_of("MAIL FROM:<e=mc2@example.com> size=1000 BODY=8BITMIME SMTPUTF8 AUTH=e+3Dmc2@example.com FOO X=Y");
    assert_eq!(
        params,
        MailParams {
            size: Some(1000),
            body: Some(b"8BITMIME"),
            smtputf8: true,
            auth: Some(b"e+3Dmc2@example.com"),
            others: 2,
            ..MailParams::default()
        }
    );
    assert_eq!(params_of("MAIL FROM:<a@b> SIZE=99999999999999999999").size, None);
    assert_eq!(params_of("MAIL FROM:<a@b> SIZE=").size, None);
    assert_eq!(params_of("MAIL FROM:<a@b>SIZE=5").size, Some(5));
    assert_eq!(params_of(&format!("MAIL FROM:<a@b>{}", " x".repeat(999))).others, 255);
}

#[test]
fn a_verb_without_its_arguments() {
    for line in ["MAIL", "MAIL FROM", "MAIL <a@b>", "MAIL TO:<a@b>", "MAILFROM:<a@b>", "MAIL FROM<a@b>"] {
        assert_eq!(parse(line.as_bytes()), Command::BadArguments("MAIL"), "{line}");
    }
    for line in ["RCPT", "RCPT FROM:<a@b>", "rcptto:<a@b>"] {
        assert_eq!(parse(line.as_bytes()), Command::BadArguments("RCPT"), "{line}");
    }
}

#[test]
fn masked_by_a_firewall() {
    for line in ["XXXX", "XXXX XXXX", "XXXXXXXX", "XXXX mail.example.com", "XXXX XXXXXXXXXXXX"] {
        assert_eq!(parse(line.as_bytes()), Command::Masked, "{line}");
    }
    assert_eq!(parse(b"XXX"), Command::Unknown(b"XXX"));
    assert_eq!(parse(b"XXXY"), Command::Unknown(b"XXXY"));
}

#[test]
fn other_protocols() {
    for (line, verb) in [
        ("GET / HTTP/1.1", "GET"),
        ("POST /x HTTP/1.0", "POST"),
        ("CONNECT mx.example.com:25 HTTP/1.1", "CONNECT"),
        ("OPTIONS * HTTP/1.1", "OPTIONS"),
        ("Host: example.com", "?"),
        ("Content-Length: 5", "?"),
        ("Subject : x", "?"),
        ("From: a@b", "?"),
        ("To:a@b", "?"),
    ] {
        assert_eq!(parse(line.as_bytes()), Command::Foreign(line.as_bytes()), "{line}");
        assert_eq!(parse(line.as_bytes()).verb(), verb, "{line}");
    }
    assert_eq!(parse(b"GET"), Command::Unknown(b"GET"));
    for line in ["", ":", " : x", "a_b: x", ".", "hello world", "\x16\x03\x01", "SSH-2.0-x"] {
        assert!(matches!(parse(line.as_bytes()), Command::Unknown(_)), "{line}");
        assert_eq!(parse(line.as_bytes()).verb(), "?");
    }
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", parse(b"AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=")), "AUTH PLAIN (hidden)");
    assert!(format!("{:?}", parse(b"RCPT TO:<a\x1bb>")).starts_with("RCPT:<a\\x1bb> "));
}

proptest! {
    #[test]
    fn any_bytes_are_a_command(line in prop::collection::vec(any::<u8>(), 0..80)) {
        parse(&line).verb();
    }

    #[test]
    fn any_arguments_of_a_known_verb_are_read(
        verb in prop::sample::select(vec![
            "MAIL FROM:", "RCPT TO:", "mail from ", "BDAT ", "AUTH ", "EHLO", "XEXCH50 ", "GET ", "XXXX", "MAIL",
        ]),
        args in r#"[ \t\r<>@",:;=\\a%!\[\]é\x000-9]{0,40}"#,
    ) {
        let line = [verb, &args].concat();
        let command = parse(line.as_bytes());
        if let Command::Mail { path, .. } | Command::Rcpt { path, .. } = command {
            prop_assert!(path.len() < line.len());
        }
        prop_assert!(!command.verb().is_empty());
    }

    #[test]
    fn a_path_in_brackets_comes_out_as_it_went_in(
        local in "[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,20}", domain in "[a-z0-9.-]{1,20}", size in any::<u64>(),
    ) {
        let path = format!("{local}@{domain}");
        let line = format!("MAIL FROM:<{path}> SIZE={size}");
        prop_assert_eq!(path_of(&line), (path.as_str(), CLEAN));
        prop_assert_eq!(params_of(&line).size, Some(size));
    }
}
