//! Delivery status notifications: the fields of a `message/delivery-status` part.
//!
//! Read first: RFC 3464 section 2 (fields per message, then a group of fields per recipient), RFC 6533 (the same for
//! UTF-8 addresses). Finding the part in a mail is `smtp::mail`'s business. Of all recipients only the first one's
//! fields are kept, the others are counted.

use crate::smtp::Dsn;
use crate::wire::Wire;

/// Bytes of one field that are kept: an address has at most 320, a diagnostic code as much as it likes.
const FIELD_MAX: usize = 512;

/// Reads the part's content; `None` if no field of a notification is in it.
///
/// Tolerated: a group that begins without an empty line before it, fields without their type (`rfc822;`), a reporter's
/// fields after a recipient's. Of a field given twice the first counts.
pub fn parse(report: &[u8]) -> Option<Dsn> {
    let mut dsn = Dsn::default();
    let mut group = Group::default();
    let mut field = Vec::new();
    for line in report.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let [b' ' | b'\t', ..] = line
            && !line.trim_ascii().is_empty()
            && !field.is_empty()
        {
            // Folded (RFC 5322 section 2.2.3).
            if field.len() < 2 * FIELD_MAX {
                field.push(b' ');
                field.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        group.take(&field, &mut dsn);
        field.clear();
        if line.trim_ascii().is_empty() {
            group = Group::default();
        } else {
            field.extend_from_slice(line.get(..2 * FIELD_MAX).unwrap_or(line));
        }
    }
    group.take(&field, &mut dsn);
    (dsn != Dsn::default()).then_some(dsn)
}

/// What is known of the group of fields being read.
#[derive(Default)]
struct Group {
    /// It tells of a recipient, who was counted.
    is_recipient: bool,
    /// It has a Final-Recipient: another one begins the next recipient.
    is_named: bool,
}

impl Group {
    fn take(&mut self, field: &[u8], dsn: &mut Dsn) {
        let Some(colon) = memchr::memchr(b':', field) else { return };
        let (name, value) = field.split_at(colon);
        let (name, value) = (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        if is(b"Reporting-MTA") {
            set(&mut dsn.reporting_mta, untyped(value));
        } else if is(b"Original-Envelope-Id") {
            set(&mut dsn.original_envelope_id, value);
        } else if is(b"Final-Recipient") {
            if std::mem::replace(&mut self.is_named, true) {
                self.is_recipient = false;
            }
            if self.is_first(dsn) {
                set(&mut dsn.final_recipient, address(value));
            }
        } else if is(b"Original-Recipient") {
            if self.is_first(dsn) {
                set(&mut dsn.original_recipient, address(value));
            }
        } else if is(b"Action") {
            if self.is_first(dsn) {
                set(&mut dsn.action, &word(value).to_ascii_lowercase());
            }
        } else if is(b"Status") {
            if self.is_first(dsn) {
                set(&mut dsn.status, word(value));
            }
        } else if is(b"Diagnostic-Code") {
            if self.is_first(dsn) {
                set(&mut dsn.diagnostic_code, untyped(value));
            }
        } else if is(b"Remote-MTA") && self.is_first(dsn) {
            set(&mut dsn.remote_mta, untyped(value));
        }
    }

    /// Counts this group's recipient once, and says whether it is the first.
    fn is_first(&mut self, dsn: &mut Dsn) -> bool {
        if !std::mem::replace(&mut self.is_recipient, true) {
            dsn.recipients = dsn.recipients.saturating_add(1);
        }
        dsn.recipients == 1
    }
}

fn set(place: &mut Option<Wire>, value: &[u8]) {
    if place.is_none() && !value.is_empty() {
        *place = Some(Wire::capped(value, FIELD_MAX));
    }
}

/// ```abnf
/// address-type ";" *text
/// ```
///
/// What follows the type, if there is one.
fn untyped(value: &[u8]) -> &[u8] {
    let is_type =
        |text: &[u8]| text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b' '));
    match memchr::memchr(b';', value).and_then(|at| value.split_at_checked(at)) {
        Some((kind, rest)) if is_type(kind) => rest.get(1..).unwrap_or_default().trim_ascii(),
        _ => value,
    }
}

fn address(value: &[u8]) -> &[u8] {
    let bare = untyped(value);
    bare.strip_prefix(b"<").and_then(|inside| inside.strip_suffix(b">")).unwrap_or(bare)
}

/// The value without a comment behind it.
fn word(value: &[u8]) -> &[u8] {
    value.split(|&byte| matches!(byte, b' ' | b'\t' | b'(')).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with is an Option")]
    fn wire(text: &str) -> Option<Wire> {
        Some(Wire::from(text))
    }

    #[test]
    fn rfc_3464_appendix_e_a_simple_dsn() {
        let report = "Reporting-MTA: dns; cs.utk.edu\r\n\r\n\
            Original-Recipient: rfc822;louisl@larry.slip.umd.edu\r\n\
            Final-Recipient: rfc822;louisl@larry.slip.umd.edu\r\n\
            Action: failed\r\nStatus: 4.0.0\r\nDiagnostic-Code: smtp; 426 connection timed out\r\n\
            Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400\r\n";
        let dsn = Dsn {
            reporting_mta: wire("cs.utk.edu"),
            original_recipient: wire("louisl@larry.slip.umd.edu"),
            final_recipient: wire("louisl@larry.slip.umd.edu"),
            action: wire("failed"),
            status: wire("4.0.0"),
            diagnostic_code: wire("426 connection timed out"),
            recipients: 1,
            ..Dsn::default()
        };
        assert_eq!(parse(report.as_bytes()), Some(dsn.clone()));
        assert_eq!(parse(report.replace("\r\n", "\n").as_bytes()), Some(dsn));
    }

    #[test]
    fn rfc_3464_appendix_e_a_multi_recipient_dsn() {
        let report = "Reporting-MTA: dns; cs.utk.edu\n\n\
            Original-Recipient: rfc822;arathib@vnet.ibm.com\nFinal-Recipient: rfc822;arathib@vnet.ibm.com\n\
            Action: failed\nStatus: 5.0.0 (permanent failure)\nDiagnostic-Code: smtp;\n \
             550 'arathib@vnet.IBM.COM' is not a registered gateway user\nRemote-MTA: dns; vnet.ibm.com\n\n\
            Original-Recipient: rfc822;johnh@hpnjld.njd.hp.com\nFinal-Recipient: rfc822;johnh@hpnjld.njd.hp.com\n\
            Action: delayed\nStatus: 4.0.0 (hpnjld.njd.jp.com: host name lookup failure)\n\n\
            Original-Recipient: rfc822;wsnell@sdcc13.ucsd.edu\nFinal-Recipient: rfc822;wsnell@sdcc13.ucsd.edu\n\
            Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 user unknown\nRemote-MTA: dns; sdcc13.ucsd.edu\n";
        let dsn = parse(report.as_bytes()).unwrap();
        assert_eq!((dsn.recipients, dsn.status, dsn.action), (3, wire("5.0.0"), wire("failed")));
        assert_eq!(dsn.diagnostic_code, wire("550 'arathib@vnet.IBM.COM' is not a registered gateway user"));
        assert_eq!((dsn.final_recipient, dsn.remote_mta), (wire("arathib@vnet.ibm.com"), wire("vnet.ibm.com")));
    }

    #[test]
    fn deviations() {
        // No empty line between the groups, no types, brackets.
        let report = "reporting-mta: mx.example\nFinal-Recipient: <a@b.example>\nAction: Failed\nStatus: 5.1.1\n\
            Final-Recipient: c@d.example\nStatus: 5.2.2\n";
        let dsn = parse(report.as_bytes()).unwrap();
        assert_eq!((dsn.reporting_mta, dsn.final_recipient), (wire("mx.example"), wire("a@b.example")));
        assert_eq!((dsn.action, dsn.status, dsn.recipients), (wire("failed"), wire("5.1.1"), 2));
        let dsn = parse(b"Original-Envelope-Id: QQ314159\n\nDiagnostic-Code: 550 a; b\n").unwrap();
        assert_eq!((dsn.original_envelope_id, dsn.recipients), (wire("QQ314159"), 1));
        assert_eq!(dsn.diagnostic_code, wire("b"), "what looks like a type is taken for one");
        assert_eq!(parse(b"Hi. This is the qmail-send program\n\nSorry: it did not work out.\n"), None);
        assert_eq!(parse(b""), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(report in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&report);
        }

        #[test]
        fn fields_stay_within_their_limit(lines in prop::collection::vec(
            ("(Final-Recipient: |Status:|Diagnostic-Code: x;| |\t|)", "[a-z;<> ]{0,700}"), 0..8,
        )) {
            let lines: Vec<String> = lines.into_iter().map(|(name, value)| name + &value).collect();
            let report = lines.join("\n");
            if let Some(dsn) = parse(report.as_bytes()) {
                for field in [dsn.final_recipient, dsn.status, dsn.diagnostic_code].into_iter().flatten() {
                    prop_assert!(field.as_bytes().len() <= FIELD_MAX);
                }
            }
        }
    }
}
