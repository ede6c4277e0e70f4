//! The table of layers, `xtask/layers.txt`: a line per crate, then the dependencies that few may name.

use crate::finding::Finding;
use crate::tree::Tree;

/// Where the table is.
pub(crate) const PATH: &str = "xtask/layers.txt";

/// The whole table.
#[derive(Debug, Default)]
pub(crate) struct LayerTable {
    /// A row per crate.
    pub(crate) rows: Vec<Row>,
    /// Crates that the tests of every crate of a numbered layer may use.
    pub(crate) tests_may_use: Vec<String>,
    /// Dependencies that only some crates may name.
    pub(crate) only: Vec<OnlyIn>,
}

/// A crate and its place.
#[derive(Debug)]
pub(crate) struct Row {
    /// Line in the table.
    pub(crate) line: usize,
    /// A number, or `side` or `tool`.
    pub(crate) layer: String,
    /// Crate name.
    pub(crate) name: String,
    /// The crates below that it may use.
    pub(crate) may_use: MayUse,
}

/// What a crate may use of the workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MayUse {
    /// Every crate but tools.
    All,
    /// These.
    Crates(Vec<String>),
}

/// `only DEPENDENCY in CRATES`.
#[derive(Debug)]
pub(crate) struct OnlyIn {
    /// The dependency.
    pub(crate) dependency: String,
    /// The crates that may depend on it and name it.
    pub(crate) crates: Vec<String>,
}

impl Row {
    /// The number of a numbered layer.
    pub(crate) fn number(&self) -> Option<u32> {
        self.layer.parse().ok()
    }
}

impl LayerTable {
    /// The row of a crate.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

/// Reads the table; lines that say nothing known are findings.
pub(crate) fn read(tree: &Tree) -> Result<LayerTable, Vec<Finding>> {
    let Some(text) = tree.text(PATH) else {
        return Err(vec![Finding::new(PATH, 1, "the layer table is missing", "restore it")]);
    };
    let mut table = LayerTable::default();
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if !words.is_empty() && !add_line(&mut table, index + 1, &words) {
            let what = format!("`{}` is no line of the layer table", line.trim());
            faults.push(Finding::new(
                PATH,
                index + 1,
                what,
                "write `LAYER CRATE MAY-USE` or `only X in CRATES`",
            ));
        }
    }
    if faults.is_empty() { Ok(table) } else { Err(faults) }
}

fn add_line(table: &mut LayerTable, line: usize, words: &[&str]) -> bool {
    match words {
        ["tests-may-use", crates @ ..] if !crates.is_empty() => table.tests_may_use.extend(owned(crates)),
        ["only", dependency, "in", crates @ ..] if !crates.is_empty() => {
            table.only.push(OnlyIn { dependency: (*dependency).to_owned(), crates: owned(crates) });
        }
        [layer, name, may_use @ ..] if !may_use.is_empty() && is_layer(layer) => {
            let may_use = match may_use {
                ["all"] => MayUse::All,
                ["-"] => MayUse::Crates(Vec::new()),
                crates => MayUse::Crates(owned(crates)),
            };
            let (layer, name) = ((*layer).to_owned(), (*name).to_owned());
            table.rows.push(Row { line, layer, name, may_use });
        }
        _ => return false,
    }
    true
}

fn is_layer(word: &str) -> bool {
    matches!(word, "side" | "tool") || word.parse::<u32>().is_ok()
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_rules_are_read_and_comments_are_not() {
        let text = "# x\n0 vdisk - # first\n1 hyperv vdisk winremote\n5 cli all\nonly clap in cli xtask\n\
                    tests-may-use simulator\n";

        let table = read(&Tree::of(&[(PATH, text)])).unwrap();

        assert_eq!(table.rows.len(), 3);
        assert_eq!(table.row("vdisk").unwrap().may_use, MayUse::Crates(Vec::new()));
        assert_eq!(table.row("hyperv").unwrap().number(), Some(1));
        assert_eq!(table.row("cli").unwrap().may_use, MayUse::All);
        assert_eq!(table.only[0].crates, ["cli", "xtask"]);
        assert_eq!(table.tests_may_use, ["simulator"]);
    }

    #[test]
    fn a_line_of_another_shape_is_a_finding_with_its_line() {
        for bad in ["0 vdisk", "zero vdisk -", "only clap", "tests-may-use"] {
            let faults = read(&Tree::of(&[(PATH, &format!("0 a -\n{bad}\n"))])).unwrap_err();

            assert_eq!(faults[0].line, 2, "{bad}");
        }
    }

    #[test]
    fn a_missing_table_is_a_finding() {
        assert_eq!(read(&Tree::default()).unwrap_err().len(), 1);
    }
}
