//! Dependencies point down: the layer table against itself, cargo's metadata and ARCHITECTURE.md.

use super::layer_table::{LayerTable, MayUse, PATH, Row};
use super::markdown;
use crate::finding::Finding;
use crate::tree::Tree;
use crate::workspace::Package;

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Findings about layers.
pub(crate) fn check(tree: &Tree, table: &LayerTable, packages: &[Package]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = table.rows.iter().flat_map(|row| points_down(table, row)).collect();
    for package in packages {
        findings.extend(uses(table, package));
    }
    for row in &table.rows {
        if !packages.iter().any(|package| package.name == row.name) {
            let what = format!("the workspace has no crate `{}`", row.name);
            findings.push(Finding::new(PATH, row.line, what, "remove its line until it has code"));
        }
    }
    findings.extend(page(tree, table));
    findings
}

/// A crate of a numbered layer uses lower layers; the side crates use layer 0; tools use nothing.
fn points_down(table: &LayerTable, row: &Row) -> Vec<Finding> {
    let MayUse::Crates(crates) = &row.may_use else {
        return Vec::new();
    };
    let limit = match row.layer.as_str() {
        "side" => 1,
        "tool" => 0,
        _ => row.number().unwrap_or(0),
    };
    crates
        .iter()
        .filter(|used| table.row(used).and_then(Row::number).is_none_or(|number| number >= limit))
        .map(|used| {
            let what =
                format!("`{}` of layer {} may use `{used}`, which is not below it", row.name, row.layer);
            Finding::new(PATH, row.line, what, "dependencies point down: move one of the two crates")
        })
        .collect()
}

/// Whether a crate's dependencies stay within what its row allows.
fn uses(table: &LayerTable, package: &Package) -> Vec<Finding> {
    let Some(row) = table.row(&package.name) else {
        let what = format!("crate `{}` has no layer", package.name);
        return vec![Finding::new(PATH, 1, what, "add its line here and in ARCHITECTURE.md")];
    };
    package
        .dependencies
        .iter()
        .filter(|used| table.row(&used.name).is_some())
        .filter(|used| !may_use(table, row, &used.name))
        .filter(|used| !(used.is_dev() && tests_may_use(table, row, &used.name)))
        .map(|used| {
            let kind = if used.is_dev() { "in its tests" } else { "" };
            let what = format!("`{}` (layer {}) uses `{}` {kind}", row.name, row.layer, used.name);
            let remedy = "move the code to the layer that may, or decide on a new table in docs/decisions";
            Finding::new(PATH, row.line, what.trim_end(), remedy)
        })
        .collect()
}

fn may_use(table: &LayerTable, row: &Row, used: &str) -> bool {
    match &row.may_use {
        MayUse::All => table.row(used).is_some_and(|used| used.layer != "tool"),
        MayUse::Crates(crates) => crates.iter().any(|allowed| allowed == used),
    }
}

fn tests_may_use(table: &LayerTable, row: &Row, used: &str) -> bool {
    row.number().is_some() && table.tests_may_use.iter().any(|allowed| allowed == used)
}

/// ARCHITECTURE.md shows the same table: `| layer | crate | one line | may use |`.
fn page(tree: &Tree, table: &LayerTable) -> Vec<Finding> {
    let Some(text) = tree.text(ARCHITECTURE) else {
        return vec![Finding::new(ARCHITECTURE, 1, "the page is missing", "restore it")];
    };
    let shown: Vec<_> = markdown::table_rows(text).filter(|(_, cells)| cells.len() == 4).collect();
    let mut findings = Vec::new();
    for row in &table.rows {
        let expected = shown_uses(row);
        match shown.iter().find(|(_, cells)| cells[1] == format!("`{}`", row.name)) {
            None => {
                let what = format!("the layer table of the page lacks `{}`", row.name);
                let remedy = format!("add `| {} | `{}` | what it is | {expected} |`", row.layer, row.name);
                findings.push(Finding::new(ARCHITECTURE, 1, what, remedy));
            }
            Some((line, cells)) if cells[0] != row.layer || cells[3] != expected => {
                let what = format!("the row of `{}` differs from {PATH}", row.name);
                let remedy = format!("write layer {} and may use {expected}", row.layer);
                findings.push(Finding::new(ARCHITECTURE, *line, what, remedy));
            }
            Some(_) => {}
        }
    }
    for (line, cells) in shown {
        let name = cells[1].trim_matches('`');
        if cells[1].starts_with('`') && table.row(name).is_none() {
            let what = format!("the page shows `{name}`, which {PATH} lacks");
            findings.push(Finding::new(ARCHITECTURE, line, what, "show crates that exist"));
        }
    }
    findings
}

fn shown_uses(row: &Row) -> String {
    match &row.may_use {
        MayUse::All => "all".to_owned(),
        MayUse::Crates(crates) if crates.is_empty() => "–".to_owned(),
        MayUse::Crates(crates) => crates.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer_table;
    use super::*;
    use crate::workspace::Dependency;

    const TABLE: &str =
        "0 vdisk -\n1 hyperv vdisk\n5 cli all\nside simulator vdisk\ntests-may-use simulator\n";
    const PAGE: &str = "| layer | crate | one line | may use |\n|:-:|---|---|---|\n| 0 | `vdisk` | d | – |\n\
                        | 1 | `hyperv` | h | `vdisk` |\n| 5 | `cli` | c | all |\n| side | `simulator` | s | `vdisk` |\n";

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependencies = uses
            .iter()
            .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
            .collect();
        Package { name: name.to_owned(), manifest_path: "Cargo.toml".into(), dependencies }
    }

    fn sound() -> Vec<Package> {
        vec![
            package("vdisk", &[("uuid", None), ("simulator", Some("dev"))]),
            package("hyperv", &[("vdisk", None)]),
            package("cli", &[("hyperv", None), ("simulator", None)]),
            package("simulator", &[("vdisk", None)]),
        ]
    }

    fn findings(table: &str, page: &str, packages: &[Package]) -> Vec<Finding> {
        let tree = Tree::of(&[(PATH, table), (ARCHITECTURE, page)]);
        check(&tree, &layer_table::read(&tree).unwrap(), packages)
    }

    #[test]
    fn a_workspace_as_in_the_table_has_no_finding() {
        assert_eq!(findings(TABLE, PAGE, &sound()), []);
    }

    #[test]
    fn a_crate_that_uses_one_above_it_is_found() {
        let mut packages = sound();
        packages[0] = package("vdisk", &[("hyperv", None)]);

        let found = findings(TABLE, PAGE, &packages);

        assert_eq!(found[0].what, "`vdisk` (layer 0) uses `hyperv`");
        assert_eq!(found[0].line, 1);
    }

    #[test]
    fn the_simulator_may_not_see_the_client_even_in_its_tests() {
        let mut packages = sound();
        packages[3] = package("simulator", &[("hyperv", Some("dev"))]);

        let found = findings(TABLE, PAGE, &packages);

        assert_eq!(found[0].what, "`simulator` (layer side) uses `hyperv` in its tests");
    }

    #[test]
    fn the_product_may_not_use_the_simulator() {
        let mut packages = sound();
        packages[1] = package("hyperv", &[("simulator", None)]);

        assert_eq!(findings(TABLE, PAGE, &packages)[0].what, "`hyperv` (layer 1) uses `simulator`");
    }

    #[test]
    fn a_table_that_points_up_or_sideways_is_found() {
        for (from, to) in [("0 vdisk -", "0 vdisk hyperv"), ("side simulator vdisk", "side simulator hyperv")]
        {
            let found = findings(&TABLE.replace(from, to), PAGE, &sound());

            assert!(found.iter().any(|f| f.what.contains("which is not below it")), "{to}: {found:?}");
        }
    }

    #[test]
    fn a_crate_without_a_layer_and_a_layer_without_a_crate_are_found() {
        let mut packages = sound();
        packages[0].name = "guestfs".to_owned();

        let found = findings(TABLE, PAGE, &packages);

        assert!(found.iter().any(|f| f.what == "crate `guestfs` has no layer"));
        assert!(found.iter().any(|f| f.what == "the workspace has no crate `vdisk`"));
    }

    #[test]
    fn the_page_shows_the_same_rows() {
        let other_layer = PAGE.replace("| 1 |", "| 2 |");
        let other_uses = PAGE.replace("| h | `vdisk` |", "| h | – |");
        let missing = PAGE.replace("`cli`", "cli");
        let extra = format!("{PAGE}| 4 | `console` | c | all |\n");

        for page in [other_layer, other_uses, missing, extra, String::new()] {
            let found = findings(TABLE, &page, &sound());

            assert!(found.iter().all(|f| f.file == ARCHITECTURE) && !found.is_empty(), "{page}");
        }
    }
}
