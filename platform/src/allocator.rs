//! What allocates memory in Braid's programs. Each of them names it, because libraries and tests do not choose an allocator.
//!
//! A total allocates some fifty times and is over in microseconds, and a reconcile gives back hundreds of megabytes a second. The system's
//! allocator takes a fifth of the former's time, and keeps half as much again of the latter's memory
//! (`docs/decisions/0082-programs-allocate-by-mimalloc.md`).

/// The type of the allocator.
pub type Allocator = mimalloc::MiMalloc;

/// The allocator.
pub const ALLOCATOR: Allocator = mimalloc::MiMalloc;
