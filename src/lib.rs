//! smtphound finds out who abuses port 25, from the wire alone.
//!
//! The way of the data is one direction through small rooms, each a module; `docs/architecture.md` is the map.

pub mod activity;
pub mod balance;
pub mod capture;
pub mod cli;
pub mod config;
pub mod decode;
pub mod detect;
pub mod diff;
pub mod distinct;
pub mod engine;
pub mod error;
pub mod evidence;
pub mod flooders;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod identity;
pub mod incident;
pub mod judge;
pub mod ledger;
pub mod limits;
pub mod lines;
pub mod net;
pub mod output;
pub mod pipeline;
pub mod privileges;
pub mod replay;
pub mod reports;
pub mod schema;
pub mod session;
pub mod site;
pub mod smtp;
pub mod tcp;
pub mod time;
pub mod tui;
pub mod values;
pub mod watch;
pub mod weird;
pub mod wire;
pub mod xarf;
