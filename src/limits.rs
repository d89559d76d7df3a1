//! Every bound of the program in one place, each with its reason: what an attacker sends must never decide how much
//! memory is used. What a limit cuts off is counted, and the counts stand in the report.

use crate::time::Span;

/// All limits, by the room they bound.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Decoding of frames.
    pub decode: DecodeLimits,
    /// Flows and reassembly.
    pub tcp: TcpLimits,
    /// Dialogues.
    pub smtp: SmtpLimits,
    /// Judgement.
    pub detect: DetectLimits,
}

/// Limits of `decode/`.
#[derive(Clone, Debug)]
pub struct DecodeLimits {
    /// Tunnels inside tunnels that are followed. Four covers ERSPAN over GRE over VXLAN over a VLAN trunk; more is an
    /// attack on the decoder.
    pub tunnel_depth_max: u8,
    /// Datagrams being put together at once. Port 25 is hardly ever fragmented, so 1,024 is generous.
    pub defrag_datagrams_max: usize,
    /// Bytes held by all of them. 4 MiB is 64 datagrams of the largest size.
    pub defrag_bytes_max: usize,
    /// How long a datagram may take. RFC 8200 section 4.5 says 60 s, Linux takes 30 s; attackers hold what they can.
    pub defrag_timeout: Span,
    /// A network card floods of whose datagrams so many had to go in a minute because the rest of them did not come: sixteen
    /// times what may be put together at once. A mirror's tunnel that loses frames comes near that only where it loses
    /// hundreds a second.
    pub flood_fragments_min: u64,
    /// Fragments of one datagram. The largest datagram takes 119 at an MTU of 576 (552 bytes of payload each).
    pub defrag_pieces_max: usize,
    /// VLAN tags, and labels of an MPLS stack, of one frame. QinQ has two, provider stacks hardly more than four.
    pub tags_max: u8,
    /// IPv6 extension headers of one datagram. RFC 8200 section 4.1 names six and each of them once; eight leaves room.
    pub ip6_extensions_max: u8,
    /// Segments remembered to recognise copies; rounded up to a power of two, 17 bytes each. A copy comes within
    /// milliseconds: 8,192 reach back 80 ms at 100,000 SMTP segments a second, for 136 KiB.
    pub duplicate_entries: usize,
    /// SYNs remembered to recognise a connection that is seen on both sides of address translation; rounded up to a power
    /// of two, some 250 bytes each. The second SYN comes within milliseconds: 4,096 reach back 400 ms at 10,000 a second.
    pub twin_entries: usize,
    /// How long after a SYN its copy behind a gateway may come: clocks of two taps disagree by some 100 ms.
    pub twin_window: Span,
    /// How long after a segment another with the same identity may still be its copy. Routers queue for some 100 ms;
    /// retransmission timers of new connections start at 1 s (RFC 6298 section 2).
    pub duplicate_window: Span,
    /// The same where nothing else tells a copy from a retransmission (IP identification zero and the same path): below
    /// any retransmission timer (Linux waits 200 ms at least), above the delay between two mirror ports of a switch.
    pub duplicate_window_same_path: Span,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            tunnel_depth_max: 4,
            defrag_datagrams_max: 1024,
            defrag_bytes_max: 4 << 20,
            defrag_timeout: Span::secs(30),
            flood_fragments_min: 16_384,
            defrag_pieces_max: 128,
            tags_max: 8,
            ip6_extensions_max: 8,
            twin_entries: 4096,
            twin_window: Span::secs(1),
            duplicate_entries: 8192,
            duplicate_window: Span::secs(1),
            duplicate_window_same_path: Span::millis(2),
        }
    }
}

/// Limits of `tcp/`; counts are for the whole run and are split evenly over the shards.
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Logical shards. Fixed, whatever the number of workers, so that reports do not depend on it.
    pub shards: usize,
    /// Connection attempts without an answer that are remembered. At 128 bytes each this is 64 MiB, 8 MiB of index and 6
    /// to 24 MiB of turns, reached only under a flood; it holds 15,000 new SYNs a second for the whole of
    /// `half_open_timeout`. When full, the oldest goes, and is reported as unanswered.
    pub attempts_max: usize,
    /// Connections followed at once. A flow costs under 1 KiB without what the dialogue keeps; 131,072 is 26 times
    /// the 5,000 open dialogues of a busy site. When full, closed ones go first, then those that never carried data,
    /// then the one that was silent longest.
    pub flows_max: usize,
    /// Of these, closed connections that are kept for their last ACKs and retransmissions. Ending one early loses
    /// only the letters of such frames, so they get an eighth.
    pub closed_max: usize,
    /// Bytes of one connection that are buffered out of order, bookkeeping included. A sender without window scaling
    /// has 64 KiB in flight, one with it seldom more than some hundreds; 512 KiB holds 350 full segments.
    pub held_flow_max: usize,
    /// Segments of one connection that are buffered out of order: 1,024 bound the cost of an insertion, too, where an
    /// attacker sends single bytes.
    pub held_segments_max: usize,
    /// Bytes buffered out of order by all connections. 32 MiB is 64 connections at their limit; when full, the hole
    /// that has been waited for longest is given up.
    pub held_total_max: usize,
    /// How long an attempt waits for an answer after its last SYN. SYNs are repeated after 1, 2, 4, 8, 16 and 32 s
    /// (RFC 6298 section 5 with six tries, the Linux default), so that 35 s keep them together.
    pub half_open_timeout: Span,
    /// How long after its first SYN an attempt may still be answered, where the end of the capture or a full table ends it:
    /// that nobody answered would be said too early. An answer takes a round trip, or one more timeout of 1 s where the SYN or
    /// its answer was lost (RFC 6298 section 2); 3 s was the first timeout before that (RFC 2988 section 2), and next to no
    /// round trip is longer (RFC 6298 appendix A). Not after its last one: who repeats a SYN has waited for an answer to those
    /// before.
    pub answer_wait: Span,
    /// How long a connection without data lives. RFC 5321 section 4.5.3.2.1: a client waits five minutes for the
    /// greeting; one more for clocks that differ.
    pub quiet_timeout: Span,
    /// How long a silent connection lives. RFC 5321 section 4.5.3.2: the longest wait is ten minutes (for the reply
    /// after the mail data); one more for clocks that differ.
    pub idle_timeout: Span,
    /// How long a closed connection takes in last ACKs and retransmissions: as Zeek's `tcp_close_delay`.
    pub closed_linger: Span,
    /// How long it is kept whole for that once it is over: a RST, or both FINs acknowledged. After that only its ends and
    /// numbers are remembered, so that what comes late opens no connection. Zeek's `tcp_reset_delay`, 0.1 s: longer than most
    /// round trips, which is what the other side's bytes in flight take; what is kept longer pushes what is open out of the
    /// processor's cache.
    pub over_linger: Span,
    /// How long a hole that the receiver has acknowledged, or a reply whose command is missing, is waited for. The
    /// frames were on the wire already; all that is bridged is the disorder of the capture (queues of a network card,
    /// two mirrored directions), which is milliseconds.
    pub reorder_wait: Span,
    /// The same in segments: so many later ones of the same sender prove the loss (the threshold of RFC 5681
    /// section 3.2 for duplicate ACKs).
    pub reorder_segments: u8,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            shards: 16,
            attempts_max: 524_288,
            flows_max: 131_072,
            closed_max: 16_384,
            held_flow_max: 512 << 10,
            held_segments_max: 1024,
            held_total_max: 32 << 20,
            half_open_timeout: Span::secs(35),
            answer_wait: Span::secs(3),
            quiet_timeout: Span::mins(6),
            idle_timeout: Span::mins(11),
            closed_linger: Span::secs(5),
            over_linger: Span::millis(100),
            reorder_wait: Span::secs(1),
            reorder_segments: 3,
        }
    }
}

/// Limits of `smtp/`; all are for one connection.
#[derive(Clone, Debug)]
pub struct SmtpLimits {
    /// Bytes of a client's line that are kept, line end not counted. RFC 5321 section 4.5.3.1.4 says 512, ESMTP
    /// parameters add some hundreds, and RFC 4954 section 4 lets a line of an AUTH exchange have 12,288: Kerberos
    /// tickets are that long.
    pub command_line_max: usize,
    /// Bytes of a server's line that are kept. RFC 5321 section 4.5.3.1.5 says 512; replies that quote a whole policy
    /// or a delivery report run to some thousands.
    pub reply_line_max: usize,
    /// Bytes of a reply's text that are kept, all lines together. The longest known texts that name a block list, an
    /// address and a page to read have about 500.
    pub reply_text_max: usize,
    /// Lines of one reply whose text is kept. EHLO replies of real servers have up to 25; a server may send lines for ever.
    pub reply_lines_max: u32,
    /// Bytes of a path (MAIL, RCPT) or a HELO argument that are kept. RFC 5321 section 4.5.3.1.3 says 256 for a path;
    /// relay tricks nest two or three.
    pub path_max: usize,
    /// Commands that wait for their reply. Mailing lists pipeline several hundred RCPTs; a client that never listens
    /// must not grow a queue.
    pub unanswered_max: usize,
    /// Bytes of paths and names in that queue; beyond it they are cut. With the commands themselves a queue stays below
    /// 256 KiB.
    pub unanswered_bytes_max: usize,
    /// Bytes of a client that are held back until the reply to DATA tells what they are, and bytes after a doubtful end
    /// of mail data that can be read again as commands. Smuggled mails are some hundred bytes; 16 KiB hold several.
    pub reread_max: usize,
    /// Recipients of one transaction that are kept; the others are counted. RFC 5321 section 4.5.3.1.8: a server takes
    /// at least 100.
    pub recipients_max: usize,
    /// Transactions of one connection that are kept; the others are told one by one as they end, and counted.
    pub transactions_max: usize,
    /// Recipients of all the transactions that are kept of one connection: a transaction that would bring more is told
    /// as it ends, and counted. With the longest texts of replies a session stays below 2 MiB, an ordinary one at some KiB.
    pub session_recipients_max: usize,
    /// Commands of one connection that are logged; the others are counted. The shape of a dialogue shows long before.
    pub commands_max: usize,
    /// AUTH exchanges of one connection that are kept; each is told as it ends. Servers hang up after three to twenty.
    pub auth_max: usize,
    /// Distinct HELO and EHLO arguments of one connection that are kept beyond the first. Two are odd already.
    pub helos_max: usize,
    /// Keyword lines of an EHLO reply that are kept. Real servers have up to 25.
    pub keywords_max: usize,
    /// Bytes of a mail's header that are searched for the fields that are kept. Postfix takes 102,400 at most, mails
    /// that went through many filters and lists reach some 30,000.
    pub mail_headers_max: usize,
    /// Bytes of one header field that are kept; RFC 5322 section 2.1.1 allows 998 a line, and a Content-Type or From
    /// field may be folded.
    pub mail_header_max: usize,
    /// Bytes of a body that are searched for a `message/delivery-status` part: a text for people comes before it.
    pub dsn_search_max: usize,
    /// Bytes of such a part that are kept until its fields were read: some 40 recipients.
    pub dsn_max: usize,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        Self {
            command_line_max: 12_288,
            reply_line_max: 4_096,
            reply_text_max: 1_024,
            reply_lines_max: 64,
            path_max: 512,
            unanswered_max: 1_024,
            unanswered_bytes_max: 64 << 10,
            reread_max: 16 << 10,
            recipients_max: 100,
            transactions_max: 100,
            session_recipients_max: 1_000,
            commands_max: 256,
            auth_max: 100,
            helos_max: 8,
            keywords_max: 32,
            mail_headers_max: 64 << 10,
            mail_header_max: 2_048,
            dsn_search_max: 256 << 10,
            dsn_max: 16 << 10,
        }
    }
}

/// Limits of `detect/`.
#[derive(Clone, Debug)]
pub struct DetectLimits {
    /// Hosts of ours that are judged at once. A /16 full of machines. With sixteen refused mails each they take some 15 KB
    /// over all detectors, and all of them 1 GB (measured, see `docs/performance.md`); one that calls hundreds of servers
    /// takes more (by the sizes of the lists some 60 KB, not measured), made-up ones that only knock far less.
    pub hosts_max: usize,
    /// Mails remembered as 'no news' in each half of the four-hour window. A million takes 4 MB and covers a site that
    /// sends seventy mails a second; when it is full, the filters turn early and that is counted.
    pub triplets_max: usize,
    /// Pairs of a server of ours and an outside client that are judged at once, a table: clients that fail at logging in
    /// or ask for recipients. A botnet that guesses passwords has some ten thousand addresses. A pair takes 0.7 KB at its
    /// first failure and 3 KB at most, so that a table stays below 100 MB in real floods and 400 MB in the worst; the
    /// lightest and quietest go first.
    pub clients_max: usize,
    /// A network card floods that makes so many attempts in a minute of which no connection comes: an eighth of the attempts
    /// that are remembered at once (`TcpLimits::attempts_max`), 1,100 a second. The busiest minute of the captures of
    /// this project and of public ones has eleven; a worm with a hundred threads that each wait 21 s makes three hundred.
    pub flood_attempts_min: u64,
}

impl Default for DetectLimits {
    fn default() -> Self {
        Self { hosts_max: 65_536, triplets_max: 1 << 20, clients_max: 131_072, flood_attempts_min: 65_536 }
    }
}
