//! `braid version create`: adds a version beside those that there are. Nothing is counted for it yet.
//!
//! Topics, archives and views are created first, then its catalog is kept, and at last the pointer names it. Whatever a process that was killed
//! has left is found by the same command again, or is in nobody's way.
//!
//! - `changes`: what differs from the active version.

mod changes;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use platform::settings::SettingsArgs;
use shared_logic::catalog::{Catalog, Changed};
use shared_logic::version::{
    Change, Conflict, DeployedVersions, Pointer, archived_otherwise, catalog_file, changed, undecodable,
};
use storage::Storage;

use self::changes::{Changes, page};
use super::{Steps, Who};
use crate::commands::output::Output;
use crate::terminal::{Screen, print};

/// How often the catalog is judged anew because other versions were created or retired meanwhile.
const ATTEMPTS: u32 = 5;

/// Creates a version from a catalog, beside those that there are
///
/// --catalog names the new catalog. It becomes a part of the version and does not change any more. What it shares with other versions follows from
/// the definitions: a stream that is the same is written once, to one topic; one that changed gets a topic of its own, TOPIC.VERSION. A source keeps
/// its topic; if fields change whose bytes were not archived, the catalog is refused.
///
/// Nothing is counted before `braid version replay`. Called again with the same catalog it changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braid version create v2 --catalog new.toml
  braid version create v2 --catalog new.toml --first catalog.toml --output json")]
pub(super) struct Args {
    /// The new version's name, such as `v2`
    name: String,
    /// The catalog file of the first version, if the settings do not name it
    #[arg(long, value_name = "FILE")]
    first: Option<String>,
    /// How it is printed; a table on a terminal unless given, and JSON elsewhere
    #[arg(long, value_name = "FORM", value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    who: Who,
}

/// Runs the command.
///
/// # Errors
/// If the catalog has mistakes or cannot become a version, or Kafka or the store cannot be used.
pub(super) async fn run(args: Args, settings: &SettingsArgs) -> Result<ExitCode> {
    let path = settings.catalog.as_deref().context("--catalog names the file of the new version's catalog")?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the catalog {path}"))?;
    let new = Catalog::parse_file(Path::new(path), &text);
    let new = new.map_err(|refused| anyhow!("the catalog has {} mistakes\n{refused}", refused.mistakes.len()))?;
    // The flag names the new catalog, and not that of the first version.
    let own = SettingsArgs { catalog: args.first.clone(), ..settings.clone() };
    let steps = Steps::of(&own)?;
    let (name, by) = (args.name, args.who.name());
    for _ in 0..ATTEMPTS {
        let deployed = steps.deployed().await?;
        let retired = steps.store.retired(&deployed.pointer, &steps.file).await?;
        let judged = Judged::of(&deployed, &retired, &name, (&new, &text), steps.settings.versions.max)?;
        judged.prepare(&steps).await?;
        if judged.add(&steps, &by, &text).await? {
            let changes = Changes::between(deployed.active(), &judged.catalog);
            let screen = Screen::behind(&std::io::stdout());
            match Output::for_reader(args.output, screen) {
                Output::Table => print(&page(&changes, screen))?,
                Output::Json => print(&(serde_json::to_string_pretty(&changes).context("cannot print")? + "\n"))?,
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    bail!("other versions were created or retired {ATTEMPTS} times meanwhile; try again")
}

/// A catalog as the version that it is to become, judged by the versions that there are.
struct Judged {
    name: String,
    catalog: Catalog,
    changed: Changed,
    /// The versions by which it was judged.
    by: Pointer,
    max: usize,
}

impl Judged {
    /// Judges a catalog. Nothing is created for one that is refused.
    fn of(
        deployed: &DeployedVersions,
        retired: &[Catalog],
        name: &str,
        (new, text): (&Catalog, &str),
        max: usize,
    ) -> Result<Judged> {
        let first = deployed.pointer.first.as_str();
        let known = known(deployed);
        let known: Vec<&Catalog> = known.iter().collect();
        let refused = |conflicts: Vec<Conflict>| {
            let lines: Vec<String> = conflicts.iter().map(|conflict| format!("  {conflict}")).collect();
            anyhow!("the catalog cannot become version {name} beside those that there are\n{}", lines.join("\n"))
        };
        let changed = changed(new, &known, name, first).map_err(refused)?;
        let (_, hash) = catalog_file(name, text);
        let change = Change { id: String::new(), at_us: 0, by: String::new(), what: String::new() };
        deployed.pointer.create(name, &hash, changed.clone(), max, change)?;
        let catalog = new.clone().as_version(name, first, &changed);
        let archived = archived_otherwise(&catalog, &known, retired);
        if !archived.is_empty() {
            return Err(refused(archived));
        }
        Ok(Judged { name: name.to_owned(), catalog, changed, by: deployed.pointer.clone(), max })
    }

    /// Creates what the version needs: topics, archives and views. What is there stays as it is.
    async fn prepare(&self, steps: &Steps) -> Result<()> {
        let storage = Storage::new(&steps.settings.store, &self.catalog.deployment)?;
        for source in self.catalog.sources.values() {
            let Some(archive) = storage.archive(&source.name).await? else { continue };
            if let Some((id, range)) = undecodable(&archive.facts(), source) {
                bail!(
                    "source {}: offsets {} to {} of {id} were archived without their bytes, and cannot be decoded with these fields; keep the fields as \
                     they were, or leave the offsets out with `braid lost accept`",
                    source.name,
                    range.from,
                    range.to
                );
            }
        }
        let settings = &steps.settings;
        let created = batch_layer::init::run(&settings.kafka, settings.reconcile.max_cut_age, &storage, &self.catalog);
        created.await.context("cannot create topics and tables")
    }

    /// Keeps the catalog and has the pointer name it; returns whether it did. It does not if there are other versions by now.
    async fn add(&self, steps: &Steps, by: &str, text: &str) -> Result<bool> {
        let hash = steps.store.put_catalog(&self.name, text).await?;
        let (what, mut is_as_judged) = (format!("create {}", self.name), true);
        let step = steps.store.step(steps.first_version(), by, &what, |pointer, change| {
            is_as_judged = is_the_same(&self.by, pointer, &self.name);
            if !is_as_judged {
                return Ok(pointer.clone());
            }
            pointer.create(&self.name, &hash, self.changed.clone(), self.max, change)
        });
        step.await?;
        Ok(is_as_judged)
    }
}

/// The catalogs by which a new one is judged, that of the active version first, and then the newest. What their host has changed in place
/// since is nobody's any more: a stream with that definition is written anew.
fn known(deployed: &DeployedVersions) -> Vec<Catalog> {
    let mut names: Vec<&str> = deployed.living().map(|(name, _)| name).collect();
    names.reverse();
    names.sort_by_key(|name| *name != deployed.active_name());
    let catalog = |name: &str| {
        let mut catalog = Catalog::clone(deployed.version(name)?);
        for changed in deployed.changed_in_place(name) {
            catalog.streams.remove(&changed);
            catalog.tables.remove(&changed);
        }
        Some(catalog)
    };
    names.into_iter().filter_map(catalog).collect()
}

/// Whether what a new version shares follows from both pointers alike: the same versions live, and the same one is active. `name` is the new version.
fn is_the_same(judged_by: &Pointer, now: &Pointer, name: &str) -> bool {
    let living = |pointer: &Pointer| -> BTreeSet<String> {
        let all = pointer.versions.iter().filter(|(_, recorded)| recorded.stage.lives());
        all.map(|(name, _)| name.clone()).filter(|other| other != name).collect()
    };
    judged_by.active == now.active && living(judged_by) == living(now)
}

#[cfg(test)]
mod tests {
    use shared_logic::version::ReplayFrom;

    use super::*;

    const CATALOG: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n\
                           [metrics.m]\nsource = \"s\"\n[metrics.m.measures]\nn = \"count()\"\n";

    fn change() -> Change {
        Change { id: "1".to_owned(), at_us: 0, by: "a".to_owned(), what: "b".to_owned() }
    }

    fn deployed() -> DeployedVersions {
        DeployedVersions::alone(Catalog::parse(CATALOG).expect("a catalog"))
    }

    fn refused(name: &str, text: &str) -> String {
        let new = Catalog::parse(text).expect("a catalog");
        let refused = Judged::of(&deployed(), &[], name, (&new, text), 4).err();
        format!("{:#}", refused.unwrap_or_else(|| panic!("{name} is not refused")))
    }

    #[test]
    fn a_catalog_is_judged_by_the_versions_that_there_are() {
        let new = Catalog::parse(CATALOG).expect("a catalog");
        let judged = Judged::of(&deployed(), &[], "v2", (&new, CATALOG), 4).expect("accepted");
        assert_eq!((judged.catalog.deployment.version.as_str(), judged.changed), ("v2", Changed::default()));
        assert!(refused("v1", CATALOG).contains("take another name"));
        assert!(refused("V 2", CATALOG).contains("no name for a version"));
        let other = format!("[pipeline]\nname = \"other\"\n{CATALOG}");
        assert!(refused("v2", &other).contains("is of the deployment other"), "{}", refused("v2", &other));
        let moved = CATALOG.replace("event_time", "topic = \"t\"\nevent_time");
        assert!(refused("v2", &moved).contains("keep its topic"), "{}", refused("v2", &moved));
        // A source that a version had which is retired by now.
        let another = |topic: &str| {
            CATALOG.replacen("[metrics", &format!("[sources.u]\ntopic = \"{topic}\"\nevent_time = \"at\"\n[sources.u.fields]\nat = \"timestamp\"\n[metrics"), 1)
        };
        let retired = [Catalog::parse(&another("a")).expect("a catalog").as_version("v0", "v1", &Changed::default())];
        let judged = |text: &str| {
            let new = Catalog::parse(text).expect("a catalog");
            Judged::of(&deployed(), &retired, "v2", (&new, text), 4).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(judged(&another("a")), Ok(()));
        let why = judged(&another("b")).expect_err("its archive holds records of the other topic");
        assert!(why.contains("source u reads the topic b, and a in version v0"), "{why}");
    }

    #[test]
    fn what_its_host_has_changed_in_place_is_shared_no_more() {
        let text = |least: u8| {
            format!(
                "[sources.s]\nevent_id = \"id\"\nevent_time = \"at\"\nkey = \"id\"\n[sources.s.fields]\nid = \"string\"\nat = \"timestamp\"\nn = \"int\"\n\
                 [streams.few]\nfrom = \"s\"\nwhere = \"n > {least}\"\n"
            )
        };
        let pointer = Pointer::begin("v1", change()).create("v2", "c", Changed::default(), 4, change());
        let pointer = pointer.and_then(|pointer| pointer.replay("v2", ReplayFrom::Log, false, change()));
        let file = Catalog::parse(&text(2)).expect("a catalog");
        let texts = [("v2".to_owned(), text(1))].into();
        let deployed = DeployedVersions::resolve(1, pointer.expect("replayed"), &file, &texts).expect("resolved");
        let generation = |least: u8| {
            let new = Catalog::parse(&text(least)).expect("a catalog");
            let judged = Judged::of(&deployed, &[], "v3", (&new, &text(least)), 4).expect("accepted");
            judged.catalog.deployment.generation("few").to_owned()
        };
        assert_eq!(generation(2), "v1", "its lanes write that");
        assert_eq!(generation(1), "v3", "v2 says that it shares this, and the lanes of v1 write it no more");
    }

    #[test]
    fn what_is_shared_is_judged_anew_if_other_versions_live() {
        let begun = Pointer::begin("v1", change());
        let one = begun.create("v2", "c", Changed::default(), 4, change()).expect("created");
        assert!(is_the_same(&begun, &begun, "v2"));
        assert!(is_the_same(&begun, &one, "v2"), "it was created by the same command");
        assert!(!is_the_same(&begun, &one, "v3"));
        let replayed = one.replay("v2", ReplayFrom::Log, false, change()).expect("replayed");
        assert!(is_the_same(&one, &replayed, "v3"), "how far it has come does not matter");
        let promoted = replayed.promote("v2", None, Vec::new(), change()).expect("promoted");
        assert!(!is_the_same(&one, &promoted, "v3"), "another one is active");
    }
}
