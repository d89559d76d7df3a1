//! Messages for tests, made by hand.

use crate::net::Mac;

/// A DHCP message with its kind as the first option.
pub(crate) fn dhcp(kind: u8, mac: Mac, ciaddr: [u8; 4], yiaddr: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[..4].copy_from_slice(&[if matches!(kind, 2 | 5 | 6) { 2 } else { 1 }, 1, 6, 0]);
    bytes[12..16].copy_from_slice(&ciaddr);
    bytes[16..20].copy_from_slice(&yiaddr);
    bytes[28..34].copy_from_slice(&mac.0);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    for (code, value) in [(53, &[kind][..])].iter().chain(options) {
        bytes.extend([*code, value.len() as u8]);
        bytes.extend(*value);
    }
    bytes.push(255);
    bytes
}

/// A name in DNS's form.
pub(crate) fn dns_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A resource record that lives for two minutes.
pub(crate) fn record(name: &[u8], rtype: u16, class: u16, rdata: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend(rtype.to_be_bytes());
    bytes.extend(class.to_be_bytes());
    bytes.extend(120_u32.to_be_bytes());
    bytes.extend((rdata.len() as u16).to_be_bytes());
    bytes.extend(rdata);
    bytes
}

/// A message with these records as answers.
pub(crate) fn answers(flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(flags.to_be_bytes());
    bytes.extend([0, 0, 0, records.len() as u8, 0, 0, 0, 0]);
    bytes.extend(records.concat());
    bytes
}
