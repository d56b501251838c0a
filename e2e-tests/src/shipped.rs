//! Sections of the catalog that is shipped, on topics of a stage's own.

use crate::views::NEVER;

const SHIPPED: &str = include_str!("../../catalog.toml");

/// A catalog with these sections, such as `metrics.views`, and what belongs to them. Every source, table and stream has a topic that is called
/// like it behind the name and a dash.
///
/// # Panics
/// If one of the sections is not shipped.
pub fn catalog(name: &str, sections: &[&str]) -> String {
    let shipped: Vec<&str> = SHIPPED.split("\n[").skip(1).collect();
    let mut text = format!("[pipeline]\nname = \"{name}\"\nversion = \"v1\"\n\n[schedule]\nreconcile = \"{NEVER}\"\n");
    for wanted in sections {
        let found = shipped.iter().filter(|section| {
            section.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(']') || rest.starts_with('.'))
        });
        let before = text.len();
        for section in found {
            text.push_str("\n[");
            let mut lines = section.lines();
            text.extend(lines.next());
            let topic = wanted.split_once('.').filter(|_| section[wanted.len()..].starts_with(']'));
            if let Some(("sources" | "tables" | "streams", room)) = topic {
                text.push_str(&format!("\ntopic = \"{name}-{room}\""));
            }
            for line in lines.filter(|line| !line.starts_with("topic = ")) {
                text.push('\n');
                text.push_str(line);
            }
            text.push('\n');
        }
        assert!(text.len() > before, "the catalog that is shipped has no [{wanted}]");
    }
    text
}
