//! Aligned tables. Own, because what is needed are sixty lines: no borders, no colours, no wrapping, so that
//! `grep`, `awk` and `sort` work on them too.

/// Rows under a header line; columns are as wide as their widest cell.
pub(crate) struct Table {
    headers: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles. A title that starts with `>` makes its column right-aligned.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let headers = titles.iter().map(|title| title.trim_start_matches('>')).collect();
        Self { headers, right, rows: Vec::new() }
    }

    /// Adds a row; missing cells stay empty, surplus cells are dropped.
    pub(crate) fn row<I: IntoIterator<Item = S>, S: Into<String>>(&mut self, cells: I) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).map(one_line).collect();
        row.resize(self.headers.len(), String::new());
        self.rows.push(row);
    }

    /// The text, one line per row, without trailing blanks.
    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.headers.len()).map(|column| self.width(column)).collect();
        let header: Vec<String> = self.headers.iter().map(|title| (*title).to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&header).chain(&self.rows) {
            let cells = row.iter().enumerate().map(|(at, cell)| pad(cell, widths[at], self.right[at]));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.headers[column].chars().count()]).max().unwrap_or(0)
    }
}

fn pad(cell: &str, width: usize, right: bool) -> String {
    if right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

/// Names come from hosts and may hold line breaks or control characters; a row stays one line.
fn one_line(cell: String) -> String {
    if cell.chars().any(char::is_control) {
        cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_rows_stay_one_line() {
        let mut table = Table::new(&["NAME", ">BYTES", "NOTE"]);
        table.row(["SQL01", "10.0 GiB", ""]);
        table.row(["a\nb", "1 B", "größer"]);
        let expected = "NAME      BYTES  NOTE\nSQL01  10.0 GiB\na\u{fffd}b         1 B  größer\n";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn short_rows_are_filled_and_long_ones_cut() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["1"]);
        table.row(["1", "2", "3"]);
        assert_eq!(table.render(), "A  B\n1\n1  2\n");
    }
}
