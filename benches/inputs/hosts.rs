//! Who talks: internal clients in 10.0.0.0/8, each with a hardware address,
//! a name and a counter of ports, and servers on distinct public addresses
//! behind one router.

use crate::text;
use crate::wire::Endpoint;

/// The router between the mirror port and the world: the first address of
/// VRRP (RFC 5798, section 7.3).
const ROUTER: [u8; 6] = [0x00, 0x00, 0x5e, 0x00, 0x01, 0x01];

/// Clients in a /24: the rest is left to printers, routers and DHCP.
const CLIENTS_A_NET: usize = 200;

/// The ports a client takes in turn (RFC 6335: the dynamic ports).
const PORT_FIRST: u16 = 49_152;

/// A machine of the home network.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) index: usize,
    endpoint: Endpoint,
}

impl Client {
    /// The client numbered `index`, below four million.
    pub(crate) fn new(index: usize, ttl: u8) -> Self {
        let net = index / CLIENTS_A_NET;
        let ip = [10, (16 + net / 256) as u8, (net % 256) as u8, (10 + index % CLIENTS_A_NET) as u8];
        let tail = (index as u32).to_be_bytes();
        Self {
            index,
            endpoint: Endpoint {
                // Locally administered.
                mac: [0x02, 0x10, 0x00, tail[1], tail[2], tail[3]],
                ip,
                port: PORT_FIRST,
                ttl,
            },
        }
    }

    /// This client with its next port. A port comes back after 16,384 others.
    pub(crate) fn next_endpoint(&mut self) -> Endpoint {
        let endpoint = self.endpoint;
        self.endpoint.port = endpoint.port.checked_add(1).unwrap_or(PORT_FIRST);
        endpoint
    }

    /// This machine as a server.
    pub(crate) fn endpoint(&self, port: u16) -> Endpoint {
        Endpoint { port, ..self.endpoint }
    }

    /// What the client calls itself.
    pub(crate) fn name(&self) -> String {
        format!("pc-{:05}.office.example", self.index)
    }
}

/// `count` clients.
pub(crate) fn clients(count: usize, ttl: u8) -> Vec<Client> {
    (0..count).map(|index| Client::new(index, ttl)).collect()
}

/// A machine outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) index: usize,
    pub(crate) ip: [u8; 4],
}

impl Server {
    /// The server's end of a connection to `port`; its hop count depends on
    /// its address alone.
    pub(crate) fn endpoint(self, port: u16) -> Endpoint {
        Endpoint { mac: ROUTER, ip: self.ip, port, ttl: 64 - 8 - self.ip[3] % 12 }
    }

    /// The domain it receives mail for.
    pub(crate) fn domain(self) -> String {
        text::domain(self.index)
    }

    /// Its own name.
    pub(crate) fn name(self) -> String {
        let host = ["mx1", "mx", "mail", "mx-in", "smtp", "mx2"][self.index % 6];
        format!("{host}.{}", self.domain())
    }
}

/// `count` servers, no two on one address.
pub(crate) fn servers(count: usize, seed: u32) -> Vec<Server> {
    let ips = PublicAddresses::new(seed).take(count);
    ips.enumerate().map(|(index, ip)| Server { index, ip }).collect()
}

/// Distinct public IPv4 addresses in an order that looks random: a bijection
/// over 32 bits, counted through, without the special-purpose blocks of
/// RFC 6890. Ends after all of them.
#[derive(Clone, Debug)]
pub(crate) struct PublicAddresses {
    next: Option<u32>,
    seed: u32,
}

impl PublicAddresses {
    pub(crate) const fn new(seed: u32) -> Self {
        Self { next: Some(0), seed }
    }
}

impl Iterator for PublicAddresses {
    type Item = [u8; 4];

    fn next(&mut self) -> Option<[u8; 4]> {
        loop {
            let counter = self.next?;
            self.next = counter.checked_add(1);
            let ip = scatter(counter ^ self.seed).to_be_bytes();
            if is_public(ip) {
                return Some(ip);
            }
        }
    }
}

/// A bijection: each step (shift and xor, multiplication by an odd number)
/// can be undone.
const fn scatter(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x9e37_79b1);
    x ^= x >> 15;
    x = x.wrapping_mul(0x85eb_ca77);
    x ^ (x >> 13)
}

const fn is_public(ip: [u8; 4]) -> bool {
    !matches!(
        ip,
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}
