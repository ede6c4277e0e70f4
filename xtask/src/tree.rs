//! The repository's files, read once and handed to every check.
//!
//! Checks take this tree and not a path, so that each is a pure function and its test needs no disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// File name endings whose text the checks read; everything else is known by its path only.
const TEXT_ENDINGS: [&str; 9] = [".rs", ".md", ".toml", ".txt", ".sh", ".yml", ".scn", ".sql", ".ci/run"];

/// Folders at the root that hold no source.
const SKIPPED_FOLDERS: [&str; 2] = [".git", "target"];

/// A text file of the repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextFile<'a> {
    /// Path below the root, with `/`.
    pub(crate) path: &'a str,
    /// The whole text.
    pub(crate) text: &'a str,
}

/// Every path below the root, and the text of the files that hold text.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the tree below `root`.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.load_folder(root, "")?;
        Ok(tree)
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if prefix.is_empty() && SKIPPED_FOLDERS.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.load_folder(&entry.path(), &format!("{path}/"))?;
                self.paths.insert(path);
            } else {
                self.load_file(&entry.path(), path)?;
            }
        }
        Ok(())
    }

    fn load_file(&mut self, file: &Path, path: String) -> Result<()> {
        if TEXT_ENDINGS.iter().any(|ending| path.ends_with(ending)) {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {path} as text"))?;
            self.texts.insert(path.clone(), text);
        }
        self.paths.insert(path);
        Ok(())
    }

    /// Whether a file or folder of this path exists; letter case counts.
    pub(crate) fn contains(&self, path: &str) -> bool {
        path.is_empty() || self.paths.contains(path)
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Every text file.
    pub(crate) fn texts(&self) -> impl Iterator<Item = TextFile<'_>> {
        self.texts.iter().map(|(path, text)| TextFile { path, text })
    }

    /// The text files whose path ends so.
    pub(crate) fn ending(&self, ending: &'static str) -> impl Iterator<Item = TextFile<'_>> {
        self.texts().filter(move |file| file.path.ends_with(ending))
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of these files, without a disk.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            for (slash, _) in path.match_indices('/') {
                tree.paths.insert(path[..slash].to_owned());
            }
            tree.paths.insert((*path).to_owned());
            tree.texts.insert((*path).to_owned(), (*text).to_owned());
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_holds_text_and_paths_but_no_build_results() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in
            [("a/b.rs", "//! b"), ("a/c.bin", "\u{1}"), ("target/x.rs", ""), (".ci/run", "#!")]
        {
            fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
            fs::write(folder.path().join(path), text).unwrap();
        }

        let tree = Tree::load(folder.path()).unwrap();

        assert_eq!(tree.text("a/b.rs"), Some("//! b"));
        assert_eq!(tree.text(".ci/run"), Some("#!"));
        assert!(tree.contains("a/c.bin") && tree.text("a/c.bin").is_none());
        assert!(tree.contains("a") && !tree.contains("target/x.rs") && !tree.contains("a/B.rs"));
    }
}
