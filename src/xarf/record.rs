//! XARF v4 as it is written: the fields of its core schema, and those of the types that we report.

use std::net::IpAddr;

use serde::Serialize;

use crate::lines::Found;
use crate::net::Endpoint;
use crate::time::Ts;

/// A report (`xarf-core.json`).
#[derive(Serialize, Debug)]
pub(super) struct Record {
    pub(super) xarf_version: &'static str,
    pub(super) report_id: String,
    pub(super) timestamp: Ts,
    pub(super) reporter: Contact,
    pub(super) sender: Contact,
    pub(super) source_identifier: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_port: Option<u16>,
    #[serde(flatten)]
    pub(super) details: Details,
    pub(super) evidence: Vec<Evidence>,
    pub(super) tags: Vec<String>,
    pub(super) description: String,
}

/// Who reports.
#[derive(Serialize, Clone, Debug)]
pub(super) struct Contact {
    pub(super) org: String,
    #[serde(rename = "contact")]
    pub(super) address: String,
    pub(super) domain: String,
}

/// A piece of evidence.
#[derive(Serialize, Debug)]
pub(super) struct Evidence {
    pub(super) content_type: &'static str,
    pub(super) description: String,
    /// In base64.
    pub(super) payload: String,
}

/// Category, type, and what the type asks for.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(super) enum Details {
    /// `connection-infected-host.json`
    InfectedHost {
        #[serde(flatten)]
        attack: Attack,
        bot_type: &'static str,
    },
    /// `connection-login-attack.json`, `connection-port-scan.json`
    Attack(Attack),
    /// `connection-reconnaissance.json`
    Reconnaissance {
        #[serde(flatten)]
        attack: Attack,
        probed_resources: [&'static str; 1],
    },
    /// `vulnerability-open-service.json`, `vulnerability-misconfiguration.json`
    Service { category: &'static str, r#type: &'static str, evidence_source: &'static str, service: &'static str },
    /// `messaging-spam.json`
    Spam {
        category: &'static str,
        r#type: &'static str,
        evidence_source: &'static str,
        protocol: &'static str,
        smtp_from: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        smtp_to: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
    },
}

/// What the types of category `connection` have in common.
#[derive(Serialize, Debug)]
pub(super) struct Attack {
    category: &'static str,
    r#type: &'static str,
    evidence_source: &'static str,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_ip: Option<IpAddr>,
    destination_port: u16,
    first_seen: Ts,
    last_seen: Ts,
}

impl Attack {
    const fn new(r#type: &'static str, (first_seen, last_seen): (Ts, Ts)) -> Self {
        Self {
            category: "connection",
            r#type,
            evidence_source: "traffic_analysis",
            protocol: "tcp",
            destination_ip: None,
            destination_port: 25,
            first_seen,
            last_seen,
        }
    }

    fn on(self, server: Endpoint) -> Self {
        Self { destination_ip: Some(server.host.ip()), destination_port: server.port, ..self }
    }
}

impl Details {
    pub(super) const fn infected_host(seen: (Ts, Ts)) -> Self {
        Self::InfectedHost { attack: Attack::new("infected_host", seen), bot_type: "malicious" }
    }

    pub(super) fn login_attack(seen: (Ts, Ts), server: Endpoint) -> Self {
        Self::Attack(Attack::new("login_attack", seen).on(server))
    }

    pub(super) fn port_scan(seen: (Ts, Ts), server: Endpoint) -> Self {
        Self::Attack(Attack::new("port_scan", seen).on(server))
    }

    pub(super) fn reconnaissance(seen: (Ts, Ts), server: Endpoint) -> Self {
        let attack = Attack::new("reconnaissance", seen).on(server);
        Self::Reconnaissance { attack, probed_resources: ["recipient addresses (RCPT)"] }
    }

    pub(super) const fn open_service(service: &'static str) -> Self {
        let (category, r#type) = ("vulnerability", "open_service");
        Self::Service { category, r#type, evidence_source: "traffic_analysis", service }
    }

    pub(super) const fn misconfiguration(service: &'static str) -> Self {
        let (category, r#type) = ("vulnerability", "misconfiguration");
        Self::Service { category, r#type, evidence_source: "traffic_analysis", service }
    }

    /// `None` where no envelope was seen whose sender is a mail address.
    pub(super) fn spam(found: &Found) -> Option<Self> {
        let mail = found.mails.iter().find(|mail| is_address(&mail.from))?;
        Some(Self::Spam {
            category: "messaging",
            r#type: "spam",
            evidence_source: "automated_filter",
            protocol: "smtp",
            smtp_from: mail.from.clone(),
            smtp_to: mail.to.clone().filter(|to| is_address(to)),
            message_id: mail.msg_id.as_ref().map(|id| format!("<{id}>")).filter(|id| id.len() <= 200),
        })
    }
}

/// A plain mail address: what the wire holds may be anything.
fn is_address(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.split('.').all(|atom| {
                !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+=".contains(&byte))
            })
    };
    text.split_once('@').is_some_and(|(local, domain)| plain(local) && plain(domain) && domain.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_not_reported_as_one() {
        assert!(is_address("guest+x@mail.contoso.example"));
        for wrong in ["", "a", "a@b", "@b.example", "a@@b.example", "a b@c.example", "\\x1b@c.example", "a@.example"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
