//! Dates and times as programs write them.

/// The text as RFC 3339 would have it, if it has all that that needs.
pub(super) fn strict(text: &str) -> Option<String> {
    if !text.is_ascii() {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let (minute, rest) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(5)?;
    let (second, fraction, zone) = match rest.strip_prefix(':') {
        None => ("00", "0", rest),
        Some(rest) => {
            let (second, rest) = rest.split_at_checked(2)?;
            match rest.strip_prefix(['.', ',']) {
                None => (second, "0", rest),
                Some(rest) => {
                    let (fraction, zone) =
                        rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
                    (second, fraction, zone)
                }
            }
        }
    };
    if fraction.is_empty() {
        return None;
    }
    // The last microsecond of the minute that it ends.
    let (second, fraction) = if second == "60" { ("59", "999999") } else { (second, fraction) };
    let zone = zone.strip_prefix(' ').filter(|zone| zone.starts_with(['+', '-'])).unwrap_or(zone);
    let zone = match zone.len() {
        1 => zone.to_uppercase(),
        3 => format!("{zone}:00"),
        5 => format!("{}:{}", &zone[..3], &zone[3..]),
        6 => zone.to_owned(),
        _ => return None,
    };
    // Digits in its place would pass for those of a fraction.
    if zone.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(format!("{date}T{minute}:{second}.{fraction}{zone}"))
}
