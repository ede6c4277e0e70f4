//! One side of a comparison: a command, and how long it takes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// A command to be timed.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    /// Where its output goes; nowhere if not given.
    pub output: Option<PathBuf>,
    /// Removed before each run, outside the time.
    pub removed: Option<PathBuf>,
    /// Then made anew as a copy of this file, outside the time too.
    pub copied: Option<PathBuf>,
}

impl Step {
    pub(super) fn new(program: impl Into<PathBuf>, arguments: &[&Path]) -> Self {
        let arguments = arguments.iter().map(|argument| argument.display().to_string()).collect();
        Self { program: program.into(), arguments, output: None, removed: None, copied: None }
    }

    /// A command line of words, for peers.
    pub(super) fn of(words: &str) -> Self {
        let mut words = words.split_whitespace().map(str::to_owned);
        let program = PathBuf::from(words.next().unwrap_or_default());
        Self { program, arguments: words.collect(), output: None, removed: None, copied: None }
    }

    /// A script for the shell.
    pub(super) fn shell(script: String) -> Self {
        Self {
            program: "sh".into(),
            arguments: vec!["-ec".into(), script],
            output: None,
            removed: None,
            copied: None,
        }
    }

    /// The step makes this file anew.
    pub(super) fn making(self, path: &Path) -> Self {
        Self { removed: Some(path.to_owned()), ..self }
    }

    /// The step changes a copy of a file.
    pub(super) fn changing(self, copy: &Path, of: &Path) -> Self {
        Self { copied: Some(of.to_owned()), ..self }.making(copy)
    }

    /// What the step prints goes to this file, made anew.
    pub(super) fn printing_to(self, path: &Path) -> Self {
        Self { output: Some(path.to_owned()), ..self }.making(path)
    }

    /// Whether the program can be run here.
    pub(super) fn is_there(&self) -> bool {
        if self.program.components().count() > 1 {
            return self.program.exists();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(&self.program).exists())
    }

    /// The command as one would type it, without the folders of files.
    pub(super) fn line(&self) -> String {
        let short = |word: &str| {
            let is_path = word.starts_with('/') && word.len() > 1 && !word.contains(' ');
            let name = Path::new(word).file_name().filter(|_| is_path);
            name.map_or_else(|| word.to_owned(), |name| name.to_string_lossy().into_owned())
        };
        let mut words = vec![short(&self.program.display().to_string())];
        words.extend(self.arguments.iter().map(|word| short(word)));
        if let Some(output) = &self.output {
            words.push(format!("> {}", output.display()));
        }
        words.join(" ")
    }

    /// Seconds of one run.
    fn time(&self) -> Result<f64> {
        if let Some(path) = self.removed.as_ref().filter(|path| path.exists()) {
            std::fs::remove_file(path)?;
        }
        if let (Some(from), Some(to)) = (&self.copied, &self.removed) {
            std::fs::copy(from, to).with_context(|| format!("cannot copy to {}", to.display()))?;
        }
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(path) = &self.output {
            command.stdout(File::create(path)?);
        }
        let start = Instant::now();
        let status = command.status().with_context(|| format!("cannot run {}", self.line()))?;
        let seconds = start.elapsed().as_secs_f64();
        if !status.success() {
            bail!("failed: {}", self.line());
        }
        Ok(seconds)
    }
}

/// Runs both in turns, once to warm up and then `rounds` times; the least seconds of each.
pub(super) fn least_seconds(steps: [&Step; 2], rounds: u32) -> Result<[f64; 2]> {
    let mut least = [f64::INFINITY; 2];
    for round in 0..=rounds {
        for (step, least) in steps.iter().zip(&mut least) {
            let seconds = step.time()?;
            if round > 0 {
                *least = least.min(seconds);
            }
        }
    }
    for path in steps.iter().filter_map(|step| step.removed.as_ref()).filter(|path| path.exists()) {
        std::fs::remove_file(path)?;
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_is_named_and_one_that_is_missing_is_known() {
        assert!(Step::of("true").is_there() && !Step::of("no-such-program-here").is_there());
        assert!(least_seconds([&Step::of("true"), &Step::of("true")], 1).unwrap()[0] < 10.0);
        let error = least_seconds([&Step::of("true"), &Step::of("false x")], 1).unwrap_err();
        assert_eq!(error.to_string(), "failed: false x");
    }

    #[test]
    fn a_line_leaves_out_folders() {
        let step = Step::of("/a/b/reader --fast /c/d/disk.vhdx").printing_to(Path::new("/dev/shm/x"));

        assert_eq!(step.line(), "reader --fast disk.vhdx > /dev/shm/x");
    }
}
