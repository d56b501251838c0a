//! What no field takes, in a comment.

use super::super::guess::{LeftOut, Why};
use super::toml::comment as on_one_line;
use crate::number::integer;

/// So many names are listed.
const LISTED: usize = 12;
/// Longer examples are cut.
const EXAMPLE_LETTERS: usize = 30;

/// A comment on the places that no field takes.
pub(super) fn comment(left_out: &[LeftOut]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let place = |left_out: &LeftOut| left_out.steps.join(".");
    let mut lines = vec![
        "Left out. The archive keeps whole records, so what is declared later has its values in old ones too."
            .to_owned(),
    ];
    let lists: Vec<&LeftOut> = left_out.iter().filter(|left_out| left_out.why == Why::Lists).collect();
    if let Some(first) = lists.first() {
        let example = format!("first_of_it = {{ type = \"string?\", path = \"{}[0]\" }}", place(first));
        lines.push(format!(
            "- arrays, of which a field can take an element ({example}): {}",
            names(lists.into_iter().map(place))
        ));
    }
    for left_out in left_out {
        if let Why::Mixed(examples) = &left_out.why {
            let examples: Vec<String> = examples.iter().map(|example| short(example)).collect();
            lines.push(format!(
                "- {}: no type takes all of its values, such as {}",
                place(left_out),
                examples.join(" and ")
            ));
        }
    }
    let rare = |left_out: &LeftOut| match left_out.why {
        Why::Rare(records) => Some(format!("{} ({})", place(left_out), integer(records))),
        Why::Lists | Why::Mixed(_) => None,
    };
    let rare: Vec<String> = left_out.iter().filter_map(rare).collect();
    if !rare.is_empty() {
        lines.push(format!("- found in fewer records than the fields above: {}", names(rare.into_iter())));
    }
    lines.iter().map(|line| format!("# {}\n", on_one_line(line))).collect()
}

/// Some of the names, and how many more there are.
fn names(names: impl ExactSizeIterator<Item = String>) -> String {
    let others = names.len().saturating_sub(LISTED);
    let listed = names.take(LISTED).collect::<Vec<_>>().join(", ");
    if others == 0 { listed } else { format!("{listed} and {} more", integer(others)) }
}

fn short(example: &str) -> String {
    match example.char_indices().nth(EXAMPLE_LETTERS) {
        Some((end, _)) => format!("`{}…`", &example[..end]),
        None => format!("`{example}`"),
    }
}
