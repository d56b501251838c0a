//! The end of a segment's file: what the file was made from, and where its root lies.
//!
//! ```text
//! description as JSON · its length (4 bytes) · a checksum of both (8 bytes) · MAGIC
//! ```
//!
//! The root ends where the description begins. So a file that was cut off, or to which something was added, has none.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::Place;
use super::origin::Origin;

/// Says that the file is a segment, and of which version of this format. Files of other versions are built again.
const MAGIC: [u8; 8] = *b"BRAIDSG1";
/// Length, checksum and magic.
const END: usize = 4 + 8 + 8;

/// What the end of a segment's file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) origin: Origin,
    /// The block from which all others are found.
    pub(super) root: Place,
    /// The root's level.
    pub(super) height: u8,
}

impl Description {
    /// The end of the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a description is plain data");
        bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        bytes.extend_from_slice(&MAGIC);
        bytes
    }

    /// Reads the end of a file; `None` if it is not that of a whole segment of this version.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(file: &File) -> io::Result<Option<Description>> {
        let Some(at) = file.metadata()?.len().checked_sub(END as u64) else { return Ok(None) };
        let mut end = [0; END];
        file.read_exact_at(&mut end, at)?;
        let Some((length, checksum)) = parts(&end) else { return Ok(None) };
        let Some(from) = at.checked_sub(length.into()) else { return Ok(None) };
        // What the checksum covers: the text and its length.
        let mut covered = vec![0; length as usize + 4];
        file.read_exact_at(&mut covered, from)?;
        if xxh3_64(&covered) != checksum {
            return Ok(None);
        }
        let description: Option<Description> = serde_json::from_slice(&covered[..length as usize]).ok();
        Ok(description.filter(|description| description.root.offset + u64::from(description.root.bytes) == from))
    }
}

/// Length and checksum, if the magic is behind them.
fn parts(end: &[u8; END]) -> Option<(u32, u64)> {
    let (length, rest) = end.split_first_chunk()?;
    let (checksum, magic) = rest.split_first_chunk()?;
    (magic == MAGIC).then_some((u32::from_le_bytes(*length), u64::from_le_bytes(*checksum)))
}
