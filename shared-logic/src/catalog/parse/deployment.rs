//! `[pipeline]` and `[schedule]`: whose numbers these are, and when they are reconciled.

use std::str::FromStr;

use chrono_tz::Tz;

use super::document::Table;
use super::name;
use crate::catalog::{Pipeline, Schedule};

/// Ten minutes: at the start of every tenth.
const RECONCILE: &str = "0 */10 * * * *";

pub(super) fn pipeline(table: Option<Table<'_>>) -> Pipeline {
    let mut pipeline = Pipeline { name: "braid".to_owned(), version: "v1".to_owned() };
    let Some(mut table) = table else { return pipeline };
    for (key, slot) in [("name", &mut pipeline.name), ("version", &mut pipeline.version)] {
        if let Some(text) = table.text(key) {
            name::check_deployment(table.mistakes, text, key);
            text.value.clone_into(slot);
        }
    }
    table.refuse_unknown_keys();
    pipeline
}

pub(super) fn schedule(table: Option<Table<'_>>) -> Schedule {
    let mut schedule = Schedule { reconcile: RECONCILE.to_owned(), time_zone: "UTC".to_owned() };
    let Some(mut table) = table else { return schedule };
    if let Some(text) = table.text("reconcile") {
        if let Err(why) = check_cron(text.value) {
            let fix = "write second, minute, hour, day, month and weekday, such as \"0 */10 * * * *\"";
            table.mistakes.report(text.at, format!("`reconcile` is \"{}\", {why}", text.value), fix);
        }
        text.value.clone_into(&mut schedule.reconcile);
    }
    if let Some(text) = table.text("time_zone") {
        if Tz::from_str(text.value).is_err() {
            let what = format!("`time_zone` is \"{}\", which is no IANA time zone", text.value);
            table.mistakes.report(text.at, what, "write one such as \"UTC\" or \"Europe/Berlin\"");
        }
        text.value.clone_into(&mut schedule.time_zone);
    }
    table.refuse_unknown_keys();
    schedule
}

/// Says why a cron expression is none.
fn check_cron(text: &str) -> Result<(), String> {
    if text.split_whitespace().count() == 5 {
        return Err("which has five fields and no seconds".to_owned());
    }
    match cron::Schedule::from_str(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("which is no cron expression: {error}")),
    }
}
