//! The bytes of a line while it is written: room that is there already, so that a piece costs a check and a copy, and
//! pieces whose length the compiler knows are copied without a call.

/// Bytes, and room for more after them.
pub(super) struct Buffer {
    /// What is written, then zeros or what is left of longer lines.
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    pub(super) fn new(room: usize) -> Self {
        Self { bytes: vec![0; room], len: 0 }
    }

    /// Begins anew; keeps at most `kept_max` bytes of room.
    pub(super) fn clear(&mut self, kept_max: usize) {
        self.len = 0;
        if self.bytes.len() > kept_max {
            self.bytes.truncate(kept_max);
            self.bytes.shrink_to_fit();
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Adds all of `text`.
    #[inline(always)]
    pub(super) fn extend(&mut self, text: &[u8]) {
        match self.bytes.get_mut(self.len..).and_then(|room| room.get_mut(..text.len())) {
            Some(place) => {
                place.copy_from_slice(text);
                self.len += text.len();
            }
            None => self.extend_grown(text),
        }
    }

    /// Adds the first `len` bytes of `text`, of which it may write all: a copy of fixed length is a few instructions.
    #[inline(always)]
    pub(super) fn extend_some<const N: usize>(&mut self, text: &[u8; N], len: usize) {
        match self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) {
            Some(place) => {
                *place = *text;
                self.len += len.min(N);
            }
            None => self.extend_grown(text.get(..len).unwrap_or(text)),
        }
    }

    /// Adds `text` where there is no room for it yet.
    #[cold]
    #[inline(never)]
    fn extend_grown(&mut self, text: &[u8]) {
        self.bytes.truncate(self.len);
        self.bytes.extend_from_slice(text);
        self.len = self.bytes.len();
        self.bytes.resize(2 * self.len, 0);
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        self.extend_some(&[byte], 1);
    }

    /// Takes the last bytes back.
    pub(super) const fn take_back(&mut self, count: usize) {
        self.len = self.len.saturating_sub(count);
    }

    /// Writes another byte in the place of one.
    pub(super) fn replace(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.bytes.get_mut(at) {
            *place = byte;
        }
    }
}

impl std::fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.extend(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_where_there_is_no_room_and_shrinks_to_what_is_kept() {
        let mut buffer = Buffer::new(0);
        let mut wanted = Vec::new();
        for round in 0..200_u8 {
            buffer.push(round);
            buffer.extend(&[round; 7]);
            buffer.extend_some(&[round; 30], usize::from(round % 31));
            wanted.extend(vec![round; 8 + usize::from(round % 31)]);
            assert_eq!(buffer.as_bytes(), wanted);
        }
        buffer.replace(3, b'x');
        assert_eq!((buffer.as_bytes()[3], buffer.len()), (b'x', wanted.len()));
        buffer.clear(16);
        assert_eq!((buffer.as_bytes(), buffer.bytes.capacity()), (&[][..], 16));
    }
}
