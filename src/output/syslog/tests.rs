use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;

use super::super::testing::{BEGIN, Case};
use super::*;

/// What could break out of a message, of a value, or of a field.
const HOSTILE: &str = "a\"]b=c|d\\e\n<34>1 forged\r\u{2028}\u{202e}f";

fn hostile() -> Incident {
    let mut incident = Case::infected().judgement.incidents.remove(0);
    incident.summary = HOSTILE.to_owned();
    incident.accounts = vec![crate::wire::Wire::from(HOSTILE)];
    incident
}

#[test]
fn a_message_of_rfc_5424_has_header_data_and_text() {
    let worm = &Case::infected().judgement.incidents[0];
    let message = rfc5424::message("gw", "found", BEGIN, worm);
    let head =
        "<82>1 2026-03-04T09:42:07.041431Z gw smtphound - mass_mailer [smtphound@32473 event=\"found\" incident=\"i";
    assert!(message.starts_with(head), "{message}");
    assert!(message.contains(" tier=\"confirmed\" ") && message.contains(" score_db=\"39.0\" "), "{message}");
    assert!(message.contains("\"] \u{feff}192.168.0.23 (calls itself"), "{message}");
}

#[test]
fn no_text_breaks_out_of_a_message_of_rfc_5424() {
    let message = rfc5424::message("gw", "found", BEGIN, &hostile());
    assert!(!message.contains(char::is_control), "{message:?}");
    // The data end where they should: unescaped quotes come in pairs, and one bracket closes.
    let data = &message[message.find('[').unwrap()..message.find("] \u{feff}").unwrap()];
    let mut quotes = 0;
    let mut chars = data.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '"' => quotes += 1,
            ']' => panic!("{data}"),
            _ => {}
        }
    }
    assert_eq!(quotes % 2, 0, "{data}");
}

#[test]
fn a_cef_message_has_its_header_and_every_equals_sign_of_a_text_is_escaped() {
    let message = cef::message("gw", "raised", BEGIN, &hostile());
    assert!(message.starts_with("<82>Mar  4 09:42:07 gw CEF:0|smtphound|smtphound|"), "{message}");
    assert!(message.contains("|mass_mailer|mass_mailer on 192.168.0.23|10|act=raised cat=mass_mailer "), "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
    let text = message.split(" msg=").nth(1).unwrap();
    assert!(text.starts_with("a\"]b\\=c|d\\\\e "), "{text}");
}

#[test]
fn no_message_is_longer_than_every_receiver_takes() {
    let mut incident = hostile();
    incident.summary = "é\\=".repeat(3000);
    incident.accounts = vec![crate::wire::Wire::from("\\".repeat(9000).as_str())];
    for message in [rfc5424::message("gw", "found", BEGIN, &incident), cef::message("gw", "found", BEGIN, &incident)] {
        assert!(message.len() <= MESSAGE_MAX, "{}", message.len());
    }
}

#[test]
fn messages_arrive_whole_by_every_way() {
    let incident = &Case::infected().judgement.incidents[0];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = |address| Syslog::open(&Destination { address, format: Format::Rfc5424 }).unwrap();
    let mut buffer = [0; 4096];

    open(Address::Unix(path.clone())).tell("found", BEGIN, incident).unwrap();
    let length = unix.recv(&mut buffer).unwrap();
    let expected = String::from_utf8(buffer[..length].to_vec()).unwrap();
    assert!(expected.starts_with("<82>1 2026-03-04T09:42:07.041431Z "), "{expected}");

    open(Address::Udp(udp.local_addr().unwrap())).tell("found", BEGIN, incident).unwrap();
    let length = udp.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], expected.as_bytes());

    let mut sender = open(Address::Tcp(tcp.local_addr().unwrap()));
    let (mut stream, _) = tcp.accept().unwrap();
    sender.tell("found", BEGIN, incident).unwrap();
    drop(sender);
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    assert_eq!(read, format!("{} {expected}", expected.len()));
}

#[test]
fn a_receiver_that_was_started_anew_is_found_again() {
    let incident = &Case::infected().judgement.incidents[0];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let before = UnixDatagram::bind(&path).unwrap();
    let mut syslog = Syslog::open(&Destination { address: Address::Unix(path.clone()), format: Format::Cef }).unwrap();
    drop(before);
    std::fs::remove_file(&path).unwrap();
    assert!(syslog.tell("found", BEGIN, incident).is_err());
    let after = UnixDatagram::bind(&path).unwrap();
    syslog.tell("found", BEGIN, incident).unwrap();
    assert!(after.recv(&mut [0; 4096]).unwrap() > 100);
}

#[test]
fn addresses_are_read_and_wrong_ones_explained() {
    assert_eq!("udp:[::1]:514".parse(), Ok(Address::Udp("[::1]:514".parse().unwrap())));
    assert_eq!("unix:/dev/log".parse(), Ok(Address::Unix("/dev/log".into())));
    for wrong in ["", "/dev/log", "udp:localhost:514", "tcp:127.0.0.1", "unix:"] {
        let told = wrong.parse::<Address>().unwrap_err();
        assert!(told.contains("write unix:/dev/log"), "{wrong}: {told}");
    }
}
