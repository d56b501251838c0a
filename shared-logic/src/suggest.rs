//! Did you mean: the known name that a misspelt one is closest to.

/// The candidate that differs from `word` by the fewest edits, if it is close enough to be meant.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close_enough = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= close_enough)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?" where a candidate is close, else "`noun` are a, b, c".
pub fn fix<'a>(word: &str, noun: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = closest(word, candidates.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let known: Vec<&str> = candidates.into_iter().collect();
    if known.is_empty() { format!("there are no {noun}") } else { format!("{noun} are {}", known.join(", ")) }
}

/// The optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut edits = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits = edits.min(before_last[j - 2] + 1);
            }
            row.push(edits);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known = ["event_time", "event_id", "topic"];
        assert_eq!(closest("evnet_time", known), Some("event_time"));
        assert_eq!(closest("Topic", known), Some("topic"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(fix("colour", "keys", known), "keys are event_time, event_id, topic");
    }
}
