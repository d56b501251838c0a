//! What a change of reports costs.

use shared_logic::catalog::Catalog;
use shared_logic::report::Layout;
use shared_logic::time::format_duration_us;

use super::push_line;

/// What becomes of the reports of the new catalog, and of those that it lacks.
pub(super) fn push_reports(text: &mut String, old: &Catalog, new: &Catalog) {
    for report in new.reports.values() {
        let name = &report.name;
        let Some(before) = old.reports.get(name) else {
            push_line(text, &format!("report {name}: new; its first run writes the day before"));
            continue;
        };
        if old.report_definition(before) == new.report_definition(report) {
            push_line(text, &format!("report {name}: has the same rows"));
            continue;
        }
        let revise = format_duration_us(report.revise_us);
        push_line(
            text,
            &format!("report {name}: has other rows; days of the last {revise} are written anew, older ones stay"),
        );
        let (was, is) = (Layout::of(old, before), Layout::of(new, report));
        for (column, kind) in is.columns() {
            let other = was.columns().into_iter().find(|(other, before)| *other == column && *before != kind);
            if let Some((_, before)) = other {
                let refused = format!(
                    "  column {column}: {} → {}; no run writes it until it is called otherwise",
                    before.name(),
                    kind.name()
                );
                push_line(text, &refused);
            }
        }
    }
    for report in old.reports.values().filter(|report| !new.reports.contains_key(&report.name)) {
        push_line(text, &format!("report {}: gone; its table stays as it is", report.name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::costs;
    use super::*;

    const CATALOG: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nuser = \"string\"\n\
                           [metrics.m]\nsource = \"s\"\nby = [\"user\"]\ngrain = \"1h\"\n[metrics.m.measures]\nn = \"count()\"\n\
                           [reports.r]\nmetric = \"m\"\nschedule = \"0 0 2 * * *\"\n[reports.r.columns]\nscore = \"n * 0.5\"\n";

    #[test]
    fn a_report_that_says_something_else_writes_its_last_days_anew() {
        let catalog = |text: &str| Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let costs = |old: &str, new: &str| costs(&catalog(old), &catalog(new));
        let same = costs(CATALOG, &CATALOG.replace("0 0 2", "0 0 3"));
        assert!(same.contains("report r: has the same rows\n"), "{same}");
        let other = costs(CATALOG, &CATALOG.replace("n * 0.5", "n * 0.6"));
        assert!(
            other.contains("report r: has other rows; days of the last 7d are written anew, older ones stay\n"),
            "{other}"
        );
        let retyped = costs(CATALOG, &CATALOG.replace("\"n * 0.5\"", "\"n * 2\""));
        assert!(retyped.contains("  column score: float → int; no run writes it"), "{retyped}");
        let without = CATALOG.split("[reports.r]").next().expect("the rest");
        assert!(costs(without, CATALOG).contains("report r: new; its first run"));
        assert!(costs(CATALOG, without).contains("report r: gone; its table stays"));
    }
}
