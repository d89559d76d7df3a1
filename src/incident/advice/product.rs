//! The switches that stop non-delivery reports, by the product that the server's greeting names.

/// What to set so that unknown recipients are refused while the sender is still there, and what stops reports at once.
///
/// Postfix: postconf(5) `smtpd_reject_unlisted_recipient`, `local_recipient_maps`; Exim: the specification's chapter 43
/// (`verify = recipient`); Exchange: `Set-RecipientFilterConfig`, `Set-RemoteDomain -NDREnabled`.
pub(super) fn ndr_switches(banner: Option<&[u8]>) -> Vec<String> {
    let banner = banner.unwrap_or_default().to_ascii_lowercase();
    let names = |word: &[u8]| banner.windows(word.len()).any(|window| window == word);
    let postfix = "Postfix: list your recipients in local_recipient_maps or relay_recipient_maps, and leave \
                   smtpd_reject_unlisted_recipient = yes. To stop the flood at once: soft_bounce = yes holds reports back";
    let exim = "Exim: `require verify = recipient` in the RCPT ACL (acl_smtp_rcpt), with a callout to the server behind it if \
                this one only passes mail on";
    let exchange = "Exchange: Set-RecipientFilterConfig -Enabled $true -RecipientValidationEnabled $true. To stop the flood at \
                    once: Set-RemoteDomain Default -NDREnabled $false";
    let told: Vec<String> = [(&b"postfix"[..], postfix), (b"exim", exim), (b"microsoft", exchange)]
        .into_iter()
        .filter(|(word, _)| names(word))
        .map(|(_, switch)| switch.to_owned())
        .collect();
    if told.is_empty() { [postfix, exim, exchange].map(str::to_owned).into() } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_picks_the_product() {
        let told = ndr_switches(Some(b"mx.example ESMTP Postfix (Debian)"));
        assert!(told.len() == 1 && told[0].starts_with("Postfix:"));
        assert_eq!(ndr_switches(Some(b"mx.example ESMTP")).len(), 3);
        assert_eq!(ndr_switches(None).len(), 3);
    }
}
