//! Runs the e2fsprogs tools that build and read the guest's file system, and turns their failures into errors.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// The tools date everything to this second, so that a tree built twice differs as little as possible.
const FAKE_TIME: &str = "1767225600";
/// This much of a tool's last words goes into an error.
const WORDS_MAX: usize = 400;

/// Runs a tool to its end and returns what it printed.
pub(crate) fn run<I, S>(program: &'static str, arguments: I, doing: &str) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let failed = |what: String| Error::Program { program, doing: doing.to_owned(), what };
    let output = Command::new(program)
        .args(arguments)
        .env("E2FSPROGS_FAKE_TIME", FAKE_TIME)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("it did not start: {error}")))?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(format!("{}; {}", output.status, last_words(&words))))
    }
}

fn last_words(text: &str) -> String {
    let text = text.trim();
    let start = text.len().saturating_sub(WORDS_MAX);
    let start = (start..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    text[start..].replace('\n', " / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named() {
        let error = run("no-such-tool", ["x"], "build a file system").unwrap_err();
        assert!(error.to_string().starts_with("no-such-tool could not build a file system: "), "{error}");
        assert_eq!(error.code(), "SM-011");
    }

    #[test]
    fn a_failing_tool_is_quoted() {
        let error = run("ls", ["/nonexistent/image"], "find an image").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/image"), "{error}");
    }
}
