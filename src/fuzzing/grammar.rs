//! Bytes of one side: lines, commands, replies, delivery reports.

use super::{Input, RULES, is_harmless};
use crate::detect::replies::Stage;
use crate::limits::SmtpLimits;
use crate::smtp::command::{self, Command};
use crate::smtp::lines::LineSplitter;
use crate::smtp::path::{MailPath, sender_form, unwrap};
use crate::smtp::reply::{self, ReplyAssembler};
use crate::smtp::{AuthExchange, Dsn, LineEnd, MailScanner, dsn as report};
use crate::wire::{Wire, escape};

/// A byte for the limit, a byte for how the rest is cut, the rest.
pub fn lines(data: &[u8]) {
    let mut input = Input(data);
    let (Some(line_max), Some(cut)) = (input.byte(), input.byte()) else { return };
    let (line_max, text) = (usize::from(line_max), input.0);
    let mut splitter = LineSplitter::new(line_max);
    let mut model = text.split(|byte| *byte == b'\n');
    for chunk in text.chunks(usize::from(cut).max(1)) {
        let mut left = chunk;
        while let Some(line) = splitter.next(&mut left) {
            let whole = model.next().unwrap_or_default();
            let (whole, ending) = match whole.strip_suffix(b"\r") {
                Some(whole) => (whole, LineEnd::CrLf),
                None => (whole, LineEnd::Lf),
            };
            assert_eq!(line.bytes, whole.get(..line_max).unwrap_or(whole));
            assert_eq!((line.ending, line.too_long), (ending, whole.len() > line_max));
            let odd = line.odd_bytes();
            assert_eq!((odd.nul, odd.bare_cr), (line.bytes.contains(&0), line.bytes.contains(&b'\r')));
            assert_eq!(odd.eight_bit, !line.bytes.is_ascii());
        }
        assert!(left.is_empty(), "a chunk is used up");
        assert!(splitter.pending().len() <= line_max + 1, "what waits is bounded");
    }
    let rest = model.next().unwrap_or_default();
    assert_eq!(splitter.pending(), rest.get(..=line_max).unwrap_or(rest));
}

/// Lines of a client; what follows an AUTH is taken for the answers to challenges.
pub fn commands(data: &[u8]) {
    let mut exchange: Option<AuthExchange> = None;
    for line in data.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let shown = escape(line);
        assert!(is_harmless(&shown), "{shown:?}");
        assert_eq!(unescape(&shown), line, "the escaped form is reversible");
        let command = command::parse(line);
        // Case means nothing in a verb (RFC 5321 section 2.4); in words that are none of SMTP it does.
        if !matches!(command, Command::Foreign(_) | Command::Masked | Command::Unknown(_)) {
            let swapped: Vec<u8> = line.iter().map(|byte| byte ^ (u8::from(byte.is_ascii_alphabetic()) << 5)).collect();
            assert_eq!(command::parse(&swapped).verb(), command.verb());
        }
        match command {
            Command::Mail { path, params, .. } | Command::Rcpt { path, params, .. } => {
                paths(path);
                for part in [params.body, params.ret, params.envid, params.notify, params.orcpt, params.auth] {
                    assert!(part.is_none_or(|part| part.len() < line.len()));
                }
            }
            Command::Auth { mechanism, initial } => {
                let another = Command::Auth { mechanism, initial: initial.map(|_| &b"another"[..]) };
                assert_eq!(format!("{command:?}"), format!("{another:?}"), "no secret is shown");
                exchange = Some(AuthExchange::new(mechanism, initial));
            }
            _ => {}
        }
        if let Some(exchange) = &mut exchange {
            exchange.handle_server(line);
            exchange.handle_client(line);
            assert!(exchange.user().is_none_or(|user| user.as_bytes().len() <= 320), "the longest address");
        }
    }
}

fn paths(path: &[u8]) {
    let parts = MailPath::new(path);
    let domain = parts.domain().map_or(0, |domain| domain.len() + 1);
    assert_eq!(parts.local_part().len() + domain, parts.mailbox().len(), "{parts:?}");
    assert!(parts.mailbox().len() <= path.len() && parts.route().is_none_or(|route| route.len() < path.len()));
    _ = parts.address_literal();
    for ours in [|_: &[u8]| false, |_: &[u8]| true, |domain: &[u8]| domain.len().is_multiple_of(2)] {
        let unwrapped = unwrap(path, ours);
        assert!(unwrapped.mailbox.as_bytes().len() <= path.len(), "unwrapping adds nothing: {unwrapped:?}");
        // What was unwrapped whole has nothing left to unwrap, unless it went deeper than is followed.
        assert_eq!(unwrapped.forms.iter().count(), unwrap(path, ours).forms.iter().count());
        _ = sender_form(path, ours).name();
    }
}

/// Lines of a server.
pub fn replies(data: &[u8]) {
    let limits = SmtpLimits { reply_text_max: 200, reply_lines_max: 8, ..SmtpLimits::default() };
    let mut assembler = ReplyAssembler::default();
    let mut whole = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let line = reply::parse_line(line.strip_suffix(b"\r").unwrap_or(line));
        assert!(line.code.is_none_or(|code| code < 1000), "{line:?}");
        assert!(line.status.is_none_or(|status| status.subject < 1000 && status.detail < 1000), "{line:?}");
        whole.extend(assembler.handle(&line, &limits));
        assert!(!assembler.is_open() || line.code.is_none() || line.more, "a last line ends a reply");
    }
    whole.extend(assembler.take());
    for (reply, _) in &whole {
        assert!(reply.text.as_bytes().len() <= limits.reply_text_max, "{reply:?}");
        let json = serde_json::to_string(reply).unwrap_or_default();
        assert!(is_harmless(&json) && serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::EndOfData] {
            let (once, again) = (RULES.classify(reply, stage).outcome(), RULES.classify(reply, stage).outcome());
            assert_eq!(once, again, "{reply:?}");
        }
    }
}

/// A byte for how the rest is cut, the rest: the content of a `message/delivery-status` part, or a whole mail.
pub fn dsn(data: &[u8]) {
    let mut input = Input(data);
    let cut = usize::from(input.byte().unwrap_or_default()).max(1);
    let text = input.0;
    if let Some(dsn) = report::parse(text) {
        bounded(&dsn);
    }
    let limits = SmtpLimits {
        mail_headers_max: 600,
        mail_header_max: 200,
        dsn_search_max: 2_000,
        dsn_max: 400,
        ..SmtpLimits::default()
    };
    for limits in [limits, SmtpLimits::default()] {
        let mut whole = MailScanner::new(&limits);
        whole.handle(text);
        let mut pieces = MailScanner::new(&limits);
        for piece in text.chunks(cut) {
            pieces.handle(piece);
        }
        let whole = whole.finish();
        assert_eq!(whole, pieces.finish(), "borders of segments mean nothing");
        if let Some(dsn) = &whole.dsn {
            bounded(dsn);
        }
    }
}

fn bounded(dsn: &Dsn) {
    let Dsn { reporting_mta, final_recipient, original_recipient, action, status, diagnostic_code, remote_mta, .. } =
        dsn;
    let fields = [reporting_mta, final_recipient, original_recipient, action, status, diagnostic_code, remote_mta];
    assert!(fields.into_iter().flatten().all(|field: &Wire| (1..=512).contains(&field.as_bytes().len())), "{dsn:?}");
}

/// Undoes [`escape`].
fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        match (first, rest) {
            (b'\\', [b'x', high, low, others @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                bytes.extend(u8::from_str_radix(digits, 16).ok());
                rest = others;
            }
            (b'\\', [b'\\', others @ ..]) => {
                bytes.push(b'\\');
                rest = others;
            }
            _ => bytes.push(first),
        }
    }
    bytes
}
