//! The program `batch-layer`. All of it is in the library, so that one program can be every layer.

fn main() -> anyhow::Result<()> {
    batch_layer::command::main()
}
