//! Connections: the flow table, reassembly in order with explicit gaps, and what the handshake tells.
//!
//! Read first: RFC 9293 sections 3.3 to 3.10; Zeek's `conn.log` for `conn_state` and `history`; p0f's README for the
//! SYN signature. This room knows nothing of SMTP: what a connection carries goes to an application state of the
//! caller's type, as [`StreamEvent`]s, through a [`FlowSink`].
//!
//! Nothing here reads a clock or starts a thread. A [`FlowTable`] serves one shard; its inputs are
//! [`FlowTable::handle_segment`], [`FlowTable::handle_idle`] and [`FlowTable::finish`].

mod assembler;
mod attempts;
mod closed;
mod connection;
mod event;
mod flow;
mod half;
mod history;
mod id;
mod index;
mod sink;
mod slab;
mod stats;
mod syn;
mod system;
mod table;
#[cfg(test)]
mod testing;

pub use connection::{Attempt, ConnId, ConnState, Connection, SynSignature};
pub use event::StreamEvent;
pub use history::Letters;
pub use sink::{ConnStart, FlowSink};
pub use stats::TcpStats;
pub use syn::ToldSyn;
pub use table::{FlowTable, LookUp, Near};
