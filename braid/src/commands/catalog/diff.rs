//! `braid catalog diff`: what changing from one catalog to another costs, as far as the two catalogs say.
//!
//! - `streams`: what a change of streams costs;
//! - `tables`: what a change of tables costs;
//! - `reports`: what a change of reports costs;
//! - `alerts`: what a change of alerts means;
//! - `indexes`: what a change of search indexes costs.

mod alerts;
mod indexes;
mod reports;
mod streams;
mod tables;

use shared_logic::catalog::{Catalog, DefinitionHash, KeptBytes, Metric, Source};

use super::{count, of_field, push_line};

/// What changing from `old` to `new` costs, as text for a person.
pub(super) fn costs(old: &Catalog, new: &Catalog) -> String {
    let (was, is) = (&old.deployment, &new.deployment);
    if was.name != is.name {
        return format!(
            "pipeline {} instead of {}: what the topics still hold is archived and counted anew, beside the other\n",
            is.name, was.name
        );
    }
    let (mut text, is_same_version) = (String::new(), was.version == is.version);
    if !is_same_version {
        push_line(
            &mut text,
            &format!("version {} instead of {}: its views stand beside the others", is.version, was.version),
        );
    }
    for source in new.sources.values() {
        match (new.streams.get(&source.name), new.tables.get(&source.name)) {
            (Some(stream), _) => streams::push_stream(&mut text, Some(old).filter(|_| is_same_version), new, stream),
            (None, Some(table)) => tables::push_table(&mut text, old, new, table),
            (None, None) => push_source(&mut text, old.sources.get(&source.name), source),
        }
        for metric in new.metrics_of(&source.name) {
            let before = old.metrics.get(&metric.name).filter(|_| is_same_version);
            let costs = of_metric(new, metric, before.map(|before| old.definition(before)).as_ref());
            push_line(&mut text, &format!("  metric {}: {costs}", metric.name));
        }
    }
    streams::push_gone(&mut text, old, new);
    tables::push_gone(&mut text, old, new);
    let is_gone = |source: &&Source| !source.is_stream && !source.is_table && !new.sources.contains_key(&source.name);
    for source in old.sources.values().filter(is_gone) {
        push_line(&mut text, &format!("source {}: gone; its archive stays as it is", source.name));
    }
    for metric in old.metrics.values().filter(|metric| !new.metrics.contains_key(&metric.name)) {
        push_line(&mut text, &format!("metric {}: gone; its view stays as it is", metric.name));
    }
    reports::push_reports(&mut text, old, new);
    indexes::push_indexes(&mut text, old, new);
    alerts::push_alerts(&mut text, old, new);
    text
}

/// `before` is the definition that the metric's view counts.
fn of_metric(catalog: &Catalog, metric: &Metric, before: Option<&DefinitionHash>) -> &'static str {
    match before {
        Some(before) if *before == catalog.definition(metric) => "counts the same; nothing is rebuilt",
        Some(_) => {
            "counts otherwise; its view is rebuilt from the beginning of the archive, and answers are incomplete until then"
        }
        None => "new; it is counted from the beginning of the archive",
    }
}

fn push_source(text: &mut String, old: Option<&Source>, new: &Source) {
    let name = &new.name;
    let Some(old) = old else {
        push_line(text, &format!("source {name}: new; topic {} is archived", new.topic));
        return;
    };
    if old.topic != new.topic {
        push_line(text, &format!("source {name}: topic {} is read instead of {}", new.topic, old.topic));
    }
    if old.rules() == new.rules() {
        push_line(text, &format!("source {name}: records are decoded as before"));
        return;
    }
    push_line(text, &format!("source {name}: records are decoded otherwise: {}", differences(old, new)));
    push_line(text, &format!("  {}", of_archived_records(old, new)));
}

/// What becomes of the records that were archived under `old`.
fn of_archived_records(old: &Source, new: &Source) -> &'static str {
    match (old.kept_bytes, new.kept_bytes) {
        (KeptBytes::All, _) if new.event_id.is_empty() => "every archived record is decoded again from its bytes, once",
        (KeptBytes::All, _) => "every archived record is decoded and indexed again from its bytes, once",
        (KeptBytes::Rejected, KeptBytes::Rejected) => {
            "bytes of valid records were not kept: the topic is archived again, if it still holds all that is archived; otherwise \
             `batch-layer archive` refuses this catalog"
        }
        (KeptBytes::Rejected, KeptBytes::All) => {
            "bytes of valid records were not kept: answers lack these records (`not_decodable`) until `braid lost accept`; to have \
             the topic archived again, change `raw` only afterwards"
        }
    }
}

/// What differs in how two sources decode, such as `k int → string, k2 int added, event_time`.
fn differences(old: &Source, new: &Source) -> String {
    let mut all = Vec::new();
    for field in &new.fields {
        let (before, now) = (old.field(&field.name), of_field(field));
        match before.map(of_field) {
            None => all.push(format!("{now} added")),
            Some(was) if was != now => all.push(format!("{was} → {now}")),
            // What the summary of a catalog does not show.
            Some(_) if before != Some(field) => all.push(format!("{now} written otherwise")),
            Some(_) => {}
        }
    }
    let gone = old.fields.iter().filter(|field| new.field(&field.name).is_none());
    all.extend(gone.map(|field| format!("{} taken out", field.name)));
    let others = [
        ("format", old.format != new.format),
        ("key", new.is_table && old.key != new.key),
        ("event_id", old.event_id != new.event_id),
        ("event_time", old.event_time != new.event_time),
        ("max_age", old.max_age_us != new.max_age_us),
        ("max_ahead", old.max_ahead_us != new.max_ahead_us),
        ("max_record", old.max_record != new.max_record),
        ("null", old.null != new.null),
        ("time_zone", old.time_zone != new.time_zone),
    ];
    all.extend(others.iter().filter(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned()));
    if all.is_empty() { format!("the order of {}", count(new.fields.len(), "column")) } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"
[sources.views]
event_id = "id"
event_time = "at"
[sources.views.fields]
id = "string"
at = "timestamp"
url = "string"
status = "int"
[sources.clicks]
event_time = "at"
[sources.clicks.fields]
at = "timestamp"
[metrics.views]
source = "views"
by = ["url"]
[metrics.views.measures]
n = "count()"
[metrics.all]
source = "views"
by = []
[metrics.all.measures]
n = "count()"
[metrics.clicks]
source = "clicks"
by = []
[metrics.clicks.measures]
n = "count()"
"#;

    /// The costs of a change of [`OLD`], which replaces texts.
    fn costs_of(changes: &[(&str, &str)]) -> String {
        let mut text = OLD.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "the test replaces nothing: {from}");
            text = text.replacen(from, to, 1);
        }
        let [old, new] = [OLD, text.as_str()].map(|text| Catalog::parse(text).expect("a valid catalog"));
        costs(&old, &new)
    }

    #[test]
    fn the_same_catalog_costs_nothing() {
        let costs = costs_of(&[("by = [\"url\"]", "by = [ \"url\" ] # the same")]);
        assert!(!costs.contains("rebuilt from") && !costs.contains("again"), "{costs}");
        assert_eq!(costs.matches("nothing is rebuilt").count(), 3, "{costs}");
    }

    #[test]
    fn a_metric_that_counts_otherwise_costs_its_view_alone() {
        let costs = costs_of(&[("by = [\"url\"]", "by = [\"url\", \"status\"]")]);
        assert!(costs.contains("  metric views: counts otherwise; its view is rebuilt"), "{costs}");
        assert!(costs.contains("  metric all: counts the same"), "{costs}");
        assert!(costs.contains("source views: records are decoded as before"), "{costs}");
    }

    #[test]
    fn a_source_that_decodes_otherwise_costs_every_view_of_it() {
        let costs = costs_of(&[("status = \"int\"", "status = \"string?\"\ncountry = \"string?\"")]);
        let source =
            "source views: records are decoded otherwise: status int → status string?, country string? added\n";
        assert!(costs.contains(source), "{costs}");
        assert!(costs.contains("every archived record is decoded and indexed again from its bytes"), "{costs}");
        for (metric, counts) in [("views", "otherwise"), ("all", "otherwise"), ("clicks", "the same")] {
            assert!(costs.contains(&format!("  metric {metric}: counts {counts}")), "{costs}");
        }
        let gone = costs_of(&[("status = \"int\"\n", ""), ("event_id = \"id\"\n", "max_age = \"3d\"\n")]);
        assert!(
            gone.contains(": status taken out, event_id, max_age\n  every archived record is decoded again"),
            "{gone}"
        );
    }

    #[test]
    fn a_field_may_be_written_otherwise() {
        let costs = costs_of(&[("url = \"string\"", "url = { type = \"string\", numbers = true }")]);
        assert!(costs.contains("records are decoded otherwise: url string written otherwise\n"), "{costs}");
    }

    #[test]
    fn where_no_bytes_were_kept_the_topic_has_to_hold_the_records() {
        let other = OLD.replacen("status = \"int\"", "status = \"int?\"", 1);
        let without = |text: &str| text.replacen("[sources.views]", "[sources.views]\nraw = \"rejected\"", 1);
        let [old, old_without, new, new_without] = [OLD.to_owned(), without(OLD), other.clone(), without(&other)]
            .map(|text| Catalog::parse(&text).expect("a valid catalog"));
        assert!(costs(&old, &new).contains("again from its bytes"));
        assert!(costs(&old, &new_without).contains("again from its bytes"), "they were kept so far");
        assert!(costs(&old_without, &new_without).contains("the topic is archived again, if it still holds all"));
        assert!(costs(&old_without, &new).contains("(`not_decodable`) until `braid lost accept`"));
        assert!(costs(&old, &old_without).contains("source views: records are decoded as before"), "`raw` is no rule");
    }

    #[test]
    fn what_is_new_or_gone_is_named() {
        let costs = costs_of(&[
            ("[metrics.all]", "[metrics.every]"),
            ("[metrics.all.measures]", "[metrics.every.measures]"),
            ("[sources.clicks]", "[sources.clicks]\ntopic = \"other\""),
        ]);
        assert!(costs.contains("  metric every: new; it is counted from the beginning of the archive\n"), "{costs}");
        assert!(costs.contains("metric all: gone; its view stays"), "{costs}");
        assert!(
            costs.contains(
                "source clicks: topic other is read instead of clicks\nsource clicks: records are decoded as before\n"
            ),
            "{costs}"
        );
        let version = costs_of(&[("\n[sources.views]", "\n[pipeline]\nversion = \"v2\"\n[sources.views]")]);
        assert_eq!(version.matches(": new; it is counted").count(), 3, "{version}");
        let name = costs_of(&[("\n[sources.views]", "\n[pipeline]\nname = \"other\"\n[sources.views]")]);
        assert!(name.starts_with("pipeline other instead of braid: ") && name.lines().count() == 1, "{name}");
    }

    /// [`OLD`] with a stream, and a metric over it.
    const WITH_STREAM: &str = r#"
[streams.good]
from = "views"
where = "status = 200"
[metrics.good]
source = "good"
by = []
[metrics.good.measures]
n = "count()"
"#;

    #[test]
    fn a_stream_that_writes_otherwise_costs_the_views_over_it() {
        let with = |text: &str| Catalog::parse(&(OLD.to_owned() + text)).expect("a valid catalog");
        let (old, none) = (with(WITH_STREAM), with(""));
        let added = costs(&none, &old);
        assert!(added.contains("stream good: new; it is made from views and written to topic good\n"), "{added}");
        assert!(added.contains("  metric good: new;"), "{added}");
        let same = costs(&old, &with(&WITH_STREAM.replace("200", " 200")));
        assert!(same.contains("stream good: writes the same\n  metric good: counts the same"), "{same}");
        let other = costs(
            &old,
            &with(&WITH_STREAM.replace("200", "201").replace("[streams.good]", "[streams.good]\ntopic = \"b\"")),
        );
        assert!(other.contains("stream good: topic b is written instead of good\n"), "{other}");
        assert!(other.contains("stream good: writes otherwise, from where it has come to\n"), "{other}");
        assert!(other.contains("  metric good: counts otherwise; its view is rebuilt"), "{other}");
        assert!(other.contains("source views: records are decoded as before"), "{other}");
        let gone = costs(&old, &none);
        assert!(
            gone.contains("stream good: gone; its topic and its archive stay") && !gone.contains("source good"),
            "{gone}"
        );
        let version = |text: &str| with(&format!("{text}[pipeline]\nversion = \"v2\"\n"));
        assert!(costs(&old, &version(WITH_STREAM)).contains("stream good: new;"));
    }
}
