//! What a catalog defines of reports, as text for a person.

use shared_logic::catalog::{Catalog, Join, Report};
use shared_logic::report::Layout;
use shared_logic::time::format_duration_us;

/// One report: of what it is made, when it runs, and its columns.
pub(super) fn of_report(catalog: &Catalog, report: &Report) -> String {
    let Report { name, metric, schedule, time_zone, join, settle_us, revise_us, .. } = report;
    let joined = join.iter().map(|Join { table, on, .. }| format!(", joined with {table} on {on}"));
    let joined: String = joined.collect();
    let columns =
        Layout::of(catalog, report).columns().into_iter().map(|(name, kind)| format!("{name} {}", kind.name()));
    let columns: Vec<String> = columns.collect();
    let (settle, revise) = (format_duration_us(*settle_us), format_duration_us(*revise_us));
    let definition = catalog.report_definition(report);
    format!(
        "report {name}: days of {} of metric {metric}{joined}, written at {schedule}, settled after {settle}, revised for {revise} \
         (definition {definition}): date, {}",
        time_zone.name(),
        columns.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_summed_up() {
        let catalog = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nuser = \"string\"\n\
                       [tables.users]\nkey = \"id\"\n[tables.users.fields]\nid = \"string\"\nplan = \"string?\"\n\
                       [metrics.m]\nsource = \"s\"\nby = [\"user\"]\ngrain = \"1h\"\n[metrics.m.measures]\nn = \"count()\"\n\
                       [reports.r]\nmetric = \"m\"\nschedule = \"0 0 2 * * *\"\ntime_zone = \"Europe/Berlin\"\n\
                       join.users = { on = \"user\", take = [\"plan\"] }\n[reports.r.columns]\nscore = \"n * 0.5\"\n";
        let catalog = Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let text = of_report(&catalog, &catalog.reports["r"]);
        assert!(
            text.starts_with(
                "report r: days of Europe/Berlin of metric m, joined with users on user, written at 0 0 2 * * *, settled after \
                 1h, revised for 7d (definition "
            ),
            "{text}"
        );
        assert!(text.ends_with("): date, user string, plan string, n int, score float"), "{text}");
    }
}
