//! The maker of a network card, from the IEEE's lists.
//!
//! The makers come from the IEEE's lists of address blocks (MA-L, MA-M, MA-S and IAB; public domain), as Debian's package
//! `ieee-data` 20220827.1 has them, packed by `.ci/pack-vendors`, which says how. Blocks that are named Private are left
//! out. Not told: a maker for addresses that somebody made up (the local bit of IEEE 802, section 8.2), as virtual machines
//! and telephones do, and for 00:00:00:00:00:00, which is the loopback device and no card of Xerox.

use crate::net::Mac;

/// The packed lists.
static PACKED: &[u8] = include_bytes!("vendors.bin");
/// Three counts of four bytes.
const HEADER_LEN: usize = 12;
/// Bytes of the place of a name.
const PLACE_LEN: usize = 3;
/// The bit that says that an address was made up locally, and the one for groups.
const LOCAL: u8 = 0x02;
const GROUP: u8 = 0x01;

/// The maker of a network card.
pub fn vendor(mac: Mac) -> Option<&'static str> {
    if mac.0[0] & (LOCAL | GROUP) != 0 || mac.0 == [0; 6] {
        return None;
    }
    let count = |n: usize| {
        let bytes = PACKED.get(n * 4..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes) as usize)
    };
    let sizes: [(usize, usize); 3] = [(3, 24), (4, 28), (5, 36)];
    let mut tables: Vec<(&[u8], usize, usize)> = Vec::with_capacity(sizes.len());
    let mut begin = HEADER_LEN;
    for (n, (size, bits)) in sizes.into_iter().enumerate() {
        let end = begin + count(n)? * (size + PLACE_LEN);
        tables.push((PACKED.get(begin..end)?, size, bits));
        begin = end;
    }
    let names = PACKED.get(begin..)?;
    // The finest block knows best.
    tables.iter().rev().find_map(|(table, size, bits)| find(table, *size, *bits, mac)).and_then(|place| {
        let name = names.get(place..)?;
        std::str::from_utf8(name.split(|&byte| byte == b'\n').next()?).ok()
    })
}

/// The place of the name of the block that an address is in.
fn find(table: &[u8], size: usize, bits: usize, mac: Mac) -> Option<usize> {
    let mut wanted = [0; 6];
    wanted.copy_from_slice(&mac.0);
    let wanted = wanted.get_mut(..size)?;
    if let Some(last) = wanted.last_mut() {
        *last &= 0xff << (size * 8 - bits);
    }
    let entry = size + PLACE_LEN;
    let (mut low, mut high) = (0, table.len() / entry);
    while low < high {
        let middle = low.midpoint(high);
        let found = table.get(middle * entry..(middle + 1) * entry)?;
        let (prefix, place) = found.split_at(size);
        match prefix.cmp(wanted) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => {
                return Some(place.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_are_found_by_the_finest_block() {
        for (mac, maker) in [
            ([0x00, 0x1c, 0xc4, 0x3a, 0x10, 0x23], Some("Hewlett Packard")),
            ([0x00, 0x00, 0x74, 0x3a, 0x10, 0x40], Some("RICOH COMPANY LTD.")),
            ([0x00, 0x16, 0x3e, 0, 0, 1], Some("Xensource, Inc.")),
            // Of 28 bits, inside a block that is shared out.
            ([0x20, 0x85, 0x93, 0xb0, 0, 1], Some("IOG Products LLC")),
            ([0x20, 0x85, 0x93, 0xbf, 0xff, 0xff], Some("IOG Products LLC")),
            // Made up, of a group, of nobody.
            ([0x02, 0x1c, 0xc4, 0, 0, 1], None),
            ([0x01, 0x00, 0x5e, 0, 0, 1], None),
            ([0xfc, 0xfc, 0xfc, 0, 0, 1], None),
            ([0, 0, 0, 0, 0, 1], Some("XEROX CORPORATION")),
            ([0, 0, 0, 0, 0, 0], None),
        ] {
            assert_eq!(vendor(Mac(mac)), maker, "{}", Mac(mac));
        }
    }

    #[test]
    fn the_table_is_in_order_and_every_name_is_there() {
        let mut named = 0;
        for first in (0..=u8::MAX).filter(|first| first & (LOCAL | GROUP) == 0) {
            for second in 0..=u8::MAX {
                for third in [0, 0x3e, 0x74, 0xc4, 0xff] {
                    named +=
                        u32::from(vendor(Mac([first, second, third, 0, 0, 0])).is_some_and(|name| !name.is_empty()));
                }
            }
        }
        assert!(named > 300, "{named}");
    }
}
