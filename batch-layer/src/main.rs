//! The program `batch-layer`. All of it is in the library, so that one program can be every layer.

use std::process::ExitCode;

/// Allocates as [`platform::allocator`] says.
#[global_allocator]
static ALLOCATOR: platform::allocator::Allocator = platform::allocator::ALLOCATOR;

fn main() -> anyhow::Result<ExitCode> {
    platform::allocator::bound_arenas();
    batch_layer::command::main()
}
