//! The TCP ports that count as SMTP.

/// The SMTP port (RFC 5321 section 4.5.4.2, IANA).
const SMTP: u16 = 25;

/// A set of TCP ports: a bit a port, because it is asked twice for every frame of a link.
#[derive(Clone)]
pub struct PortSet(Box<[u64; 1024]>);

impl PortSet {
    /// Whether `port` is in the set.
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        // 65,536 ports in 1,024 words of 64 bits: the index is below 1,024 for any port.
        self.0[usize::from(port >> 6)] >> (port & 63) & 1 == 1
    }

    /// The ports, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).filter(|&port| self.contains(port))
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut bits = Box::new([0_u64; 1024]);
        for port in ports {
            bits[usize::from(port >> 6)] |= 1 << (port & 63);
        }
        Self(bits)
    }
}

/// Port 25.
impl Default for PortSet {
    fn default() -> Self {
        [SMTP].into_iter().collect()
    }
}

impl std::fmt::Debug for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        assert_eq!(PortSet::default().iter().collect::<Vec<_>>(), [25]);
        let set: PortSet = [2525, 0, 65_535, 587, 25, 25].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 25, 587, 2525, 65_535]);
    }
}
