//! How a failure reaches the operator: which object, the causes below it, the next step, and whether trying
//! again helps. One shape for the errors of every crate, in text and in JSON.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Output, json_line, write_all};

/// Whether running the same command again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Retry {
    /// Something has to change first.
    No,
    /// At once.
    Now,
    /// After a while.
    Later,
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Now => "now",
            Self::Later => "later",
        })
    }
}

/// Any error of any crate, flattened to what is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    code: String,
    sentence: String,
    causes: Vec<String>,
    next_step: String,
    retry: Retry,
    #[serde(skip)]
    exit: Exit,
}

/// The result of a command.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Flattens an error: its own sentence, then each cause that adds words.
    fn new(error: &dyn StdError, code: &str, next_step: &str, retry: Retry, exit: Exit) -> Self {
        let sentence = error.to_string();
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // A layer that only repeats the words of its cause adds nothing for the reader.
            let last = causes.last().unwrap_or(&sentence);
            if !last.contains(text.trim_end_matches('.')) {
                causes.push(text);
            }
            source = cause.source();
        }
        // Formats, repository and recovery begin their sentences with a capital or with a file's name, which has
        // to stay as it is spelled; the others begin with a small word.
        let capital = !matches!(code.get(..2), Some("VD" | "GF" | "RP" | "RC"));
        let causes = causes.iter().map(|cause| as_sentence(cause, capital)).collect();
        let (sentence, next_step) = (as_sentence(&sentence, capital), as_sentence(next_step, true));
        Self { code: code.to_owned(), sentence, causes, next_step, retry, exit }
    }

    /// The exit code of the process.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// Code and sentence on one line, for lists of partial failures.
    pub(crate) fn headline(&self) -> String {
        format!("{}: {}", self.code, self.sentence)
    }

    /// Prints on stderr, as JSON if results are JSON.
    pub(crate) fn print(&self, output: Output) {
        let text = if output.is_json() { self.json() } else { self.text() };
        write_all(&mut io::stderr().lock(), &text);
    }

    /// Prints on stderr where the result on stdout does not carry it already.
    pub(crate) fn print_in_text(&self, output: Output) {
        if !output.is_json() {
            self.print(output);
        }
    }

    fn text(&self) -> String {
        let mut text = format!("error {}: {}\n", self.code, self.sentence);
        for cause in &self.causes {
            text.push_str(&format!("cause: {cause}\n"));
        }
        text.push_str(&format!("next: {}\ntry again: {}\n", self.next_step, self.retry));
        text
    }

    fn json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            error: &'a Failure,
            exit_code: u8,
        }
        json_line(&Document { error: self, exit_code: self.exit as u8 })
    }
}

/// Begins with a capital and ends with a full stop, whoever wrote it: crates word their errors for different
/// neighbours, an operator reads one report.
fn as_sentence(text: &str, capital: bool) -> String {
    let text = text.trim();
    let mut sentence: String = match text.chars().next() {
        // Only a plain word is capitalised; a path, option or command begins as it is spelled.
        Some(first) if capital && text.split(' ').next().is_some_and(is_plain_word) => {
            first.to_uppercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    };
    if !sentence.ends_with(['.', '!', '?', ':']) {
        sentence.push('.');
    }
    sentence
}

fn is_plain_word(word: &str) -> bool {
    word.chars().all(|c| c.is_lowercase() || c == ',' || c == ':')
}

/// Whether a file that does not exist is at the bottom of an error.
fn is_missing_file(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::NotFound) {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<crate::error::Error> for Failure {
    fn from(error: crate::error::Error) -> Self {
        Self::new(&error, error.code(), &error.next_step(), error.retry(), error.exit())
    }
}

/// The errors of the crates below have the same three methods, each with its own `Retry`.
macro_rules! failure_from {
    ($($krate:ident),+) => {$(
        impl From<$krate::Error> for Failure {
            fn from(error: $krate::Error) -> Self {
                let retry = match error.retry() {
                    $krate::Retry::No => Retry::No,
                    $krate::Retry::Now => Retry::Now,
                    $krate::Retry::Later => Retry::Later,
                };
                let exit = if is_missing_file(&error) { Exit::NotFound } else { Exit::of(error.code()) };
                Self::new(&error, error.code(), &error.next_step(), retry, exit)
            }
        }
    )+};
}

failure_from!(vdisk, guestfs, repository, hyperv, protection, recovery, simulator);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_reads_as_sentences() {
        let spoken =
            ["no VM here", "host HV1 is busy", "/mnt/x is full.", "`refpoint vm list`", "error: disk"];
        let shown: Vec<String> = spoken.into_iter().map(|text| as_sentence(text, true)).collect();
        let expected =
            ["No VM here.", "Host HV1 is busy.", "/mnt/x is full.", "`refpoint vm list`.", "Error: disk."];
        assert_eq!(shown, expected);
        assert_eq!(as_sentence("photos is not empty.", false), "photos is not empty.");
    }

    #[test]
    fn a_missing_file_ends_with_not_found_and_its_cause_is_told_once() {
        let missing = vdisk::Disk::open_local("/nonexistent/a.vhdx").map(drop).map_err(Failure::from);
        let failure = missing.unwrap_err();
        assert_eq!(failure.exit(), Exit::NotFound);
        assert_eq!(
            failure.text(),
            "error VD-001: Cannot open /nonexistent/a.vhdx.\n\
             cause: No such file or directory (os error 2).\n\
             next: Check the path.\n\
             try again: no\n"
        );
    }
}
