//! Which disk is meant: a file, how to read it, and where its parents are.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use vdisk::{Disk, FileIo, LocalFile, ParentMap};

/// A disk to be read.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// A .vhdx, .avhdx or .vhd file, or any file with --raw
    pub file: PathBuf,
    /// Take the file's bytes as the disk, whatever they look like; raw disks are never guessed
    #[arg(long, conflicts_with_all = ["files", "map"])]
    pub raw: bool,
    #[command(flatten)]
    pub parents: Parents,
}

/// Where parents are that do not lie beside their children.
#[derive(Debug, Args)]
pub(super) struct Parents {
    /// Parent of a differencing disk, the nearest first [default: found beside the child]
    #[arg(long = "parent", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A parent path as the child names it, and the file that is meant by it
    #[arg(long = "parent-map", value_name = "OLD=NEW", conflicts_with = "files")]
    pub map: Vec<Mapping>,
}

/// One pair of `--parent-map`.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    old: String,
    new: PathBuf,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((old, new)) if !old.is_empty() && !new.is_empty() => {
                Ok(Self { old: old.to_owned(), new: new.into() })
            }
            _ => Err("write it as OLD=NEW".to_owned()),
        }
    }
}

impl Source {
    /// Opens the disk with all its parents.
    pub(super) fn open(&self) -> vdisk::Result<Disk> {
        if self.raw { open_raw(&self.file) } else { self.parents.open(&self.file) }
    }
}

impl Parents {
    /// Opens a disk whose parents are named, mapped, or beside it.
    pub(super) fn open(&self, leaf: &Path) -> vdisk::Result<Disk> {
        if self.files.is_empty() {
            return Disk::open_local_with(leaf, &parent_map(&self.map));
        }
        let files = std::iter::once(leaf).chain(self.files.iter().map(PathBuf::as_path));
        Disk::open_chain(files.map(open_file).collect::<vdisk::Result<_>>()?)
    }
}

/// The pairs as the library takes them.
pub(super) fn parent_map(mappings: &[Mapping]) -> ParentMap {
    let mut map = ParentMap::new();
    for mapping in mappings {
        map.insert(&mapping.old, &mapping.new);
    }
    map
}

/// A file whose bytes are the disk.
pub(super) fn open_raw(path: &Path) -> vdisk::Result<Disk> {
    Disk::open_raw(open_file(path)?)
}

/// A file of this machine, for reading.
pub(super) fn open_file(path: &Path) -> vdisk::Result<Arc<dyn FileIo>> {
    let file = LocalFile::open_read(path).map_err(|source| vdisk::Error::Io {
        file: path.display().to_string(),
        action: "open",
        source,
    })?;
    Ok(Arc::new(file))
}
