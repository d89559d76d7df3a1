//! Paths: what an address says, and what it hides from a server that relays.
//!
//! Read first: RFC 5321 section 4.1.2 (Path), 4.1.3 (address literals) and appendix C (source routes), RFC 1123 section
//! 5.2.16 (the percent hack), RFC 976 (bang paths). The forms `F1` to `F13` of recipients and `S1` to `S7` of senders are
//! the merged list of what relay testers try (nmap, Metasploit, MAPS, DSBL, and the seven tests of a server maker's
//! article); [`Form`] and [`SenderForm`] say what each is.
//!
//! Nothing is validated here: any bytes are a path. Whether a form amounts to relaying is for the detectors.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Serialize, Serializer};

use crate::wire::Wire;

/// Layers that are peeled off one address. The longest chain of any known relay test has two.
const LAYERS_MAX: u8 = 8;

/// A longer path is not unwrapped: RFC 5321 section 4.5.3.1.3 allows 256 bytes, no relay test comes near that, and the
/// work for a line of 12,288 bytes would be an attack on us.
const PATH_MAX: usize = 1024;

/// A view of a raw path, its angle brackets already gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailPath<'a> {
    route: Option<&'a [u8]>,
    mailbox: &'a [u8],
    at: Option<usize>,
}

impl<'a> MailPath<'a> {
    /// Looks at a path.
    pub fn new(path: &'a [u8]) -> Self {
        let (route, mailbox) = match split_route(path) {
            Some((route, mailbox)) => (Some(route), mailbox),
            None => (None, path),
        };
        // Hardly any mailbox has a quote in it.
        let at = match memchr::memchr(b'"', mailbox) {
            None => memchr::memrchr(b'@', mailbox),
            Some(_) => unquoted(mailbox, b'@').last(),
        };
        Self { route, mailbox, at }
    }

    /// The source route, without its colon (`@a,@b`).
    pub fn route(&self) -> Option<&'a [u8]> {
        self.route
    }

    /// The path without its source route.
    pub fn mailbox(&self) -> &'a [u8] {
        self.mailbox
    }

    /// What stands before the last `@` outside quotes; everything if there is none.
    pub fn local_part(&self) -> &'a [u8] {
        self.at.and_then(|at| self.mailbox.get(..at)).unwrap_or(self.mailbox)
    }

    /// What stands after the last `@` outside quotes.
    pub fn domain(&self) -> Option<&'a [u8]> {
        self.mailbox.get(self.at? + 1..)
    }

    /// Whether the domain is `other`.
    pub fn domain_is(&self, other: &[u8]) -> bool {
        self.domain().is_some_and(|domain| same_domain(domain, other))
    }

    /// The address that the domain is a literal of.
    pub fn address_literal(&self) -> Option<IpAddr> {
        address_literal(self.domain()?)
    }
}

/// Whether two domains are the same: the case of ASCII letters and a final dot do not count.
pub fn same_domain(a: &[u8], b: &[u8]) -> bool {
    let bare = |domain| <[u8]>::strip_suffix(domain, b".").unwrap_or(domain);
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// ```abnf
/// address-literal      = "[" ( IPv4-address-literal / IPv6-address-literal / General-address-literal ) "]"
/// IPv6-address-literal = "IPv6:" IPv6-addr
/// ```
///
/// RFC 5321 section 4.1.3. Tolerated: an IPv6 address without its tag.
pub fn address_literal(domain: &[u8]) -> Option<IpAddr> {
    let inside = domain.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let text = std::str::from_utf8(inside).ok()?;
    match text.split_at_checked(5) {
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => text.parse().ok(),
    }
}

macro_rules! forms {
    ($($(#[$doc:meta])* $form:ident,)*) => {
        /// How a recipient is written (`ext` is a foreign domain, `srv` the server's name, `ip` its address).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Form { $($(#[$doc])* $form,)* }

        impl Form {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$form,)*];

            /// The name in outputs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$form => stringify!($form),)* }
            }
        }
    };
}

forms! {
    /// Plain: `u@ext`.
    F1,
    /// Percent at the literal: `u%ext@[ip]`.
    F2,
    /// Percent at the name: `u%ext@srv`.
    F3,
    /// Quoted whole: `"u@ext"`.
    F4,
    /// Quoted percent: `"u%ext"`.
    F5,
    /// Double at: `u@ext@[ip]`, `u@ext@srv`.
    F6,
    /// Quoted at host: `"u@ext"@[ip]`, `"u@ext"@srv`.
    F7,
    /// Source route: `@[ip]:u@ext`, `@srv:u@ext`, `@a,@b:u@ext`.
    F8,
    /// Bang: `ext!u`, `ext!u@[ip]`, `ext!u@srv`.
    F9,
    /// No brackets: `TO:u@ext`. A path does not show it: whoever read the command adds it.
    F10,
    /// Bare percent: `u%ext`.
    F11,
    /// Encapsulated: `IMCEASMTP-u+40ext@srv`, `"IMCEA u@ext"@srv`.
    F12,
    /// Mixed: more than one layer, or a layer left for the next hop (`u%ext%hop@srv`, `a!ext!u`).
    F13,
}

/// A set of forms; shown as `["F3","F13"]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FormSet(u16);

impl FormSet {
    /// Adds a form.
    pub const fn insert(&mut self, form: Form) {
        self.0 |= 1 << form as u8;
    }

    /// Whether a form is in it.
    pub const fn contains(self, form: Form) -> bool {
        self.0 & (1 << form as u8) != 0
    }

    /// Whether none is.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The forms, in order.
    pub fn iter(self) -> impl Iterator<Item = Form> {
        Form::ALL.iter().copied().filter(move |form| self.contains(*form))
    }
}

impl FromIterator<Form> for FormSet {
    fn from_iter<I: IntoIterator<Item = Form>>(forms: I) -> Self {
        let mut set = Self::default();
        forms.into_iter().for_each(|form| set.insert(form));
        set
    }
}

impl fmt::Display for FormSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (nth, form) in self.iter().enumerate() {
            write!(f, "{}\"{}\"", if nth == 0 { "" } else { "," }, form.name())?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for FormSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for FormSet {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter().map(Form::name))
    }
}

/// What a recipient's path comes to for a server that follows everything in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unwrapped {
    /// The forms that were peeled off; empty for a mailbox of our own.
    pub forms: FormSet,
    /// The mailbox in the end.
    pub mailbox: Wire,
    /// More than one layer was peeled off, or one is left.
    pub nested: bool,
}

/// Unwraps a forward-path.
///
/// `is_ours` is asked about domains as they stand in the path: names in any case, literals with their brackets. Layers
/// go in this order, again and again while the outer domain is ours or absent: source route, last `@` outside quotes,
/// quotes, IMCEA, bang, percent. A domain that is not ours is where such a server would send the mail: there it ends.
/// So does it after eight layers, and a path of more than 1,024 bytes stays as it is.
pub fn unwrap(path: &[u8], is_ours: impl Fn(&[u8]) -> bool) -> Unwrapped {
    let mut forms = FormSet::default();
    let mut current = Cow::Borrowed(path);
    let mut layers = 0;
    while layers < LAYERS_MAX && path.len() <= PATH_MAX {
        let Some((form, inner)) = peel(&current, &is_ours) else { break };
        forms.insert(form);
        current = Cow::Owned(inner);
        layers += 1;
    }
    let rest = MailPath::new(&current);
    let foreign = rest.domain().is_some_and(|domain| !is_ours(domain));
    if foreign && layers == 0 {
        forms.insert(if unquoted(&current, b'@').count() > 1 { Form::F6 } else { Form::F1 });
    }
    // `u%ext@hop`: the next hop is told to relay, too. Of a plain foreign address that is not our business.
    let is_left = layers > 0 && peel(rest.local_part(), &|_| true).is_some();
    let nested = layers > 1 || is_left;
    if nested {
        forms.insert(Form::F13);
    }
    Unwrapped { forms, mailbox: Wire::from(&*current), nested }
}

/// Takes one layer off, if there is one that a server of ours would follow.
fn peel(path: &[u8], is_ours: &impl Fn(&[u8]) -> bool) -> Option<(Form, Vec<u8>)> {
    let view = MailPath::new(path);
    if view.route().is_some() {
        return Some((Form::F8, view.mailbox().to_vec()));
    }
    let (local, domain) = (view.local_part(), view.domain());
    if domain.is_some_and(|domain| !is_ours(domain)) {
        return None;
    }
    if unquoted(local, b'@').next().is_some() {
        return Some((Form::F6, local.to_vec()));
    }
    let unquoted_text = quoted_string(local);
    let is_quoted = unquoted_text.is_some();
    let text = unquoted_text.unwrap_or_else(|| local.to_vec());
    if let Some(inner) = imcea(&text) {
        return Some((Form::F12, inner));
    }
    if is_quoted && text.contains(&b'@') {
        return Some((if domain.is_some() { Form::F7 } else { Form::F4 }, text));
    }
    // What was quoted has lost its quotes: all of it counts. A part that is still quoted does not.
    let first = |wanted| if is_quoted { memchr::memchr(wanted, &text) } else { unquoted(&text, wanted).next() };
    let last = |wanted| if is_quoted { memchr::memrchr(wanted, &text) } else { unquoted(&text, wanted).last() };
    if let Some((host, user)) = first(b'!').and_then(|at| parted(&text, at))
        && is_host(host)
        && !user.is_empty()
    {
        return Some((Form::F9, [user, host].join(&b'@')));
    }
    if let Some((user, host)) = last(b'%').and_then(|at| parted(&text, at))
        && is_host(host)
        && !user.is_empty()
    {
        let form = match domain {
            _ if is_quoted => Form::F5,
            None => Form::F11,
            Some([b'[', ..]) => Form::F2,
            Some(_) => Form::F3,
        };
        return Some((form, [user, host].join(&b'@')));
    }
    None
}

/// How a sender is written. The variants stand in the order in which they are tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub enum SenderForm {
    /// The null reverse-path `<>`.
    S1,
    /// A foreign domain.
    S2,
    /// Our own domain or name.
    S3,
    /// The server's own address as a literal.
    S4,
    /// `@localhost`, `@[127.0.0.1]`.
    S5,
    /// No domain: `<spamtest>`.
    S6,
    /// A bang path without a domain: `<srv!nobody>`.
    S7,
}

impl SenderForm {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::S4 => "S4",
            Self::S5 => "S5",
            Self::S6 => "S6",
            Self::S7 => "S7",
        }
    }
}

/// The form of a reverse-path; `is_ours` as for [`unwrap`].
pub fn sender_form(path: &[u8], is_ours: impl Fn(&[u8]) -> bool) -> SenderForm {
    let view = MailPath::new(path);
    let Some(domain) = view.domain() else {
        return match view.mailbox() {
            [] => SenderForm::S1,
            mailbox if unquoted(mailbox, b'!').next().is_some() => SenderForm::S7,
            _ => SenderForm::S6,
        };
    };
    let literal = address_literal(domain);
    let is_local = same_domain(domain, b"localhost") || same_domain(domain, b"localhost.localdomain");
    if is_local || literal.is_some_and(|ip| ip.to_canonical().is_loopback()) {
        SenderForm::S5
    } else if !is_ours(domain) {
        SenderForm::S2
    } else if literal.is_some() {
        SenderForm::S4
    } else {
        SenderForm::S3
    }
}

/// Places of a byte outside quotes. A quote that is never closed quotes nothing.
fn unquoted(text: &[u8], wanted: u8) -> impl Iterator<Item = usize> {
    // Quotes pair up from the front; the last one may have no partner.
    let closed = {
        let (mut quoted, mut at, mut opened) = (false, 0, text.len());
        while let Some(&byte) = text.get(at) {
            if quoted && byte == b'\\' {
                at += 1;
            } else if byte == b'"' {
                quoted = !quoted;
                opened = at;
            }
            at += 1;
        }
        if quoted { opened } else { text.len() }
    };
    let (mut quoted, mut escaped) = (false, false);
    text.iter().enumerate().filter_map(move |(at, &byte)| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' && at < closed {
            quoted = !quoted;
        } else if byte == wanted && !quoted {
            return Some(at);
        }
        None
    })
}

/// ```abnf
/// A-d-l = At-domain *( "," At-domain )      ; then a colon
/// ```
///
/// The route and what follows its colon. A colon inside a literal (`@[IPv6:...]`) is the literal's.
fn split_route(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.first() != Some(&b'@') {
        return None;
    }
    let mut in_literal = false;
    let colon = path.iter().position(|&byte| {
        match byte {
            b'[' => in_literal = true,
            b']' => in_literal = false,
            _ => {}
        }
        byte == b':' && !in_literal
    })?;
    parted(path, colon)
}

/// The text of a quoted string, if all of `local` is one.
fn quoted_string(local: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = local.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter();
    let mut text = Vec::with_capacity(local.len());
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => text.push(*bytes.next()?),
            _ => text.push(byte),
        }
    }
    Some(text)
}

/// Undoes Exchange's encapsulation: `IMCEA`, a type, a hyphen (or a blank), then the address with `+40` for `@` and `_`
/// for `/`. An X.400 or Exchange address inside is no mail address and stays as it is.
fn imcea(text: &[u8]) -> Option<Vec<u8>> {
    let (prefix, rest) = text.split_at_checked(5)?;
    if !prefix.eq_ignore_ascii_case(b"IMCEA") {
        return None;
    }
    let end = rest.iter().position(|&byte| matches!(byte, b'-' | b' '))?;
    let mut rest = rest.get(end + 1..)?;
    let mut address = Vec::with_capacity(rest.len());
    loop {
        rest = match rest {
            [] => break,
            [b'+', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
                address.push(digit(*high) << 4 | digit(*low));
                rest
            }
            [b'_', rest @ ..] => {
                address.push(b'/');
                rest
            }
            [byte, rest @ ..] => {
                address.push(*byte);
                rest
            }
        };
    }
    address.contains(&b'@').then_some(address)
}

/// What stands before and after the byte at a place.
fn parted(text: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Letters, digits, dots, hyphens, underscores and bytes above 0x7f, or a literal.
fn is_host(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') || !byte.is_ascii();
    !text.is_empty() && (text.iter().all(is_name) || address_literal(text).is_some())
}

#[cfg(test)]
mod tests;
