//! One virtual disk of a VM as the host's storage stack holds it: the files of its chain, the open leaf, change
//! tracking and the write log.
//!
//! Every guest write goes the same way: tracking first (reported changes may only be too many), then the write log
//! (the oracle), then the disk. The VHDX writer keeps its block table in memory between flushes, so a simulator that
//! is killed loses the disk's last writes but not the log's; [`DiskStack::open`] writes them again.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;
use vdisk::{ByteRange, Disk, FileIo, WritableDisk};

use super::handles;
use super::host_file::HostFile;
use super::rct::{ChangeTracking, TrackingLoss};
use crate::error::{Error, Result};
use crate::guest::{Moment, Unflushed, WriteLog};
use crate::ids::ChangeMark;
use crate::model::Slot;
use crate::paths::HostPath;

/// One file of a chain: what the host calls it, and where it lies here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainFile {
    pub(crate) host: HostPath,
    pub(crate) local: PathBuf,
}

/// How a try to merge the leaf ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MergeTry {
    /// The parent holds everything; this file is no longer part of the chain and still exists.
    Merged(ChainFile),
    /// Another handle holds a file of the chain open.
    InUse(HostPath),
}

/// One virtual disk.
#[derive(Debug)]
pub(crate) struct DiskStack {
    pub(crate) slot: Slot,
    /// Root first.
    chain: Vec<ChainFile>,
    capacity: u64,
    sector: u64,
    leaf: Option<WritableDisk>,
    tracking: ChangeTracking,
    log_path: PathBuf,
    /// Not there for a disk that came with content and was not written since; see [`DiskStack::log`].
    log: Option<WriteLog>,
}

impl DiskStack {
    /// Takes a disk into the stack, finishing what a killed simulator left undone.
    pub(crate) fn open(slot: Slot, chain: Vec<ChainFile>, log: &Path) -> Result<DiskStack> {
        let disk = open_read(&chain)?;
        let (capacity, sector) = (disk.capacity(), u64::from(disk.logical_sector()));
        drop(disk);
        let locals = locals(&chain);
        let tracking =
            ChangeTracking::open(capacity, &locals).map_err(|e| file_error("opening", &chain, e))?;
        let log_path = log.to_owned();
        let mut stack =
            DiskStack { slot, chain, capacity, sector, leaf: None, tracking, log_path, log: None };
        if log.exists() {
            stack.write_again()?;
        }
        Ok(stack)
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(crate) fn sector(&self) -> u64 {
        self.sector
    }

    /// The write log. A disk that came with content gets one before its first write or checkpoint; what it holds
    /// until then counts as written.
    pub(crate) fn log(&mut self) -> Result<&mut WriteLog> {
        if self.log.is_none() {
            if !self.log_path.exists() {
                self.close()?;
                adopt_content(&open_read(&self.chain)?, &self.log_path)?;
            }
            let log = WriteLog::open(&self.log_path);
            self.log = Some(log.map_err(|error| Error::file("opening", &self.log_path, error))?);
        }
        let missing = || Error::Refused { doing: "open a write log", why: "it is closed".into() };
        self.log.as_mut().ok_or_else(missing)
    }

    fn note(&mut self, note: impl FnOnce(&mut WriteLog) -> io::Result<()>) -> Result<()> {
        let log = self.log()?;
        note(log).map_err(|error| Error::file("writing", log.path().to_owned(), error))
    }

    fn note_flushed(&mut self) -> Result<()> {
        if self.log.is_some() { self.note(WriteLog::flushed) } else { Ok(()) }
    }

    /// The guest writes.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let range = offset..offset + data.len() as u64;
        self.tracking
            .record(&range)
            .map_err(|error| file_error("tracking changes of", &self.chain, error))?;
        self.note(|log| log.wrote(offset, data))?;
        let name = self.leaf_name();
        self.leaf()?.write_at(offset, data).map_err(Error::disk(name))
    }

    /// The guest discards or zeroes a range.
    pub(crate) fn write_zeroes(&mut self, range: &Range<u64>) -> Result<()> {
        self.tracking.record(range).map_err(|error| file_error("tracking changes of", &self.chain, error))?;
        self.note(|log| log.wrote_zeroes(range))?;
        let name = self.leaf_name();
        self.leaf()?.write_zeroes(ByteRange { start: range.start, end: range.end }).map_err(Error::disk(name))
    }

    /// The guest reads.
    pub(crate) fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let name = self.leaf_name();
        self.leaf()?.read_at(offset, buf).map_err(Error::disk(name))
    }

    /// Ranges that hold data, as the guest's disk is now.
    pub(crate) fn allocated(&mut self) -> Result<Vec<Range<u64>>> {
        self.close()?;
        let disk = open_read(&self.chain)?;
        let allocated = disk.allocated().map_err(Error::disk(self.leaf_name()))?;
        Ok(allocated.iter().map(|range| range.start..range.end).collect())
    }

    /// Makes everything durable.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let name = self.leaf_name();
        if let Some(leaf) = &mut self.leaf {
            leaf.flush().map_err(Error::disk(name))?;
            self.note_flushed()?;
        }
        Ok(())
    }

    /// Makes everything durable and lets go of the files.
    pub(crate) fn close(&mut self) -> Result<()> {
        let name = self.leaf_name();
        if let Some(leaf) = self.leaf.take() {
            leaf.close().map_err(Error::disk(name))?;
            self.note_flushed()?;
        }
        Ok(())
    }

    /// Freezes the leaf and puts a differencing child above it; tells the mark of the instant.
    pub(crate) fn freeze(&mut self, child: ChainFile, new_branch: Uuid) -> Result<ChangeMark> {
        self.close()?;
        let locals = locals(&self.chain);
        let mark = self.tracking.mark(&locals, new_branch);
        let mark = mark.map_err(|error| file_error("tracking changes of", &self.chain, error))?;
        let parent = self.chain.last().map(|file| file.host.clone());
        let relative = parent.as_ref().map_or(String::new(), |file| format!(r".\{}", file.file_name()));
        let absolute = parent.as_ref().map(HostPath::as_str);
        let file =
            HostFile::create(&child.local).map_err(|error| Error::file("creating", &child.local, error))?;
        let parent = open_read(&self.chain)?;
        let created = WritableDisk::create_child(file, &parent, &relative, absolute);
        let leaf = created.map_err(Error::disk(child.host.as_str()))?;
        leaf.close().map_err(Error::disk(child.host.as_str()))?;
        let pushed = self.tracking.push_layer(&child.local);
        pushed.map_err(|error| Error::file("tracking changes of", &child.local, error))?;
        self.chain.push(child);
        Ok(mark)
    }

    /// Takes the last freeze back; nothing was written since.
    pub(crate) fn unfreeze(&mut self) -> Result<()> {
        self.close()?;
        if self.chain.len() > 1
            && let Some(child) = self.chain.pop()
        {
            self.tracking
                .pop_layer()
                .map_err(|error| file_error("tracking changes of", &self.chain, error))?;
            std::fs::remove_file(&child.local)
                .map_err(|error| Error::file("removing", child.local, error))?;
        }
        Ok(())
    }

    /// Notes the moment of a checkpoint in the write log.
    pub(crate) fn reached(&mut self, moment: &Moment) -> Result<()> {
        self.note(|log| log.reached(moment))
    }

    /// Writes the leaf's content into its parent, unless someone has one of the two open.
    pub(crate) fn merge_leaf(&mut self) -> Result<MergeTry> {
        self.close()?;
        let [.., parent, child] = self.chain.as_slice() else {
            return Err(Error::Refused { doing: "merge a disk", why: "its chain has one file only".into() });
        };
        if let Some(held) = [parent, child].into_iter().find(|file| handles::is_open(&file.local)) {
            return Ok(MergeTry::InUse(held.host.clone()));
        }
        self.tracking.fold_leaf().map_err(|error| file_error("tracking changes of", &self.chain, error))?;
        let layers = merge_layers(&self.chain)?;
        vdisk::merge_into_parent(layers).map_err(Error::disk(child.host.as_str()))?;
        let child = child.clone();
        self.chain.pop();
        Ok(MergeTry::Merged(child))
    }

    /// Forgets a merged child for good and removes its files.
    pub(crate) fn drop_merged(&mut self, child: &ChainFile) -> Result<()> {
        self.tracking.pop_layer().map_err(|error| Error::file("tracking changes of", &child.local, error))?;
        std::fs::remove_file(&child.local).map_err(|error| Error::file("removing", &child.local, error))
    }

    /// Ranges written since a mark, in the files up to the named one.
    pub(crate) fn changed_since(
        &self,
        mark: &ChangeMark,
        up_to: &HostPath,
    ) -> std::result::Result<Vec<Range<u64>>, TrackingLoss> {
        let at = self.chain.iter().position(|file| file.host.same_file(up_to));
        self.tracking.changed_since(mark, at.ok_or(TrackingLoss::Missing)?)
    }

    /// Change tracking loses everything, as after an offline change of the disk.
    pub(crate) fn lose_tracking(&mut self) -> Result<()> {
        self.tracking.lose().map_err(|error| file_error("removing change tracking of", &self.chain, error))
    }

    fn leaf(&mut self) -> Result<&mut WritableDisk> {
        if self.leaf.is_none() {
            let layers = write_layers(&self.chain, 0)?;
            let leaf = WritableDisk::open_chain(layers).map_err(Error::disk(self.leaf_name()))?;
            return Ok(self.leaf.insert(leaf));
        }
        let missing = || Error::Refused { doing: "open a disk", why: "it is closed".into() };
        self.leaf.as_mut().ok_or_else(missing)
    }

    fn leaf_name(&self) -> String {
        self.chain.last().map_or(String::new(), |file| file.host.to_string())
    }

    /// Repeats what the log has and the disk may not have.
    fn write_again(&mut self) -> Result<()> {
        let missing = self.log()?.unflushed();
        let missing = missing.map_err(|error| Error::file("reading", &self.log_path, error))?;
        if missing.is_empty() {
            return Ok(());
        }
        let name = self.leaf_name();
        for write in missing {
            match write {
                Unflushed::Data(offset, data) => self.leaf()?.write_at(offset, &data),
                Unflushed::Zeroes(range) => {
                    self.leaf()?.write_zeroes(ByteRange { start: range.start, end: range.end })
                }
            }
            .map_err(Error::disk(name.clone()))?;
        }
        self.close()
    }
}

/// Whether the leaf was merged already, by a host that was killed before it could note it: the parent then has a new
/// identity, so the chain does not open with the leaf, and opens without it.
pub(crate) fn is_merged_already(chain: &[ChainFile]) -> bool {
    let Some((_, parents)) = chain.split_last() else { return false };
    let mismatch =
        matches!(open_read(chain), Err(Error::Disk { source: vdisk::Error::ParentMismatch { .. }, .. }));
    mismatch && open_read(parents).is_ok()
}

/// Opens a chain for reading.
pub(crate) fn open_read(chain: &[ChainFile]) -> Result<Disk> {
    let name = chain.last().map_or(String::new(), |file| file.host.to_string());
    let files = chain.iter().rev().map(|file| open_file(&file.local, false));
    Disk::open_chain(files.collect::<Result<_>>()?).map_err(Error::disk(name))
}

/// The files of a chain, leaf first, the leaf writable.
fn write_layers(chain: &[ChainFile], writable: usize) -> Result<Vec<Arc<dyn FileIo>>> {
    chain.iter().rev().enumerate().map(|(depth, file)| open_file(&file.local, depth == writable)).collect()
}

/// The files of a chain, leaf first, the leaf's parent writable.
fn merge_layers(chain: &[ChainFile]) -> Result<Vec<Arc<dyn FileIo>>> {
    write_layers(chain, 1)
}

fn open_file(path: &Path, writable: bool) -> Result<Arc<dyn FileIo>> {
    let opened = if writable { HostFile::write(path) } else { HostFile::read(path) };
    opened.map_err(|error| Error::file("opening", path, error))
}

/// Starts the write log of a disk that came with content: what it holds now counts as written.
fn adopt_content(disk: &Disk, log: &Path) -> Result<()> {
    let staged = log.with_extension("staged");
    let _ = std::fs::remove_file(&staged);
    let wrap = |error: io::Error| Error::file("writing", &staged, error);
    let mut writes = WriteLog::open(&staged).map_err(wrap)?;
    let allocated = disk.allocated().map_err(Error::disk(log.display().to_string()))?;
    for range in allocated.iter() {
        for piece in crate::guest::pieces(range.start..range.end) {
            let mut data = vec![0; usize::try_from(piece.end - piece.start).unwrap_or_default()];
            disk.read_at(piece.start, &mut data).map_err(Error::disk(log.display().to_string()))?;
            if data.iter().any(|&byte| byte != 0) {
                writes.wrote(piece.start, &data).map_err(wrap)?;
            }
        }
    }
    writes.flushed().map_err(wrap)?;
    std::fs::rename(&staged, log).map_err(wrap)
}

fn locals(chain: &[ChainFile]) -> Vec<PathBuf> {
    chain.iter().map(|file| file.local.clone()).collect()
}

fn file_error(doing: &'static str, chain: &[ChainFile], error: io::Error) -> Error {
    Error::file(doing, chain.last().map(|file| file.local.clone()).unwrap_or_default(), error)
}
