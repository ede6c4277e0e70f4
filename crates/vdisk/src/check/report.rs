//! Findings, bounded: a table with a million bad entries is told by the first few and a number.

use std::collections::BTreeMap;

use super::rule::{Rule, Severity};

/// Findings of one rule in one file that are kept; the others are counted.
const SHOWN_MAX: u64 = 16;

/// A rule that a file violates, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file.
    pub file: String,
    /// The rule.
    pub rule: &'static Rule,
    /// The structure it was found in, such as "header 1" or "block 17".
    pub object: String,
    /// What was found there.
    pub found: String,
}

/// Further findings of a rule, not listed one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Omitted {
    /// Name of the file.
    pub file: String,
    /// The rule.
    pub rule: &'static Rule,
    /// How many more there are.
    pub count: u64,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// In the order of the files and of their structures.
    pub findings: Vec<Finding>,
    /// What was left out of the list.
    pub omitted: Vec<Omitted>,
}

impl Report {
    /// Number of findings of this severity, those left out included.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        let listed = self.findings.iter().filter(|finding| finding.rule.severity == severity).count() as u64;
        let more = self.omitted.iter().filter(|more| more.rule.severity == severity);
        listed + more.map(|more| more.count).sum::<u64>()
    }

    /// Whether nothing is wrong with the disk; warnings and notes do not count.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.count(Severity::Error) == 0
    }
}

/// Collects what the walks find.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    file: String,
    report: Report,
    counts: BTreeMap<&'static str, (&'static Rule, u64)>,
}

impl Findings {
    /// The findings that follow are of this file.
    pub(crate) fn enter(&mut self, file: &str) {
        self.close_file();
        file.clone_into(&mut self.file);
    }

    /// Notes a violation.
    pub(crate) fn add(
        &mut self,
        rule: &'static Rule,
        object: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) {
        let (_, count) = self.counts.entry(rule.id).or_insert((rule, 0));
        *count += 1;
        if *count <= SHOWN_MAX {
            let (object, found) = (object.to_string(), found.to_string());
            self.report.findings.push(Finding { file: self.file.clone(), rule, object, found });
        }
    }

    /// Notes a violation if the rule does not hold.
    pub(crate) fn expect(
        &mut self,
        holds: bool,
        rule: &'static Rule,
        object: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) {
        if !holds {
            self.add(rule, object, found);
        }
    }

    pub(crate) fn into_report(mut self) -> Report {
        self.close_file();
        self.report
    }

    fn close_file(&mut self) {
        for (_, (rule, count)) in std::mem::take(&mut self.counts) {
            if let Some(count) = count.checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
                self.report.omitted.push(Omitted { file: self.file.clone(), rule, count });
            }
        }
    }
}
