//! Services of the compose file may write where their programs do.

use std::path::Path;

use anyhow::{Context, Result, ensure};

const COMPOSE: &str = "docker-compose.yml";
/// A volume that every service of Braid has, and no other.
const CATALOG: &str = ":/etc/braid/catalog.toml:ro";

/// A verification writes down what it compares, in whichever service it is run.
#[test]
fn what_is_compared_has_room_though_the_image_is_read_only() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(COMPOSE);
    let compose = std::fs::read_to_string(path).context(COMPOSE)?;
    ensure!(compose.lines().any(|line| line == "  read_only: true"), "{COMPOSE} lets services write to the image");
    let mut named = compose.lines().filter_map(|line| line.strip_prefix("  TMPDIR: "));
    let folder = named.next().with_context(|| format!("{COMPOSE} names no folder for temporary files (TMPDIR)"))?;
    let volumes: Vec<Vec<&str>> = compose.split("volumes:\n").skip(1).map(listed).collect();
    let of_braid = volumes.iter().filter(|volumes| volumes.iter().any(|volume| volume.ends_with(CATALOG)));
    let mut services = 0;
    for volumes in of_braid {
        let is_mounted = volumes.iter().any(|volume| volume.ends_with(&format!(":{folder}")));
        ensure!(is_mounted, "{COMPOSE} has no volume at {folder}, where temporary files are to lie: {volumes:?}");
        services += 1;
    }
    ensure!(services > 0, "{COMPOSE} gives the catalog to no service");
    Ok(())
}

/// The list that a text begins with.
fn listed(text: &str) -> Vec<&str> {
    text.lines().map_while(|line| line.trim_start().strip_prefix("- ")).collect()
}
