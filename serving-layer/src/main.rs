//! `serving-layer`; all of it is in the library, so that one program can be every layer.

fn main() -> anyhow::Result<()> {
    serving_layer::command::main()
}
