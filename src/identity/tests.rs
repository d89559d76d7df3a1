//! Messages of real software, and of nobody.

use proptest::prelude::*;

use super::testing::{answers, dhcp, dns_name, record};
use super::*;
use crate::net::Mac;

/// From `captures/names.pcap` and its like: Avahi 0.8, Samba 4.17 and systemd-resolved 252.
const AVAHI: &str = "000084000000000200000000023232023130033136380331393207696e2d61646472046172706100000c8001000000780\
    0100870632d6465736b31056c6f63616c00c03200018001000000780004c0a80a16";
const SAMBA_REGISTERS: &str = "694a291000010000000000012046414544434e45424544454445504646454f4645464443414341434143414\
    3410000200001c00c002000010000000000060000c0a80a15";
const SAMBA_REGISTERS_A_GROUP: &str = "694d291000010000000000012045444550454f46454550464445504341434143414341434143414\
    341434141410000200001c00c002000010000000000068000c0a80a15";
const SAMBA_ANNOUNCES: &str = "110a694fc0a80a15008a00bd00002046414544434e45424544454445504646454f464546444341434143414\
    3414141002045444550454f464545504644455043414341434143414341434143414341424e00ff534d422500000000000000";
const SAMBA_TELLS: &str = "39e38400000000010000000020434b4141414141414141414141414141414141414141414141414141414141410\
    0002100010000000000890550432d4143434f554e54532020202000040050432d4143434f554e54532020202003040050432d4143434f554e5\
    45320202020200400434f4e544f534f2020202020202020008400434f4e544f534f20202020202020201e84000000000000000000000000000\
    0000000000000000000000000000000000000000000000000000000000000000000";
const RESOLVED_ANSWERS: &str = "0007800000010001000000000870632d73746f72650000010001c00c000100010000001e0004c0a80a17";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

fn told(src: [u8; 4], port: u16, payload: &[u8]) -> Vec<String> {
    let mut facts = Facts::default();
    read(HostKey::v4(src), port, payload, &mut facts);
    let shown = |fact: &Fact| match fact {
        Fact::Named(Named { host, source, name, own }) => {
            format!("{host} {name} {}{}", source.name(), if *own { "" } else { "?" })
        }
        Fact::Dhcp(client) => format!("{} {:?}", client.mac, client.name),
    };
    facts.list().iter().map(shown).collect()
}

#[test]
fn real_software_is_understood() {
    let (samba, avahi, resolved) = ([192, 168, 10, 21], [192, 168, 10, 22], [192, 168, 10, 23]);
    assert_eq!(told(avahi, 5353, &bytes(AVAHI)), ["192.168.10.22 pc-desk1 mdns"]);
    assert_eq!(told(samba, 137, &bytes(SAMBA_REGISTERS)), ["192.168.10.21 PC-ACCOUNTS netbios"]);
    assert!(told(samba, 137, &bytes(SAMBA_REGISTERS_A_GROUP)).is_empty());
    assert_eq!(told(samba, 138, &bytes(SAMBA_ANNOUNCES)), ["192.168.10.21 PC-ACCOUNTS netbios"]);
    assert_eq!(told(samba, 137, &bytes(SAMBA_TELLS)), ["192.168.10.21 PC-ACCOUNTS netbios"]);
    assert_eq!(told(resolved, 5355, &bytes(RESOLVED_ANSWERS)), ["192.168.10.23 pc-store llmnr"]);
    assert!(told(resolved, 53, &bytes(RESOLVED_ANSWERS)).is_empty(), "not DNS");
}

/// Messages that say something, to be spoilt.
fn good() -> Vec<Vec<u8>> {
    let fqdn: &[u8] = b"\x05\0\0\x02pc\x06adatum\x07example\0";
    let texts = [AVAHI, SAMBA_REGISTERS, SAMBA_ANNOUNCES, SAMBA_TELLS, RESOLVED_ANSWERS];
    let mut all: Vec<Vec<u8>> = texts.iter().map(|hex| bytes(hex)).collect();
    all.push(dhcp(3, Mac([0, 0x1c, 0xc4, 0, 0, 1]), [0; 4], [0; 4], &[(12, b"pc"), (81, fqdn), (60, b"MSFT 5.0")]));
    all.push(
        [&[5, 1, 2, 3, 0, 39, 0, 6, 1, 4][..], b"pc23", &[0, 3, 0, 40], &[0; 12], &[0, 5, 0, 24], &[7; 24]].concat(),
    );
    let many: Vec<_> = (0..100).map(|n| record(&dns_name(&format!("pc{n}.local")), 1, 1, &[10, 0, 0, n])).collect();
    all.push(answers(0x8400, &many));
    all
}

fn port() -> impl Strategy<Value = u16> {
    prop::sample::select((0..=u16::MAX).filter(|port| is_port(*port)).collect::<Vec<_>>())
}

/// Whatever is read is within its bounds, and nothing is read from other ports.
fn check(port: u16, payload: &[u8]) -> Result<(), TestCaseError> {
    let mut facts = Facts::default();
    read(HostKey::v4([192, 168, 10, 21]), port, payload, &mut facts);
    prop_assert!(facts.list().len() <= Facts::MAX);
    for fact in facts.list() {
        let names: Vec<&Wire> = match fact {
            Fact::Named(named) => vec![&named.name],
            Fact::Dhcp(client) => client.name.iter().chain(&client.vendor_class).collect(),
        };
        prop_assert!(names.iter().all(|name| !name.is_empty() && name.as_bytes().len() <= NAME_MAX));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(port in port(), payload in prop::collection::vec(any::<u8>(), 0..700)) {
        check(port, &payload)?;
    }

    #[test]
    fn spoilt_messages_are_read_without_harm(
        port in port(),
        message in prop::sample::select(good()),
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut message = message;
        for (at, byte) in spoilt {
            let at = at.index(message.len());
            message[at] = byte;
        }
        check(port, &message)?;
        check(port, &message[..cut.index(message.len())])?;
    }
}
