//! `refpoint disk check`: every rule of its format that a disk file violates.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vdisk::check::{Report, Rule, Severity, rule, rules};
use vdisk::{Disk, FileIo};

use super::source::{Parents, open_file, parent_map};
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Table, View, units};
use crate::report::Outcome;

/// Name every rule that a disk file violates; nothing is changed
///
/// Errors mean that the disk, or a part of it, cannot be read rightly; the command then ends with 5. Warnings and
/// notes do not change what is read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk check sql01.vhdx
  refpoint disk check --explain VHDX-2.2.2-header-checksum
  refpoint disk check --rules")]
pub(crate) struct CheckArgs {
    /// A .vhdx, .avhdx or .vhd file; its parents are checked too
    #[arg(required_unless_present_any = ["explain", "rules"])]
    file: Option<PathBuf>,
    /// Explain a rule
    #[arg(long, value_name = "RULE", conflicts_with_all = ["file", "rules"])]
    explain: Option<String>,
    /// List all rules
    #[arg(long, conflicts_with = "file")]
    rules: bool,
    #[command(flatten)]
    parents: Parents,
}

/// What was found in a file and its parents.
#[derive(Debug, Serialize)]
struct CheckView {
    files: Vec<String>,
    sound: bool,
    errors: u64,
    warnings: u64,
    notes: u64,
    findings: Vec<FindingView>,
    omitted: Vec<OmittedView>,
}

#[derive(Debug, Serialize)]
struct FindingView {
    file: String,
    rule: &'static str,
    section: &'static str,
    severity: &'static str,
    object: String,
    found: String,
    expected: &'static str,
}

/// Findings of one rule that are only counted.
#[derive(Debug, Serialize)]
struct OmittedView {
    file: String,
    rule: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct RuleView {
    rule: &'static str,
    section: &'static str,
    severity: &'static str,
    expected: &'static str,
    explanation: &'static str,
}

#[derive(Debug, Serialize)]
struct RulesView {
    rules: Vec<RuleView>,
}

/// Runs `refpoint disk check`.
pub(super) fn run(context: &Context, args: &CheckArgs) -> Outcome<Exit> {
    if let Some(id) = &args.explain {
        let found = rule(id).ok_or_else(|| Error::RuleUnknown { id: id.clone() })?;
        context.output.show(&RuleView::of(found));
        return Ok(Exit::Done);
    }
    let Some(file) = args.file.as_ref().filter(|_| !args.rules) else {
        context.output.show(&RulesView { rules: rules().map(RuleView::of).collect() });
        return Ok(Exit::Done);
    };
    let files = args.chain(file)?;
    let opened = files.iter().map(|file| open_file(file)).collect::<vdisk::Result<Vec<_>>>()?;
    let report = vdisk::check::check(&opened)?;
    context.output.show(&CheckView::of(&opened, &report));
    Ok(if report.is_sound() { Exit::Done } else { Exit::BadData })
}

impl CheckArgs {
    /// The file and its parents: those named, or those that can be found and opened.
    fn chain(&self, file: &PathBuf) -> vdisk::Result<Vec<PathBuf>> {
        let named = std::iter::once(file.clone()).chain(self.parents.files.iter().cloned());
        if !self.parents.files.is_empty() {
            return Ok(named.collect());
        }
        // A chain that cannot be opened as a whole is what this command is for; then the file alone is checked.
        let disk = Disk::open_local_with(file, &parent_map(&self.parents.map));
        Ok(disk
            .map_or_else(|_| named.collect(), |disk| disk.layers().map(|layer| layer.name.into()).collect()))
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

impl RuleView {
    fn of(rule: &'static Rule) -> Self {
        Self {
            rule: rule.id,
            section: rule.section,
            severity: severity_name(rule.severity),
            expected: rule.claim,
            explanation: rule.explanation,
        }
    }
}

impl CheckView {
    fn of(files: &[std::sync::Arc<dyn FileIo>], report: &Report) -> Self {
        let findings = report.findings.iter().map(|finding| FindingView {
            file: finding.file.clone(),
            rule: finding.rule.id,
            section: finding.rule.section,
            severity: severity_name(finding.rule.severity),
            object: finding.object.clone(),
            found: finding.found.clone(),
            expected: finding.rule.claim,
        });
        let omitted = report.omitted.iter().map(|more| OmittedView {
            file: more.file.clone(),
            rule: more.rule.id,
            count: more.count,
        });
        Self {
            files: files.iter().map(|file| file.name().to_owned()).collect(),
            sound: report.is_sound(),
            errors: report.count(Severity::Error),
            warnings: report.count(Severity::Warning),
            notes: report.count(Severity::Note),
            findings: findings.collect(),
            omitted: omitted.collect(),
        }
    }
}

impl View for CheckView {
    fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            text.push_str(&format!("{file}\n"));
            for finding in self.findings.iter().filter(|finding| finding.file == *file) {
                let FindingView { severity, rule, object, found, expected, .. } = finding;
                text.push_str(&format!("  {severity:<7} {rule}\n          {object}: {found}\n"));
                text.push_str(&format!("          Rule: {expected}\n"));
            }
            for more in self.omitted.iter().filter(|more| more.file == *file) {
                text.push_str(&format!("  and {} more of {}\n", more.count, more.rule));
            }
        }
        let counts = [(self.errors, "error"), (self.warnings, "warning"), (self.notes, "note")];
        let counts: Vec<_> = counts.iter().map(|(number, what)| units::count(*number, what)).collect();
        let verdict = if self.sound { "Sound" } else { "Damaged" };
        text.push_str(&format!("{verdict}: {}\n", counts.join(", ")));
        text
    }
}

impl View for RuleView {
    fn text(&self) -> String {
        format!(
            "{} ({}, {})\nRule: {}\n{}\n",
            self.rule, self.severity, self.section, self.expected, self.explanation
        )
    }
}

impl View for RulesView {
    fn text(&self) -> String {
        let mut table = Table::new(&["RULE", "SEVERITY", "HOLDS IN A SOUND FILE"]);
        for rule in &self.rules {
            table.row([rule.rule, rule.severity, rule.expected]);
        }
        table.render()
    }
}
