//! What a change of alerts means.

use shared_logic::catalog::Catalog;

use super::push_line;

/// What becomes of the alerts of the new catalog, and of those that it lacks. Of which version they are does not matter: those of the active one
/// are judged.
pub(super) fn push_alerts(text: &mut String, old: &Catalog, new: &Catalog) {
    for alert in new.alerts.values() {
        let name = &alert.name;
        let Some(before) = old.alerts.get(name) else {
            push_line(text, &format!("alert {name}: new; it is judged from now on"));
            continue;
        };
        if old.alert_definition(before) != new.alert_definition(alert) {
            let otherwise = "judges otherwise; what is known of it is given up, and if it fires it is resolved first";
            push_line(text, &format!("alert {name}: {otherwise}"));
        } else if before.summary != alert.summary {
            push_line(text, &format!("alert {name}: judges the same; receivers get another summary"));
        } else {
            push_line(text, &format!("alert {name}: judges the same; what is known of it stays"));
        }
    }
    for alert in old.alerts.values().filter(|alert| !new.alerts.contains_key(&alert.name)) {
        push_line(text, &format!("alert {}: gone; if it fires it is resolved", alert.name));
    }
}

#[cfg(test)]
mod tests {
    use super::super::costs;
    use super::*;

    const CATALOG: &str = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nuser = \"string\"\n\
                           [metrics.m]\nsource = \"s\"\nby = [\"user\"]\n[metrics.m.measures]\nn = \"count()\"\n\
                           [alerts.few]\nmetric = \"m\"\nwindow = \"5m\"\nwhen = \"n < 7\"\nlabels = { severity = \"page\" }\n";

    #[test]
    fn an_alert_that_judges_otherwise_begins_anew() {
        let catalog = |text: &str| Catalog::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let costs = |old: &str, new: &str| costs(&catalog(old), &catalog(new));
        let same = costs(CATALOG, &CATALOG.replace("n < 7", "n  <  7"));
        assert!(same.contains("alert few: judges the same; what is known of it stays\n"), "{same}");
        let summary = costs(CATALOG, &CATALOG.replace("labels", "summary = \"few\"\nlabels"));
        assert!(summary.contains("alert few: judges the same; receivers get another summary\n"), "{summary}");
        let where_user = ("source = \"s\"\nby", "source = \"s\"\nwhere = \"user <> 'x'\"\nby");
        for (from, to) in [("n < 7", "n < 8"), ("page", "ticket"), where_user] {
            let other = costs(CATALOG, &CATALOG.replace(from, to));
            assert!(other.contains("alert few: judges otherwise; what is known of it is given up"), "{to}: {other}");
        }
        let without = CATALOG.split("[alerts.few]").next().expect("the rest");
        assert!(costs(without, CATALOG).contains("alert few: new; it is judged from now on\n"));
        assert!(costs(CATALOG, without).contains("alert few: gone; if it fires it is resolved\n"));
    }
}
