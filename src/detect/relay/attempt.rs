//! What one recipient of one mail amounts to: nothing, or an attempt to relay, and by which technique.

use std::net::IpAddr;

use crate::detect::context::Context;
use crate::detect::finding::RelayOutcome;
use crate::detect::replies::{ReplyClass, Stage};
use crate::detect::roles::is_fqdn;
use crate::net::HostKey;
use crate::session::{Recipient, Transaction};
use crate::smtp::Reply;
use crate::smtp::path::{Form, FormSet, MailPath, SenderForm, address_literal, same_domain, sender_form, unwrap};
use crate::wire::Wire;

/// How sender and recipient are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Technique {
    pub(super) forms: FormSet,
    pub(super) sender: SenderForm,
}

impl Technique {
    /// The tests of KB 304897 (`T1` to `T7`; `T8` source route and `T9` bang path are ours), then the forms of the
    /// recipient, then that of the sender.
    pub(super) fn names(self) -> Vec<&'static str> {
        let mut names = Vec::new();
        let has = |forms: &[Form]| forms.iter().any(|form| self.forms.contains(*form));
        if has(&[Form::F1]) {
            names.extend(match self.sender {
                SenderForm::S1 => Some("T3"),
                SenderForm::S2 => Some("T1"),
                SenderForm::S3 => Some("T4"),
                SenderForm::S4 => Some("T5"),
                SenderForm::S6 => Some("T2"),
                SenderForm::S5 | SenderForm::S7 => None,
            });
        }
        let routed: [(&[Form], &'static str); 4] = [
            (&[Form::F2, Form::F3, Form::F11], "T6"),
            (&[Form::F4, Form::F7], "T7"),
            (&[Form::F8], "T8"),
            (&[Form::F9], "T9"),
        ];
        names.extend(routed.into_iter().filter(|(forms, _)| has(forms)).map(|(_, name)| name));
        names.extend(self.forms.iter().map(Form::name));
        names.push(self.sender.name());
        names
    }

    /// Whether the sender pretends to be one of ours (or is nobody in particular).
    pub(super) const fn is_forged_local(self) -> bool {
        matches!(self.sender, SenderForm::S3 | SenderForm::S4 | SenderForm::S5 | SenderForm::S6 | SenderForm::S7)
    }
}

/// Which domains a server would take for its own, seen from an outsider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours<'a> {
    pub(super) ctx: &'a Context<'a>,
    pub(super) server: HostKey,
    /// The outside party; its own address is never ours.
    pub(super) other: HostKey,
}

impl Ours<'_> {
    /// Whether a domain (or literal) as it stands in a path is ours.
    pub(super) fn is(&self, domain: &[u8]) -> bool {
        if let Some(ip) = address_literal(domain) {
            return self.is_address(ip.to_canonical());
        }
        same_domain(domain, b"localhost")
            || same_domain(domain, b"localhost.localdomain")
            || self.ctx.owns(self.server, domain)
    }

    /// Behind address translation the server's public address is not in its frames. Until replies name it, any public
    /// address but the client's own counts: who came through the translation knows where he knocked.
    fn is_address(&self, ip: IpAddr) -> bool {
        let host = HostKey::from(ip);
        let mut public_ips = self.ctx.reputation.public_ips().peekable();
        let nothing_known = public_ips.peek().is_none();
        ip.is_loopback()
            || host == self.server
            || self.ctx.ours.contains(host)
            || public_ips.any(|known| known == ip)
            || (nothing_known && is_private(self.server.ip()) && !is_private(ip) && host != self.other)
    }

    /// The mailbox that a path comes to when everything in it is followed.
    pub(super) fn mailbox(&self, path: &[u8]) -> Wire {
        unwrap(path, |domain| self.is(domain)).mailbox
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

/// An attempt to relay, as far as one recipient tells.
#[derive(Clone, Debug)]
pub(super) struct Attempt<'a> {
    /// Where the mail would go in the end.
    pub(super) effective: Wire,
    pub(super) technique: Technique,
    pub(super) outcome: RelayOutcome,
    /// The reply that decided.
    pub(super) reply: Option<&'a Reply>,
    /// The mail's data were sent and not refused: it can be seen again.
    pub(super) with_data: bool,
    /// It is known that the recipient is not ours. If not, it is ordinary mail unless it is seen to leave.
    pub(super) known: bool,
    /// It may be a mailbox of our own with an odd name, or a bounce to one: it counts only beside better signs.
    pub(super) soft: bool,
}

/// Looks at one recipient of a mail that an outsider without a login brought.
pub(super) fn read<'a>(ours: &Ours<'_>, tx: &'a Transaction, rcpt: &'a Recipient) -> Option<Attempt<'a>> {
    let unwrapped = unwrap(rcpt.to.as_bytes(), |domain| ours.is(domain));
    if unwrapped.forms.is_empty() {
        return None;
    }
    let path = MailPath::new(unwrapped.mailbox.as_bytes());
    let domain = path.domain().filter(|domain| !ours.is(domain))?;
    if !is_fqdn(domain) && address_literal(domain).is_none() {
        // `sales%emea@ours`, `list!user@ours`: a mailbox with an odd name. No mail leaves for a name without a dot.
        return None;
    }
    let (outcome, reply, with_data) = outcome(tx, rcpt)?;
    let class = rcpt.reply.as_ref().map(|reply| ours.ctx.rules.classify(reply, Stage::Rcpt).class);
    let refused_at_rcpt = rcpt.reply.as_ref().is_some_and(|reply| !reply.is_positive());
    let denied = refused_at_rcpt && class == Some(ReplyClass::RelayDenied);
    let unknown_user = refused_at_rcpt && class == Some(ReplyClass::UserUnknown);
    // What is routed has lost at least a layer: something else remains than was written.
    let routed = unwrapped.mailbox != rcpt.to;
    let known = denied || routed || !ours.ctx.site.local_domains.is_empty();
    if !known && outcome == RelayOutcome::Rejected {
        return None;
    }
    let sender =
        if tx.null_sender { SenderForm::S1 } else { sender_form(tx.mailfrom.as_bytes(), |domain| ours.is(domain)) };
    // Mailing lists write the subscriber into the sender's local part, and bounces to that come from `<>`.
    let maybe_bounce = routed && tx.null_sender;
    Some(Attempt {
        technique: Technique { forms: unwrapped.forms, sender },
        effective: unwrapped.mailbox,
        outcome,
        reply,
        with_data,
        known,
        soft: !denied && (unknown_user || maybe_bounce),
    })
}

/// What the replies to a recipient and its mail come to; `None` where they were not seen, or decide nothing.
fn outcome<'a>(tx: &'a Transaction, rcpt: &'a Recipient) -> Option<(RelayOutcome, Option<&'a Reply>, bool)> {
    let reply = rcpt.reply.as_ref()?;
    let refuses = |reply: &&Reply| reply.is_transient() || reply.is_permanent();
    if refuses(&reply) {
        // Where MAIL was refused already, that reply says why.
        let decided = tx.mail_reply.as_ref().filter(refuses).unwrap_or(reply);
        return Some((RelayOutcome::Rejected, Some(decided), false));
    }
    // 252 promises nothing (RFC 5321 section 4.2.3).
    if !reply.is_positive() || reply.code == Some(252) {
        return None;
    }
    if let Some(refusal) = [&tx.data_cmd_reply, &tx.data_reply].into_iter().flatten().find(refuses) {
        return Some((RelayOutcome::Rejected, Some(refusal), false));
    }
    let decided = tx.data_reply.as_ref().unwrap_or(reply);
    let with_data = tx.transfer.is_some() && (tx.complete || tx.data_reply.is_some());
    Some((RelayOutcome::AcceptedUnproven, Some(decided), with_data))
}
