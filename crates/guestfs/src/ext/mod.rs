//! ext2, ext3 and ext4, read only, with the journal replayed in memory.
//!
//! Why not the `ext4-view` crate, which reads crash images rightly: it is not `Send`, knows files by path only, and
//! has neither extents nor free space, and those must come from the same replayed state as the files
//! (`docs/decisions`). The kernel and e2fsprogs judge this reader in the tests.
//!
//! ```text
//!  Source ─► journal replayed into an Overlay ─► Cached ─► super block ─► groups ─► inodes ─► extents, folders
//!                                                                            └────► block bitmaps ─► free space
//! ```

mod attribute;
mod checksum;
mod directory;
mod extent;
mod format;
mod free;
mod geometry;
mod group;
mod inode;
mod journal;
mod journal_format;
mod journal_tags;

use std::sync::Arc;

use vdisk::ChangedRanges;

use self::format::{INCOMPAT_RECOVER, ROOT_INODE, STATE_ERROR, STATE_VALID};
use self::geometry::Geometry;
use self::inode::Inode;
use crate::block::{Cached, Last, Overlay, read_through};
use crate::error::{Error, Result};
use crate::name::{CaseRule, Name};
use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::{Condition, Entry, FileExtent, Metadata, NodeId, NodeKind, Tree, TreeFacts};

/// Longest target of a link: one block, as the format limits it; the kernel stops at 4096 bytes.
const MAX_LINK_BYTES: u64 = 64 * 1024;

/// Opens an ext file system.
pub(crate) fn open(source: Arc<dyn Source>) -> Result<Box<dyn Tree>> {
    Ok(Box::new(ExtTree::open(source)?))
}

/// An ext file system.
struct ExtTree {
    source: Cached<Overlay<Arc<dyn Source>>>,
    geometry: Geometry,
    facts: TreeFacts,
    last: Last<(Inode, Vec<FileExtent>)>,
}

impl ExtTree {
    /// Opens the file system of a volume; its journal is replayed in memory, the volume is never written.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a feature that cannot be read, by its name; [`Error::Damaged`] when a structure
    /// breaks the format's rules or its checksum.
    fn open(source: Arc<dyn Source>) -> Result<Self> {
        let before = Geometry::read(&source)?;
        let replay = if before.has_incompat(INCOMPAT_RECOVER) {
            journal::replay(&source, &before)?
        } else {
            journal::Replay::default()
        };
        let overlay = Overlay::new(source, before.block_bytes, replay.blocks);
        let geometry = Geometry::read(&overlay)?;
        if geometry.block_bytes != before.block_bytes {
            return Err(Error::damaged(overlay.name(), "its journal changes the block size"));
        }
        let facts = TreeFacts {
            volume: overlay.name().to_owned(),
            file_system: geometry.file_system().to_owned(),
            label: geometry.label(),
            uuid: geometry.uuid(),
            block_bytes: geometry.block_bytes,
            size: geometry.blocks * geometry.block_bytes,
            case_rule: CaseRule::Sensitive,
            condition: condition(&geometry, overlay.block_count(), replay.doubt),
        };
        Ok(Self { source: Cached::new(overlay), geometry, facts, last: Last::default() })
    }

    fn inode(&self, node: NodeId) -> Result<Inode> {
        let number = u32::try_from(node.0)
            .map_err(|_| Error::damaged(self.source.name(), format!("there is no inode {}", node.0)))?;
        Inode::read(&self.source, &self.geometry, number)
    }

    /// An inode with its extents; content inside the inode has none.
    fn mapped(&self, node: NodeId) -> Result<Arc<(Inode, Vec<FileExtent>)>> {
        self.last.get(node, || {
            let inode = self.inode(node)?;
            let inline = inode.inline_content(self.source.name(), &self.geometry)?.is_some();
            let has_blocks = !inline && inode.kind() != NodeKind::Special;
            let extents =
                if has_blocks { extent::extents(&self.source, &self.geometry, &inode)? } else { Vec::new() };
            Ok((inode, extents))
        })
    }

    fn read_content(&self, node: NodeId, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let mapped = self.mapped(node)?;
        let (inode, extents) = &*mapped;
        inode.refuse_encrypted(self.source.name())?;
        if let Some(content) = inode.inline_content(self.source.name(), &self.geometry)? {
            let from = content.get(index(offset.min(bytes(content.len())))..).unwrap_or_default();
            let length = from.len().min(buf.len());
            buf[..length].copy_from_slice(&from[..length]);
            return Ok(length);
        }
        read_through(&self.source, extents, inode.size(), offset, buf)
            .map_err(|e| Error::io(self.source.name(), format!("inode {}", node.0), e))
    }

    fn link_target(&self, node: NodeId, size: u64) -> Result<Name> {
        if size > MAX_LINK_BYTES {
            return Err(Error::damaged(self.source.name(), format!("the link {} is too long", node.0)));
        }
        let mut target = vec![0; index(size)];
        let length = self.read_content(node, 0, &mut target)?;
        target.truncate(length);
        Ok(Name::Bytes(target))
    }

    fn wrong_kind(&self, node: NodeId, needed: &'static str) -> Error {
        let found = if needed == "a folder" { "no folder" } else { "no file" };
        Error::WrongKind {
            volume: self.source.name().to_owned(),
            path: format!("Inode {}", node.0),
            found,
            needed,
        }
    }
}

/// What the super block and the journal say about the state.
fn condition(geometry: &Geometry, replayed: usize, doubt: Option<String>) -> Condition {
    let state = geometry.sb.state.get();
    if let Some(why) = doubt {
        return Condition::Uncertain { why };
    }
    if state & STATE_ERROR != 0 {
        return Condition::Uncertain {
            why: "the guest found errors in this file system and did not repair them".into(),
        };
    }
    if replayed > 0 || geometry.has_incompat(INCOMPAT_RECOVER) {
        return Condition::Replayed { what: format!("{replayed} blocks from the journal") };
    }
    if state & STATE_VALID == 0 {
        let why = "it was in use and keeps no journal, so changes may be missing or half done";
        return Condition::Uncertain { why: why.into() };
    }
    Condition::Clean
}

impl Tree for ExtTree {
    fn facts(&self) -> &TreeFacts {
        &self.facts
    }

    fn root(&self) -> NodeId {
        NodeId(u64::from(ROOT_INODE))
    }

    fn list(&self, folder: NodeId) -> Result<Vec<Entry>> {
        let mapped = self.mapped(folder)?;
        let (inode, extents) = &*mapped;
        if inode.kind() != NodeKind::Folder {
            return Err(self.wrong_kind(folder, "a folder"));
        }
        inode.refuse_encrypted(self.source.name())?;
        let kind_of = |number| Ok(Inode::read(&self.source, &self.geometry, number)?.kind());
        directory::list(&self.source, &self.geometry, inode, extents, &kind_of)
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        let inode = self.inode(node)?;
        let mut metadata = inode.metadata();
        if metadata.kind == NodeKind::Link && inode.refuse_encrypted(self.source.name()).is_ok() {
            metadata.link_target = Some(self.link_target(node, metadata.size)?);
        }
        Ok(metadata)
    }

    fn read_at(&self, node: NodeId, stream: Option<&str>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        no_streams(self.source.name(), stream)?;
        if self.mapped(node)?.0.kind() != NodeKind::File {
            return Err(self.wrong_kind(node, "a file"));
        }
        self.read_content(node, offset, buf)
    }

    fn extents(&self, node: NodeId, stream: Option<&str>) -> Result<Vec<FileExtent>> {
        no_streams(self.source.name(), stream)?;
        Ok(self.mapped(node)?.1.clone())
    }

    fn free_space(&self) -> Result<ChangedRanges> {
        free::free_space(&self.source, &self.geometry)
    }
}

/// File systems of Linux have one stream a file.
pub(crate) fn no_streams(volume: &str, stream: Option<&str>) -> Result<()> {
    match stream {
        None => Ok(()),
        Some(stream) => Err(Error::NoStream { volume: volume.to_owned(), stream: stream.to_owned() }),
    }
}
