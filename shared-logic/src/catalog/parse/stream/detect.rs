//! Reads detectors.

use super::{keyed, own};
use crate::catalog::parse::condition::{accepted, is_condition};
use crate::catalog::parse::document::Table;
use crate::catalog::parse::duration;
use crate::catalog::parse::name;
use crate::catalog::parse::source::Draft;
use crate::catalog::stream::OF_DETECTORS;
use crate::catalog::{Detect, Rule};
use crate::expression::{Expression, Scope};
use crate::time::{HOUR_US, SECOND_US};

/// How many events of a key are remembered, unless the catalog says so.
const HISTORY_MAX: i64 = 10_000;
/// How many events an earlier one has judged again, unless the catalog says so.
const REJUDGE_MAX: i64 = 100;

/// Reads the keys of a detector.
pub(super) fn detect(table: &mut Table<'_>, from: Option<&Draft>) -> Detect {
    let key = keyed::key(table, from);
    let history_us = duration::required(table, "history", "1h", SECOND_US).unwrap_or(HOUR_US);
    let history_max = table.integer("history_max", 1..=1_000_000).unwrap_or(HISTORY_MAX);
    let rejudge_max = table.integer("rejudge_max", 0..=10_000).unwrap_or(REJUDGE_MAX);
    if let Some(from) = from {
        own::check(table, from, OF_DETECTORS, "detector");
    }
    let rules = rules(table, from, history_us);
    let number = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Detect { key, history_us, history_max: number(history_max), rejudge_max: number(rejudge_max), rules }
}

fn rules(table: &mut Table<'_>, from: Option<&Draft>, history_us: i64) -> Vec<Rule> {
    let Some(mut declared) = table.table("detect").filter(|rules| !rules.is_empty()) else {
        let fix = "write, for example, high_velocity = \"history_count('1m') >= 5\"";
        let at = table.key_at("detect").unwrap_or(table.at);
        table.mistakes.report(at, format!("{} has no rules", table.title), fix);
        return Vec::new();
    };
    let mut rules = Vec::new();
    for name in declared.keys_in_order() {
        name::check(declared.mistakes, name, "rule");
        let (Some(text), Some(from)) = (declared.text(name.value), from) else { continue };
        let place = format!("rule `{}`", name.value);
        let read = Expression::parse_rule(text.value, &Scope::of_past(&from.source.fields, history_us));
        let Some((condition, looks)) = accepted(&declared, text, &place, read, from.doubtful) else { continue };
        if is_condition(&declared, text, &place, &condition) {
            rules.push(Rule { name: name.value.to_owned(), looks, condition });
        }
    }
    rules
}
