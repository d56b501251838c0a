//! Whatever a stream is made of, its canonical text is read back as the same stream.

use proptest::prelude::*;

use super::*;
use crate::catalog::{Derived, Measure};

const CONDITIONS: [&str; 4] =
    ["amount > 0", "merchant IS NULL OR amount = 1", "NOT (lat < lon)", "at >= '2026-01-31T00:00:00Z'"];
const MEASURES: [&str; 9] = [
    "count()",
    "count(merchant)",
    "count(amount > 1)",
    "sum(amount)",
    "sum(CASE WHEN amount > 1 THEN 1 ELSE 0 END)",
    "avg(amount * 2)",
    "avg(length(user_id))",
    "min(lat + 1)",
    "max(length(merchant))",
];
const DERIVED: [&str; 3] = ["m0 / 2", "coalesce(m0, 0) + 1", "CASE WHEN m0 > 1 THEN m0 END"];
const RULES: [&str; 6] = [
    "history_count('90s') >= 5",
    "history_count() > 1 AND history_sum(amount, '10m') > 100",
    "previous(merchant) <> merchant",
    "distance_km(previous(lat), previous(lon), lat, lon) > 5000 AND seconds_between(previous(at), at) < 3600",
    "amount > 10 * coalesce(history_avg(amount * 2 + lat), 1)",
    "history_max(length(merchant)) - history_min(length(merchant), '1h') > 3",
];
const FIELDS: [&str; 5] =
    ["user_id", "lower(merchant)", "amount * 2", "coalesce(merchant, '-')", "seconds_between(at, at)"];

fn numbered(prefix: &str, texts: &[&str]) -> String {
    texts.iter().enumerate().map(|(at, text)| format!("{prefix}{at} = \"{text}\"\n")).collect()
}

/// `measures` and `derived` of windows and sessions.
fn aggregates() -> impl Strategy<Value = String> {
    let measures = prop::sample::subsequence(MEASURES.to_vec(), 1..=4).prop_shuffle();
    let derived = prop::sample::subsequence(DERIVED.to_vec(), 0..=3);
    (measures, derived).prop_map(|(measures, derived)| {
        let (measures, derived) = (numbered("m", &measures), numbered("d", &derived));
        format!("[streams.s.measures]\n{measures}[streams.s.derived]\n{derived}")
    })
}

/// The lines of a stream below `from` and `where`.
fn lines() -> impl Strategy<Value = String> {
    let window = (1..10_i64, 1..10_i64, 0..10_i64, aggregates()).prop_map(|(parts, slide, offset, aggregates)| {
        let (size, offset) = (parts * slide, offset.min(slide - 1));
        format!("by = [\"user_id\", \"merchant\"]\nwindow = \"{size}s\"\nslide = \"{slide}s\"\noffset = \"{offset}s\"\n{aggregates}")
    });
    let longest = prop::sample::select(vec!["", "longest = \"12h\"\n", "longest = \"7d\"\n"]);
    let session = (1..1_000_i64, longest, aggregates()).prop_map(|(gap, longest, aggregates)| {
        format!("by = [\"user_id\"]\nsession = \"{gap}s\"\nlateness = \"{gap}ms\"\n{longest}{aggregates}")
    });
    let rules = prop::sample::subsequence(RULES.to_vec(), 1..=4).prop_shuffle();
    let detect = (rules, 1..1_000_i64).prop_map(|(rules, most)| {
        let rules = numbered("r", &rules);
        format!("key = \"user_id\"\nhistory = \"2h\"\nhistory_max = {most}\n[streams.s.detect]\n{rules}")
    });
    let fields = prop::sample::subsequence(FIELDS.to_vec(), 1..=5).prop_shuffle();
    let map = fields.prop_map(|fields| format!("[streams.s.fields]\n{}", numbered("f", &fields)));
    prop_oneof![window, session, detect, map]
}

/// A stream as a catalog has it, in canonical texts.
fn written(stream: &Stream) -> String {
    let quoted = |text: &str| format!("'''{text}'''");
    let filter = stream.filter.as_ref().map(|filter| format!("where = {}\n", quoted(&filter.to_string())));
    let head = format!("[streams.s]\nfrom = \"{}\"\n{}", stream.from, filter.unwrap_or_default());
    let aggregates = |measures: &[Measure], derived: &[Derived]| {
        let measure = |measure: &Measure| {
            let of = measure.of.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} = {}\n", measure.name, quoted(&format!("{}({of})", measure.kind.name())))
        };
        let measures: String = measures.iter().map(measure).collect();
        let derived = derived.iter().map(|derived| format!("{} = {}\n", derived.name, quoted(&derived.of.to_string())));
        format!("[streams.s.measures]\n{measures}[streams.s.derived]\n{}", derived.collect::<String>())
    };
    let late = format!("lateness = \"{}us\"\n", stream.lateness_us);
    let rest = match &stream.kind {
        StreamKind::Window(Window { by, size_us, slide_us, offset_us, measures, derived }) => {
            let times = format!("window = \"{size_us}us\"\nslide = \"{slide_us}us\"\noffset = \"{offset_us}us\"\n");
            format!("by = {by:?}\n{times}{late}{}", aggregates(measures, derived))
        }
        StreamKind::Session(Session { by, gap_us, longest_us, measures, derived }) => {
            let longest = longest_us.map(|us| format!("longest = \"{us}us\"\n")).unwrap_or_default();
            format!("by = {by:?}\nsession = \"{gap_us}us\"\n{longest}{late}{}", aggregates(measures, derived))
        }
        StreamKind::Detect(Detect { key, history_us, history_max, rejudge_max, rules }) => {
            let limits = format!("history_max = {history_max}\nrejudge_max = {rejudge_max}\n");
            let rules = rules.iter().map(|rule| {
                let mut condition = rule.condition.to_string();
                for look in &rule.looks {
                    let column = format!("\"{}\"", look.column.replace('"', "\"\""));
                    condition = condition.replace(&column, &look.column);
                }
                format!("{} = {}\n", rule.name, quoted(&condition))
            });
            let rules: String = rules.collect();
            format!("key = \"{key}\"\nhistory = \"{history_us}us\"\n{late}{limits}[streams.s.detect]\n{rules}")
        }
        StreamKind::Map(Map { fields, .. }) => {
            let fields = fields.iter().map(|(name, of)| format!("{name} = {}\n", quoted(&of.to_string())));
            format!("[streams.s.fields]\n{}", fields.collect::<String>())
        }
    };
    head + &rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_canonical_text_of_a_stream_is_read_back(
        condition in prop::option::of(prop::sample::select(CONDITIONS.to_vec())),
        lines in lines(),
    ) {
        let filter = condition.map_or(String::new(), |condition| format!("where = \"{condition}\"\n"));
        let text = format!("{STREAMS}[streams.s]\nfrom = \"transactions\"\n{filter}{lines}");
        let catalog = Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        let again = format!("{STREAMS}{}", written(stream(&catalog, "s")));
        let again = Catalog::parse(&again).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{again}"));
        prop_assert_eq!(stream(&catalog, "s"), stream(&again, "s"));
        prop_assert_eq!(&catalog.sources["s"], &again.sources["s"]);
    }
}
