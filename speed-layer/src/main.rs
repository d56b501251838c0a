//! `speed-layer`; all of it is in the library, so that one program can be every layer.

fn main() -> anyhow::Result<()> {
    speed_layer::command::main()
}
