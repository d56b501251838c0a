mod alerts;
mod indexes;
mod lookups;
mod places;
mod reports;
mod streams;
mod tables;
mod written;

use super::super::{Catalog, Mistake, Start};
use crate::format::Format;
use crate::measure::MeasureKind;
use crate::schema::{FieldType, Place};
use crate::time::{DAY_US, HOUR_US};

/// A catalog without mistakes; each broken one below changes one of its lines.
const GOOD: &str = r#"[pipeline]
name = "braid"
version = "v1"
[schedule]
reconcile = "0 */10 * * * *"
time_zone = "UTC"
[sources.views]
topic = "views"
event_id = "event_id"
event_time = "occurred_at"
key = "video_id"
max_age = "400d"
[sources.views.fields]
event_id = "string"
occurred_at = "timestamp"
video_id = "string"
status = "int"
dwell_ms = "int?"
weight = "float"
live = "bool"
note = "string?"
[metrics.views]
source = "views"
where = "status = 200"
by = ["video_id"]
grain = "1m"
[metrics.views.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
[metrics.views.derived]
avg_dwell_ms = "dwell_ms / views"
"#;

fn mistakes(text: &str) -> Vec<Mistake> {
    Catalog::parse(text).err().unwrap_or_default()
}

/// Expects one mistake of a catalog that holds `new`: what the line there holds, words of what, and words of the fix.
fn expect_one_mistake(text: &str, new: &str, line: &str, what: &str, fix: &str) {
    let found = mistakes(text);
    assert_eq!(found.len(), 1, "{new}: {found:?}");
    let mistake = &found[0];
    let at = text.lines().nth(mistake.line - 1).unwrap_or_default();
    assert!(at.contains(line), "{new}: {mistake} is reported at {at}");
    assert!(mistake.what.contains(what), "{new}: {mistake}");
    assert!(mistake.fix.contains(fix), "{new}: {mistake}");
}

#[test]
fn the_shipped_catalog_is_read() {
    let catalog =
        Catalog::parse(include_str!("../../../../catalog.toml")).expect("the shipped catalog has no mistakes");
    let views = &catalog.sources["views"];
    assert_eq!((views.max_age_us, views.max_ahead_us), (400 * DAY_US, HOUR_US));
    assert_eq!((views.partitions, views.dedup_window, views.start), (4, 500_000, Start::Earliest));
    assert_eq!((views.event_id.as_slice(), views.max_record), (["event_id".to_owned()].as_slice(), 1 << 20));
    let dwell = views.field("dwell_ms").expect("it is declared");
    assert!(dwell.optional && dwell.kind == FieldType::Int);

    let log = &catalog.sources["access_log"];
    assert_eq!((log.format, log.event_id.len(), log.key.as_deref()), (Format::Tsv, 0, Some("url")));
    let columns: Vec<&str> = log.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(columns, ["timestamp", "user_id", "url", "status"]);

    let metric = &catalog.metrics["views"];
    let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
    assert_eq!(kinds, [MeasureKind::Count, MeasureKind::SumInt]);
    assert_eq!((metric.grain_us, metric.by.as_slice()), (60_000_000, ["video_id".to_owned()].as_slice()));
    assert_eq!(catalog.metrics_of("access_log").count(), 2);
    let streams: Vec<(&str, &str)> =
        catalog.streams.values().map(|stream| (stream.name.as_str(), stream.from.as_str())).collect();
    assert_eq!(streams, [("fraud_alerts", "transactions"), ("revenue_5m", "orders"), ("visits", "clicks")]);
    assert_eq!((catalog.inputs().count(), catalog.sources.len()), (6, 9));
    let reports: Vec<(&str, &str, usize)> = catalog
        .reports
        .values()
        .map(|report| (report.name.as_str(), report.metric.as_str(), report.join.len()))
        .collect();
    assert_eq!(reports, [("engagement", "engagement", 1), ("revenue", "revenue", 0)]);
    assert_eq!(catalog.tables["users"].key, "user_id");
    assert_eq!((catalog.indexes["users"].id.as_str(), catalog.indexes["users"].fields.len()), ("user_id", 4));
    assert!(catalog.input("visits").is_err_and(|error| error.to_string().contains("are made from those of `clicks`")));
    assert!(catalog.input("clicks").is_ok() && catalog.input("click").is_err());
}

#[test]
fn sections_have_defaults() {
    let text = "[sources.s]\nevent_time = \"t\"\nfields = { t = \"timestamp\" }\n\
                [metrics.m]\nsource = \"s\"\nmeasures = { n = \"count()\" }\n";
    let catalog = Catalog::parse(text).expect("nothing else is needed");
    assert_eq!((catalog.deployment.name.as_str(), catalog.deployment.version.as_str()), ("braid", "v1"));
    assert_eq!(
        (catalog.schedule.reconcile.to_string(), catalog.schedule.time_zone.name()),
        ("0 */10 * * * *".to_owned(), "UTC")
    );
    assert_eq!((catalog.sources["s"].topic.as_str(), catalog.sources["s"].partitions), ("s", 4));
    assert_eq!((catalog.metrics["m"].grain_us, catalog.metrics["m"].by.len()), (60_000_000, 0));
}

#[test]
fn a_source_has_its_own_schedule_or_the_catalogs() {
    let mut catalog = Catalog::parse(GOOD).expect("valid");
    let of = |catalog: &Catalog| catalog.reconciles(&catalog.sources["views"]).to_string();
    assert_eq!(of(&catalog), "0 */10 * * * *");
    let own = GOOD.replacen("topic = \"views\"", "reconcile = \"0 30 2 * * *\"", 1);
    let with_its_own = Catalog::parse(&own).expect("valid");
    assert_eq!(
        (of(&with_its_own), with_its_own.schedule.reconcile.to_string()),
        ("0 30 2 * * *".to_owned(), of(&catalog))
    );
    for mut catalog in [with_its_own, catalog.clone()] {
        catalog.reconcile_all_by("*/15 * * * * *".parse().expect("a cron expression"));
        assert_eq!(of(&catalog), "*/15 * * * * *");
    }
    catalog.schedule.reconcile = "0 0 * * * *".parse().expect("a cron expression");
    assert_eq!(of(&catalog), "0 0 * * * *");
}

#[test]
fn a_build_that_does_not_read_a_format_says_how_to_get_one_that_does() {
    for name in Format::OF_A_REGISTRY {
        let text = GOOD.replacen("topic = \"views\"", &format!("format = \"{name}\""), 1);
        match Catalog::parse(&text) {
            Ok(catalog) => assert_eq!(catalog.sources["views"].format.name(), name),
            Err(mistakes) => {
                assert!(!cfg!(feature = "registry") && mistakes.len() == 1, "{mistakes:?}");
                assert!(
                    mistakes[0].to_string().contains("does not read") && mistakes[0].fix.contains("features registry")
                );
            }
        }
    }
}

/// Replaces the first `old` by `new` and expects exactly one mistake: its line, words of what, words of the fix.
#[test]
fn a_broken_line_is_named_with_what_to_write_instead() {
    let table: &[(&str, &str, usize, &str, &str)] = &[
        // The document.
        ("topic = \"views\"", "topic = views", 8, "not TOML", "mend this first"),
        ("topic = \"views\"", "topic = \"views\"\ntopic = \"b\"", 9, "not TOML: duplicate key", "mend"),
        ("[pipeline]", "[pipline]", 1, "unknown key `pipline` in the catalog", "did you mean `pipeline`?"),
        ("topic = \"views\"", "topci = \"views\"", 8, "unknown key `topci` in [sources.views]", "`topic`"),
        ("grain = \"1m\"", "colour = \"red\"", 26, "unknown key `colour`", "keys are source, where, by, grain"),
        ("topic = \"views\"", "topic = 3", 8, "`topic` is an integer, not a string", "write topic = \"…\""),
        ("by = [\"video_id\"]", "by = \"video_id\"", 25, "`by` holds a string, not a list", "by = ["),
        ("by = [\"video_id\"]", "by = [7]", 25, "`by` holds an integer", "by = ["),
        // Deployment and schedule.
        ("name = \"braid\"", "name = \"My Braid\"", 2, "`name` is \"My Braid\"", "a-z, 0-9, _ and -"),
        ("\"0 */10 * * * *\"", "\"*/10 * * * *\"", 5, "five fields and no seconds", "0 */10 * * * *"),
        ("\"0 */10 * * * *\"", "\"0 0 25 * * *\"", 5, "no cron expression", "write second, minute"),
        ("\"0 */10 * * * *\"", "\"0 0 0 30 2 *\"", 5, "\"0 0 0 30 2 *\", which names no moment", "some month has"),
        ("\"UTC\"", "\"Mars/Olympus\"", 6, "no IANA time zone", "Europe/Berlin"),
        // Sources.
        ("topic = \"views\"", "topic = \"a b\"", 8, "which Kafka does not take", "249"),
        ("topic = \"views\"", "partitions = 0", 8, "`partitions` is 0", "from 1 to 10000"),
        ("topic = \"views\"", "start = \"middle\"", 8, "`start` is \"middle\"", "\"earliest\" or \"latest\""),
        ("topic = \"views\"", "format = \"xml\"", 8, "`format` is \"xml\"", "\"json\" or \"tsv\" or \"csv\""),
        ("topic = \"views\"", "null = [\"-\"]", 8, "the format is json", "a member that is left out"),
        ("topic = \"views\"", "format = \"tsv\"\nnull = []", 9, "`null` names no text", "null = [\"\"]"),
        ("topic = \"views\"", "format = \"csv\"\nnull = \"-\"", 9, "`null` holds a string", "null = ["),
        ("topic = \"views\"", "time_zone = \"Berlin\"", 8, "no IANA time zone", "Europe/Berlin"),
        ("topic = \"views\"", "reconcile = \"@often\"", 8, "`reconcile` is \"@often\"", "write second, minute"),
        ("topic = \"views\"", "reconcile = \"*/5 * * * *\"", 8, "five fields and no seconds", "write second"),
        ("topic = \"views\"", "reconcile = 10", 8, "`reconcile` is an integer, not a string", "write reconcile ="),
        ("topic = \"views\"", "dedup_window = -1", 8, "`dedup_window` is -1", "from 0"),
        ("\"400d\"", "\"400 days\"", 12, "`max_age` is \"400 days\"", "\"400d\""),
        ("event_time = \"occurred_at\"\n", "", 7, "[sources.views] has no `event_time`", "add event_time = "),
        ("\"occurred_at\"", "\"occured_at\"", 10, "undeclared field `occured_at`", "did you mean `occurred_at`?"),
        ("\"occurred_at\"", "\"status\"", 10, "`status`, which is int, not timestamp", "of type timestamp"),
        ("\"timestamp\"", "\"timestamp?\"", 10, "may be absent", "occurred_at = \"timestamp\" without"),
        ("event_id = \"event_id\"", "event_id = \"weight\"", 9, "float, not string or int", "string or int"),
        ("event_id = \"event_id\"", "event_id = \"dwell_ms\"", 9, "may be absent", "without \"?\""),
        ("event_id = \"event_id\"", "event_id = 7", 9, "`event_id` is an integer, not a string", "write event_id ="),
        ("event_id = \"event_id\"", "event_id = []", 9, "`event_id` is an empty list", "leave the key out"),
        ("event_id = \"event_id\"", "event_id = [\"event_id\", 7]", 9, "`event_id` holds an integer", "[\"…\""),
        ("event_id = \"event_id\"", "event_id = [\"status\", \"status\"]", 9, "names `status` twice", "once"),
        (
            "event_id = \"event_id\"",
            "event_id = [\"status\", \"evnt_id\"]",
            9,
            "undeclared",
            "did you mean `event_id`?",
        ),
        ("event_id = \"event_id\"", "event_id = [\"status\", \"note\"]", 9, "may be absent", "without \"?\""),
        ("topic = \"views\"", "max_record = \"1MB\"", 8, "`max_record` is \"1MB\"", "from 1KiB to 1GiB"),
        ("topic = \"views\"", "max_record = \"1023B\"", 8, "`max_record` is \"1023B\"", "\"512KiB\""),
        ("topic = \"views\"", "max_record = \"17179869185GiB\"", 8, "`max_record` is", "1GiB"),
        ("topic = \"views\"", "max_record = \"1024\"", 8, "`max_record` is \"1024\"", "1MiB"),
        ("key = \"video_id\"", "key = \"video\"", 11, "`key` names the undeclared field `video`", "fields are"),
        ("dwell_ms = \"int?\"", "dwell_ms = \"integer\"", 18, "unknown type \"integer\"", "write \"int\""),
        ("dwell_ms = \"int?\"", "dwell_ms = \"flaot?\"", 18, "unknown type \"flaot\"", "did you mean `float`?"),
        (
            "weight = \"float\"",
            "_weight = \"float\"",
            19,
            "begins with _",
            "weight = { type = \"…\", path = \"_weight\" }",
        ),
        ("weight = \"float\"", "\"@at\" = \"float\"", 19, "`@at` is no name", "at = { type = \"…\", path = \"@at\" }"),
        (
            "weight = \"float\"",
            "\"foo-a.b\" = \"float\"",
            19,
            "`foo-a.b` is no name",
            "foo_a_b = { type = \"…\", path = [\"foo-a.b\"] }, or path",
        ),
        (
            "weight = \"float\"",
            "user.id = \"float\"",
            19,
            "`user.id` is no name for a field",
            "path = [\"user.id\"] }, or path = \"user.id\"",
        ),
        (
            "weight = \"float\"",
            "weight = { type = \"float\", path = \"a..b\" }",
            19,
            "`path` is \"a..b\"",
            "\"items[0].sku\"",
        ),
        (
            "weight = \"float\"",
            "weight = { type = \"float\", path = \"a[+1]\" }",
            19,
            "`path` is \"a[+1]\"",
            "from 0 to 999",
        ),
        ("weight = \"float\"", "weight = { type = \"float\", path = \"a[1000]\" }", 19, "`path` is", "from 0 to 999"),
        ("weight = \"float\"", "weight = { type = \"float\", path = [] }", 19, "a list of 0 steps", "1 to 32 steps"),
        (
            "weight = \"float\"",
            "weight = { type = \"float\", numbers = true }",
            19,
            "`numbers` is for strings",
            "leave numbers out",
        ),
        ("weight = \"float\"", "\"a b\" = \"float\"", 19, "`a b` is no name for a field", "letters, digits"),
        ("weight = \"float\"", "Status = \"float\"", 19, "`status` and `Status` differ in case only", "otherwise"),
        (
            "[metrics.views]",
            "[sources.copy]\ntopic = \"views\"\nevent_time = \"t\"\nfields = {t = \"timestamp\"}\n[metrics.views]",
            23,
            "sources `views` and `copy` share the topic `views`",
            "another topic",
        ),
        (
            "[metrics.views]",
            "[sources.BAD]\nevent_time = \"t\"\nfields = {t = \"timestamp\"}\n[metrics.views]",
            22,
            "`BAD` is no name for a source",
            "a-z, 0-9 and _",
        ),
        (
            "[metrics.views]",
            "[sources.bare]\nevent_time = \"t\"\n[metrics.views]",
            22,
            "[sources.bare] declares no fields",
            "add [sources.bare.fields]",
        ),
        // Metrics.
        ("source = \"views\"", "source = \"view\"", 23, "unknown source `view`", "did you mean `views`?"),
        ("source = \"views\"\n", "", 22, "[metrics.views] has no `source`", "add source = \"views\""),
        ("where = \"status = 200\"", "where = \"statsu = 200\"", 24, "unknown field `statsu`", "`status`"),
        ("where = \"status = 200\"", "where = \"status\"", 24, "`where` is int, not a condition", "comparison"),
        ("where = \"status = 200\"", "where = \"status =\"", 24, "is not an expression", "write SQL such as"),
        ("by = [\"video_id\"]", "by = [\"video\"]", 25, "undeclared field `video`", "fields are"),
        ("by = [\"video_id\"]", "by = [\"video_id\", \"video_id\"]", 25, "twice", "once"),
        ("by = [\"video_id\"]", "by = [\"weight\"]", 25, "which is float", "string, int, bool or timestamp"),
        ("\"1m\"", "\"7m\"", 26, "`grain` is \"7m\"", "\"15m\""),
        ("\"1m\"", "\"500ms\"", 26, "below a second", "\"10s\""),
        ("views = \"count()\"", "Views = \"count()\"", 28, "`Views` is no name for a measure", "a-z"),
        ("views = \"count()\"", "views = \"counts()\"", 28, "`counts` is not an aggregation", "count()"),
        ("views = \"count()\"", "views = \"count(1)\"", 28, "names no field", "write count()"),
        ("dwell_ms = \"sum(dwell_ms)\"", "dwell_ms = \"avg(note)\"", 29, "`avg` wants int or float", "avg(…)"),
        ("views = \"count()\"", "bucket = \"count()\"", 28, "called like another column", "otherwise"),
        (
            "views = \"count()\"",
            "views = \"sum(live)\"",
            28,
            "`sum` wants int or float, but `live` is bool",
            "CASE WHEN",
        ),
        ("dwell_ms = \"sum(dwell_ms)\"", "dwell_ms = \"sum(1)\"", 29, "names no field", "count()"),
        ("avg_dwell_ms = \"dwell_ms", "views = \"dwell_ms", 31, "called like a measure", "otherwise"),
        ("\"dwell_ms / views\"", "\"dwell / views\"", 31, "unknown measure `dwell`", "measures are views, dwell_ms"),
        ("\"dwell_ms / views\"", "\"sum(dwell_ms) / views\"", 31, "`sum` is an aggregate", "declare it as a measure"),
        ("\"dwell_ms / views\"", "\"dwell_ms > views\"", 31, "is bool, not a number", "calculation"),
    ];
    for (old, new, line, what, fix) in table {
        assert!(GOOD.contains(old), "the test replaces nothing: {old}");
        let mut text = GOOD.replacen(old, new, 1);
        // What hangs on the replaced name must not make a second mistake.
        if *new == "Views = \"count()\"" || new.starts_with("bucket") || new.starts_with("views = \"dwell_ms") {
            text = text.replace("/ views", "/ dwell_ms");
        }
        let found = mistakes(&text);
        assert_eq!(found.len(), 1, "{new}: {found:?}");
        let mistake = &found[0];
        assert_eq!(mistake.line, *line, "{new}: {mistake}");
        assert!(mistake.what.contains(what), "{new}: {mistake}");
        assert!(mistake.fix.contains(fix), "{new}: {mistake}");
    }
}

#[test]
fn a_parameter_of_queries_is_no_group_key() {
    for name in ["from", "to", "step", "require", "measure", "limit", "metric", "key", "version"] {
        let text = GOOD.replace("video_id", name).replace("key = \"key\"", "key = \"event_id\"");
        let text = if name == "key" { text.replacen("key = \"event_id\"\n", "", 1) } else { text };
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.what.contains("is a parameter of queries")), "{name}: {found:?}");
    }
}

#[test]
fn the_fix_for_a_parameter_of_queries_is_another_name() {
    let fix = |text: &str| {
        let found = mistakes(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].fix.clone()
    };
    let by_to = GOOD.replace("by = [\"video_id\"]", "by = [\"to\"]").replace("note = \"string?\"", "to = \"int?\"");
    assert!(fix(&by_to).contains("event_to = { type = \"int?\", path = \"to\" }"), "{}", fix(&by_to));
    let by_bucket = by_to.replace("\"to\"", "\"Bucket\"").replace("to = ", "Bucket = ");
    assert!(fix(&by_bucket).contains("path = \"Bucket\""), "{}", fix(&by_bucket));
    // A column has the name that a header gives it.
    let line = by_to.replace("topic = \"views\"", "format = \"tsv\"");
    assert!(fix(&line).contains("event_to = { type = \"int?\", path = \"to\" }"), "{}", fix(&line));
    let nested = by_to.replace("to = \"int?\"", "to = { type = \"int?\", path = \"span.to\" }");
    assert!(fix(&nested).contains("such as event_to, and leave its path as it is"), "{}", fix(&nested));
}

#[test]
fn optional_fields_are_group_keys() {
    let catalog = Catalog::parse(
        &GOOD
            .replace("by = [\"video_id\"]", "by = [\"note\", \"dwell_ms\"]")
            .replace("dwell_ms = \"sum(dwell_ms)\"", "dwell = \"sum(dwell_ms)\"")
            .replace("\"dwell_ms / views\"", "\"dwell / views\""),
    );
    assert_eq!(catalog.expect("no mistake").metrics["views"].by, ["note", "dwell_ms"]);
}

#[test]
fn an_event_may_be_identified_by_several_fields() {
    let ids = |event_id: &str| {
        let text = GOOD.replace("event_id = \"event_id\"\nevent_time", &format!("event_id = {event_id}\nevent_time"));
        Catalog::parse(&text).map(|catalog| catalog.sources["views"].event_id.clone())
    };
    assert_eq!(ids(r#"["status", "event_id"]"#), Ok(vec!["status".to_owned(), "event_id".to_owned()]));
    assert_eq!(ids(r#"["event_id"]"#), ids(r#""event_id""#));
    let five = ids(r#"["status", "event_id", "video_id", "a", "b"]"#).expect_err("five are too many");
    assert!(five.iter().any(|mistake| mistake.what.contains("has 5 fields, at most 4")), "{five:?}");
}

#[test]
fn every_mistake_is_reported_at_once_and_in_order() {
    let text = GOOD
        .replace("version = \"v1\"", "version = \"V 1\"")
        .replace("400d", "long")
        .replace("status = 200", "sttaus = 200")
        .replace("\"1m\"", "\"1w\"")
        .replace("sum(dwell_ms)", "mean(dwell_ms)");
    let lines: Vec<usize> = mistakes(&text).iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [3, 12, 24, 26, 29]);
}

#[test]
fn a_mistaken_field_does_not_blame_the_expressions_that_use_it() {
    let found = mistakes(&GOOD.replace("status = \"int\"", "status = \"nonsense\""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].to_string().starts_with("line 17: field `status` has the unknown type"), "{}", found[0]);
}

/// Found by the fuzz target `catalog`: a cron parser's drawing, and what a file quotes.
#[test]
fn a_mistake_is_one_line() {
    let broken = [
        ("0 */10 * * * *", "*!/15 * * * * *"),
        ("key = \"video_id\"", "\"a\\nb\" = 1"),
        ("\"400d\"", "\"4\\u001b[2J\""),
        ("\"400d\"", "\"4"),
        ("status = 200", "status = '\\n' '"),
    ];
    for (old, new) in broken {
        assert!(GOOD.contains(old), "the test replaces nothing: {old}");
        let found = mistakes(&GOOD.replacen(old, new, 1));
        assert!(!found.is_empty(), "{new}");
        for mistake in found {
            assert!(!mistake.to_string().contains(char::is_control), "{new}: {mistake:?}");
        }
    }
}

#[test]
fn nothing_is_no_catalog() {
    let found = mistakes("");
    assert_eq!((found.len(), found[0].line), (1, 1));
    assert!(found[0].what.contains("declares no source"));
}

#[test]
fn too_many_group_columns_are_refused() {
    let text =
        GOOD.replace("by = [\"video_id\"]", "by = [\"video_id\", \"event_id\", \"status\", \"live\", \"occurred_at\"]");
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("`by` has 5 columns"));
}

#[test]
fn days_may_be_retained_for_as_long_as_an_event_may_be_late() {
    let with = |source: &str, metric: &str| {
        let source = format!("max_age = \"400d\"\n{source}");
        GOOD.replace("max_age = \"400d\"", &source).replace("grain = \"1m\"", &format!("grain = \"1m\"\n{metric}"))
    };
    let catalog = Catalog::parse(&with("retain = \"401d\"", "retain = \"36h\"")).expect("a valid catalog");
    assert_eq!(catalog.sources["views"].retain_us, Some(401 * DAY_US));
    assert_eq!(catalog.metrics["views"].retain_us, Some(36 * HOUR_US));
    let good = Catalog::parse(GOOD).expect("a valid catalog");
    assert_eq!((good.sources["views"].retain_us, good.metrics["views"].retain_us), (None, None), "for good");
    let definition = |catalog: &Catalog| catalog.definition(&catalog.metrics["views"]);
    assert_eq!(definition(&catalog), definition(&good), "it changes no count");

    let found = mistakes(&with("retain = \"399d\"", "retain = \"23h\""));
    let said: Vec<&str> = found.iter().map(|mistake| mistake.what.as_str()).collect();
    assert_eq!(said, ["`retain` is \"399d\"", "`retain` is \"23h\""]);
    assert!(
        found[0].fix.starts_with("write a duration from 400d to 36525d: it is at least `max_age`"),
        "{}",
        found[0].fix
    );
    assert_eq!(mistakes(&with("retain = \"36526d\"", "retain = 400")).len(), 2);
}

#[test]
fn tables_are_maintained_by_schedule_only_if_the_catalog_names_one() {
    let with = |maintain: &str| {
        GOOD.replace("time_zone = \"UTC\"", &format!("time_zone = \"UTC\"\nmaintain = \"{maintain}\""))
    };
    assert_eq!(Catalog::parse(GOOD).expect("a valid catalog").schedule.maintain, None);
    let catalog = Catalog::parse(&with("0 30 3 * * *")).expect("a valid catalog");
    let nightly: crate::catalog::Cron = "0 30 3 * * *".parse().expect("a schedule");
    assert_eq!(catalog.schedule.maintain, Some(nightly));
    let found = mistakes(&with("at night"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.starts_with("`maintain` is \"at night\""), "{}", found[0].what);
}
