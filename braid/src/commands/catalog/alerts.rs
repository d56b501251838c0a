//! What a catalog defines of alerts, as text for a person.

use shared_logic::catalog::{Alert, Catalog};
use shared_logic::time::format_duration_us;

/// One alert: what it looks at, and when it fires.
pub(super) fn of_alert(catalog: &Catalog, alert: &Alert) -> String {
    let Alert { name, metric, window_us, shift_us, when_text, for_us, lateness_us, .. } = alert;
    let by = &catalog.metrics[metric].by;
    let keys = by.iter().zip(&alert.keys).filter_map(|(column, part)| Some(format!(", {column} {}", part.to_json()?)));
    let keys: String = keys.collect();
    let window = format_duration_us(*window_us);
    let against = match shift_us {
        None => String::new(),
        Some(us) if us == window_us => " against the window before".to_owned(),
        Some(us) => format!(" against the window {} earlier", format_duration_us(*us)),
    };
    let lateness = format_duration_us(*lateness_us);
    let fires = if *for_us == 0 { "at once".to_owned() } else { format!("after {}", format_duration_us(*for_us)) };
    format!(
        "alert {name}: of metric {metric}{keys}, windows of {window}{against}, late events waited for {lateness}, fires {fires} if \
         {when_text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_summed_up() {
        let catalog = "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\nuser = \"string\"\n\
                       [metrics.m]\nsource = \"s\"\nby = [\"user\"]\n[metrics.m.measures]\nn = \"count()\"\n\
                       [alerts.few]\nmetric = \"m\"\nwindow = \"5m\"\nagainst = \"7d\"\nwhen = \"n < before.n\"\nfor = \"1m\"\n\
                       keys = { user = \"u\" }\n[alerts.none]\nmetric = \"m\"\nwindow = \"1h\"\nwhen = \"n = 0\"\n";
        let catalog = Catalog::parse(catalog).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assert_eq!(
            of_alert(&catalog, &catalog.alerts["few"]),
            "alert few: of metric m, user \"u\", windows of 5m against the window 7d earlier, late events waited for 10s, fires after 1m if n < before.n"
        );
        assert_eq!(
            of_alert(&catalog, &catalog.alerts["none"]),
            "alert none: of metric m, windows of 1h, late events waited for 10s, fires at once if n = 0"
        );
    }
}
