//! A guest's volumes and files, seen through the files of its disks.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use guestfs::{Condition, Layout, Tree, Volume};

use super::source::Source;
use crate::context::Context;
use crate::error::Error;
use crate::report::Outcome;

/// The disks of one guest.
#[derive(Debug, Args)]
pub(super) struct Guest {
    #[command(flatten)]
    source: Source,
    /// Another disk of the same guest, for volumes that lie on several
    #[arg(long = "with", value_name = "FILE")]
    others: Vec<PathBuf>,
}

/// One volume of a guest.
#[derive(Debug, Args)]
pub(super) struct GuestVolume {
    #[command(flatten)]
    guest: Guest,
    /// Name of the volume, as `refpoint disk volumes` shows it [default: the only one with files]
    #[arg(long, value_name = "NAME")]
    volume: Option<String>,
}

impl Guest {
    /// What there is on the disks, in the order that they were named.
    pub(super) fn layout(&self) -> Outcome<Layout> {
        let mut disks: Vec<Arc<dyn guestfs::Source>> = vec![Arc::new(self.source.open()?)];
        for other in &self.others {
            disks.push(Arc::new(self.source.parents.open(other)?));
        }
        Ok(Layout::read(&disks)?)
    }
}

impl GuestVolume {
    /// Opens the file system; what is not certain about it is told at once.
    pub(super) fn open(&self, context: &Context) -> Outcome<Box<dyn Tree>> {
        let layout = self.guest.layout()?;
        let tree = self.choose(&layout)?.open()?;
        if let Condition::Uncertain { why } = &tree.facts().condition {
            context
                .output
                .warn(&format!("{}: its files may be older than the disk: {why}.", tree.facts().volume));
        }
        Ok(tree)
    }

    fn choose<'a>(&self, layout: &'a Layout) -> Result<&'a Volume, Error> {
        let with_files = || layout.volumes.iter().filter(|volume| volume.content.has_readable_files());
        let names = || layout.volumes.iter().map(|volume| volume.name.clone()).collect();
        match &self.volume {
            Some(wanted) => layout
                .volume(wanted)
                .ok_or_else(|| Error::VolumeUnknown { wanted: wanted.clone(), has: names() }),
            None => match with_files().collect::<Vec<_>>()[..] {
                [only] => Ok(only),
                [] => Err(Error::NoFiles { has: names() }),
                _ => Err(Error::VolumeUnnamed {
                    has: with_files().map(|volume| volume.name.clone()).collect(),
                }),
            },
        }
    }
}

/// The condition of a file system in one word or two, and what there is to say about it.
pub(super) fn condition(condition: &Condition) -> (&'static str, &str) {
    match condition {
        Condition::Clean => ("clean", ""),
        Condition::Replayed { what } => ("replayed", what),
        Condition::Uncertain { why } => ("uncertain", why),
    }
}
