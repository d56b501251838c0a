//! Values as TOML writes them.

use crate::terminal::printable;

/// A string in quotes.
pub(super) fn text(text: &str) -> String {
    let mut written = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => written.extend(['\\', letter]),
            letter if letter.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => written.push(letter),
        }
    }
    written.push('"');
    written
}

/// An array of strings.
pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    format!("[{}]", texts.iter().map(|item| text(item.as_ref())).collect::<Vec<_>>().join(", "))
}

/// Text as it can stand in a comment: on one line, and without characters that hide others.
pub(super) fn comment(text: &str) -> String {
    printable(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_string_or_its_line() {
        assert_eq!(text("a\"b\\N\n\u{7f}é"), "\"a\\\"b\\\\N\\u000A\\u007Fé\"");
        assert_eq!(list(&["", "a"]), "[\"\", \"a\"]");
        assert_eq!(list::<&str>(&[]), "[]");
        assert_eq!(comment("a\n[x]"), "a\\n[x]");
    }
}
