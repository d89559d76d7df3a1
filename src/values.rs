//! Single values, as they stand in flags and in the file: one set of rules for both.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

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

/// A network, or a file that holds some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetSource {
    /// Itself.
    Net(IpNet),
    /// `@FILE`: one a line; what follows a `#` is a comment.
    File(PathBuf),
}

/// A network as [`parse_home_net`] reads it, or `@` and a file.
pub fn parse_net_source(text: &str) -> Result<NetSource, String> {
    match text.trim().strip_prefix('@') {
        Some("") => Err("write a file after the @".to_owned()),
        Some(file) => Ok(NetSource::File(PathBuf::from(file))),
        None => parse_home_net(text).map(NetSource::Net),
    }
}

/// The networks of a file; what is wrong is told with its line.
pub fn parse_nets(text: &str) -> Result<Vec<IpNet>, (usize, String)> {
    let lines = text.lines().enumerate().map(|(no, line)| (no + 1, line.split('#').next().unwrap_or_default().trim()));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(no, line)| parse_home_net(line).map_err(|wrong| (no, wrong)))
        .collect()
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

/// An address with a port that only this machine can reach: in 127.0.0.0/8, or `::1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loopback(SocketAddr);

impl Loopback {
    /// The address.
    pub const fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Loopback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HINT: &str = "write 127.0.0.1:9925 or [::1]:9925";
        let at: SocketAddr = text
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is no address with a port, and names are not looked up: {HINT}"))?;
        if !at.ip().to_canonical().is_loopback() {
            return Err(format!(
                "{} is not on the loopback device, and nothing is offered to others: {HINT}, and put a proxy that \
                 asks who comes before it",
                at.ip()
            ));
        }
        if at.port() == 0 {
            return Err(format!("port 0 is a new one each time, which nobody would find: {HINT}"));
        }
        Ok(Self(at))
    }
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_cannot_reach_is_a_loopback_address() {
        for good in ["127.0.0.1:9925", "127.8.9.10:1", "[::1]:9925", " 127.0.0.1:65535 ", "[::ffff:127.0.0.1]:80"] {
            assert_eq!(good.parse::<Loopback>().map(|at| at.address().port() > 0), Ok(true), "{good}");
        }
        for (bad, words) in [
            ("0.0.0.0:9925", "0.0.0.0 is not on the loopback device"),
            ("[::]:9925", "not on the loopback device"),
            ("192.0.2.7:9925", "not on the loopback device"),
            ("[::ffff:192.0.2.7]:9925", "not on the loopback device"),
            ("127.0.0.1:0", "port 0"),
            ("127.0.0.1", "no address with a port"),
            ("localhost:9925", "names are not looked up"),
            (":9925", "no address with a port"),
        ] {
            let said = bad.parse::<Loopback>().unwrap_err();
            assert!(said.contains(words) && said.contains("write 127.0.0.1:9925"), "{bad}: {said}");
        }
    }
}
