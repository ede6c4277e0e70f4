//! The rules that no compiler checks, one file each.
//!
//! Every check is a pure function from the tree (and cargo's metadata) to findings. A rule is stated once, in
//! its file; what a rule needs to know about this workspace stands in the tables `xtask/*.txt`.

pub(crate) mod conformance;
mod decisions;
mod dependencies;
mod headers;
mod layer_table;
mod layers;
mod links;
mod markdown;
mod naming;
mod sizes;
mod text;
mod tools;

use std::path::Path;

use anyhow::Result;

use crate::finding::Finding;
use crate::tree::Tree;
use crate::workspace::{self, Package};

/// Checks the repository at `root` and prints what is wrong; true when nothing is.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let tree = Tree::load(root)?;
    let packages = workspace::packages(root)?;
    let findings = check(&tree, &packages, root);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", tree.texts().count(), findings.len());
    Ok(findings.is_empty())
}

/// Writes the page of conformance cases anew from the list and the tests' marks.
pub(crate) fn write_conformance(root: &Path) -> Result<bool> {
    let page = conformance::page(&Tree::load(root)?);
    std::fs::write(root.join(conformance::PAGE), page)?;
    println!("wrote {}", conformance::PAGE);
    Ok(true)
}

/// All findings, in the order of their places.
fn check(tree: &Tree, packages: &[Package], root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    match layer_table::read(tree) {
        Ok(table) => {
            findings.extend(layers::check(tree, &table, packages));
            findings.extend(naming::check(tree, &table, packages, root));
        }
        Err(faults) => findings.extend(faults),
    }
    findings.extend(dependencies::check(tree, packages, root));
    findings.extend(sizes::check(tree));
    findings.extend(headers::check(tree));
    findings.extend(links::check(tree));
    findings.extend(text::check(tree));
    findings.extend(tools::check(tree));
    findings.extend(decisions::check(tree));
    findings.extend(conformance::check(tree));
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_part_of_tidy() {
        let long = format!("//! x\n{}", "\n".repeat(sizes::FILE_LINES_MAX));
        let tree = Tree::of(&[
            (layer_table::PATH, "0 vdisk -\nonly clap in cli"),
            ("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\n"),
            ("crates/vdisk/src/long.rs", &long),
            ("crates/vdisk/src/headless.rs", "fn x() {}\n"),
            ("crates/vdisk/src/named.rs", "//! x\nuse clap::Parser;\n"),
            ("crates/vdisk/tests/tool.rs", "//! x\nfn x() { run(\"qemu-img\") }\n"),
            (tools::PATH, "qemu-img qemu-utils -"),
            ("README.md", "[x](gone.md)\ttab\n"),
            ("docs/decisions/x.md", "# X\n"),
        ]);

        let findings = check(&tree, &[], Path::new("/"));

        let places: Vec<_> = findings.iter().map(|f| format!("{}:{}", f.file, f.line)).collect();
        for place in [
            "xtask/layers.txt:1",
            "Cargo.toml:2",
            "crates/vdisk/src/long.rs:1",
            "crates/vdisk/src/headless.rs:1",
            "crates/vdisk/src/named.rs:2",
            "crates/vdisk/tests/tool.rs:2",
            "README.md:1",
            "docs/decisions/x.md:1",
        ] {
            assert!(places.iter().any(|found| found == place), "{place} is not in {findings:#?}");
        }
    }

    #[test]
    fn a_layer_table_that_cannot_be_read_is_a_finding() {
        let findings = check(&Tree::of(&[(layer_table::PATH, "what is this line\n")]), &[], Path::new("/"));

        assert!(findings.iter().any(|f| f.file == layer_table::PATH && f.line == 1), "{findings:#?}");
    }
}
