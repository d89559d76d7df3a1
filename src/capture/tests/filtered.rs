//! What a filter lets through, and where it is a mistake.

use etherparse::PacketBuilder;

use super::*;

/// One frame to port 25 and one to another.
pub(super) fn mail_and_other() -> [Vec<u8>; 2] {
    [25, 443].map(|port| {
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([192, 168, 0, 23], [192, 0, 2, 25], 64)
            .tcp(49_152, port, 1000, 502);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, b"EHLO pc23\r\n").unwrap();
        bytes
    })
}

pub(super) fn filtered(filter: &str) -> OpenOptions {
    OpenOptions { filter: Some(filter.to_owned()) }
}

#[test]
fn a_filter_rejects_frames_but_they_keep_their_numbers() {
    let files = Files::new();
    let [mail, other] = mail_and_other();
    let classic = micros(&[(1, 0, &other), (2, 0, &mail), (3, 0, &other)]);
    let ng = Ng(Order::Little);
    let blocks = [
        ng.section(),
        ng.interface(1, 0, &[(9, &[0])]),
        ng.interface(101, 0, &[(9, &[0])]),
        ng.enhanced(0, 1, &other, 65),
        ng.enhanced(1, 2, &mail[14..], 51),
        ng.enhanced(0, 3, &other, 65),
    ];
    for (bytes, link) in [(classic.clone(), 1), (gzip(&classic), 1), (blocks.concat(), 101)] {
        let mut source = open_file(&files.put("f", &bytes), &filtered("tcp port 25")).unwrap();
        let lines = transcript(&mut source);
        assert_eq!(lines[0], "1 1970-01-01T00:00:01.000000Z filtered");
        assert!(lines[1].starts_with(&format!("2 1970-01-01T00:00:02.000000Z link {link} ")), "{lines:?}");
        assert_eq!(lines[2], "3 1970-01-01T00:00:03.000000Z filtered");
        let [summary] = source.summaries().try_into().unwrap();
        assert_eq!((summary.frames, summary.filtered), (3, 2));
    }
}

#[test]
fn a_bad_filter_is_found_before_reading_and_quotes_libpcap() {
    let files = Files::new();
    let [mail, _] = mail_and_other();
    let ng = Ng(Order::Little);
    for bytes in [micros(&[(1, 0, &mail)]), [ng.section(), ng.interface(1, 0, &[])].concat()] {
        let error = open_file(&files.put("f", &bytes), &filtered("port smtpish")).err().unwrap().to_string();
        assert!(error.starts_with("the filter \"port smtpish\" cannot be used on link type 1 of "), "{error}");
        assert!(error.contains("smtpish"), "libpcap names the word: {error}");
        let nul = open_file(&files.put("f", &bytes), &filtered("ip\0")).err().unwrap();
        assert!(matches!(nul, CaptureError::Filter { .. }));
    }
}

/// What an interface is on which no filter of IP makes sense.
const USB: u16 = 189;

#[test]
fn frames_of_an_interface_on_which_the_filter_makes_no_sense_are_rejected() {
    let files = Files::new();
    let [mail, _] = mail_and_other();
    let ng = Ng(Order::Little);
    let (section, usb, ethernet) = (ng.section(), ng.interface(USB, 0, &[]), ng.interface(1, 0, &[]));
    let (of_first, of_second) = (ng.enhanced(0, 1, &mail, 64), ng.enhanced(1, 2, &mail, 64));
    let open = |blocks: &[&[u8]]| {
        let bytes = [&section, &*blocks.concat()].concat();
        open_file(&files.put("f", &bytes), &filtered("tcp port 25"))
    };
    let rejected = |lines: &[String]| lines.iter().map(|line| line.ends_with("filtered")).collect::<Vec<_>>();
    for (blocks, expected) in [
        ([&*ethernet, &usb, &of_first, &of_second], [false, true]),
        ([&*usb, &ethernet, &of_first, &of_second], [true, false]),
        // Described when the first frame is there already.
        ([&*ethernet, &of_first, &usb, &of_second], [false, true]),
    ] {
        let mut source = open(&blocks).unwrap();
        assert_eq!(rejected(&transcript(&mut source)), expected);
        assert_eq!((source.summaries()[0].filtered, source.summaries()[0].error.as_deref()), (1, None));
    }
    // Where there is no other, the filter is a mistake.
    for blocks in [vec![&*usb], vec![&*usb, &*of_first], vec![&*usb, &*of_first, &*ethernet]] {
        assert!(matches!(open(&blocks).err().unwrap(), CaptureError::Filter { link: LinkType(USB), .. }));
    }
}

#[test]
fn null_is_filtered_in_the_byte_order_of_whoever_captured() {
    let files = Files::new();
    let [mail, other] = mail_and_other();
    for order in [Order::Big, Order::Little] {
        let [mail, other] = [&mail, &other].map(|bytes| [&order.u32(2)[..], &bytes[14..]].concat());
        let classic = pcap(order, MICROS, 0, &[(1, 0, &mail), (2, 0, &other)]);
        let ng = Ng(order);
        let blocks = [ng.section(), ng.interface(0, 0, &[]), ng.simple(&mail, 54), ng.simple(&other, 54)].concat();
        for bytes in [classic, blocks] {
            let mut source = open_file(&files.put("f", &bytes), &filtered("tcp port 25")).unwrap();
            let lines = transcript(&mut source);
            let rejected: Vec<bool> = lines.iter().map(|line| line.ends_with("filtered")).collect();
            assert_eq!(rejected, [false, true], "{order:?}");
        }
    }
}
