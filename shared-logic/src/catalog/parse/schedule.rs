//! Reads `[schedule]`.

use std::str::FromStr;

use chrono_tz::Tz;

use super::document::Table;
use crate::catalog::Schedule;

/// Every ten minutes, on the full minute.
const RECONCILE: &str = "0 */10 * * * *";

/// Reads when reconciles run; every ten minutes, UTC, unless the catalog says otherwise.
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
    if let Some(zone) = time_zone(&mut table) {
        zone.name().clone_into(&mut schedule.time_zone);
    }
    table.refuse_unknown_keys();
    schedule
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

/// Refuses a text that is not a cron expression with seconds.
fn check_cron(text: &str) -> Result<(), String> {
    if text.split_whitespace().count() == 5 {
        return Err("which has five fields and no seconds".to_owned());
    }
    match cron::Schedule::from_str(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("which is no cron expression: {error}")),
    }
}
