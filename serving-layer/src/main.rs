//! The program `serving-layer`. All of it is in the library, so that one program can contain every layer.

use mimalloc::MiMalloc;

/// A request allocates some fifty times and is over in microseconds: the system's allocator takes a fifth of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> anyhow::Result<()> {
    serving_layer::command::main()
}
