//! What the operator says of the home network: which addresses are ours, which of them are mail servers, which domains.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::net::HostKey;

/// The home network.
#[derive(Clone, Debug)]
pub struct Site {
    /// Prefixes of internal hosts.
    pub home_nets: Vec<IpNet>,
    /// Whether `home_nets` were given, or are the default.
    pub home_nets_given: bool,
    /// Hosts that are mail servers whatever is learned.
    pub mail_servers: Vec<IpAddr>,
    /// Domains for which we take mail, in lower case.
    pub local_domains: Vec<String>,
    /// Domains of others for which we take mail and pass it on (backup MX, partners), in lower case.
    pub relay_domains: Vec<String>,
    /// Outside networks whose hosts may relay through our servers (branches, whoever manages them).
    pub relay_networks: Vec<IpNet>,
}

impl Default for Site {
    /// RFC 1918, unique local (RFC 4193) and link-local addresses are ours.
    fn default() -> Self {
        let net = |octets: [u8; 4], len| IpNet::new_assert(IpAddr::from(octets), len);
        let net6 = |first: u16, len| IpNet::new_assert(IpAddr::from([first, 0, 0, 0, 0, 0, 0, 0]), len);
        Self {
            home_nets: vec![
                net([10, 0, 0, 0], 8),
                net([172, 16, 0, 0], 12),
                net([192, 168, 0, 0], 16),
                net([169, 254, 0, 0], 16),
                net6(0xfc00, 7),
                net6(0xfe80, 10),
            ],
            home_nets_given: false,
            mail_servers: Vec::new(),
            local_domains: Vec::new(),
            relay_domains: Vec::new(),
            relay_networks: Vec::new(),
        }
    }
}

/// Addresses that are ours: asked twice for every event, so prefixes are compared as numbers.
#[derive(Clone, Debug)]
pub struct Ours(Vec<Prefix>);

#[derive(Clone, Copy, Debug)]
struct Prefix {
    bits: u128,
    mask: u128,
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        // IPv4 stands in the last 32 of 128 bits, as in `HostKey`.
        let len = u32::from(net.prefix_len()) + if net.addr().is_ipv4() { 96 } else { 0 };
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        Self { bits: u128::from_be_bytes(HostKey::from(net.addr()).octets()) & mask, mask }
    }
}

impl Ours {
    /// Whether a host is one of ours.
    pub fn contains(&self, host: HostKey) -> bool {
        let bits = u128::from_be_bytes(host.octets());
        self.0.iter().any(|prefix| bits & prefix.mask == prefix.bits)
    }
}

impl Site {
    /// The home nets and the mail servers, made fast to ask.
    pub fn ours(&self) -> Ours {
        let servers = self.mail_servers.iter().map(|ip| IpNet::from(*ip));
        Ours(self.home_nets.iter().copied().chain(servers).map(Prefix::from).collect())
    }

    /// Whether the operator named the host as a mail server.
    pub fn is_configured_server(&self, host: HostKey) -> bool {
        self.mail_servers.contains(&host.ip())
    }

    /// Whether the operator named the domain as ours (compared without case, a trailing dot ignored).
    pub fn is_local_domain(&self, domain: &[u8]) -> bool {
        is_listed(&self.local_domains, domain)
    }

    /// Whether the operator named the domain as one for which we pass mail on (compared as above).
    pub fn is_relay_domain(&self, domain: &[u8]) -> bool {
        is_listed(&self.relay_domains, domain)
    }

    /// Whether the operator lets an outside host relay through our servers.
    pub fn may_relay(&self, host: HostKey) -> bool {
        let ip = host.ip();
        self.relay_networks.iter().any(|net| net.contains(&ip))
    }
}

fn is_listed(domains: &[String], domain: &[u8]) -> bool {
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    domains.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_ours_by_default() {
        let ours = Site::default().ours();
        for (ip, internal) in [
            ("10.1.2.3", true),
            ("172.31.255.255", true),
            ("172.32.0.1", false),
            ("192.168.0.23", true),
            ("169.254.1.1", true),
            ("203.0.113.5", false),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("::1", false),
        ] {
            assert_eq!(ours.contains(ip.parse::<IpAddr>().unwrap().into()), internal, "{ip}");
        }
    }

    #[test]
    fn a_named_server_is_ours_wherever_it_is() {
        let site = Site { mail_servers: vec!["203.0.113.5".parse().unwrap()], ..Site::default() };
        let ours = site.ours();
        assert!(ours.contains(HostKey::v4([203, 0, 113, 5])));
        assert!(!ours.contains(HostKey::v4([203, 0, 113, 6])));
        assert!(Prefix::from(IpNet::new_assert(IpAddr::from([0; 16]), 0)).mask == 0, "::/0 is everything");
    }

    #[test]
    fn domains_are_compared_as_dns_does() {
        let site = Site {
            local_domains: vec!["adatum.example".to_owned()],
            relay_domains: vec!["partner.example".to_owned()],
            relay_networks: vec!["198.51.100.0/24".parse().unwrap()],
            ..Site::default()
        };
        assert!(site.is_local_domain(b"ADATUM.example.") && !site.is_local_domain(b"mail.adatum.example"));
        assert!(site.is_relay_domain(b"Partner.Example") && !site.is_local_domain(b"partner.example"));
        assert!(site.may_relay(HostKey::v4([198, 51, 100, 7])) && !site.may_relay(HostKey::v4([192, 0, 2, 7])));
    }
}
