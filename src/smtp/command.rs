//! Commands as the grammar reads them: borrowed from one whole line.
//!
//! Read first: RFC 5321 section 4.1 (commands and their ABNF), RFC 3030 (BDAT), RFC 4954 (AUTH), RFC 1870, 3461, 6152
//! and 6531 (parameters). Parsers are named after the ABNF's rules and carry them; where real clients deviate, the
//! parser says what is tolerated and [`Sins`] remembers it. [`parse`] never fails: any line is some [`Command`].
//!
//! This room does not know whether a command was allowed where it came, nor what the server made of it.

use std::fmt;

use nom::bytes::complete::{tag_no_case, take_while, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::smtp::auth::known_name;
use crate::wire::escape;

/// A command line (RFC 5321 section 4.1, and the extensions that name a command).
///
/// Arguments are the raw bytes of the wire; paths come without their brackets where there were any.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `HELO domain`
    Helo(&'a [u8]),
    /// `EHLO domain`
    Ehlo(&'a [u8]),
    /// `MAIL FROM:<reverse-path> [parameters]`
    Mail {
        /// The reverse-path; empty for the null reverse-path `<>`.
        path: &'a [u8],
        /// ESMTP parameters.
        params: MailParams<'a>,
        /// How it was written, where that was not the standard's way.
        sins: Sins,
    },
    /// `RCPT TO:<forward-path> [parameters]`
    Rcpt {
        /// The forward-path.
        path: &'a [u8],
        /// ESMTP parameters.
        params: MailParams<'a>,
        /// How it was written, where that was not the standard's way.
        sins: Sins,
    },
    /// `DATA`
    Data,
    /// `BDAT size [LAST]` (RFC 3030). `None`: the size is no number or too large.
    Bdat {
        /// Chunk size in bytes.
        size: Option<u64>,
        /// The last chunk of the mail.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `VRFY string`
    Vrfy(&'a [u8]),
    /// `EXPN string`
    Expn(&'a [u8]),
    /// `HELP [string]`
    Help,
    /// `NOOP [string]`
    Noop,
    /// `QUIT`
    Quit,
    /// `STARTTLS` (RFC 3207), and `X-ANONYMOUSTLS` between Exchange servers.
    StartTls,
    /// `AUTH mechanism [initial-response]` (RFC 4954), and Exchange's `X-EXPS`. The response is a secret: it goes to `smtp::auth` and nowhere else.
    Auth {
        /// The mechanism's name.
        mechanism: &'a [u8],
        /// The initial response in base64, `=` for an empty one.
        initial: Option<&'a [u8]>,
    },
    /// `XEXCH50 size n` (Exchange): a blob of `size` bytes follows when the server says 354.
    Xexch50 {
        /// Bytes of the blob.
        size: Option<u64>,
    },
    /// `XCLIENT attributes` (Postfix)
    Xclient(&'a [u8]),
    /// `XFORWARD attributes` (Postfix)
    Xforward(&'a [u8]),
    /// `ETRN`, `TURN`, `SEND`, `SOML`, `SAML`, `ATRN`, `BURL`, `XADR` and the like: known by name, no more.
    Other(&'a [u8]),
    /// A command that a firewall masked (`XXXX...`, the PIX fixup).
    Masked,
    /// A line of another protocol: an HTTP verb, or a header line such as `Subject: x`.
    Foreign(&'a [u8]),
    /// A known verb whose arguments do not parse; the verb in upper case.
    BadArguments(&'static str),
    /// No command at all.
    Unknown(&'a [u8]),
}

/// The usual sins in MAIL and RCPT, tolerated and noted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Sins {
    /// A blank after the colon (`MAIL FROM: <x>`).
    pub space_after_colon: bool,
    /// No angle brackets, or only one of them.
    pub no_brackets: bool,
    /// The verb is not all upper case.
    pub verb_not_upper: bool,
    /// Blanks before the line's end.
    pub trailing_blanks: bool,
    /// A blank before the colon (`MAIL FROM :<x>`).
    pub space_before_colon: bool,
    /// Blanks before the verb, more than one after it, or blanks just inside the brackets.
    pub extra_blanks: bool,
    /// A name before the brackets (`MAIL FROM: Jo <x>`), as in a header.
    pub display_name: bool,
}

/// ESMTP parameters of MAIL and RCPT (RFC 1870, 6152, 3461, 6531, 4954).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MailParams<'a> {
    /// `SIZE=n`
    pub size: Option<u64>,
    /// `BODY=7BIT|8BITMIME|BINARYMIME`
    pub body: Option<&'a [u8]>,
    /// `RET=FULL|HDRS`
    pub ret: Option<&'a [u8]>,
    /// `ENVID=xtext`
    pub envid: Option<&'a [u8]>,
    /// `NOTIFY=...`
    pub notify: Option<&'a [u8]>,
    /// `ORCPT=type;xtext`
    pub orcpt: Option<&'a [u8]>,
    /// `SMTPUTF8`
    pub smtputf8: bool,
    /// `AUTH=xtext`
    pub auth: Option<&'a [u8]>,
    /// Parameters of other names.
    pub others: u8,
}

/// Verbs that are known by name only, in upper case.
const OTHER_VERBS: [&str; 15] = [
    "ETRN",
    "TURN",
    "SEND",
    "SOML",
    "SAML",
    "ATRN",
    "BURL",
    "XADR",
    "XUSR",
    "LHLO",
    "WIZ",
    "DEBUG",
    "X-LINK2STATE",
    "XSHADOW",
    "XSHADOWREQUEST",
];

/// The other names in a log of commands: those that stand in [`Command`] by themselves, and what is no command.
const LOGGED: [&str; 21] = [
    "HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "VRFY", "EXPN", "HELP", "NOOP", "QUIT", "STARTTLS", "AUTH",
    "XEXCH50", "XCLIENT", "XFORWARD", "XXXX", ".", "*", "?",
];

/// The name that a log of commands has for a word that was taken from one; `?` for any other.
pub fn logged_verb(word: &str) -> &'static str {
    LOGGED.iter().chain(&OTHER_VERBS).chain(&HTTP_METHODS).find(|name| **name == word).copied().unwrap_or("?")
}

/// HTTP methods (RFC 9110 section 9.3, RFC 5789): what a browser or a proxy abuser says to port 25.
const HTTP_METHODS: [&str; 9] = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE", "TRACE", "PATCH"];

impl Command<'_> {
    /// The verb in upper case; `XXXX` for a masked command, `?` for a line that is none.
    pub fn verb(&self) -> &'static str {
        match *self {
            Self::Helo(_) => "HELO",
            Self::Ehlo(_) => "EHLO",
            Self::Mail { .. } => "MAIL",
            Self::Rcpt { .. } => "RCPT",
            Self::Data => "DATA",
            Self::Bdat { .. } => "BDAT",
            Self::Rset => "RSET",
            Self::Vrfy(_) => "VRFY",
            Self::Expn(_) => "EXPN",
            Self::Help => "HELP",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS",
            Self::Auth { .. } => "AUTH",
            Self::Xexch50 { .. } => "XEXCH50",
            Self::Xclient(_) => "XCLIENT",
            Self::Xforward(_) => "XFORWARD",
            Self::Other(verb) => one_of(&OTHER_VERBS, verb).unwrap_or("?"),
            Self::Masked => "XXXX",
            Self::Foreign(line) => one_of(&HTTP_METHODS, first_word(line)).unwrap_or("?"),
            Self::BadArguments(verb) => verb,
            Self::Unknown(_) => "?",
        }
    }
}

/// Shows no initial response: it is a secret. So may be an unknown word in the mechanism's place.
impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        match *self {
            Self::Mail { path, ref params, ref sins } | Self::Rcpt { path, ref params, ref sins } => {
                write!(f, ":<{}> {params:?} {sins:?}", escape(path))
            }
            Self::Bdat { size, last } => write!(f, " {size:?}{}", if last { " LAST" } else { "" }),
            Self::Xexch50 { size } => write!(f, " {size:?}"),
            Self::Auth { mechanism, initial } => {
                write!(f, " {}{}", known_name(mechanism), if initial.is_some() { " (hidden)" } else { "" })
            }
            Self::BadArguments(_) => f.write_str(" (bad arguments)"),
            Self::Helo(args)
            | Self::Ehlo(args)
            | Self::Vrfy(args)
            | Self::Expn(args)
            | Self::Xclient(args)
            | Self::Xforward(args)
            | Self::Other(args)
            | Self::Foreign(args)
            | Self::Unknown(args) => write!(f, " {}", escape(args)),
            Self::Data | Self::Rset | Self::Help | Self::Noop | Self::Quit | Self::StartTls | Self::Masked => Ok(()),
        }
    }
}

/// Reads one line of a client, without its line end. Linear in its length; borrows from it.
pub fn parse(line: &[u8]) -> Command<'_> {
    let trimmed = trim(line);
    let verb = first_word(trimmed);
    let rest = trimmed.get(verb.len()..).unwrap_or_default();
    let args = trim(rest);
    // The longest verbs are Exchange's: X-ANONYMOUSTLS, XSHADOWREQUEST.
    let mut upper = [0_u8; 14];
    let Some(name) = upper.get_mut(..verb.len()) else {
        return uncommon(trimmed, verb);
    };
    name.copy_from_slice(verb);
    name.make_ascii_uppercase();
    match &*name {
        b"MAIL" => mail(args).map_or(Command::BadArguments("MAIL"), |(_, (path, params, sins))| Command::Mail {
            path,
            params,
            sins: sins.of_line(line, verb, rest),
        }),
        b"RCPT" => rcpt(args).map_or(Command::BadArguments("RCPT"), |(_, (path, params, sins))| Command::Rcpt {
            path,
            params,
            sins: sins.of_line(line, verb, rest),
        }),
        b"EHLO" => Command::Ehlo(args),
        b"HELO" => Command::Helo(args),
        b"DATA" => Command::Data,
        b"BDAT" => bdat(args),
        b"RSET" => Command::Rset,
        b"QUIT" => Command::Quit,
        b"NOOP" => Command::Noop,
        b"HELP" => Command::Help,
        b"VRFY" => Command::Vrfy(args),
        b"EXPN" => Command::Expn(args),
        b"STARTTLS" | b"X-ANONYMOUSTLS" => Command::StartTls,
        b"AUTH" | b"X-EXPS" => auth(args).map_or(Command::BadArguments("AUTH"), |(_, command)| command),
        b"XEXCH50" => Command::Xexch50 { size: number(first_word(args)) },
        b"XCLIENT" => Command::Xclient(args),
        b"XFORWARD" => Command::Xforward(args),
        name if one_of(&OTHER_VERBS, name).is_some() => Command::Other(verb),
        _ => uncommon(trimmed, verb),
    }
}

/// Lines whose first word is no verb.
fn uncommon<'a>(line: &'a [u8], word: &[u8]) -> Command<'a> {
    let has_target = word.len() < line.len();
    if word.len() >= 4 && word.iter().all(|&byte| byte == b'X') {
        Command::Masked
    } else if starts_with(line, b"MAILFROM:") {
        // The blank is missing: the address is there, but no server takes this for MAIL.
        Command::BadArguments("MAIL")
    } else if starts_with(line, b"RCPTTO:") {
        Command::BadArguments("RCPT")
    } else if has_target && HTTP_METHODS.iter().any(|method| method.as_bytes() == word) || is_header(line) {
        Command::Foreign(line)
    } else {
        Command::Unknown(line)
    }
}

/// ```abnf
/// field-name = 1*(ALPHA / DIGIT / "-")   ; then blanks and a colon
/// ```
///
/// Postfix's test for a header line where a command belongs.
fn is_header(line: &[u8]) -> bool {
    let label = take_while1::<_, _, ()>(|byte: u8| byte.is_ascii_alphanumeric() || byte == b'-');
    (label, take_while(is_blank), char(':')).parse(line).is_ok()
}

type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// What a path's command came to.
type PathCommand<'a> = (&'a [u8], MailParams<'a>, Sins);

/// ```abnf
/// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
/// ```
fn mail(args: &[u8]) -> Parsed<'_, PathCommand<'_>> {
    preceded(tag_no_case("FROM"), path_and_parameters).parse(args)
}

/// ```abnf
/// rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF
/// ```
fn rcpt(args: &[u8]) -> Parsed<'_, PathCommand<'_>> {
    preceded(tag_no_case("TO"), path_and_parameters).parse(args)
}

/// The colon, the path and the parameters; blanks on both sides of the colon are tolerated.
fn path_and_parameters(input: &[u8]) -> Parsed<'_, PathCommand<'_>> {
    let blanks = || take_while(is_blank);
    let (rest, (before, _, after)) = (blanks(), char(':'), blanks()).parse(input)?;
    let mut sins =
        Sins { space_before_colon: !before.is_empty(), space_after_colon: !after.is_empty(), ..Sins::default() };
    let (rest, path) = path(rest, &mut sins);
    Ok((&[], (path, mail_parameters(rest), sins)))
}

/// ```abnf
/// Reverse-path = Path / "<>"
/// Path         = "<" [ A-d-l ":" ] Mailbox ">"
/// ```
///
/// Tolerated: no brackets, one of them, a name before them, blanks just inside them, and several paths with commas
/// between (kept as one raw path, brackets and all). What stands inside is not looked at, except that brackets and
/// blanks inside quotes are the quotes' own.
fn path<'a>(input: &'a [u8], sins: &mut Sins) -> (&'a [u8], &'a [u8]) {
    if let Some(inside) = input.strip_prefix(b"<") {
        let Some((path, rest)) = split_unquoted(inside, [b'>']) else {
            // `<u@example.com SIZE=5`
            sins.no_brackets = true;
            return word(inside);
        };
        let rest = rest.get(1..).unwrap_or_default();
        if rest.first() == Some(&b',') {
            return word(input);
        }
        let bare = trim(path);
        sins.extra_blanks |= bare.len() < path.len();
        return (rest, bare);
    }
    // `Jo Doe <u@example.com>`; the bracket must come before any parameter could.
    if let Some((name, rest)) = split_unquoted(input, [b'<', b'=', b'@'])
        && rest.first() == Some(&b'<')
        && !name.is_empty()
    {
        sins.display_name = true;
        return path(rest, sins);
    }
    sins.no_brackets = true;
    let (rest, path) = word(input);
    (rest, path.strip_suffix(b">").unwrap_or(path))
}

/// The bytes up to a blank outside quotes, and what follows them (the other way round, as nom has it).
fn word(input: &[u8]) -> (&[u8], &[u8]) {
    split_unquoted(input, BLANKS).map_or((&[], input), |(word, rest)| (rest, word))
}

/// ```abnf
/// Quoted-string  = DQUOTE *QcontentSMTP DQUOTE
/// quoted-pairSMTP = %d92 %d32-126
/// ```
///
/// Splits before the first byte that is one of the wanted and stands outside quotes. Where a quote is never closed it quotes
/// nothing.
fn split_unquoted<const N: usize>(input: &[u8], wanted: [u8; N]) -> Option<(&[u8], &[u8])> {
    // Hardly any path has a quote in it.
    let begin = match wanted[..] {
        [one] => memchr::memchr2(b'"', one, input)?,
        _ => input.iter().position(|byte| *byte == b'"' || wanted.contains(byte))?,
    };
    if input.get(begin) != Some(&b'"') {
        return input.split_at_checked(begin);
    }
    let (mut quoted, mut escaped) = (false, false);
    // The first wanted byte inside the quotes that are open now.
    let mut inside = None;
    for (at, &byte) in input.iter().enumerate().skip(begin) {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
            inside = None;
        } else if wanted.contains(&byte) {
            if !quoted {
                return input.split_at_checked(at);
            }
            inside = inside.or(Some(at));
        }
    }
    input.split_at_checked(inside?)
}

/// ```abnf
/// Mail-parameters = esmtp-param *(SP esmtp-param)
/// esmtp-param     = esmtp-keyword ["=" esmtp-value]
/// ```
///
/// Tolerated: any blanks between, any bytes as keyword or value. Of a parameter given twice the last counts.
fn mail_parameters(input: &[u8]) -> MailParams<'_> {
    let mut params = MailParams::default();
    for param in input.split(|&byte| is_blank(byte)).filter(|param| !param.is_empty()) {
        let (keyword, value) =
            match param.iter().position(|&byte| byte == b'=').and_then(|at| param.split_at_checked(at)) {
                Some((keyword, value)) => (keyword, value.get(1..)),
                None => (param, None),
            };
        let is = |name: &[u8]| keyword.eq_ignore_ascii_case(name);
        if is(b"SIZE") {
            params.size = value.and_then(number);
        } else if is(b"BODY") {
            params.body = value;
        } else if is(b"RET") {
            params.ret = value;
        } else if is(b"ENVID") {
            params.envid = value;
        } else if is(b"NOTIFY") {
            params.notify = value;
        } else if is(b"ORCPT") {
            params.orcpt = value;
        } else if is(b"SMTPUTF8") {
            params.smtputf8 = true;
        } else if is(b"AUTH") {
            params.auth = value;
        } else {
            params.others = params.others.saturating_add(1);
        }
    }
    params
}

/// ```abnf
/// bdat-cmd  = "BDAT" SP chunk-size [ SP end-marker ] CR LF
/// chunk-size = 1*DIGIT
/// end-marker = "LAST"
/// ```
///
/// RFC 3030 section 2.
fn bdat(args: &[u8]) -> Command<'_> {
    let size = first_word(args);
    let marker = trim(args.get(size.len()..).unwrap_or_default());
    Command::Bdat { size: number(size), last: marker.eq_ignore_ascii_case(b"LAST") }
}

/// ```abnf
/// auth-command     = "AUTH" SP sasl-mech [SP initial-response] *(CRLF [base64]) [CRLF cancel-response] CRLF
/// initial-response = base64 / "="
/// ```
///
/// RFC 4954 section 8.
fn auth(args: &[u8]) -> Parsed<'_, Command<'_>> {
    let sasl_mech = take_while1(|byte| !is_blank(byte));
    let initial_response = preceded(take_while1(is_blank), take_while1(|_| true));
    let (rest, (mechanism, initial)) = all_consuming((sasl_mech, opt(initial_response))).parse(args)?;
    Ok((rest, Command::Auth { mechanism, initial }))
}

impl Sins {
    /// Adds those of the whole line.
    fn of_line(mut self, line: &[u8], verb: &[u8], after_verb: &[u8]) -> Self {
        self.verb_not_upper = !verb.iter().all(u8::is_ascii_uppercase);
        self.trailing_blanks = line.last().is_some_and(|&byte| is_blank(byte));
        self.extra_blanks |= line.first().is_some_and(|&byte| is_blank(byte))
            || matches!(after_verb, [first, second, ..] if is_blank(*first) && is_blank(*second));
        self
    }
}

/// A space or a tab; a CR that ends no line counts as one too.
const BLANKS: [u8; 3] = [b' ', b'\t', b'\r'];

fn is_blank(byte: u8) -> bool {
    BLANKS.contains(&byte)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

fn first_word(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| is_blank(byte)).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// A decimal number that fits in 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        byte.is_ascii_digit().then_some(())?;
        value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

fn one_of(names: &[&'static str], word: &[u8]) -> Option<&'static str> {
    names.iter().copied().find(|name| name.as_bytes().eq_ignore_ascii_case(word))
}

fn starts_with(line: &[u8], prefix: &[u8]) -> bool {
    line.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests;
