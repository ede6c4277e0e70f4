//! `refpoint disk ls`: the files in a folder of a guest's volume.

use std::time::Duration;

use clap::Args;
use guestfs::{Entry, Metadata, NodeKind, Tree};
use serde::Serialize;

use super::guest::{GuestVolume, condition};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Table, View, units};
use crate::report::{Failure, Outcome};

/// List the files in a folder on a guest's disk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk ls sql01.vhdx
  refpoint disk ls sql01.vhdx /Windows/System32 --volume disk0/part3
  refpoint disk ls web01.vhdx /etc --output json")]
pub(crate) struct LsArgs {
    #[command(flatten)]
    volume: GuestVolume,
    /// Folder on the volume, with `/` between names
    #[arg(value_name = "PATH", default_value = "/")]
    path: String,
}

#[derive(Debug, Serialize)]
struct FolderView {
    volume: String,
    file_system: String,
    /// `clean`, `replayed` or `uncertain`.
    condition: &'static str,
    path: String,
    entries: Vec<EntryView>,
}

#[derive(Debug, Serialize)]
struct EntryView {
    /// The name as text; what is not Unicode is replaced by U+FFFD.
    name: String,
    kind: &'static str,
    size_bytes: u64,
    modified_unix_ms: Option<u64>,
    link_target: Option<String>,
    /// Why nothing more is known of it.
    problem: Option<String>,
}

/// Runs `refpoint disk ls`.
pub(super) fn run(context: &Context, args: &LsArgs) -> Outcome<Exit> {
    let tree = args.volume.open(context)?;
    let folder = tree.find(&args.path)?;
    let mut entries: Vec<_> = tree.list(folder)?.iter().map(|entry| EntryView::of(&*tree, entry)).collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let facts = tree.facts();
    let has_problems = entries.iter().any(|entry| entry.problem.is_some());
    context.output.show(&FolderView {
        volume: facts.volume.clone(),
        file_system: facts.file_system.clone(),
        condition: condition(&facts.condition).0,
        path: args.path.clone(),
        entries,
    });
    Ok(if has_problems { Exit::Warnings } else { Exit::Done })
}

impl EntryView {
    /// A node that cannot be read does not hide its neighbours.
    fn of(tree: &dyn Tree, entry: &Entry) -> Self {
        let (metadata, problem) = match tree.metadata(entry.node) {
            Ok(metadata) => (metadata, None),
            Err(error) => (Metadata::new(entry.kind, 0), Some(Failure::from(error).headline())),
        };
        Self {
            name: entry.name.to_text_lossy(),
            kind: kind_name(entry.kind),
            size_bytes: metadata.size,
            modified_unix_ms: metadata.times.modified.and_then(unix_ms),
            link_target: metadata.link_target.map(|target| target.to_text_lossy()),
            problem,
        }
    }
}

/// Milliseconds since 1970; nothing for moments before it.
fn unix_ms(nanoseconds: i128) -> Option<u64> {
    u64::try_from(nanoseconds / i128::try_from(Duration::from_millis(1).as_nanos()).ok()?).ok()
}

fn kind_name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::File => "file",
        NodeKind::Folder => "folder",
        NodeKind::Link => "link",
        NodeKind::Special => "special",
    }
}

impl View for FolderView {
    fn text(&self) -> String {
        let mut table = Table::new(&["KIND", ">SIZE", "MODIFIED", "NAME"]);
        for entry in &self.entries {
            let target = entry.link_target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
            let size = if entry.kind == "file" { units::bytes(entry.size_bytes) } else { String::new() };
            let modified = entry.modified_unix_ms.map(units::moment).unwrap_or_default();
            let name: String = format!("{}{target}", entry.name).chars().map(visible).collect();
            table.row([entry.kind.to_owned(), size, modified, name]);
        }
        let mut text = table.render();
        for entry in &self.entries {
            if let Some(problem) = &entry.problem {
                text.push_str(&format!(
                    "{}: {problem}\n",
                    entry.name.chars().map(visible).collect::<String>()
                ));
            }
        }
        text
    }
}

/// A guest chooses its names; one with control characters must not steer the terminal.
fn visible(c: char) -> char {
    if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!("a\u{1b}[2Jb\n".chars().map(visible).collect::<String>(), "a\u{fffd}[2Jb\u{fffd}");
    }

    #[test]
    fn moments_before_1970_are_left_out() {
        assert_eq!((unix_ms(1_500_000), unix_ms(-5)), (Some(1), Some(0)));
        assert_eq!(unix_ms(-1_000_000), None);
    }
}
