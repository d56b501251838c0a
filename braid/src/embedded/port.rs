//! A port for a server that cannot choose its own.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Below the range from which systems take the ports of outgoing connections. Otherwise a client that tries to reach a server
/// that is stopped could get the server's port for itself.
const RANGE: Range<u16> = 19_000..29_000;
/// How far apart two processes begin to look, for those that start at the same time.
const APART: u32 = 7;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// A loopback port that is free at this moment; another one with each call.
///
/// # Errors
/// If there is none.
pub(super) fn free_port() -> Result<u16> {
    let count = u32::from(RANGE.end - RANGE.start);
    let first = std::process::id().wrapping_mul(APART);
    let ports = (0..count).filter_map(|_| {
        let at = first.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % count;
        Some(RANGE.start + u16::try_from(at).ok()?)
    });
    let mut free = ports.filter(|port| is_free(*port));
    free.next().with_context(|| format!("no port from {} to {} is free", RANGE.start, RANGE.end))
}

/// Whether a server could listen on that loopback port now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_gives_another_port_and_none_that_is_taken() {
        let one = free_port().expect("a port");
        let _server = TcpListener::bind(("127.0.0.1", one)).expect("it is free");
        assert!(!is_free(one));
        let other = free_port().expect("a port");
        assert!(RANGE.contains(&one) && RANGE.contains(&other) && one != other);
    }
}
