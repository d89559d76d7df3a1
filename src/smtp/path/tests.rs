use proptest::prelude::*;

use super::*;

/// The server of these tests: `srv`, `[192.0.2.25]`, `local.example`.
fn is_ours(domain: &[u8]) -> bool {
    [b"srv" as &[u8], b"[192.0.2.25]", b"local.example"].iter().any(|own| same_domain(own, domain))
}

fn unwrapped(path: &str) -> (String, String) {
    let got = unwrap(path.as_bytes(), is_ours);
    assert_eq!(got.nested, got.forms.contains(Form::F13));
    (got.forms.to_string(), String::from_utf8(got.mailbox.as_bytes().to_vec()).unwrap())
}

#[test]
fn every_recipient_form() {
    let rows = [
        ("u@ext", r#"["F1"]"#, "u@ext"),
        ("u%ext@[192.0.2.25]", r#"["F2"]"#, "u@ext"),
        ("u%ext@srv", r#"["F3"]"#, "u@ext"),
        ("\"u@ext\"", r#"["F4"]"#, "u@ext"),
        ("\"u%ext\"", r#"["F5"]"#, "u@ext"),
        ("u@ext@[192.0.2.25]", r#"["F6"]"#, "u@ext"),
        ("u@ext@srv", r#"["F6"]"#, "u@ext"),
        ("\"u@ext\"@[192.0.2.25]", r#"["F7"]"#, "u@ext"),
        ("\"u@ext\"@srv", r#"["F7"]"#, "u@ext"),
        ("@[192.0.2.25]:u@ext", r#"["F8"]"#, "u@ext"),
        ("@srv:u@ext", r#"["F8"]"#, "u@ext"),
        ("@a,@b:u@ext", r#"["F8"]"#, "u@ext"),
        ("@[IPv6:2001:db8::1]:u@ext", r#"["F8"]"#, "u@ext"),
        ("ext!u", r#"["F9"]"#, "u@ext"),
        ("ext!u@[192.0.2.25]", r#"["F9"]"#, "u@ext"),
        ("ext!u@srv", r#"["F9"]"#, "u@ext"),
        ("u%ext", r#"["F11"]"#, "u@ext"),
        ("IMCEASMTP-u+40ext@srv", r#"["F12"]"#, "u@ext"),
        ("IMCEASMTP-u+40ext+2Eexample@srv", r#"["F12"]"#, "u@ext.example"),
        ("\"IMCEA u@ext\"@srv", r#"["F12"]"#, "u@ext"),
        ("imceasmtp-u+40ext@SRV.", r#"["F12"]"#, "u@ext"),
        // Mixed and nested.
        ("u%ext%hop@srv", r#"["F3","F13"]"#, "u%ext@hop"),
        ("u%ext%srv@srv", r#"["F3","F13"]"#, "u@ext"),
        ("a!ext!u", r#"["F9","F13"]"#, "ext!u@a"),
        ("srv!ext!u", r#"["F9","F13"]"#, "u@ext"),
        ("@srv:u%ext@srv", r#"["F3","F8","F13"]"#, "u@ext"),
        ("@srv:\"u@ext\"@srv", r#"["F7","F8","F13"]"#, "u@ext"),
        ("\"u%ext@srv\"@[192.0.2.25]", r#"["F3","F7","F13"]"#, "u@ext"),
        ("\"\\\"u@ext\\\"\"", r#"["F4","F13"]"#, "u@ext"),
        ("u%ext@srv@[192.0.2.25]", r#"["F3","F6","F13"]"#, "u@ext"),
        ("ext!u%x@srv", r#"["F9","F13"]"#, "u%x@ext"),
        ("\"ext!u\"@srv", r#"["F9"]"#, "u@ext"),
        ("u@srv@ext", r#"["F6"]"#, "u@srv@ext"),
        // No relaying.
        ("", "[]", ""),
        ("postmaster", "[]", "postmaster"),
        ("localuser", "[]", "localuser"),
        ("u@srv", "[]", "u@srv"),
        ("u@Local.Example.", "[]", "u@Local.Example."),
        ("u@[192.0.2.25]", "[]", "u@[192.0.2.25]"),
        ("\"Joe Blow\"@srv", "[]", "\"Joe Blow\"@srv"),
        ("100%@srv", "[]", "100%@srv"),
        ("%@srv", "[]", "%@srv"),
        ("hi!@srv", "[]", "hi!@srv"),
        ("50% off@srv", "[]", "50% off@srv"),
        ("IMCEAEX-_O=ORG_OU=SITE_CN=RECIPIENTS_CN=u@srv", "[]", "IMCEAEX-_O=ORG_OU=SITE_CN=RECIPIENTS_CN=u@srv"),
        ("@srv", "[]", "@srv"),
        // A foreign server's own business.
        ("u%x@ext", r#"["F1"]"#, "u%x@ext"),
        ("\"u@x\"@ext", r#"["F1"]"#, "\"u@x\"@ext"),
        ("u@[198.51.100.1]", r#"["F1"]"#, "u@[198.51.100.1]"),
    ];
    for (path, forms, mailbox) in rows {
        assert_eq!(unwrapped(path), (forms.to_owned(), mailbox.to_owned()), "{path}");
    }
}

#[test]
fn every_sender_form() {
    let rows = [
        ("", SenderForm::S1),
        ("u@ext", SenderForm::S2),
        ("u@[198.51.100.1]", SenderForm::S2),
        ("u@srv", SenderForm::S3),
        ("u@LOCAL.example", SenderForm::S3),
        ("spamtest@[192.0.2.25]", SenderForm::S4),
        ("u@localhost", SenderForm::S5),
        ("u@[127.0.0.1]", SenderForm::S5),
        ("u@[IPv6:::1]", SenderForm::S5),
        ("spamtest", SenderForm::S6),
        ("\"a@b\"", SenderForm::S6),
        ("srv!nobody", SenderForm::S7),
        ("@a:u@ext", SenderForm::S2),
    ];
    for (path, form) in rows {
        assert_eq!(sender_form(path.as_bytes(), is_ours), form, "{path}");
        assert_eq!(serde_json::to_value(form).unwrap(), form.name());
    }
}

#[test]
fn a_path_and_its_parts() {
    let rows: &[(&str, &str, Option<&str>, Option<&str>)] = &[
        ("u@d.example", "u", Some("d.example"), None),
        ("\"a@b\"@d", "\"a@b\"", Some("d"), None),
        (r#""a\"@b"@d"#, r#""a\"@b""#, Some("d"), None),
        ("\"open@d", "\"open", Some("d"), None),
        ("\"a\"b\"@d", "\"a\"b\"", Some("d"), None),
        ("u@[192.0.2.1]", "u", Some("[192.0.2.1]"), Some("192.0.2.1")),
        ("u@[IPv6:2001:db8::1]", "u", Some("[IPv6:2001:db8::1]"), Some("2001:db8::1")),
        ("u@[ipv6:2001:db8::1]", "u", Some("[ipv6:2001:db8::1]"), Some("2001:db8::1")),
        ("u@[2001:db8::1]", "u", Some("[2001:db8::1]"), Some("2001:db8::1")),
        ("u@[x]", "u", Some("[x]"), None),
        ("u@[]", "u", Some("[]"), None),
        ("u@", "u", Some(""), None),
        ("postmaster", "postmaster", None, None),
        ("", "", None, None),
        ("@a,@b:u@d", "u", Some("d"), None),
    ];
    for &(path, local, domain, literal) in rows {
        let view = MailPath::new(path.as_bytes());
        assert_eq!(view.local_part(), local.as_bytes(), "{path}");
        assert_eq!(view.domain(), domain.map(str::as_bytes), "{path}");
        assert_eq!(view.address_literal(), literal.map(|ip| ip.parse().unwrap()), "{path}");
    }
    assert_eq!(MailPath::new(b"@a,@b:u@d").route(), Some(b"@a,@b" as &[u8]));
    assert!(MailPath::new(b"u@Example.ORG.").domain_is(b"example.org"));
    assert!(!MailPath::new(b"u").domain_is(b""));
}

#[test]
fn an_address_of_endless_layers_ends() {
    let got = unwrap(format!("u{}@srv", "%srv".repeat(1000)).as_bytes(), is_ours);
    assert_eq!(got.forms.to_string(), "[]");
    assert!(!got.nested, "too long to be looked into");
    let got = unwrap(format!("u{}@srv", "%srv".repeat(200)).as_bytes(), is_ours);
    assert_eq!(got.forms.to_string(), r#"["F3","F13"]"#);
    assert!(got.nested);
}

#[test]
fn a_set_of_forms() {
    let set: FormSet = [Form::F13, Form::F3].into_iter().collect();
    assert_eq!(serde_json::to_string(&set).unwrap(), set.to_string());
    assert!(FormSet::default().is_empty() && !set.is_empty());
    assert_eq!(set.iter().map(Form::name).collect::<Vec<_>>(), ["F3", "F13"]);
}

proptest! {
    #[test]
    fn any_bytes_are_a_path(path in prop::collection::vec(any::<u8>(), 0..60)) {
        let view = MailPath::new(&path);
        prop_assert!(view.local_part().len() <= path.len());
        unwrap(&path, is_ours);
        sender_form(&path, is_ours);
    }

    #[test]
    fn whatever_is_unwrapped_is_no_longer_than_the_path(path in r#"[@%!:,"\\\[\]us.]{0,12}(IMCEA-)?[@%!"\\+40 srv]{0,16}(@srv)?"#) {
        let got = unwrap(path.as_bytes(), is_ours);
        prop_assert!(got.mailbox.as_bytes().len() <= path.len());
        // What is left has no layer that our server would follow.
        prop_assert_eq!(peel(got.mailbox.as_bytes(), &is_ours), None);
    }

    #[test]
    fn a_plain_foreign_address_is_only_that(local in "[a-z0-9.+=_-]{1,20}", domain in "[a-z0-9-]{4,20}") {
        let path = format!("{local}@{domain}");
        prop_assert_eq!(unwrapped(&path), (r#"["F1"]"#.to_owned(), path));
    }
}
