//! The program `serving-layer`. All of it is in the library, so that one program can contain every layer.

/// Allocates as [`platform::allocator`] says.
#[global_allocator]
static ALLOCATOR: platform::allocator::Allocator = platform::allocator::ALLOCATOR;

fn main() -> anyhow::Result<()> {
    serving_layer::command::main()
}
