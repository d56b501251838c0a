//! Definitions: each expression as SQL and as a closure over a row.

use shared_logic::catalog::{Catalog, DefinitionHash, Metric, Source};
use shared_logic::measure::MeasureKind;
use test_kit::Dice;

use super::oracle::{Number, Row, all, any, not};

/// A condition, and the same by hand; `None` is null.
struct Condition {
    sql: &'static str,
    holds: fn(&Row) -> Option<bool>,
}

/// A measure, and the same by hand; `None` is null.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) sql: &'static str,
    pub(super) kind: MeasureKind,
    pub(super) of: fn(&Row) -> Option<Number>,
}

const CONDITIONS: &[Condition] = &[
    Condition { sql: "n > 2", holds: |row| Some(row.n > 2) },
    Condition { sql: "m % 3 = 0", holds: |row| row.m.map(|m| m % 3 == 0) },
    Condition { sql: "NOT (m > 0)", holds: |row| not(row.m.map(|m| m > 0)) },
    Condition {
        sql: "t IS NULL OR t = 'a'",
        holds: |row| any(&[Some(row.t.is_none()), row.t.as_ref().map(|t| t == "a")]),
    },
    Condition { sql: "b AND s <> 'ü\\\"x'", holds: |row| all(&[Some(row.b), Some(row.s != "ü\"x")]) },
    Condition {
        sql: "starts_with(s, 'a') OR x >= 0.5",
        holds: |row| any(&[Some(row.s.starts_with('a')), row.x.map(|x| x >= 0.5)]),
    },
    Condition { sql: "CASE WHEN m IS NULL THEN b ELSE m > 0 END", holds: |row| Some(row.m.map_or(row.b, |m| m > 0)) },
    Condition { sql: "url_path(t) = '/p'", holds: |row| row.t.as_ref().map(|t| t == "http://h/p?q" || t == "/p") },
    Condition {
        sql: "k BETWEEN 0 AND 2 AND s IN ('a', 'b', 'ab')",
        holds: |row| Some((0..=2).contains(&row.k) && ["a", "b", "ab"].contains(&row.s.as_str())),
    },
    Condition { sql: "w > '2026-04-24T00:00:00Z'", holds: |row| Some(row.w_us > 1_776_988_800_000_000) },
    Condition { sql: "m > n", holds: |row| row.m.map(|m| m > row.n) },
];

const MEASURES: &[Measure] = &[
    Measure { sql: "count()", kind: MeasureKind::Count, of: |_| Some(Number::Int(1)) },
    Measure { sql: "sum(n)", kind: MeasureKind::SumInt, of: |row| Some(Number::Int(row.n.into())) },
    Measure { sql: "sum(m)", kind: MeasureKind::SumInt, of: |row| row.m.map(|m| Number::Int(m.into())) },
    Measure {
        sql: "sum(k * 1000 - m)",
        kind: MeasureKind::SumInt,
        of: |row| row.m.map(|m| Number::Int(i128::from(row.k) * 1_000 - i128::from(m))),
    },
    Measure {
        sql: "sum(coalesce(m, 7))",
        kind: MeasureKind::SumInt,
        of: |row| Some(Number::Int(row.m.unwrap_or(7).into())),
    },
    Measure {
        sql: "sum(CASE WHEN b THEN n ELSE 0 END)",
        kind: MeasureKind::SumInt,
        of: |row| Some(Number::Int(if row.b { row.n.into() } else { 0 })),
    },
    Measure { sql: "sum(x)", kind: MeasureKind::SumFloat, of: |row| row.x.map(Number::Float) },
    Measure {
        sql: "sum(x * 2 + k)",
        kind: MeasureKind::SumFloat,
        of: |row| row.x.map(|x| Number::Float(x * 2.0 + row.k as f64)),
    },
    Measure { sql: "count(m)", kind: MeasureKind::SumInt, of: |row| Some(Number::Int(row.m.is_some().into())) },
    Measure { sql: "min(n)", kind: MeasureKind::MinInt, of: |row| Some(Number::Int(row.n.into())) },
    Measure { sql: "min(m)", kind: MeasureKind::MinInt, of: |row| row.m.map(|m| Number::Int(m.into())) },
    Measure { sql: "max(m)", kind: MeasureKind::MaxInt, of: |row| row.m.map(|m| Number::Int(m.into())) },
    Measure {
        sql: "max(length(s))",
        kind: MeasureKind::MaxInt,
        of: |row| Some(Number::Int(row.s.chars().count() as i128)),
    },
    Measure { sql: "min(x)", kind: MeasureKind::MinFloat, of: |row| row.x.map(Number::Float) },
    Measure { sql: "max(x)", kind: MeasureKind::MaxFloat, of: |row| row.x.map(Number::Float) },
    Measure { sql: "distinct(t)", kind: MeasureKind::Distinct { k: 4_096 }, of: |row| row.t.clone().map(Number::Text) },
    Measure {
        sql: "distinct(id, 128)",
        kind: MeasureKind::Distinct { k: 128 },
        of: |row| Some(Number::Text(row.id.clone())),
    },
    Measure { sql: "quantile(n)", kind: MeasureKind::Quantile, of: |row| Some(Number::Int(row.n.into())) },
    Measure { sql: "quantile(x)", kind: MeasureKind::Quantile, of: |row| row.x.map(Number::Float) },
    Measure { sql: "top(s, 3)", kind: MeasureKind::Top { n: 3 }, of: |row| Some(Number::Text(row.s.clone())) },
    Measure { sql: "top(b, 1)", kind: MeasureKind::Top { n: 1 }, of: |row| Some(Number::Bool(row.b)) },
    Measure { sql: "top(w, 100)", kind: MeasureKind::Top { n: 100 }, of: |row| Some(Number::Instant(row.w_us)) },
];

/// Of these, `t` and `m` may be absent.
const BY: [&str; 7] = ["s", "k", "b", "w", "n", "t", "m"];
/// One field, or several that tell events apart together.
const EVENT_IDS: [&[&str]; 4] = [&["id"], &["id"], &["s", "id"], &["id", "k", "s"]];
/// The most bytes of a record: two long texts fit in, unless their letters are escaped.
pub(super) const MAX_RECORD: usize = 20_000;
const GRAINS: [&str; 6] = ["1s", "10s", "1m", "15m", "1h", "24h"];

/// One metric over the one source, as a catalog and by hand.
pub(super) struct Definition {
    pub(super) text: String,
    pub(super) catalog: Catalog,
    pub(super) event_id: &'static [&'static str],
    pub(super) measures: Vec<Measure>,
    condition: Option<&'static Condition>,
    pub(super) max_age_us: i64,
    pub(super) max_ahead_us: i64,
}

impl Definition {
    pub(super) fn random(dice: &mut Dice) -> Definition {
        let condition = dice.chance(75).then(|| dice.pick(CONDITIONS));
        let mut by: Vec<&str> = Vec::new();
        for _ in 0..dice.below(4) {
            let column = *dice.pick(&BY);
            if !by.contains(&column) {
                by.push(column);
            }
        }
        let mut measures: Vec<Measure> = (0..dice.between(1, 4)).map(|_| *dice.pick(MEASURES)).collect();
        if dice.chance(40) {
            measures.push(MEASURES[0]);
        }
        let window = dice.between(3, 40) as u64;
        let (grain, event_id) = (*dice.pick(&GRAINS), *dice.pick(&EVENT_IDS));
        Definition::new(condition, &by, event_id, measures, grain, window)
    }

    /// Counts every event, by nothing.
    pub(super) fn counting(dice: &mut Dice) -> Definition {
        let (window, event_id) = (dice.between(2, 12) as u64, *dice.pick(&EVENT_IDS));
        Definition::new(None, &[], event_id, vec![MEASURES[0]], "1m", window)
    }

    fn new(
        condition: Option<&'static Condition>,
        by: &[&str],
        event_id: &'static [&'static str],
        measures: Vec<Measure>,
        grain: &str,
        window: u64,
    ) -> Definition {
        let filter = condition.map_or(String::new(), |condition| format!("where = \"{}\"\n", condition.sql));
        let listed: String =
            measures.iter().enumerate().map(|(at, of)| format!("measure_{at} = \"{}\"\n", of.sql)).collect();
        let text = format!(
            "[sources.events]\nevent_id = {event_id:?}\nevent_time = \"at\"\nmax_age = \"6h\"\nmax_ahead = \"10m\"\n\
             max_record = \"{MAX_RECORD}B\"\ndedup_window = {window}\n[sources.events.fields]\n\
             id = \"string\"\nat = \"timestamp\"\ns = \"string\"\n\
             t = \"string?\"\nn = \"int\"\nm = \"int?\"\nk = \"int\"\nx = \"float?\"\nb = \"bool\"\nw = \"timestamp\"\n\
             [metrics.metric]\nsource = \"events\"\n{filter}by = {by:?}\ngrain = \"{grain}\"\n\
             [metrics.metric.measures]\n{listed}"
        );
        let catalog = Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        let (max_age_us, max_ahead_us) = (6 * 3_600_000_000, 600_000_000);
        Definition { text, catalog, event_id, measures, condition, max_age_us, max_ahead_us }
    }

    pub(super) fn source(&self) -> &Source {
        &self.catalog.sources["events"]
    }

    pub(super) fn metric(&self) -> &Metric {
        &self.catalog.metrics["metric"]
    }

    pub(super) fn hash(&self) -> DefinitionHash {
        self.catalog.definition(self.metric())
    }

    pub(super) fn kinds(&self) -> Vec<MeasureKind> {
        self.metric().measures.iter().map(|measure| measure.kind).collect()
    }

    pub(super) fn dedup_window(&self) -> i64 {
        self.source().dedup_window as i64
    }

    /// The condition by hand; null is false.
    pub(super) fn counts(&self, row: &Row) -> bool {
        self.condition.is_none_or(|condition| (condition.holds)(row) == Some(true))
    }
}
