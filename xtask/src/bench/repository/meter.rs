//! What a step took: CPU and wall seconds and peak memory by GNU time, and what a repository takes on the disk.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What one run of a command took.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// User and system time of all its threads and children.
    pub(super) cpu_seconds: f64,
    wall_seconds: f64,
    peak_kib: u64,
    /// The last line that it printed.
    said: String,
}

/// What a repository takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    bytes: u64,
    files: u64,
}

/// The line that GNU time ends with, told apart from what the command itself says.
const MARK: &str = "refpoint-bench-time";

/// Runs a command under GNU time.
pub(super) fn run(command: &mut Command) -> Result<Measured> {
    let mut timed = Command::new("/usr/bin/time");
    timed
        .args(["--quiet", "-f", &format!("{MARK} %e %U %S %M")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            timed.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let output = timed
        .stdin(Stdio::null())
        .output()
        .context("cannot run /usr/bin/time (Debian: apt-get install time)")?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{command:?} failed: {}", told.lines().last().unwrap_or_default());
    }
    let said = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned();
    let line =
        told.lines().rev().find_map(|line| line.strip_prefix(MARK)).context("GNU time said nothing")?;
    parse(line, said).with_context(|| format!("GNU time said {line}"))
}

fn parse(line: &str, said: String) -> Option<Measured> {
    let mut fields = line.split_whitespace();
    let wall_seconds = fields.next()?.parse().ok()?;
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    let peak_kib = fields.next()?.parse().ok()?;
    Some(Measured { cpu_seconds: user + system, wall_seconds, peak_kib, said })
}

impl Measured {
    pub(super) fn text(&self) -> String {
        let Self { cpu_seconds, wall_seconds, peak_kib, said } = self;
        format!("{cpu_seconds:7.2} CPU-s {wall_seconds:7.2} s {:6} MiB peak   {said}", peak_kib >> 10)
    }
}

/// Adds up the files below a folder.
pub(super) fn stored(folder: &Path) -> Result<Stored> {
    let mut total = Stored { bytes: 0, files: 0 };
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let facts = entry.metadata()?;
        let found =
            if facts.is_dir() { stored(&entry.path())? } else { Stored { bytes: facts.len(), files: 1 } };
        total = Stored { bytes: total.bytes + found.bytes, files: total.files + found.files };
    }
    Ok(total)
}

impl Stored {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub(super) fn mib(self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20)
    }

    pub(super) fn text(self) -> String {
        format!("{:7.0} MiB in {} files", self.mib(), self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_gnu_time_becomes_a_measurement() {
        let measured = parse(" 2.50 1.25 0.50 2048", "done".to_owned()).unwrap();

        assert_eq!(
            measured,
            Measured { cpu_seconds: 1.75, wall_seconds: 2.5, peak_kib: 2048, said: "done".to_owned() }
        );
        assert!(parse(" 2.50 1.25", String::new()).is_none());
    }

    #[test]
    fn a_repository_takes_what_its_files_hold_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), [0; 100]).unwrap();
        std::fs::write(folder.path().join("c"), [0; 28]).unwrap();

        assert_eq!(stored(folder.path()).unwrap(), Stored { bytes: 128, files: 2 });
    }
}
