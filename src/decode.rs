//! Bytes to TCP segments: link layers, tunnels, IP with capped defragmentation, the TCP header.
//!
//! A [`Decoder`] takes frames one by one and says of each exactly one thing: a [`Segment`] to or from an SMTP port, a
//! question about mail to a DNS server ([`Asked`]), what machines tell of themselves ([`Told`]), or why it was [`Ignored`], or why it could not be read
//! ([`Undecoded`]); [`DecodeStats`] counts them, and the sums agree.
//! On a mirror port nearly all frames are not ours, so the walk reads what leads to the port test and nothing else;
//! addresses, link facts and options are looked at only behind it. Nothing is allocated, except for fragments.
//!
//! Read RFC 791, RFC 8200 and RFC 9293 section 3.1 first. Checksums are not verified: segmentation and checksum offload
//! make them wrong in honest captures. ICMP is not looked at.

mod defrag;
pub mod dns;
mod duplicate;
mod ip;
mod link;
mod outcome;
mod plain;
mod ports;
mod segment;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tunnel;
mod twin;
mod walk;

pub use outcome::{DecodeStats, FragmentStats, Ignored, Undecoded};
pub use ports::PortSet;
pub use segment::{IpFacts, Segment, SegmentHeader, TcpFlags};
pub use twin::TwinFinder;

use crate::flooders::Flooder;
use crate::frame::{At, Frame, FrameNo, LinkType};
use crate::identity::{self, Fact, Facts};
use crate::limits::DecodeLimits;
use crate::net::{Endpoint, FlowKey, LinkFacts, SeqNum};

use defrag::DefragPool;
use dns::Question;
use duplicate::DuplicateCache;
use plain::Plain;
use walk::{Aside, Found, Shared, Stop, Walk};

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// A segment to or from an SMTP port.
    Segment(Segment<'a>),
    /// A question about mail to a DNS server.
    Asked(Asked<'a>),
    /// What machines tell of themselves.
    Told(Told<'a>),
    /// None of ours.
    Ignored(Ignored),
    /// Not readable.
    Undecoded(Undecoded),
}

/// A question about mail to a DNS server, of whichever host.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// When and where it was seen.
    pub at: At,
    /// Who asked.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// What.
    pub question: &'a Question,
}

/// Names of machines, and what else DHCP says of them.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// When and where it was seen.
    pub at: At,
    /// What; at least one fact.
    pub facts: &'a [Fact],
}

/// Frames to segments.
pub struct Decoder {
    ports: PortSet,
    limits: DecodeLimits,
    pool: DefragPool,
    duplicates: DuplicateCache,
    stats: DecodeStats,
    /// The headers of the current frame's segment: written in one place, and lent to all that look at them.
    head: SegmentHeader,
    /// The datagram that the fragment of the current frame completed.
    datagram: Vec<u8>,
    /// The question of the current frame.
    question: Question,
    /// What the current frame tells.
    facts: Facts,
}

impl Decoder {
    /// A decoder of segments to or from `ports`.
    pub fn new(ports: PortSet, limits: &DecodeLimits) -> Self {
        Self {
            ports,
            limits: limits.clone(),
            pool: DefragPool::new(limits),
            duplicates: DuplicateCache::new(limits),
            stats: DecodeStats::default(),
            head: SegmentHeader::default(),
            datagram: Vec::new(),
            question: Question::default(),
            facts: Facts::default(),
        }
    }

    /// Says of a frame what it is. Frames come in the order of the run; stamps may go backwards.
    #[expect(clippy::inline_always, reason = "what it says need not be written down and read again")]
    #[inline(always)]
    pub fn decode<'a>(&'a mut self, no: FrameNo, frame: &Frame<'a>) -> Decoded<'a> {
        if frame.link == LinkType::ETHERNET {
            match plain::read(frame.bytes, &self.ports) {
                Some(Plain::OtherPort) => return self.ignored(Ignored::OtherPort),
                Some(Plain::Segment(found, link)) => {
                    return self.segment(At { ts: frame.ts, frame: no }, link, &found, Some(frame.bytes));
                }
                None => {}
            }
        }
        self.walk(no, frame)
    }

    /// Says of any frame what it is, layer by layer.
    #[inline(never)]
    fn walk<'a>(&'a mut self, no: FrameNo, frame: &Frame<'a>) -> Decoded<'a> {
        let shared = Shared {
            ports: &self.ports,
            limits: &self.limits,
            pool: &mut self.pool,
            fragments: self.stats.fragments_mut(),
        };
        let mut walk = Walk::new(shared, frame.ts, frame.bytes, frame.wire_len as usize);
        match walk.link(frame.link) {
            Stop::Ignored(why) => self.ignored(why),
            Stop::Undecoded(why) => self.undecoded(why),
            Stop::Segment => match walk.found {
                Some(found) => {
                    let link = walk.link_facts();
                    self.walked_segment(At { ts: frame.ts, frame: no }, link, &found, Some(frame.bytes))
                }
                None => self.undecoded(Undecoded::BadTcpHeader), // not reached: a walk finds before it says so
            },
            Stop::Aside(aside) => match walk.found {
                Some(found) => self.aside(At { ts: frame.ts, frame: no }, aside, &found, Some(frame.bytes)),
                None => self.ignored(aside.otherwise()), // not reached: as above
            },
            Stop::Joined => {
                let past = walk.into_past();
                self.decode_datagram(no, frame, past)
            }
        }
    }

    /// The counts so far.
    pub const fn stats(&self) -> &DecodeStats {
        &self.stats
    }

    /// The cards that flood with fragments whose datagrams never end, the busiest first.
    pub fn flooders(&self) -> Vec<Flooder> {
        self.pool.flooders()
    }

    /// Those of them that had to be forgotten.
    pub const fn flooders_forgotten(&self) -> u64 {
        self.pool.flooders_forgotten()
    }

    /// The ports that count as SMTP.
    pub const fn ports(&self) -> &PortSet {
        &self.ports
    }

    /// No more frames come: gives up the fragments that still wait, and counts them.
    pub fn finish(&mut self) {
        self.pool.finish(self.stats.fragments_mut());
    }

    /// Walks on through datagrams put together from fragments, each of which may hold the last fragment of another.
    #[cold]
    fn decode_datagram<'a>(&'a mut self, no: FrameNo, frame: &Frame<'a>, mut past: walk::Past) -> Decoded<'a> {
        loop {
            let Some(datagram) = past.joined.take() else {
                return self.undecoded(Undecoded::FragmentLimit); // not reached: a walk joins before it says so
            };
            self.datagram = datagram.bytes;
            let shared = Shared {
                ports: &self.ports,
                limits: &self.limits,
                pool: &mut self.pool,
                fragments: self.stats.fragments_mut(),
            };
            let mut walk = Walk::resume(shared, frame.ts, &self.datagram, datagram.wire_len, &past);
            match walk.payload(datagram.protocol, 0, ip::Ip::Known(datagram.head)) {
                Stop::Ignored(why) => return self.ignored(why),
                Stop::Undecoded(why) => return self.undecoded(why),
                Stop::Segment => {
                    let (found, link) = (walk.found, walk.link_facts());
                    let Some(found) = found else {
                        return self.undecoded(Undecoded::BadTcpHeader); // as above
                    };
                    return self.walked_segment(At { ts: frame.ts, frame: no }, link, &found, None);
                }
                Stop::Aside(aside) => {
                    let Some(found) = walk.found else {
                        return self.ignored(aside.otherwise()); // as above
                    };
                    return self.aside(At { ts: frame.ts, frame: no }, aside, &found, None);
                }
                Stop::Joined => past = walk.into_past(),
            }
        }
    }

    /// See [`Self::segment`]; of frames that are not plain.
    #[inline(never)]
    fn walked_segment<'a>(
        &'a mut self,
        at: At,
        link: LinkFacts,
        found: &Found,
        bytes: Option<&'a [u8]>,
    ) -> Decoded<'a> {
        self.segment(at, link, found, bytes)
    }

    /// The segment that was found in `bytes`, or in the datagram put together, unless it is a copy. Always inlined: of a plain
    /// frame, which nearly all are, what was found never leaves the registers.
    #[expect(clippy::inline_always, reason = "a tenth of what a frame costs")]
    #[inline(always)]
    fn segment<'a>(&'a mut self, at: At, link: LinkFacts, found: &Found, bytes: Option<&'a [u8]>) -> Decoded<'a> {
        let Self { stats, duplicates, head, datagram, .. } = self;
        let bytes: &'a [u8] = bytes.unwrap_or(datagram);
        let tcp = bytes.get(found.tcp_at..found.end).unwrap_or_default();
        let Some((fixed, rest)) = tcp.split_first_chunk::<20>() else {
            stats.count_undecoded(Undecoded::TruncatedTcp); // not reached: the walk saw them
            return Decoded::Undecoded(Undecoded::TruncatedTcp);
        };
        let [_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3, _, flags, w0, w1, ..] = *fixed;
        let options_len = found.header_len - fixed.len();
        let (options, payload) = rest.split_at_checked(options_len).unwrap_or((rest, &[]));
        let (key, from) = FlowKey::of(found.src, found.dst);
        *head = SegmentHeader {
            at,
            key,
            from,
            seq: SeqNum(u32::from_be_bytes([s0, s1, s2, s3])),
            ack: SeqNum(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: TcpFlags(flags),
            window: u16::from_be_bytes([w0, w1]),
            payload_len: (found.wire_end - found.tcp_at - found.header_len) as u32,
            ip: found.ip,
            link,
        };
        let segment = Segment { head, options, payload };
        if duplicates.is_copy(&segment) {
            stats.count_ignored(Ignored::Duplicate);
            return Decoded::Ignored(Ignored::Duplicate);
        }
        stats.count_segment(segment.payload.len() < segment.head.payload_len as usize);
        Decoded::Segment(segment)
    }

    /// What was found beside mail in `bytes`, or in the datagram put together, if it says anything that is wanted.
    #[cold]
    fn aside<'a>(&'a mut self, at: At, aside: Aside, found: &Found, bytes: Option<&[u8]>) -> Decoded<'a> {
        let bytes = bytes.unwrap_or(&self.datagram);
        let message = bytes.get(found.tcp_at + found.header_len..found.end).unwrap_or_default();
        let question = match aside {
            Aside::Question => dns::question(message),
            Aside::QuestionOverTcp => dns::question_over_tcp(message),
            Aside::Names => {
                self.facts.clear();
                identity::read(found.src.host, found.src.port, message, &mut self.facts);
                return self.told(at);
            }
        };
        let Some(question) = question.filter(Question::is_about_mail) else {
            return self.ignored(aside.otherwise());
        };
        self.stats.count_question();
        self.question = question;
        Decoded::Asked(Asked { at, client: found.src, server: found.dst, question: &self.question })
    }

    fn told(&mut self, at: At) -> Decoded<'_> {
        if self.facts.list().is_empty() {
            return self.ignored(Aside::Names.otherwise());
        }
        self.stats.count_names(self.facts.left());
        Decoded::Told(Told { at, facts: self.facts.list() })
    }

    fn ignored<'a>(&mut self, why: Ignored) -> Decoded<'a> {
        self.stats.count_ignored(why);
        Decoded::Ignored(why)
    }

    fn undecoded<'a>(&mut self, why: Undecoded) -> Decoded<'a> {
        self.stats.count_undecoded(why);
        Decoded::Undecoded(why)
    }
}
