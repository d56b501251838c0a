//! What pages for readers say holds: examples of catalogs are valid, and figures are those of the README.

use shared_logic::catalog::{Catalog, StreamKind, TableFormat};

const CHOOSING: &str = include_str!("../../../docs/choosing.md");
/// Its table is called like one of the shipped catalog, so it is read beside a source alone.
const EXAMPLES_PAGE: &str = include_str!("../../../docs/examples/README.md");
const SOURCE: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n";
const README: &str = include_str!("../../../README.md");
const SHIPPED: &str = include_str!("../../../catalog.toml");
const OF_MANIFESTS: &str = include_str!("../../../deploy/kubernetes/base/catalog.toml");
/// The use cases that the page goes through, and how many of them have an example.
const EXAMPLES: usize = 10;

/// The examples of a page, each below the title of its section.
fn examples(page: &'static str) -> Vec<(&'static str, &'static str)> {
    page.split("\n### ").skip(1).flat_map(of_section).collect()
}

fn of_section(section: &'static str) -> Vec<(&'static str, &'static str)> {
    let title = section.lines().next().unwrap_or_default();
    let blocks = section.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    blocks.map(|(block, _)| (title, block)).collect()
}

#[test]
fn each_example_can_be_added_to_the_shipped_catalog() {
    let examples = examples(CHOOSING);
    assert_eq!(examples.len(), EXAMPLES, "{:?}", examples.iter().map(|(title, _)| title).collect::<Vec<_>>());
    for (title, example) in examples {
        if let Err(mistakes) = Catalog::parse(&format!("{SHIPPED}\n{example}\n")) {
            panic!("{title}: {mistakes:?}");
        }
    }
}

#[test]
fn the_catalog_of_the_manifests_is_valid() {
    if let Err(mistakes) = Catalog::parse(OF_MANIFESTS) {
        panic!("{mistakes:?}");
    }
}

#[test]
fn a_table_that_follows_a_database_is_read() {
    let examples: Vec<&str> =
        EXAMPLES_PAGE.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0)).collect();
    assert_eq!(examples.len(), 1);
    let catalog = Catalog::parse(&format!("{SOURCE}{}\n", examples[0])).expect("valid");
    assert_eq!(catalog.tables["users"].format, TableFormat::Debezium);
}

#[test]
fn attribution_looks_the_last_click_up() {
    let (_, example) = examples(CHOOSING).pop().expect("the last one");
    let catalog = Catalog::parse(&format!("{SHIPPED}\n{example}\n")).expect("valid");
    assert_eq!(catalog.tables["last_click"].key, "user_id");
    let StreamKind::Map(map) = &catalog.streams["attributed"].kind else { panic!("a map") };
    let looked: Vec<(&str, &str, bool)> =
        map.lookups.iter().map(|lookup| (lookup.table.as_str(), lookup.on.as_str(), lookup.require)).collect();
    assert_eq!(looked, [("last_click", "user_id", false)]);
    assert_eq!(map.lookups[0].take, ["campaign", "clicked_at"]);
    assert_eq!(catalog.metrics["attributed_revenue"].by, ["campaign"]);
    let written = &catalog.sources["attributed"];
    assert!(written.field("last_click_seen").is_some(), "it says as of which changes");
    assert!(written.field("campaign").is_some_and(|field| field.optional), "a user may have clicked nothing");
}

/// Figures stand in bold; whole sentences do, too.
#[test]
fn measured_figures_are_those_of_the_readme() {
    let bold: Vec<&str> = CHOOSING.split("**").skip(1).step_by(2).collect();
    let figures: Vec<&&str> =
        bold.iter().filter(|text| text.starts_with(|letter: char| letter.is_ascii_digit())).collect();
    assert!(figures.len() >= 8, "{bold:?}");
    let rows = README.split("\n## ").find(|section| section.starts_with("Figures")).expect("a section");
    for figure in figures {
        assert!(rows.contains(*figure), "the README has no figure {figure:?}");
    }
}
