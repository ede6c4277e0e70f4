//! The validator: every rule that a disk file violates, by name.
//!
//! Opening a disk stops at the first thing that makes reading unsafe. This walks on: it tells what
//! else is wrong, what is unusual but harmless, and which section of the specification says so, so
//! that an operator can judge a file and a developer can find who wrote it. Nothing is written, and a
//! log is replayed in memory first, as for reading.
//!
//! ```text
//! rule     what a rule is, and the registry of all of them     report   findings, bounded in number
//! chain    rules between a child and its parent; files beside the disk
//! ```
//!
//! The walks stand with their formats, in `vhdx/check` and `vhd/check`, because they use the layouts declared there.

mod chain;
mod report;
mod rule;
pub(crate) mod vhd_rules;
pub(crate) mod vhdx_rules;

use std::sync::Arc;

use crate::disk::DiskFormat;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::layer::format_of;

pub use report::{Finding, Omitted, Report};
pub use rule::{Rule, Severity, rule, rules};

pub(crate) use report::Findings;

/// Checks one file, or a chain given child first. What cannot be read is an error; everything else
/// is a finding. A file that is no virtual disk at all is an error too.
pub fn check(files: &[Arc<dyn FileIo>]) -> Result<Report> {
    let mut findings = Findings::default();
    for file in files {
        findings.enter(file.name());
        check_file(file, &mut findings)?;
        chain::leftovers(file.name(), &mut findings);
    }
    chain::check(files, &mut findings)?;
    Ok(findings.into_report())
}

fn check_file(file: &Arc<dyn FileIo>, findings: &mut Findings) -> Result<()> {
    match format_of(&**file)? {
        Some(DiskFormat::Vhd) => crate::vhd::check::check(file, findings),
        Some(_) => crate::vhdx::check::check(file, findings),
        None => {
            let looks_like =
                crate::detect::looks_like(&**file).map_err(|error| Error::io(file.name(), "read", error))?;
            Err(Error::NotVhdx { file: file.name().to_owned(), looks_like })
        }
    }
}
