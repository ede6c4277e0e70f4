//! One broken rule: where, what, and what to do about it.

use std::fmt;

/// A broken rule at a place in the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path below the root, with `/`.
    pub(crate) file: String,
    /// Line, counted from one.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// What puts it right.
    pub(crate) remedy: String,
}

impl Finding {
    /// A finding at `file:line`.
    pub(crate) fn new(file: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} — {}", self.file, self.line, self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_place_what_and_remedy() {
        let finding = Finding::new("a/b.rs", 7, "the file is too long", "split it");

        assert_eq!(finding.to_string(), "a/b.rs:7: the file is too long — split it");
    }
}
