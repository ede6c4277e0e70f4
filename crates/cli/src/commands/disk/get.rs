//! `refpoint disk get`: one file out of a guest's volume.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use guestfs::{Metadata, NodeId, NodeKind, Tree};
use serde::Serialize;
use vdisk::Watch;

use super::guest::{GuestVolume, condition};
use super::work::watched_by;
use crate::context::Context;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{View, units};
use crate::report::{Failure, Outcome};

/// Bytes copied at a time.
const STEP_BYTES: usize = 1 << 20;

/// Copy a file out of a guest's disk
///
/// Only the file's bytes and its modification time are copied. A file that exists is not replaced.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk get web01.vhdx /etc/fstab --to fstab
  refpoint disk get sql01.vhdx /Data/orders.mdf --volume disk0/part3 --to orders.mdf
  refpoint disk get sql01.vhdx /a.exe --volume disk0/part3 --stream Zone.Identifier --to zone.txt")]
pub(crate) struct GetArgs {
    #[command(flatten)]
    volume: GuestVolume,
    /// File on the volume, with `/` between names
    #[arg(value_name = "PATH")]
    path: String,
    /// An alternate stream of it (NTFS)
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// The new file
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, Serialize)]
struct GetView {
    volume: String,
    path: String,
    file: String,
    bytes: u64,
    /// `clean`, `replayed` or `uncertain`.
    condition: &'static str,
}

/// What is copied, and where to.
struct Copy {
    tree: Box<dyn Tree>,
    node: NodeId,
    stream: Option<String>,
    size: u64,
    to: PathBuf,
}

/// Runs `refpoint disk get`.
pub(super) async fn run(context: &Context, args: GetArgs) -> Outcome<Exit> {
    let tree = args.volume.open(context)?;
    let node = tree.find(&args.path)?;
    let metadata = tree.metadata(node)?;
    require_file(&*tree, &args.path, &metadata)?;
    let view = GetView {
        volume: tree.facts().volume.clone(),
        path: args.path,
        file: args.to.display().to_string(),
        bytes: 0,
        condition: condition(&tree.facts().condition).0,
    };
    let size = stream_size(&metadata, args.stream.as_deref());
    let copy = Copy { tree, node, stream: args.stream, size, to: args.to };
    let modified = metadata.times.modified;
    let bytes = watched_by(context, size, "copying", move |watch| copy.run(modified, watch)).await??;
    context.output.show(&GetView { bytes, ..view });
    Ok(Exit::Done)
}

fn require_file(tree: &dyn Tree, path: &str, metadata: &Metadata) -> Result<(), guestfs::Error> {
    let found = match metadata.kind {
        NodeKind::File => return Ok(()),
        NodeKind::Folder => "a folder",
        NodeKind::Link => "a link",
        NodeKind::Special => "a device, pipe or reparse point",
    };
    let volume = tree.facts().volume.clone();
    Err(guestfs::Error::WrongKind { volume, path: path.to_owned(), found, needed: "a file" })
}

fn stream_size(metadata: &Metadata, stream: Option<&str>) -> u64 {
    match stream {
        None => metadata.size,
        Some(name) => metadata.streams.iter().find(|held| held.name.is(name)).map_or(0, |held| held.size),
    }
}

impl Copy {
    /// Copies to a new file; what was begun is removed when it fails or is stopped.
    fn run(&self, modified: Option<i128>, watch: &Watch<'_>) -> Outcome<u64> {
        let failed = |action| move |source| Error::File { path: self.to.clone(), action, source };
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(&self.to).map_err(failed("created"))?;
        let copied = self.bytes(&mut file, watch);
        if copied.is_err() {
            // The failure itself is what the operator must hear of.
            let _ = std::fs::remove_file(&self.to);
        }
        let copied = copied?;
        if let Some(time) = modified.and_then(system_time) {
            file.set_modified(time).map_err(failed("given its time"))?;
        }
        Ok(copied)
    }

    fn bytes(&self, file: &mut File, watch: &Watch<'_>) -> Outcome<u64> {
        let mut buf = vec![0; STEP_BYTES];
        let mut at = 0;
        loop {
            let count = self.tree.read_at(self.node, self.stream.as_deref(), at, &mut buf)?;
            write(&self.to, file, &buf[..count])?;
            at += count as u64;
            if watch(count as u64) == ControlFlow::Break(()) {
                return Err(Error::Interrupted { left: "nothing of it is left" }.into());
            }
            if count < buf.len() {
                break;
            }
        }
        // A reader that ends early would leave a short file that looks whole.
        if at != self.size {
            let problem = format!("{at} of {} bytes were read", self.size);
            return Err(Error::Internal { what: "Reading the file", problem }.into());
        }
        file.sync_all().map_err(|source| Error::File { path: self.to.clone(), action: "written", source })?;
        Ok(at)
    }
}

fn write(path: &Path, file: &mut File, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |source| Error::File { path: path.to_owned(), action: "written", source };
    Ok(file.write_all(bytes).map_err(failed)?)
}

/// Times before 1970 are not carried over.
fn system_time(nanoseconds: i128) -> Option<SystemTime> {
    let nanoseconds = u64::try_from(nanoseconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds))
}

impl View for GetView {
    fn text(&self) -> String {
        format!(
            "copied {} from {} of {} to {}\n",
            units::bytes(self.bytes),
            self.path,
            self.volume,
            self.file
        )
    }
}
