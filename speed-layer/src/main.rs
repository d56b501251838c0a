//! The program `speed-layer`. All of it is in the library, so that the program `braid` can run every layer.

fn main() -> anyhow::Result<()> {
    speed_layer::command::main()
}
