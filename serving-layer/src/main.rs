//! The program `serving-layer`. All of it is in the library, so that one program can contain every layer.

/// Allocates as [`platform::allocator`] says.
#[global_allocator]
static ALLOCATOR: platform::allocator::Allocator = platform::allocator::ALLOCATOR;

fn main() -> anyhow::Result<()> {
    platform::allocator::bound_arenas();
    serving_layer::command::main()
}
