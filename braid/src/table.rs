//! Tables of text: columns two spaces apart, without lines.
//!
//! A cell is never broken. Where the terminal is too narrow, a table of one row is turned on its side, and one of several rows
//! leaves out its last columns and names them.

use crate::terminal::{Screen, Tint, printable};

const BETWEEN: &str = "  ";

/// Rows below a heading.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column's title, and the side on which its cells stand.
#[derive(Debug, Clone)]
pub struct Column {
    title: Cell,
    side: Side,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// A piece of text. The names and numbers of tables are ASCII, so a character is as wide as a column of the terminal.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    width: usize,
    tint: Option<Tint>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Table {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table's lines as they fit on the screen, each with its line feed.
    pub fn text(&self, screen: Screen) -> String {
        let widths = self.widths();
        let fitting = fitting(&widths, screen.width.unwrap_or(usize::MAX));
        match self.rows.as_slice() {
            [row] if fitting < widths.len() => self.on_its_side(row, screen),
            _ => self.upright(&widths[..fitting], screen),
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| column.title.width).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width.max(*width);
            }
        }
        widths
    }

    fn upright(&self, widths: &[usize], screen: Screen) -> String {
        let mut text = self.line(self.columns.iter().map(|column| &column.title), widths, screen);
        for row in &self.rows {
            text.push_str(&self.line(row.iter(), widths, screen));
        }
        let left_out: Vec<&str> = self.columns.iter().skip(widths.len()).map(|column| &*column.title.text).collect();
        if !left_out.is_empty() {
            text.push_str(&format!("(too narrow for {}; --output json has all)\n", left_out.join(", ")));
        }
        text
    }

    /// As many cells as there are widths.
    fn line<'a>(&self, cells: impl Iterator<Item = &'a Cell>, widths: &[usize], screen: Screen) -> String {
        let mut line = String::new();
        for ((column, cell), width) in self.columns.iter().zip(cells).zip(widths) {
            let (text, padding) = (cell.painted(screen), " ".repeat(width - cell.width));
            match column.side {
                Side::Left => line.extend([text.as_str(), padding.as_str(), BETWEEN]),
                Side::Right => line.extend([padding.as_str(), text.as_str(), BETWEEN]),
            }
        }
        format!("{}\n", line.trim_end())
    }

    /// A line for each column: its title and its cell.
    fn on_its_side(&self, row: &[Cell], screen: Screen) -> String {
        let widest = self.columns.iter().map(|column| column.title.width).max().unwrap_or(0);
        let line = |(column, cell): (&Column, &Cell)| {
            let padding = " ".repeat(widest - column.title.width);
            let line = format!("{}{padding}{BETWEEN}{}", column.title.painted(screen), cell.painted(screen));
            format!("{}\n", line.trim_end())
        };
        self.columns.iter().zip(row).map(line).collect()
    }
}

impl Column {
    /// A column of text.
    pub fn left(title: &str) -> Column {
        Column { title: Cell::tinted(title, Tint::Heading), side: Side::Left }
    }

    /// A column of numbers.
    pub fn right(title: &str) -> Column {
        Column { side: Side::Right, ..Column::left(title) }
    }
}

impl Cell {
    /// A cell without a colour.
    pub fn new(text: &str) -> Cell {
        let text = printable(text).into_owned();
        Cell { width: text.chars().count(), text, tint: None }
    }

    /// A cell that stands out.
    pub fn tinted(text: &str, tint: Tint) -> Cell {
        Cell { tint: Some(tint), ..Cell::new(text) }
    }

    /// `yes` as it should be, or a `no` to look at.
    pub fn yes_or_no(is_so: bool) -> Cell {
        if is_so { Cell::tinted("yes", Tint::Good) } else { Cell::tinted("no", Tint::Bad) }
    }

    fn painted(&self, screen: Screen) -> String {
        screen.paint(self.tint, &self.text)
    }
}

/// How many of the first columns fit on so many columns of a terminal; at least one.
fn fitting(widths: &[usize], room: usize) -> usize {
    let mut used = 0;
    let fits = |width: &&usize| {
        used += **width + BETWEEN.len();
        used - BETWEEN.len() <= room
    };
    widths.iter().take_while(fits).count().max(1).min(widths.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> Table {
        let mut table = Table::new(vec![Column::left("name"), Column::right("count"), Column::left("complete")]);
        for (name, count, complete) in [("views", "1,042", true), ("a", "7", false)].into_iter().take(rows) {
            table.push(vec![Cell::new(name), Cell::new(count), Cell::yes_or_no(complete)]);
        }
        table
    }

    fn narrow(columns: usize) -> Screen {
        Screen { width: Some(columns), colours: false }
    }

    #[test]
    fn numbers_stand_on_the_right_and_no_line_ends_with_spaces() {
        let expected = "name   count  complete\nviews  1,042  yes\na          7  no\n";
        assert_eq!(table(2).text(Screen::NONE), expected);
        assert_eq!(table(2).text(narrow(22)), expected, "just wide enough");
        assert_eq!(table(0).text(Screen::NONE), "name  count  complete\n");
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_their_names() {
        let expected = "name   count\nviews  1,042\na          7\n(too narrow for complete; --output json has all)\n";
        assert_eq!(table(2).text(narrow(21)), expected);
        let expected = "name\nviews\na\n(too narrow for count, complete; --output json has all)\n";
        assert_eq!(table(2).text(narrow(2)), expected, "never fewer than one");
    }

    #[test]
    fn a_single_row_is_turned_on_its_side() {
        assert_eq!(table(1).text(narrow(22)), "name   count  complete\nviews  1,042  yes\n");
        assert_eq!(table(1).text(narrow(21)), "name      views\ncount     1,042\ncomplete  yes\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = Screen { width: Some(80), colours: true }.paint(Some(Tint::Good), "yes");
        let text = table(2).text(Screen { width: Some(80), colours: true });
        assert_eq!(text.lines().nth(1), Some(format!("views  1,042  {coloured}").as_str()));
        assert!(text.starts_with("\x1b[1mname\x1b[0m   \x1b[1mcount\x1b[0m  \x1b[1mcomplete\x1b[0m\n"), "{text:?}");
    }
}
