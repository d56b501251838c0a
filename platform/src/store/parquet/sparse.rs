//! The bytes of a file of which only parts are read.

use std::io;

use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes of a file of that size: each part at its place, and zeros everywhere else. Where nothing is placed, they take no memory.
///
/// They are mapped for themselves. A list of zeros would do only as long as the allocator has none that was used before: that it
/// overwrites with zeros from end to end, and then each row group that is read takes the memory of its whole file.
///
/// # Errors
/// If so many bytes cannot be mapped.
pub(super) fn placed<'a>(size: u64, parts: impl Iterator<Item = (u64, &'a Bytes)>) -> io::Result<Bytes> {
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = MmapMut::map_anon(size)?;
    for (at, part) in parts {
        place(&mut bytes, at, part);
    }
    Ok(Bytes::from_owner(bytes))
}

/// Copies what was read of a file to its place, as far as there is room: the log may be wrong about the size.
fn place(bytes: &mut [u8], at: u64, read: &[u8]) {
    let room = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..at.saturating_add(read.len())));
    if let Some(room) = room {
        room.copy_from_slice(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_at_their_places_and_everything_else_is_zero() {
        let (first, last, behind) = (Bytes::from_static(b"ab"), Bytes::from_static(b"yz"), Bytes::from_static(b"!"));
        let bytes = placed(100_000, [(1, &first), (99_998, &last), (100_000, &behind)].into_iter()).expect("mapped");
        let mut expected = vec![0; 100_000];
        expected[1..3].copy_from_slice(b"ab");
        expected[99_998..].copy_from_slice(b"yz");
        assert_eq!(bytes, expected);
    }
}
