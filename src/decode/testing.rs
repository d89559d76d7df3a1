//! Frames for tests: a segment made by etherparse's builder, wrapped in layers made by hand.

use etherparse::{IpHeaders, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

use crate::frame::{Frame, LinkType};
use crate::time::Ts;

use super::segment::TcpFlags;

/// The client's and the server's address of [`Tcp`], and its ports.
pub(crate) const CLIENT: [u8; 4] = [192, 168, 0, 23];
pub(crate) const SERVER: [u8; 4] = [192, 0, 2, 25];
pub(crate) const CLIENT_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23];
pub(crate) const SERVER_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25];
pub(crate) const CLIENT_PORT: u16 = 49_152;

/// One segment from the client to port 25 of the server.
#[derive(Clone)]
pub(crate) struct Tcp {
    pub(crate) src_port: u16,
    pub(crate) dst_port: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) id: u16,
    pub(crate) ttl: u8,
    /// A multiple of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            src_port: CLIENT_PORT,
            dst_port: 25,
            seq: 1000,
            ack: 2000,
            flags: TcpFlags::ACK | TcpFlags::PSH,
            window: 502,
            id: 0x1234,
            ttl: 64,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: b"EHLO pc23.example\r\n".to_vec(),
        }
    }
}

impl Tcp {
    /// As an IPv4 datagram.
    pub(crate) fn v4(&self) -> Vec<u8> {
        let mut header = Ipv4Header { identification: self.id, time_to_live: self.ttl, ..Ipv4Header::default() };
        (header.source, header.destination, header.dont_fragment) = (CLIENT, SERVER, true);
        self.over(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()))
    }

    /// As an IPv6 datagram.
    pub(crate) fn v6(&self) -> Vec<u8> {
        let header = Ipv6Header {
            flow_label: Ipv6FlowLabel::ZERO,
            hop_limit: self.ttl,
            source: CLIENT_V6,
            destination: SERVER_V6,
            ..Ipv6Header::default()
        };
        self.over(IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default()))
    }

    fn over(&self, ip: IpHeaders) -> Vec<u8> {
        let header = etherparse::TcpHeader {
            acknowledgment_number: self.ack,
            fin: self.flags & TcpFlags::FIN != 0,
            syn: self.flags & TcpFlags::SYN != 0,
            rst: self.flags & TcpFlags::RST != 0,
            psh: self.flags & TcpFlags::PSH != 0,
            ack: self.flags & TcpFlags::ACK != 0,
            ..etherparse::TcpHeader::new(self.src_port, self.dst_port, self.seq, self.window)
        };
        let builder = PacketBuilder::ip(ip).tcp_header(header).options_raw(&self.options).unwrap();
        let mut bytes = Vec::with_capacity(builder.size(self.payload.len()));
        builder.write(&mut bytes, &self.payload).unwrap();
        bytes
    }
}

/// Parts, one after the other.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet II frame.
pub(crate) fn ethernet(ethertype: u16, inner: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes(), inner])
}

/// An 802.1Q tag and what it holds, to follow an Ethernet type of a tag.
pub(crate) fn vlan(id: u16, ethertype: u16, inner: &[u8]) -> Vec<u8> {
    join(&[&id.to_be_bytes(), &ethertype.to_be_bytes(), inner])
}

/// An IPv4 datagram of any protocol between two routers.
pub(crate) fn ipv4(protocol: u8, inner: &[u8]) -> Vec<u8> {
    let total = (20 + inner.len()) as u16;
    let [high, low] = total.to_be_bytes();
    join(&[&[0x45, 0, high, low, 0, 7, 0, 0, 62, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2], inner])
}

/// One fragment of an IPv4 datagram between the client and the server; `offset` counts bytes.
pub(crate) fn ipv4_fragment(id: u16, protocol: u8, offset: usize, more: bool, inner: &[u8]) -> Vec<u8> {
    let total = ((20 + inner.len()) as u16).to_be_bytes();
    let place = ((offset / 8) as u16 | u16::from(more) << 13).to_be_bytes();
    let [id_high, id_low] = id.to_be_bytes();
    let start = [0x45, 0, total[0], total[1], id_high, id_low, place[0], place[1], 61, protocol, 0, 0];
    join(&[&start, &CLIENT, &SERVER, inner])
}

/// An IPv6 datagram of any next header between the client and the server.
pub(crate) fn ipv6(next: u8, inner: &[u8]) -> Vec<u8> {
    let [high, low] = (inner.len() as u16).to_be_bytes();
    join(&[&[0x60, 0, 0, 0, high, low, next, 63], &CLIENT_V6, &SERVER_V6, inner])
}

/// An IPv6 fragment header and the bytes of the fragment.
pub(crate) fn ipv6_fragment(next: u8, id: u32, offset: usize, more: bool, inner: &[u8]) -> Vec<u8> {
    let place = (offset as u16 | u16::from(more)).to_be_bytes();
    join(&[&[next, 0], &place, &id.to_be_bytes(), inner])
}

/// A UDP datagram.
pub(crate) fn udp(dst_port: u16, inner: &[u8]) -> Vec<u8> {
    let length = (8 + inner.len()) as u16;
    join(&[&55_555_u16.to_be_bytes(), &dst_port.to_be_bytes(), &length.to_be_bytes(), &[0, 0], inner])
}

/// GRE with any flags and the optional words that follow.
pub(crate) fn gre(flags: u16, protocol: u16, words: &[u8], inner: &[u8]) -> Vec<u8> {
    join(&[&flags.to_be_bytes(), &protocol.to_be_bytes(), words, inner])
}

/// A whole frame at an instant.
pub(crate) fn frame(link: LinkType, ts: Ts, bytes: &[u8]) -> Frame<'_> {
    Frame { ts, link, wire_len: bytes.len() as u32, bytes }
}
