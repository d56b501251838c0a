//! The image is built from every crate that its program is made of, and gets nothing else to build from.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::dependencies::Graph;

/// The crate whose program is in the image.
const PROGRAM: &str = "braid";
const IGNORED: &str = ".dockerignore";
const RECIPE: &str = "deploy/Dockerfile";

#[test]
fn the_image_is_built_from_every_crate_of_the_program() -> Result<()> {
    let graph = Graph::read()?;
    let (ignored, recipe) = (read(IGNORED)?, read(RECIPE)?);
    let (mut made_of, mut open) = (BTreeSet::new(), vec![PROGRAM]);
    while let Some(name) = open.pop() {
        if made_of.insert(name) {
            open.extend(graph.members_below(name)?);
        }
    }
    for name in graph.members() {
        let is_of_program = made_of.contains(name);
        // Cargo wants to see every crate of the workspace.
        let let_through = if is_of_program { format!("!{name}") } else { format!("!{name}/Cargo.toml") };
        ensure!(ignored.lines().any(|line| line == let_through), "{IGNORED} lacks the line `{let_through}`");
        let copied = format!("COPY {name}/Cargo.toml {name}/");
        ensure!(recipe.lines().any(|line| line == copied), "{RECIPE} lacks the line `{copied}`");
        let cleaned = recipe.lines().find(|line| line.contains("cargo clean")).context("no crates are cleaned")?;
        let is_cleaned = cleaned.contains(&format!(" -p {name} ")) || cleaned.contains(&format!(" -p {name}\\"));
        ensure!(
            is_cleaned == is_of_program,
            "{RECIPE} has to clean the crates of the program after it has built their dependencies, and no others: see {name}"
        );
    }
    Ok(())
}

fn read(path: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(folder.join(path)).with_context(|| path.to_owned())
}
