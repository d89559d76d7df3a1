//! Connections: the flow table, reassembly in order with explicit gaps, and what the handshake tells.
//!
//! Read first: RFC 9293 sections 3.3 to 3.10; Zeek's `conn.log` for `conn_state` and `history`; p0f's README for the
//! SYN signature. This room knows nothing of SMTP: what a connection carries goes to an application state of the
//! caller's type, as [`StreamEvent`]s.

mod connection;
mod event;

pub use connection::{Attempt, ConnId, ConnState, Connection, SynSignature};
pub use event::StreamEvent;
