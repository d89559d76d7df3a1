//! Sessions between certain hosts out of their lines: one of each pair stands for all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::file::{LineError, Lines};
use super::record::SessionLine;
use crate::net::Endpoint;

/// A client, and the server that it went to; `None` for any.
pub type Between = (IpAddr, Option<IpAddr>);

/// What is told of a session elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Who opened it.
    pub client: Endpoint,
    /// Who answered.
    pub server: Endpoint,
    /// Its mails.
    pub mails: Vec<FoundMail>,
}

/// A mail of it; texts of the wire are escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundMail {
    /// The reverse-path.
    pub from: String,
    /// The first forward-path.
    pub to: Option<String>,
    /// Message-ID without brackets.
    pub msg_id: Option<String>,
}

/// Looks for a session of each pair in a file of lines: the first one, or the first with a mail. Lines that are none are
/// passed over.
pub fn find(path: &Path, wanted: &mut BTreeMap<Between, Option<Found>>) -> Result<(), LineError> {
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next_line()? {
        let Ok(line) = line else { continue };
        let Ok(session) = serde_json::from_slice::<SessionLine>(line) else { continue };
        let (Some(orig_p), Some(resp_h), Some(resp_p)) = (session.orig_p, session.resp_h, session.resp_p) else {
            continue;
        };
        let (client, server) = (session.orig_h.ip(), resp_h.ip());
        for between in [(client, Some(server)), (client, None)] {
            let Some(place) = wanted.get_mut(&between) else { continue };
            let is_better =
                place.as_ref().is_none_or(|known| known.mails.is_empty() && !session.transactions.is_empty());
            if is_better {
                let mails = session.transactions.iter().map(|tx| FoundMail {
                    from: tx.mailfrom.to_string(),
                    to: tx.rcptto.first().map(|rcpt| rcpt.to.to_string()),
                    msg_id: tx.msg_id.as_ref().map(ToString::to_string),
                });
                *place = Some(Found {
                    client: Endpoint { host: session.orig_h, port: orig_p },
                    server: Endpoint { host: resp_h, port: resp_p },
                    mails: mails.collect(),
                });
            }
        }
    }
    Ok(())
}
