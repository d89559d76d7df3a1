//! Frames of floods, made as they are needed: ten million of them are never in memory at once.

use smtphound::frame::FrameNo;

pub const ACK: u8 = 0x10;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;

pub type Ip = [u8; 4];

/// An Ethernet frame with a TCP segment, written over and over in one place.
pub struct Writer {
    bytes: Vec<u8>,
    id: u16,
    /// Frames shown so far.
    pub no: FrameNo,
    /// Hops left, where a gateway has not taken one.
    pub ttl: u8,
}

impl Writer {
    pub fn new() -> Self {
        let mut bytes = vec![0; 54];
        bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0x66, 0x66, 8, 0]);
        bytes[14] = 0x45;
        bytes[23] = 6;
        bytes[46] = 0x50;
        Self { bytes, id: 0, no: FrameNo(0), ttl: 64 }
    }

    /// The frame of one segment.
    pub fn segment(&mut self, src: (Ip, u16), dst: (Ip, u16), seq: u32, ack: u32, flags: u8, data: &[u8]) -> &[u8] {
        self.id = self.id.wrapping_add(1);
        let bytes = &mut self.bytes;
        bytes.truncate(54);
        bytes[16..18].copy_from_slice(&((40 + data.len()) as u16).to_be_bytes());
        bytes[18..20].copy_from_slice(&self.id.to_be_bytes());
        bytes[22] = self.ttl;
        bytes[26..30].copy_from_slice(&src.0);
        bytes[30..34].copy_from_slice(&dst.0);
        bytes[34..36].copy_from_slice(&src.1.to_be_bytes());
        bytes[36..38].copy_from_slice(&dst.1.to_be_bytes());
        bytes[38..42].copy_from_slice(&seq.to_be_bytes());
        bytes[42..46].copy_from_slice(&ack.to_be_bytes());
        bytes[47] = flags;
        bytes[48..50].copy_from_slice(&65_000_u16.to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }
}

/// The n-th address of a network that is nobody's of ours, no two alike below 2^24.
pub fn stranger(n: u64) -> Ip {
    // Odd, so that every number below 2^24 comes once.
    let mixed = (n.wrapping_mul(0x9e_3779) & 0xff_ffff) as u32;
    [100 + (mixed >> 22) as u8, (mixed >> 14) as u8, (mixed >> 6) as u8, (mixed & 0x3f) as u8 | (n >> 24) as u8 & 0xc0]
}

/// The n-th address of 10.0.0.0/8, which is ours.
pub fn spoofed(n: u64) -> Ip {
    let mixed = (n.wrapping_mul(0x9e_3779) & 0xff_ffff) as u32;
    [10, (mixed >> 16) as u8, (mixed >> 8) as u8, mixed as u8]
}
