//! `smtphound devices`: what can be captured on, and what right is missing.

use std::io::Write;

use crate::balance;
use crate::capture::{DeviceInfo, devices, setcap};
use crate::error::{Error, Status};
use crate::privileges;

/// Lists the devices of this machine. Status 3 if there are none, or if none could be opened for want of a right.
pub fn list_devices(out: &mut dyn Write) -> Result<Status, Error> {
    let devices = devices().map_err(|error| balance::told(&error))?;
    let may = privileges::may_capture();
    write(out, &devices, may).and_then(|()| out.flush()).map_err(Error::stdout)?;
    Ok(if devices.is_empty() || may == Some(false) { Status::Capture } else { Status::Done })
}

fn write(out: &mut dyn Write, devices: &[DeviceInfo], may: Option<bool>) -> std::io::Result<()> {
    let longest = devices.iter().map(|device| device.name.len()).max().unwrap_or(0).max(6);
    if devices.is_empty() {
        writeln!(out, "There is no device to capture on.")?;
    } else {
        writeln!(out, "{:longest$}  STATE         ADDRESSES", "DEVICE")?;
    }
    for device in devices {
        let state = match (device.up, device.connected) {
            (false, _) => "off",
            (true, Some(false)) => "no cable",
            (true, _) if device.loopback => "up, this host",
            (true, _) => "up",
        };
        let addresses: Vec<String> = device.addresses.iter().map(ToString::to_string).collect();
        let more = match (&device.description, addresses.is_empty()) {
            (Some(text), true) => text.clone(),
            (Some(text), false) => format!("{} ({text})", addresses.join(", ")),
            (None, _) => addresses.join(", "),
        };
        writeln!(out, "{}", format!("{:longest$}  {state:13} {more}", device.name).trim_end())?;
    }
    match may {
        Some(true) => writeln!(out, "\nYou may capture on them: smtphound watch -i DEVICE"),
        Some(false) => writeln!(
            out,
            "\nThe right to capture is missing. Grant it once with\n  sudo {}\nor run the program as root.",
            setcap()
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_right_is_named_with_its_remedy() {
        let devices = [
            DeviceInfo {
                name: "eth0".to_owned(),
                description: None,
                addresses: vec!["192.0.2.7".parse().unwrap()],
                up: true,
                connected: Some(true),
                loopback: false,
            },
            DeviceInfo {
                name: "any".to_owned(),
                description: Some("all of them".to_owned()),
                addresses: Vec::new(),
                up: true,
                connected: None,
                loopback: false,
            },
        ];
        let mut out = Vec::new();
        write(&mut out, &devices, Some(false)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(
                "DEVICE  STATE         ADDRESSES\neth0    up            192.0.2.7\nany     up            all of them\n"
            ),
            "{text}"
        );
        assert!(text.contains("  sudo setcap cap_net_raw=ep /"), "{text}");
    }
}
