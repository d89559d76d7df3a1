//! Commands as the grammar reads them: borrowed from one whole line.

/// A command line (RFC 5321 section 4.1, and the extensions that name a command).
///
/// Arguments are the raw bytes of the wire; paths come without their brackets where there were any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH mechanism [initial-response]` (RFC 4954). The response is a secret: it goes to `smtp::auth` and nowhere else.
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
