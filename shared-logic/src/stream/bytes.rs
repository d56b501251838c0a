//! How state is written down in snapshots.

/// Writes numbers and bytes, one after the other.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

/// Reads what a [`Writer`] wrote. Every read gives `None` if the bytes end too early.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl Writer {
    pub(super) fn int(&mut self, x: i64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }

    pub(super) fn word(&mut self, x: u64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }

    pub(super) fn length(&mut self, x: usize) {
        self.word(x as u64);
    }

    /// Bytes behind their number.
    pub(super) fn slice(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// What is written so far, for items that tell themselves where they end.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn int(&mut self) -> Option<i64> {
        self.word().map(|x| x as i64)
    }

    pub(super) fn word(&mut self) -> Option<u64> {
        let (x, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*x))
    }

    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.word()?).ok()
    }

    pub(super) fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// What is left, for items that tell themselves where they end.
    pub(super) fn bytes(&mut self) -> &mut &'a [u8] {
        &mut self.0
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}
