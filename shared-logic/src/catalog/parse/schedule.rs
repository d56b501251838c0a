//! Reads `[schedule]`, and the keys of other sections that say when something happens.

use std::str::FromStr;

use chrono_tz::Tz;

use super::document::Table;
use crate::catalog::{Cron, NotCron, Schedule};

/// Every ten minutes, on the full minute.
const RECONCILE: &str = "0 */10 * * * *";

/// Reads when jobs run; every ten minutes, UTC, unless the catalog says otherwise.
pub(super) fn schedule(table: Option<Table<'_>>) -> Schedule {
    let usual = RECONCILE.parse().expect("it is a cron expression");
    let mut schedule = Schedule { reconcile: usual, maintain: None, time_zone: Tz::UTC };
    let Some(mut table) = table else { return schedule };
    if let Some(reconcile) = cron(&mut table, "reconcile") {
        schedule.reconcile = reconcile;
    }
    schedule.maintain = cron(&mut table, "maintain");
    if let Some(zone) = time_zone(&mut table) {
        schedule.time_zone = zone;
    }
    table.refuse_unknown_keys();
    schedule
}

/// The schedule that a key holds.
pub(super) fn cron(table: &mut Table<'_>, key: &str) -> Option<Cron> {
    let text = table.text(key)?;
    match Cron::from_str(text.value) {
        Ok(cron) => Some(cron),
        Err(why) => {
            let fix = match why {
                NotCron::Never => "write a day that some month has, such as \"0 0 3 1 * *\"",
                _ => "write second, minute, hour, day, month and weekday, such as \"0 */10 * * * *\"",
            };
            table.mistakes.report(text.at, format!("`{key}` is \"{}\", which {why}", text.value), fix);
            None
        }
    }
}

/// The zone that the key `time_zone` names.
pub(super) fn time_zone(table: &mut Table<'_>) -> Option<Tz> {
    let text = table.text("time_zone")?;
    let zone = Tz::from_str(text.value).ok();
    if zone.is_none() {
        let what = format!("`time_zone` is \"{}\", which is no IANA time zone", text.value);
        table.mistakes.report(text.at, what, "write one such as \"UTC\" or \"Europe/Berlin\"");
    }
    zone
}
