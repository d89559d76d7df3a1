//! Single values, as they stand in flags and in the file: one set of rules for both.

use std::net::IpAddr;

use ipnet::IpNet;

/// A network: an address and a prefix length, or an address alone for that one host.
///
/// Host bits are cut off; an IPv4 network in IPv6's mapped form (RFC 4291 section 2.5.5.2) is the IPv4 network.
pub fn parse_home_net(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let parsed = if text.contains('/') {
        text.parse::<IpNet>().ok()
    } else {
        text.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()))
    };
    let net = parsed.ok_or_else(|| {
        format!("`{text}` is no network: write an address, a slash and a prefix length, such as 192.0.2.0/24 or 2001:db8::/32")
    })?;
    Ok(unmapped(net).trunc())
}

/// The IPv4 network that a mapped IPv6 network means.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else { return net };
    let mapped = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(96));
    mapped.and_then(|(ip, len)| IpNet::new(IpAddr::V4(ip), len).ok()).unwrap_or(net)
}

/// An address of a host.
pub fn parse_mail_server(text: &str) -> Result<IpAddr, String> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .map(|ip| ip.to_canonical())
        .map_err(|_| format!("`{text}` is no IP address: write one such as 192.0.2.25 or 2001:db8::25"))
}

/// A mail domain, in lower case without the root's dot.
pub fn parse_domain(text: &str) -> Result<String, String> {
    let domain = text.trim().trim_start_matches('@').trim_end_matches('.').to_ascii_lowercase();
    if !domain.is_ascii() {
        return Err(format!("`{text}` is not in the form that mail uses: write its ASCII form (`xn--...`)"));
    }
    // Letters, digits and hyphens (RFC 5321 section 2.3.5), and the underscore that some names have.
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if domain.len() > 253 || !domain.split('.').all(is_label) {
        return Err(format!(
            "`{text}` is no domain: write what stands after the @ of your addresses, such as example.com"
        ));
    }
    Ok(domain)
}

/// A TCP port.
pub(super) fn parse_port(number: i64) -> Result<u16, String> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{number} is no TCP port: write one from 1 to 65535"))
}
