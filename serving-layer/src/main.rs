//! The program `serving-layer`. All of it is in the library, so that one program can contain every layer.

fn main() -> anyhow::Result<()> {
    serving_layer::command::main()
}
