//! Operating systems, as far as habits tell them apart, and what DHCP says of them.
//!
//! Read first: RFC 2132 sections 9.8 (parameter request list) and 9.13 (vendor class). Neither says anything of systems:
//! what is read here are habits of their DHCP clients, which stand in every public list of DHCP fingerprints. What TCP says
//! of systems is in `tcp::system`.

/// An operating system, or a family of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum System {
    /// Windows NT and its successors.
    Windows,
    /// Linux, Android among it where nothing tells more.
    Linux,
    /// Android.
    Android,
    /// macOS, iOS and their kin.
    Apple,
    /// FreeBSD.
    FreeBsd,
    /// OpenBSD.
    OpenBsd,
    /// A TCP that knows no extension: a small device, or a program that makes its own segments, as scanners do.
    Small,
}

/// Options that Microsoft's client asks for in every version since Windows 2000, and no other together: router discovery,
/// vendor-specific information, NetBIOS name server, node type and scope, and its own classless static routes.
const MICROSOFT: [u8; 6] = [31, 43, 44, 46, 47, 249];
/// How Apple's clients begin since they ask for classless static routes, and what else they all ask for: search list and
/// proxy configuration.
const APPLE: ([u8; 5], [u8; 2]) = ([1, 121, 3, 6, 15], [119, 252]);

impl System {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows => "Windows",
            Self::Linux => "Linux",
            Self::Android => "Android",
            Self::Apple => "macOS or iOS",
            Self::FreeBsd => "FreeBSD",
            Self::OpenBsd => "OpenBSD",
            Self::Small => "small TCP stack",
        }
    }

    /// What the vendor class of a DHCP client says.
    pub(super) fn of_vendor_class(class: &[u8]) -> Option<Self> {
        if class.starts_with(b"MSFT ") {
            Some(Self::Windows)
        } else if class.starts_with(b"android-dhcp-") {
            Some(Self::Android)
        } else if class.starts_with(b"udhcp ") || (class.starts_with(b"dhcpcd") && contains(class, b":Linux-")) {
            Some(Self::Linux)
        } else {
            None
        }
    }

    /// What the options say that a DHCP client asks for, in their order.
    pub(super) fn of_parameters(list: &[u8]) -> Option<Self> {
        let all = |options: &[u8]| options.iter().all(|option| list.contains(option));
        if all(&MICROSOFT) {
            Some(Self::Windows)
        } else if list.starts_with(&APPLE.0) && all(&APPLE.1) {
            Some(Self::Apple)
        } else {
            None
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_classes_name_the_client() {
        for (class, system) in [
            (&b"MSFT 5.0"[..], Some(System::Windows)),
            (b"android-dhcp-13", Some(System::Android)),
            (b"udhcp 1.35.0", Some(System::Linux)),
            (b"dhcpcd-9.4.1:Linux-5.10.0:x86_64:GenuineIntel", Some(System::Linux)),
            (b"dhcpcd-9.4.1:NetBSD-9.3:amd64:amd64", None),
            (b"Hewlett-Packard JetDirect", None),
            (b"", None),
        ] {
            assert_eq!(System::of_vendor_class(class), system, "{}", class.escape_ascii());
        }
    }

    #[test]
    fn lists_of_parameters_are_habits() {
        for (list, system) in [
            (&[1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252][..], Some(System::Windows)),
            (&[1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43], Some(System::Windows)),
            (&[1, 121, 3, 6, 15, 108, 114, 119, 252, 95, 44, 46], Some(System::Apple)),
            // NetworkManager's own client, dhclient, udhcpc.
            (&[1, 2, 6, 12, 15, 26, 28, 121, 3, 33, 40, 41, 42, 119, 249, 252, 17], None),
            (&[1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42], None),
            (&[1, 3, 6, 12, 15, 28, 42], None),
            (&[], None),
        ] {
            assert_eq!(System::of_parameters(list), system, "{list:?}");
        }
    }
}
