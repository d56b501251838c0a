//! An output as a person reads it: one line, as long as the screen is wide. Whatever does not fit is cut off; JSON has all.

use serde_json::Value;

use super::description::Description;
use crate::number::number;
use crate::terminal::{Screen, Tint, printable};

/// Fields that say where an output comes from, or that stand elsewhere in the line.
const NOT_SHOWN: [&str; 8] =
    ["output_id", "output_time", "window_start", "window_end", "session_start", "session_end", "judged_offset", "rule"];
const BETWEEN: &str = "  ";

/// The line of an output, with its line feed.
pub(super) fn line(stream: &Description, output: &Value, screen: Screen) -> String {
    let shown = |name: &str| output.get(name).filter(|value| !value.is_null()).map(shown);
    let mut parts: Vec<(Option<Tint>, String)> = vec![(Some(Tint::Heading), when(stream, output))];
    let key = stream.key.as_deref();
    parts.extend(key.and_then(shown).map(|key| (None, key)));
    parts.extend(shown("rule").map(|rule| (Some(Tint::Bad), rule)));
    let others = stream.fields.iter().map(|field| field.name.as_str());
    for name in others.filter(|name| !NOT_SHOWN.contains(name) && Some(*name) != key) {
        match output.get(name) {
            // Only what is true is written of such fields.
            Some(Value::Bool(true)) if ["truncated", "incomplete"].contains(&name) => {
                parts.push((Some(Tint::Bad), name.to_owned()));
            }
            _ => parts.extend(shown(name).map(|value| (None, format!("{name} {value}")))),
        }
    }
    fitting(&parts, screen)
}

/// When it happened: at a moment, or from one to another.
fn when(stream: &Description, output: &Value) -> String {
    let text = |name: &str| output.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    match stream.kind.as_str() {
        "window" => format!("{} to {}", text("window_start"), text("window_end")),
        "session" => format!("{} to {}", text("session_start"), text("session_end")),
        _ => text("output_time"),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(value) => number(value),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The parts as far as they fit.
fn fitting(parts: &[(Option<Tint>, String)], screen: Screen) -> String {
    let (mut line, mut room) = (String::new(), screen.width.unwrap_or(usize::MAX));
    for (at, (tint, text)) in parts.iter().enumerate() {
        let (text, between) = (printable(text), if at == 0 { "" } else { BETWEEN });
        let width = text.chars().count();
        if between.len() + width <= room {
            line.push_str(between);
            line.push_str(&screen.paint(*tint, &text));
            room -= between.len() + width;
            continue;
        }
        if room > between.len() + 1 {
            let cut: String = text.chars().take(room - between.len() - 1).collect();
            line.push_str(between);
            line.push_str(&screen.paint(*tint, &format!("{cut}…")));
        }
        break;
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(kind: &str, key: Option<&str>, fields: &[&str]) -> Description {
        let fields: Vec<Value> = fields.iter().map(|name| json!({"name": name})).collect();
        let stream = json!({"name": "s", "kind": kind, "key": key, "fields": fields, "why": null});
        serde_json::from_value(stream).expect("a stream")
    }

    const ALERT: [&str; 8] =
        ["output_id", "output_time", "rule", "judged_offset", "truncated", "user_id", "amount", "country"];

    fn alert() -> Value {
        json!({
            "output_id": "alerts/v1/L/0/7/0", "output_time": "2026-04-24T09:00:07Z", "rule": "large", "judged_offset": 7,
            "looked_at": {"history_count('1m')": 5}, "truncated": true, "user_id": "u-7", "amount": 1250.5, "country": null,
        })
    }

    #[test]
    fn an_alert_is_a_moment_a_key_and_a_rule() {
        let stream = stream("detect", Some("user_id"), &ALERT);
        let expected = "2026-04-24T09:00:07Z  u-7  large  truncated  amount 1,250.500\n";
        assert_eq!(line(&stream, &alert(), Screen::NONE), expected);
    }

    #[test]
    fn a_window_is_an_interval_a_key_and_its_measures() {
        let fields =
            ["output_id", "output_time", "window_start", "window_end", "country", "orders", "mean", "incomplete"];
        let output = json!({
            "output_time": "2026-04-24T09:04:59.999999Z", "window_start": "2026-04-24T09:00:00Z",
            "window_end": "2026-04-24T09:05:00Z", "country": "de", "orders": 1204, "mean": 2.5,
        });
        let expected = "2026-04-24T09:00:00Z to 2026-04-24T09:05:00Z  de  orders 1,204  mean 2.500\n";
        assert_eq!(line(&stream("window", Some("country"), &fields), &output, Screen::NONE), expected);
    }

    #[test]
    fn a_line_is_as_long_as_the_screen_is_wide() {
        let stream = stream("detect", Some("user_id"), &ALERT);
        let narrow = |width: usize| line(&stream, &alert(), Screen { width: Some(width), colours: false });
        assert_eq!(narrow(32), "2026-04-24T09:00:07Z  u-7  large\n");
        assert_eq!(narrow(35), "2026-04-24T09:00:07Z  u-7  large\n", "there is no room for a letter");
        assert_eq!(narrow(40), "2026-04-24T09:00:07Z  u-7  large  trunc…\n");
        assert_eq!(narrow(5), "2026…\n");
    }

    #[test]
    fn what_others_wrote_does_not_reach_the_terminal() {
        let stream = stream("map", None, &["user_id"]);
        let output = json!({"output_time": "2026-04-24T09:00:07Z", "user_id": "a\u{1b}[2J"});
        assert_eq!(line(&stream, &output, Screen::NONE), "2026-04-24T09:00:07Z  user_id a\\u{1b}[2J\n");
    }
}
