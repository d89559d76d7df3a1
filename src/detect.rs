//! Judgement: what sessions tell about the hosts that had them.

pub mod replies;
