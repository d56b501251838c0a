//! The program `speed-layer`. All of it is in the library, so that the program `braid` can run every layer.

/// Allocates as [`platform::allocator`] says.
#[global_allocator]
static ALLOCATOR: platform::allocator::Allocator = platform::allocator::ALLOCATOR;

fn main() -> anyhow::Result<()> {
    platform::allocator::bound_arenas();
    speed_layer::command::main()
}
