//! What a catalog defines of reports, as lines for a person.

use shared_logic::catalog::Report;

/// Such as `report engagement: days of metric engagement, at "0 0 2 * * *" in Europe/Berlin, with name, plan of users: engagement_score`.
pub(super) fn of_report(report: &Report) -> String {
    let Report { name, metric, schedule, time_zone, join, columns, .. } = report;
    let mut text = format!("report {name}: days of metric {metric}, at \"{schedule}\" in {}", time_zone.name());
    for joined in join {
        text.push_str(&format!(", with {} of {}", joined.take.join(", "), joined.table));
    }
    if !columns.is_empty() {
        let columns: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        text.push_str(&format!(": {}", columns.join(", ")));
    }
    text
}
