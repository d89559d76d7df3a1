//! SMTP: lines first, then grammar over whole lines, then the dialogue of both sides.
//!
//! Read first: RFC 5321 (SMTP), RFC 2920 (pipelining), RFC 3030 (BDAT), RFC 3463 (enhanced codes), RFC 3464 (DSN).

pub mod auth;
pub mod command;
mod dialogue;
pub mod dsn;
mod event;
mod facts;
pub mod lines;
pub mod mail;
mod pairs;
pub mod path;
pub mod reply;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;

pub use auth::AuthExchange;
pub use command::{Command, MailParams, Sins, logged_verb};
pub use dialogue::{Dialogue, Sink};
pub use event::{MailEnd, Sent, SmtpEvent};
pub use facts::{AuthAttempt, AuthResult, Dialect, Dsn, MailFacts, SmugglingFacts, Tls, TlsState};
pub use lines::{Line, LineEnd, LineSplitter};
pub use mail::MailScanner;
pub use path::{Form, FormSet, MailPath, SenderForm, Unwrapped};
pub use reply::{EnhancedStatus, Reply, ReplyAssembler, ReplyLine};
pub use tls::TlsFollower;
