//! Names as producers choose them → words, to look for hints in them, and names as a catalog takes them.

/// Longer names are cut. A catalog takes 64 characters; this leaves room for an ending.
const LENGTH_MAX: usize = 60;

/// The words of a name in small letters: those of `occurredAt`, `occurred-at` and `OCCURRED_AT` are `occurred` and `at`.
pub(super) fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        if !letter.is_alphanumeric() || begins_word(before, *letter, letters.get(at + 1)) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a capital begins a word: behind a small letter, as in `userId`, or as the last of several, as in `URLPath`.
fn begins_word(before: Option<&char>, letter: char, behind: Option<&char>) -> bool {
    let Some(before) = before.filter(|_| letter.is_uppercase()) else { return false };
    !before.is_uppercase() || behind.is_some_and(|behind| behind.is_lowercase())
}

/// The same with `_` between the words, as databases write names: `occurred_at`.
pub(super) fn snake(name: &str) -> String {
    words(name).join("_")
}

/// A name that a field can have: that of its place if it can be one, else one of its words. `user.firstName` becomes
/// `user_first_name`.
pub(super) fn field_name(steps: &[String]) -> String {
    match steps {
        [name] if is_plain(name) => name.clone(),
        _ => small_name(&steps.join("_"), "field"),
    }
}

/// A name that a source, a metric or a measure can have.
pub(super) fn small_name(name: &str, otherwise: &str) -> String {
    plain(&snake(name), otherwise)
}

fn is_plain(name: &str) -> bool {
    let letters = name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
    letters && name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.len() <= LENGTH_MAX
}

/// Letters, digits and single `_`, beginning with a letter; `otherwise` stands in front or alone where there is none.
fn plain(name: &str, otherwise: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        match letter {
            'ä' | 'Ä' => plain.push_str("ae"),
            'ö' | 'Ö' => plain.push_str("oe"),
            'ü' | 'Ü' => plain.push_str("ue"),
            'ß' => plain.push_str("ss"),
            letter if letter.is_ascii_alphanumeric() => plain.push(letter),
            _ if plain.is_empty() || plain.ends_with('_') => {}
            _ => plain.push('_'),
        }
    }
    plain.truncate(LENGTH_MAX);
    let plain = plain.trim_end_matches('_');
    match plain.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{otherwise}_{plain}"),
        Some(_) => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(steps: &[&str]) -> String {
        field_name(&steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_found_however_they_are_joined() {
        for name in ["occurredAt", "occurred_at", "OCCURRED-AT", "occurred.at", "@occurred at", "OccurredAt"] {
            assert_eq!(words(name), ["occurred", "at"], "{name}");
        }
        assert_eq!(words("VendorID"), ["vendor", "id"]);
        assert_eq!(words("URLPath2"), ["url", "path2"]);
        assert_eq!(words("_"), Vec::<String>::new());
        assert_eq!(snake("tpepPickupDatetime"), "tpep_pickup_datetime");
    }

    #[test]
    fn fields_keep_plain_names_and_get_others_from_their_places() {
        assert_eq!(field(&["videoId"]), "videoId");
        assert_eq!(field(&["user", "id"]), "user_id");
        assert_eq!(field(&["@timestamp"]), "timestamp");
        assert_eq!(field(&["_id"]), "id", "names with _ in front are the platform's own");
        assert_eq!(field(&["foo.bar", "User-Agent"]), "foo_bar_user_agent");
        assert_eq!(field(&["2fa"]), "field_2fa");
        assert_eq!(field(&["Größe (cm)"]), "groesse_cm");
        assert_eq!(field(&["日本"]), "field");
        assert_eq!(field(&[""]), "field");
        assert_eq!(field(&[&"x".repeat(300)]).len(), LENGTH_MAX);
    }

    #[test]
    fn sources_and_measures_have_small_letters() {
        assert_eq!(small_name("Events 2026-11", "events"), "events_2026_11");
        assert_eq!(small_name("2026-11", "events"), "events_2026_11");
        assert_eq!(small_name("totalAmount", "total"), "total_amount");
        assert_eq!(small_name("...", "events"), "events");
    }
}
