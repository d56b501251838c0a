use super::*;
use crate::catalog::Catalog;

const CATALOG: &str = r#"
[sources.views]
partitions = 4
event_id = "id"
event_time = "at"
key = "video"
max_age = "400d"
max_ahead = "1h"
start = "earliest"
format = "json"
dedup_window = 1000
[sources.views.fields]
id = "string"
at = "timestamp"
other_at = "timestamp"
video = "string"
status = "int"
url = "string"
[metrics.views]
source = "views"
where = "status = 200"
by = ["video"]
grain = "1m"
[metrics.views.measures]
views = "count()"
total = "sum(status)"
[metrics.views.derived]
ratio = "total / views"
"#;

fn hash_of(text: &str) -> DefinitionHash {
    let catalog = Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
    catalog.definition(&catalog.metrics["views"])
}

#[test]
fn whatever_can_change_a_count_changes_the_hash() {
    let changes = [
        ("event_id = \"id\"\n", ""),
        ("event_id = \"id\"", "event_id = \"url\""),
        ("event_id = \"id\"", "event_id = [\"id\", \"url\"]"),
        ("event_time = \"at\"", "event_time = \"other_at\""),
        ("\"400d\"", "\"399d\""),
        ("\"1h\"", "\"2h\""),
        ("\"1h\"", "\"1h\"\nmax_record = \"2MiB\""),
        ("\"json\"", "\"tsv\""),
        ("1000", "1001"),
        ("url = \"string\"", "url = \"string?\""),
        ("url = \"string\"", "url = \"int\""),
        ("url = \"string\"", "link = \"string\""),
        ("url = \"string\"", "url = \"string\"\nmore = \"int?\""),
        ("where = \"status = 200\"\n", ""),
        ("status = 200", "status <> 200"),
        ("status = 200", "status = 201"),
        ("by = [\"video\"]", "by = []"),
        ("by = [\"video\"]", "by = [\"video\", \"status\"]"),
        ("\"1m\"", "\"2m\""),
        ("total = \"sum(status)\"", "total = \"max(status)\""),
        ("total = \"sum(status)\"", "total = \"sum(status + 1)\""),
        ("total = \"sum(status)\"", "total = \"sum(CAST(status AS DOUBLE))\""),
        ("total = \"sum(status)\"", "total = \"sum(status)\"\nleast = \"min(status)\""),
        ("views = \"count()\"", "clicks = \"count()\""),
    ];
    let mut seen = vec![hash_of(CATALOG)];
    for (old, new) in changes {
        assert!(CATALOG.contains(old), "the test replaces nothing: {old}");
        let text = CATALOG.replacen(old, new, 1).replace("total / views", "total * 2");
        let hash = hash_of(&text);
        assert!(!seen.contains(&hash), "{old} → {new} kept the hash or met another");
        seen.push(hash);
    }
}

#[test]
fn the_plan_version_changes_the_hash() {
    let catalog = Catalog::parse(CATALOG).expect("the catalog is good");
    let (source, metric) = (&catalog.sources["views"], &catalog.metrics["views"]);
    assert_ne!(canonical(source, metric, 1), canonical(source, metric, 2));
}

#[test]
fn columns_have_an_order_and_members_have_none() {
    let swapped = CATALOG.replace("status = \"int\"\nurl = \"string\"", "url = \"string\"\nstatus = \"int\"");
    assert_ne!(swapped, CATALOG);
    assert_eq!(hash_of(&swapped), hash_of(CATALOG));
    let tsv = |text: &str| text.replace("\"json\"", "\"tsv\"");
    assert_ne!(hash_of(&tsv(&swapped)), hash_of(&tsv(CATALOG)));
}

#[test]
fn what_cannot_change_a_count_keeps_the_hash() {
    let changes = [
        ("partitions = 4", "partitions = 8"),
        ("key = \"video\"\n", ""),
        ("\"earliest\"", "\"latest\""),
        ("[sources.views]", "[sources.views]\ntopic = \"elsewhere\""),
        ("[sources.views]", "[sources.views]\nreconcile = \"0 0 * * * *\""),
        ("total / views", "total - views"),
        ("[metrics.views]", "\n# A comment.\n[metrics.views]\n"),
        ("status = 200", "( status=200 ) /* as SQL */"),
        ("\"400d\"", "\"9600h\""),
        ("sum(status)", "SUM( status )"),
        ("count()", "count(*)"),
        ("event_id = \"id\"", "event_id = [\"id\"]"),
        ("\"1h\"", "\"1h\"\nmax_record = \"1MiB\""),
        // Another metric that groups by another text.
        (
            "[metrics.views]",
            "[metrics.a]\nsource = \"views\"\nby = [\"url\"]\nmeasures = {n = \"count()\"}\n[metrics.views]",
        ),
    ];
    for (old, new) in changes {
        assert!(CATALOG.contains(old), "the test replaces nothing: {old}");
        assert_eq!(hash_of(&CATALOG.replacen(old, new, 1)), hash_of(CATALOG), "{old} → {new}");
    }
}

#[test]
fn a_hash_is_read_back() {
    let hash = hash_of(CATALOG);
    assert_eq!(hash.as_str().len(), 16);
    assert_eq!(hash.to_string().parse(), Ok(hash.clone()));
    let json = serde_json::to_string(&hash).expect("a hash is a string");
    assert_eq!(json, format!("\"{hash}\""));
    assert_eq!(serde_json::from_str::<DefinitionHash>(&json).expect("it was just written"), hash);
    assert!("0123456789ABCDEF".parse::<DefinitionHash>().is_err());
    assert!("0123".parse::<DefinitionHash>().is_err());
    assert!(serde_json::from_str::<DefinitionHash>("\"v1\"").is_err());
}

/// Views were built under this text. A change of it must raise the plan version.
#[test]
fn the_hash_of_a_definition_stays() {
    assert_eq!(hash_of(CATALOG).as_str(), "998326572d07318f");
}
