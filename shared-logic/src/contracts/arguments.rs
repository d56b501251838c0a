//! How fields and their values are handed to a script that writes many of them.

use std::mem;

/// How many fields one argument holds. Lua has room for nearly 8,000 values at a time, and a field is two.
pub(super) const FIELDS_PER_ARGUMENT: usize = 3_000;

/// Fields and their values as MessagePack texts `field value field …`, one behind the other, in arguments of
/// [`FIELDS_PER_ARGUMENT`].
#[derive(Default)]
pub(super) struct Arguments {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    /// How many fields the last one has.
    fields: usize,
}

impl Arguments {
    /// Appends a field and its value.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        if self.fields == FIELDS_PER_ARGUMENT {
            // The next one is about as long.
            let next = Vec::with_capacity(self.last.len() + self.last.len() / 8);
            self.full.push(mem::replace(&mut self.last, next));
            self.fields = 0;
        }
        self.fields += 1;
        for bytes in [name.as_bytes(), value] {
            let length = u32::try_from(bytes.len()).expect("a field is bounded");
            rmp::encode::write_str_len(&mut self.last, length).expect("a vector takes every byte");
            self.last.extend_from_slice(bytes);
        }
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.last.is_empty() {
            self.full.push(self.last);
        }
        self.full
    }
}
