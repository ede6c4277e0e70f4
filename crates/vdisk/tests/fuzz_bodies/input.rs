//! Reads choices out of a fuzzer's bytes. Past their end everything is zero, so each input means something.

/// The bytes that were not used yet.
#[derive(Clone)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of the bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether no byte is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Up to `count` bytes, fewer at the end.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from(self.byte()) | u16::from(self.byte()) << 8
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |value, byte| value | u64::from(self.byte()) << (8 * byte))
    }

    /// A number below `bound`, from two bytes.
    pub fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.u16()) % bound.max(1)
    }
}
