//! What mail systems say, by memory of their source or their documentation, and the words that mails are made of.

use std::net::IpAddr;

use crate::rng::Rng;

/// A mail system, by its way of speaking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mta {
    Postfix,
    Exim,
    Exchange,
    Sendmail,
    Qmail,
    OpenSmtpd,
    Haraka,
    MDaemon,
    Large,
}

impl Mta {
    const ALL: [Self; 9] = [
        Self::Postfix,
        Self::Exim,
        Self::Exchange,
        Self::Sendmail,
        Self::Qmail,
        Self::OpenSmtpd,
        Self::Haraka,
        Self::MDaemon,
        Self::Large,
    ];

    /// Any of them; postfix and exim more often, as surveys of port 25 find.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.below(14) {
            n @ 0..9 => Self::ALL[n],
            9 | 10 => Self::Postfix,
            11 | 12 => Self::Exim,
            _ => Self::Exchange,
        }
    }

    pub(crate) fn banner(self, name: &str) -> String {
        match self {
            Self::Postfix => format!("220 {name} ESMTP Postfix (Debian/GNU)"),
            Self::Exim => format!("220 {name} ESMTP Exim 4.97 Mon, 02 Mar 2026 07:14:09 +0000"),
            Self::Exchange => {
                format!("220 {name} Microsoft ESMTP MAIL Service ready at Mon, 2 Mar 2026 08:14:09 +0100")
            }
            Self::Sendmail => format!("220 {name} ESMTP Sendmail 8.17.1/8.17.1; Mon, 2 Mar 2026 08:14:09 +0100"),
            Self::Qmail => format!("220 {name} ESMTP"),
            Self::OpenSmtpd => format!("220 {name} ESMTP OpenSMTPD"),
            Self::Haraka => format!("220 {name} ESMTP Haraka ready"),
            Self::MDaemon => format!("220 {name} ESMTP MDaemon 23.5.0; Mon, 02 Mar 2026 08:14:09 +0100"),
            Self::Large => format!("220 {name} ESMTP ready at your service"),
        }
    }

    /// The reply to EHLO, with the given extensions.
    pub(crate) fn ehlo(self, name: &str, extra: &[&str]) -> String {
        let mut lines = vec![match self {
            Self::Exim => format!("{name} Hello there"),
            Self::Exchange => format!("{name} Hello [192.0.2.1]"),
            Self::Sendmail => format!("{name} Hello, pleased to meet you"),
            _ => name.to_owned(),
        }];
        let own: &[&str] = match self {
            Self::Qmail => &["8BITMIME"],
            Self::OpenSmtpd => &["8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 36700160", "DSN", "HELP"],
            Self::Sendmail => &["ENHANCEDSTATUSCODES", "PIPELINING", "8BITMIME", "SIZE", "DSN", "DELIVERBY"],
            Self::Exchange => &["SIZE 37748736", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING"],
            Self::MDaemon => &["ETRN", "8BITMIME", "SIZE"],
            _ => &["PIPELINING", "SIZE 52428800", "8BITMIME"],
        };
        lines.extend(own.iter().chain(extra).map(|&word| word.to_owned()));
        multi(250, &lines)
    }

    pub(crate) const fn ok(self) -> &'static str {
        match self {
            Self::Postfix => "250 2.1.0 Ok",
            Self::Exim => "250 OK",
            Self::Exchange | Self::MDaemon => "250 2.1.0 Sender OK",
            Self::Sendmail => "250 2.1.0 Sender ok",
            Self::Qmail => "250 ok",
            Self::OpenSmtpd => "250 2.0.0 Ok",
            Self::Haraka => "250 sender ok",
            Self::Large => "250 2.1.0 OK",
        }
    }

    pub(crate) const fn rcpt_ok(self) -> &'static str {
        match self {
            Self::Postfix | Self::MDaemon => "250 2.1.5 Ok",
            Self::Exim => "250 Accepted",
            Self::Exchange => "250 2.1.5 Recipient OK",
            Self::Sendmail => "250 2.1.5 Recipient ok",
            Self::Qmail => "250 ok",
            Self::OpenSmtpd => "250 2.1.5 Destination address valid: Recipient ok",
            Self::Haraka => "250 recipient ok",
            Self::Large => "250 2.1.5 OK",
        }
    }

    /// The mail was taken.
    pub(crate) fn taken(self, rng: &mut Rng) -> String {
        let id = rng.bits();
        match self {
            Self::Postfix => format!("250 2.0.0 Ok: queued as {:011X}", id >> 20),
            Self::Exim => format!("250 OK id=1r{:04x}-{:06x}-2Q", id as u16, id >> 44),
            Self::Exchange => {
                format!("250 2.6.0 <{id:016x}@internal> [InternalId={}] Queued mail for delivery", id >> 30)
            }
            Self::Sendmail => format!("250 2.0.0 4227E9Xk{:06} Message accepted for delivery", id >> 45),
            Self::Qmail => format!("250 ok {} qp {}", 1_772_000_000 + (id >> 44), id >> 50),
            Self::OpenSmtpd => format!("250 2.0.0 {:08x} Message accepted for delivery", id as u32),
            Self::Haraka => format!("250 Message Queued ({id:X}.1)"),
            Self::MDaemon => format!("250 2.6.0 Ok, message saved <Message-ID: {id:x}>"),
            Self::Large => format!("250 2.0.0 OK {} {id:x} - mx", 1_772_000_000 + (id >> 44)),
        }
    }

    /// There is no such recipient.
    pub(crate) fn unknown(self, to: &str) -> String {
        match self {
            Self::Postfix => {
                format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table")
            }
            Self::Exim => "550 Unrouteable address".to_owned(),
            Self::Exchange => {
                "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup".into()
            }
            Self::Sendmail => format!("550 5.1.1 <{to}>... User unknown"),
            Self::Qmail => "550 sorry, no mailbox here by that name. (#5.1.1)".to_owned(),
            Self::OpenSmtpd => format!("550 Invalid recipient: <{to}>"),
            Self::Haraka => "550 I cannot deliver mail for that recipient: no such user".to_owned(),
            Self::MDaemon => format!("550 5.1.1 Recipient unknown <{to}>"),
            Self::Large => multi(
                550,
                &[
                    "5.1.1 The email account that you tried to reach does not exist. Please".to_owned(),
                    "5.1.1 double-check the address for typos or unnecessary spaces.".to_owned(),
                ],
            ),
        }
    }

    /// The client is refused for what it is, or what it sends; no list is named.
    pub(crate) fn policy(self, rng: &mut Rng, ip: IpAddr) -> String {
        match rng.below(6) {
            0 => format!("550 5.7.1 Mail from [{ip}] rejected due to local policy"),
            1 => "554 5.7.1 Message rejected under suspicion of SPAM".to_owned(),
            2 => format!("450 4.7.25 Client host rejected: cannot find your hostname, [{ip}]")
                .replacen("450 4", "550 5", 1),
            3 => "554 Your message looks like spam, go away".to_owned(),
            4 => format!("550 Dynamic or residential hosts such as {ip} may not send mail directly, use your provider"),
            _ => match self {
                Self::Exchange => "550 5.7.1 Message rejected as spam by Content Filtering.".to_owned(),
                _ => "550 5.7.1 Message contains spam or virus or sender is blocked".to_owned(),
            },
        }
    }

    /// The address stands on a list.
    pub(crate) fn listed(self, rng: &mut Rng, ip: IpAddr, to: &str) -> String {
        match rng.below(5) {
            0 => format!(
                "554 5.7.1 Service unavailable; Client host [{ip}] blocked using cbl.abuseat.org; Blocked - see http://www.abuseat.org/lookup.cgi?ip={ip}"
            ),
            1 => format!("550 \"JunkMail rejected - [{ip}] is in an RBL: https://www.spamhaus.org/query/ip/{ip}\""),
            2 => format!(
                "550 5.7.1 <{to}>: Recipient rejected: {ip} is listed at bl.spamcop.net, contact your administrator"
            ),
            3 => format!("553 5.3.0 Spam blocked see: http://spamcop.net/bl.shtml?{ip}"),
            _ => format!(
                "550 5.7.1 Your IP {ip} is in b.barracudacentral.org; to be removed go to http://www.barracudacentral.org/reputation"
            ),
        }
    }

    /// Try again later, for no fault of the client's, said openly or not.
    pub(crate) fn greylisted(self, rng: &mut Rng, to: &str) -> String {
        match rng.below(4) {
            0 => format!(
                "450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help"
            ),
            1 => "451 4.7.1 Greylisting in action, please come back in 00:05:00".to_owned(),
            2 => "451 Temporary local problem, please try later".to_owned(),
            _ => "450 4.7.1 Please try again later".to_owned(),
        }
    }

    /// None of the above.
    pub(crate) fn other(self, rng: &mut Rng, to: &str) -> String {
        match rng.below(4) {
            0 => format!("552 5.2.2 <{to}>: mailbox is full, quota exceeded"),
            1 => "552 5.3.4 Message size exceeds fixed limit".to_owned(),
            2 => "554 5.4.6 Hop count exceeded - possible mail loop".to_owned(),
            _ => "550 Protocol violation, session refused".to_owned(),
        }
    }

    /// Not for this client.
    pub(crate) fn no_relay(self, to: &str) -> String {
        match self {
            Self::Postfix => format!("554 5.7.1 <{to}>: Relay access denied"),
            Self::Exim => "550 relay not permitted".to_owned(),
            Self::Exchange => "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain".to_owned(),
            Self::Sendmail => format!("550 5.7.1 <{to}>... Relaying denied"),
            Self::Qmail => "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)".to_owned(),
            _ => "550 5.7.1 Unable to relay".to_owned(),
        }
    }
}

/// A reply of several lines.
pub(crate) fn multi(code: u16, lines: &[String]) -> String {
    let last = lines.len().saturating_sub(1);
    let lines: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(i, line)| format!("{code}{}{line}", if i == last { ' ' } else { '-' }))
        .collect();
    lines.join("\n")
}

const FIRST: [&str; 32] = [
    "anna", "ben", "carla", "david", "elena", "felix", "greta", "hugo", "ines", "jonas", "karla", "lukas", "mara",
    "nils", "olga", "paul", "quirin", "rosa", "stefan", "tina", "ulla", "viktor", "wanda", "xaver", "yara", "zoe",
    "emil", "frida", "kurt", "lena", "otto", "vera",
];
const LAST: [&str; 24] = [
    "adler", "brandt", "curtis", "doyle", "ebert", "fuchs", "garcia", "hansen", "ivanov", "jensen", "kowalski", "lang",
    "moreau", "novak", "olsen", "peters", "quinn", "rossi", "sato", "turner", "urban", "vogel", "weiss", "young",
];
const PARTS: [&str; 28] = [
    "alpine", "blue", "cedar", "delta", "east", "forum", "granite", "harbor", "iron", "juniper", "kite", "lumen",
    "maple", "north", "orbit", "pine", "quartz", "river", "stone", "tower", "union", "valley", "willow", "xenon",
    "yard", "zenith", "metro", "terra",
];
const TRADES: [&str; 16] = [
    "works", "trade", "media", "foods", "print", "tools", "travel", "health", "consult", "labs", "energy", "textile",
    "motors", "books", "design", "systems",
];
const WORDS: [&str; 40] = [
    "the", "offer", "meeting", "report", "please", "invoice", "attached", "about", "tomorrow", "delivery", "order",
    "contract", "team", "with", "regards", "plan", "budget", "week", "number", "address", "and", "for", "we", "will",
    "send", "new", "price", "list", "your", "question", "answer", "soon", "thanks", "call", "office", "day", "agree",
    "change", "draft", "review",
];

/// A domain that is nobody's.
pub(crate) fn domain(rng: &mut Rng) -> String {
    let tld = rng.pick(&["example", "com.example", "net.example", "org.example", "test"]);
    format!("{}{}{}.{tld}", rng.pick(&PARTS), rng.pick(&TRADES), rng.below(1000))
}

/// A person's local part.
pub(crate) fn person(rng: &mut Rng) -> String {
    let (first, last) = (rng.pick(&FIRST), rng.pick(&LAST));
    match rng.below(4) {
        0 => format!("{first}.{last}"),
        1 => format!("{}{last}", &first[..1]),
        2 => format!("{first}{}", rng.below(100)),
        _ => format!("{last}.{first}{}", rng.below(10)),
    }
}

/// A local part that nobody has.
pub(crate) fn made_up(rng: &mut Rng) -> String {
    let len = rng.between(5, 11);
    (0..len).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
}

/// Some words.
pub(crate) fn phrase(rng: &mut Rng, words: usize) -> String {
    let words: Vec<&str> = (0..words).map(|_| rng.pick(&WORDS)).collect();
    words.join(" ")
}

/// A whole mail: header, blank line, body of about so many bytes. Lines end by CRLF.
pub(crate) fn mail(rng: &mut Rng, from: &str, to: &str, extra: &[&str], bytes: usize) -> String {
    let host = from.rsplit('@').next().filter(|host| !host.is_empty()).unwrap_or("localhost");
    let subject_len = rng.between(2, 6);
    let mut text = format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {}\r\nDate: Mon, 2 Mar 2026 08:14:09 +0100\r\nMessage-ID: <{:x}@{host}>\r\n",
        phrase(rng, subject_len),
        rng.bits(),
    );
    for line in extra {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let end = text.len() + bytes;
    while text.len() < end {
        let words = rng.between(4, 11);
        text.push_str(&phrase(rng, words));
        text.push_str("\r\n");
    }
    text
}

/// A delivery report (RFC 3464) about a mail to `about`.
pub(crate) fn report(rng: &mut Rng, mta: &str, to: &str, about: &str) -> String {
    let mark = rng.bits();
    let body = phrase(rng, 20);
    format!(
        "From: <postmaster@{mta}>\r\nTo: <{to}>\r\nSubject: Undeliverable: {}\r\nMessage-ID: <{:x}@{mta}>\r\n\
         Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b{mark:x}\"\r\n\r\n--b{mark:x}\r\n\
         Content-Type: text/plain\r\n\r\nDelivery has failed to these recipients: {about}\r\n\r\n--b{mark:x}\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; {mta}\r\n\r\nFinal-Recipient: rfc822; {about}\r\n\
         Action: failed\r\nStatus: 5.1.1\r\n\r\n--b{mark:x}\r\nContent-Type: message/rfc822\r\n\r\nSubject: {body}\r\n\r\n\
         {body}\r\n--b{mark:x}--\r\n",
        phrase(rng, 3),
        rng.bits(),
    )
}
