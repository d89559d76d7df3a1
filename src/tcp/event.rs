//! What reassembly says of a connection's two byte streams.

use crate::frame::At;
use crate::net::Side;
use crate::weird::Weird;

/// One step of a connection, in the order in which the capture proves it.
///
/// For each side the events describe every byte exactly once: as [`StreamEvent::Data`] or inside a
/// [`StreamEvent::Gap`], in stream order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamEvent<'a> {
    /// The next bytes of one side, borrowed from the frame or from the out-of-order buffer.
    Data {
        /// Who sent them.
        side: Side,
        /// The frame that made them deliverable.
        at: At,
        /// Bytes of this side's stream before these, gaps included.
        offset: u64,
        /// How many bytes of the other side's stream the sender had acknowledged when it sent these.
        acked: u64,
        /// At least one byte.
        bytes: &'a [u8],
    },
    /// Bytes that the capture does not hold and will not: lost frames, a cut by the snap length, a start in the middle.
    Gap {
        /// Whose bytes they were.
        side: Side,
        /// The frame that proved the loss.
        at: At,
        /// How many; at least one.
        len: u64,
    },
    /// The side said that it sends no more, and everything before it was delivered. If more of it is delivered all the same,
    /// the other side took it and never saw this; then it may be said once more.
    Fin {
        /// Who.
        side: Side,
        /// The frame.
        at: At,
    },
    /// The side broke the connection off; what may come after it, see [`StreamEvent::Fin`].
    Reset {
        /// Who.
        side: Side,
        /// The frame.
        at: At,
    },
    /// Something that TCP does not allow or a careful reader wants to know.
    Weird {
        /// Who did it.
        side: Side,
        /// The frame.
        at: At,
        /// What.
        weird: Weird,
    },
}
