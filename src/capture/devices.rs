//! What can be captured on, and what to do where it cannot.

use std::net::IpAddr;
use std::path::PathBuf;

use pcap::{ConnectionStatus, Device};

use super::CaptureError;
use super::filter::reason;
use crate::wire::{escape, shown};

/// A device of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceInfo {
    /// Its name, as `watch -i` takes it.
    pub name: String,
    /// What the system says of it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It is switched on.
    pub up: bool,
    /// A cable is in it, or it is a member of a network; `None` where that means nothing.
    pub connected: Option<bool>,
    /// The machine itself.
    pub loopback: bool,
}

/// All devices, in the order in which libpcap recommends them.
pub fn devices() -> Result<Vec<DeviceInfo>, CaptureError> {
    let listed = Device::list()
        .map_err(|error| CaptureError::Device { device: "no device".to_owned(), reason: reason(&error) })?;
    Ok(listed
        .into_iter()
        .map(|device| DeviceInfo {
            name: escape(device.name.as_bytes()).into_owned(),
            description: device.desc.map(|text| escape(text.as_bytes()).into_owned()),
            addresses: device.addresses.iter().map(|address| address.addr).collect(),
            up: device.flags.is_up(),
            connected: match device.flags.connection_status {
                ConnectionStatus::Connected => Some(true),
                ConnectionStatus::Disconnected => Some(false),
                ConnectionStatus::Unknown | ConnectionStatus::NotApplicable => None,
            },
            loopback: device.flags.is_loopback(),
        })
        .collect())
}

/// What lets this program capture without being root.
pub fn setcap() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("smtphound"));
    let path = shown(&program);
    let quoted = if path.contains([' ', '\'', '"', '$', '\\', '(', '&', ';']) {
        format!("'{}'", path.replace('\'', "'\\''"))
    } else {
        path
    };
    format!("setcap cap_net_raw=ep {quoted}")
}

/// What libpcap said when a device could not be opened, and what to do about it.
pub(super) fn remedy(device: &str, said: &str) -> String {
    let said = said.trim();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let known = Device::list().unwrap_or_default();
    if has(&["ermission", "not permitted"]) {
        let command = setcap();
        format!("the right to capture is missing; grant it once with `sudo {command}`, or run the program as root")
    } else if has(&["No such device", "not exist", "disappeared"]) || known.iter().all(|found| found.name != device) {
        let names: Vec<&str> = known
            .iter()
            .map(|device| device.name.as_str())
            .filter(|name| !name.starts_with("nf") && !name.starts_with("bluetooth") && !name.starts_with("dbus"))
            .collect();
        let there = if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
        format!("there is no such device{there} (see `smtphound devices`)")
    } else if has(&["not up", "is down"]) {
        format!("it is switched off; switch it on with `sudo ip link set dev {device} up`")
    } else {
        format!("libpcap says: {said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_names_what_to_type() {
        let missing = remedy(
            "eth0",
            "eth0: You don't have permission to perform this capture on that device (socket: Operation not permitted)",
        );
        assert!(missing.contains("`sudo setcap cap_net_raw=ep /"), "{missing}");
        let unknown = remedy("eht0", "eht0: No such device exists (SIOCGIFHWADDR: No such device)");
        assert!(unknown.contains("there is no such device; there are "), "{unknown}");
        assert!(unknown.contains("lo"), "{unknown}");
        let down = remedy("lo", "lo: That device is not up");
        assert!(down.contains("`sudo ip link set dev lo up`"), "{down}");
        assert_eq!(remedy("lo", "lo: something else"), "libpcap says: lo: something else");
    }
}
