//! What allocates memory in Braid's programs. Each of them names it, because libraries and tests do not choose an allocator.
//!
//! A total is over in microseconds, of which the system's allocator takes a fifth; and of the memory that a reconcile has given back, it keeps half as
//! much again as the reconcile needs
//! (`docs/decisions/0082-programs-allocate-by-mimalloc.md`).

/// The type of the allocator.
pub type Allocator = mimalloc::MiMalloc;

/// The allocator.
pub const ALLOCATOR: Allocator = mimalloc::MiMalloc;
