//! Those who do not want to be seen: what is concluded of every known trick, and whose view that is.
//!
//! Read first: Ptacek and Newsham, "Insertion, Evasion, and Denial of Service" (1998); RFC 5961. A passive reader sees more
//! than the server takes (insertion) or less (evasion). The rule of this house: what the *server* says decides, by its
//! replies and its acknowledgements, and where both readings were on the wire the disagreement is told.
//!
//! Tested elsewhere, below the level of whole frames:
//! - reassembly against an obviously correct model, a million operations: `src/tcp/assembler/tests.rs`
//! - flags, resets, port reuse, LAND, keep-alives, zero windows, wrap: `src/tcp/table/tests.rs`
//! - disorder, forged ACKs, one-sided captures: `src/tcp/table/tests/disorder.rs`; limits: `.../limits.rs`
//! - fragments in any order, overlapping, too many: `src/decode/defrag/tests.rs`; what later ones of IPv6
//!   say that they carry: `src/decode/tests/fragments.rs`
//! - every link layer and tunnel, cut at every byte: `src/decode/tests.rs`
//! - pipelining, early talkers, smuggling, AUTH and TLS tricks, losses: `src/smtp/dialogue/tests/`
//! - copies, retransmissions, disorder and losses of whole sessions at random: `tests/pipeline_properties.rs`
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]
#![allow(unreachable_pub, reason = "a module of a test binary")]
#![allow(clippy::cast_possible_wrap, reason = "places in streams of some thousand bytes")]

mod control;
mod dialogue;
mod fragments;
mod segments;
mod wire;
