//! What the process tells its caller in one number.
//!
//! Scripts branch on these, so they are few, documented in `refpoint --help`, and never change meaning.
//! Every error code of every crate is assigned here, in one table, instead of in the places that fail.

use std::process::ExitCode;

use serde::Serialize;

/// The exit codes of `refpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything that was asked for was done.
    Done = 0,
    /// It failed for a reason without a code of its own.
    Failed = 1,
    /// The command line itself was wrong (also what clap answers).
    Usage = 2,
    /// Done, but something was left out or took a slower way; the output says what.
    Warnings = 3,
    /// A named thing (repository, host, virtual machine, restore point, file) does not exist.
    NotFound = 4,
    /// An input file is not what it should be, or stored data is damaged.
    BadData = 5,
    /// The Hyper-V host could not be reached or refused the sign-in.
    Host = 6,
    /// The repository could not be opened or written (wrong passphrase, full, no permission).
    Repository = 7,
}

/// The table for `refpoint --help`.
pub(crate) const EXIT_HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  done with warnings
  4  something named does not exist
  5  an input file is unusable or stored data is damaged
  6  the host could not be reached or refused the sign-in
  7  the repository could not be opened or written";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// How the process ends for an error code of the crates below.
    pub(crate) fn of(code: &str) -> Self {
        let (area, number) = code.split_once('-').unwrap_or((code, ""));
        match (area, number.parse().unwrap_or(0)) {
            ("VD", 2..=12) => Self::BadData,
            ("GF", 2) => Self::BadData,
            ("GF", 4 | 7) => Self::NotFound,
            ("GF", 5 | 6) => Self::Usage,
            ("RP", 1 | 18..=20) => Self::NotFound,
            ("RP", 11..=13) => Self::BadData,
            ("RP", 2..=10 | 14..=17) => Self::Repository,
            ("RP", 26 | 27) => Self::Usage,
            ("RC", 1 | 5) => Self::BadData,
            ("RC", 8) => Self::Usage,
            ("HV", 1..=7) => Self::Host,
            ("HV", 20 | 22) => Self::NotFound,
            ("HV", 50) => Self::BadData,
            _ => Self::Failed,
        }
    }
}
