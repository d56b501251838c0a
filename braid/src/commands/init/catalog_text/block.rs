//! Lines whose comments begin in one column.

use super::toml::comment;

/// A comment does not begin further on the right, unless its line is longer.
const COLUMN_MAX: usize = 44;

/// Lines, each with a comment or an empty one.
#[derive(Default)]
pub(super) struct Block(Vec<(String, String)>);

impl Block {
    /// Adds a line.
    pub(super) fn line(&mut self, line: impl Into<String>, remark: &str) {
        self.0.push((line.into(), comment(remark)));
    }

    /// Adds a line that is a comment.
    pub(super) fn note(&mut self, note: &str) {
        self.0.push((format!("# {}", comment(note)), String::new()));
    }

    /// All of them, each with its line end.
    pub(super) fn text(&self) -> String {
        let width = |line: &str| line.chars().count();
        let remarked = self.0.iter().filter(|(_, remark)| !remark.is_empty());
        let column =
            remarked.map(|(line, _)| width(line)).filter(|width| *width <= COLUMN_MAX).max().unwrap_or_default();
        let mut text = String::new();
        for (line, remark) in &self.0 {
            text.push_str(line);
            if !remark.is_empty() {
                text.push_str(&" ".repeat(column.saturating_sub(width(line)) + 4));
                text.push_str(&format!("# {remark}"));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_begin_in_one_column_where_lines_are_short() {
        let mut block = Block::default();
        block.line("a = 1", "one");
        block.line("without = 2", "");
        block.note("a note");
        block.line("abc = 3", "three");
        block.line("x".repeat(60), "far on the right");
        let expected = format!(
            "a = 1      # one\nwithout = 2\n# a note\nabc = 3    # three\n{}    # far on the right\n",
            "x".repeat(60)
        );
        assert_eq!(block.text(), expected);
    }
}
