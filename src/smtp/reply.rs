//! Replies: single lines as the grammar reads them, and whole replies of one or many lines.

use serde::{Serialize, Serializer};

use crate::wire::Wire;

/// An enhanced mail system status code (RFC 3463): `class.subject.detail`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EnhancedStatus {
    /// 2, 4 or 5; others are kept as seen.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl std::fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl Serialize for EnhancedStatus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One line of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyLine<'a> {
    /// The three digits; `None` where the line has none (`4.7.0 text` alone, or no code at all).
    pub code: Option<u16>,
    /// `-` after the code: more lines follow.
    pub more: bool,
    /// The enhanced status, where the text begins with one.
    pub status: Option<EnhancedStatus>,
    /// What follows code and status.
    pub text: &'a [u8],
}

/// A whole reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reply {
    /// The three digits; `None` where no line had any.
    pub code: Option<u16>,
    /// The enhanced status of the first line that has one.
    pub status: Option<EnhancedStatus>,
    /// The texts without codes and statuses, joined by a line feed where there were several lines, cut to the limit.
    pub text: Wire,
}

impl Reply {
    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code.is_some_and(|code| (200..300).contains(&code))
    }

    /// 3xx: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code.is_some_and(|code| (300..400).contains(&code))
    }

    /// 4xx, or no code but an enhanced status of class 4.
    pub fn is_transient(&self) -> bool {
        self.code.map_or(self.status.is_some_and(|s| s.class == 4), |code| (400..500).contains(&code))
    }

    /// 5xx, or no code but an enhanced status of class 5.
    pub fn is_permanent(&self) -> bool {
        self.code.map_or(self.status.is_some_and(|s| s.class == 5), |code| (500..600).contains(&code))
    }
}
