//! Where results go. Every command builds one value that knows how to be JSON and how to be text; the same
//! words appear in both. Results go to stdout, everything else (notes, warnings, progress, errors) to stderr.

mod progress;
mod table;
pub(crate) mod units;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use progress::Progress;
pub(crate) use table::Table;

/// Form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; may improve between versions.
    Text,
    /// For scripts; stable, `snake_case`, sizes in bytes, moments in milliseconds since 1970.
    Json,
}

/// A result that can be shown both ways.
pub(crate) trait View: Serialize {
    /// The text for people, each line ended.
    fn text(&self) -> String;
}

/// The streams of this process, and how loud to be on them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Whether results are JSON.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result on stdout. A reader that went away (`| head`) is not an error.
    pub(crate) fn show<V: View>(self, view: &V) {
        let text = match self.format {
            Format::Text => view.text(),
            Format::Json => json_line(view),
        };
        write_all(&mut io::stdout().lock(), &text);
    }

    /// Tells a story on stdout as it happens; silent in scripts and with `--quiet`.
    pub(crate) fn tell(self, text: &str) {
        if !self.quiet && !self.is_json() {
            write_all(&mut io::stdout().lock(), &format!("{text}\n"));
        }
    }

    /// Tells a person what is going on; silent in scripts and with `--quiet`.
    pub(crate) fn note(self, sentence: &str) {
        if !self.quiet && !self.is_json() {
            write_all(&mut io::stderr().lock(), &format!("{sentence}\n"));
        }
    }

    /// Tells what was left out or went a slower way; shown even with `--quiet`.
    pub(crate) fn warn(self, sentence: &str) {
        if !self.is_json() {
            write_all(&mut io::stderr().lock(), &format!("warning: {sentence}\n"));
        }
    }

    /// A bar over `total` bytes, drawn only for a person at a terminal.
    pub(crate) fn progress(self, total: u64, what: &str) -> Progress {
        let visible = !self.quiet && !self.is_json() && io::stderr().is_terminal();
        Progress::bytes(visible, total, what)
    }
}

/// Writes to a stream and forgets write errors: there is nowhere left to report them.
pub(crate) fn write_all(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// One JSON document, indented, with a line end.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> String {
    match serde_json::to_string_pretty(value) {
        Ok(text) => text + "\n",
        Err(error) => format!("{{\"error\":{{\"sentence\":\"result is not JSON: {error}\"}}}}\n"),
    }
}
