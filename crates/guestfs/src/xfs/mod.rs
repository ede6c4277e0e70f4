//! XFS, versions 4 and 5, read only, with the log replayed in memory.
//!
//! The `lamxfs` crate checks the features and replays the log, and [`replay`] takes the changed blocks out of it. The
//! rest is read here, because the crate tells neither times nor extents nor free space, and all of them must come from
//! the same replayed state (`docs/decisions`). The kernel and xfsprogs judge this reader in the tests.
//!
//! ```text
//!  Source ─► lamxfs ─► Overlay ─► Cached ─► super block ─► inodes ─► extents, folders, links
//!                                               └────────► groups ─► free space
//! ```

mod extent;
mod folder;
mod format;
mod free;
mod geometry;
mod inode;
mod replay;
mod work;

use std::sync::Arc;

use vdisk::ChangedRanges;
use zerocopy::FromBytes;

use self::format::{FLAG2_REFLINK, FORMAT_LOCAL, LINK_MAGIC, LinkHead};
use self::geometry::Geometry;
use self::inode::Inode;
use crate::block::{Cached, Last, Overlay, read_through};
use crate::error::{Error, Result};
use crate::ext::no_streams;
use crate::name::{CaseRule, Name};
use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::{Condition, Entry, FileExtent, Metadata, NodeId, NodeKind, Tree, TreeFacts};

/// Longest target of a link, by the format.
const MAX_LINK_BYTES: u64 = 1024;

/// Opens an XFS file system; its log is replayed in memory, the volume is never written.
pub(crate) fn open(source: Arc<dyn Source>) -> Result<Box<dyn Tree>> {
    let cached = Cached::new(source);
    let blocks = replay::replay(&cached)?;
    let before = Geometry::read(&cached)?;
    let replayed = blocks.len();
    let source = Cached::new(Overlay::new(cached.into_below(), before.block_bytes, blocks));
    let geometry = Geometry::read(&source)?;
    if geometry.block_bytes != before.block_bytes {
        return Err(Error::damaged(source.name(), "its log changes the block size"));
    }
    let condition = match replayed {
        0 => Condition::Clean,
        count => Condition::Replayed { what: format!("{count} blocks from the log") },
    };
    let facts = TreeFacts {
        volume: source.name().to_owned(),
        file_system: if geometry.v5 { "XFS 5" } else { "XFS 4" }.to_owned(),
        label: geometry.label(),
        uuid: geometry.uuid(),
        block_bytes: geometry.block_bytes,
        size: geometry.size(),
        case_rule: CaseRule::Sensitive,
        condition,
    };
    Ok(Box::new(XfsTree { source, geometry, facts, last: Last::default() }))
}

struct XfsTree {
    source: Cached<Overlay<Arc<dyn Source>>>,
    geometry: Geometry,
    facts: TreeFacts,
    last: Last<(Inode, Vec<FileExtent>)>,
}

impl XfsTree {
    fn mapped(&self, node: NodeId) -> Result<Arc<(Inode, Vec<FileExtent>)>> {
        self.last.get(node, || {
            let inode = Inode::read(&self.source, &self.geometry, node.0)?;
            let extents = match inode.kind() {
                NodeKind::Special => Vec::new(),
                _ => extent::extents(&self.source, &self.geometry, &inode)?,
            };
            Ok((inode, extents))
        })
    }

    fn link_target(&self, node: NodeId) -> Result<Name> {
        let mapped = self.mapped(node)?;
        let (inode, extents) = &*mapped;
        let damaged = |what: &str| Error::damaged(self.source.name(), format!("the link {} {what}", node.0));
        let size = inode.raw.size.get();
        if size > MAX_LINK_BYTES {
            return Err(damaged("is too long"));
        }
        if inode.raw.format == FORMAT_LOCAL {
            let target = inode.fork.get(..index(size)).ok_or_else(|| damaged("is cut short"))?;
            return Ok(Name::from_bytes(target));
        }
        let mut target = Vec::new();
        for extent in extents {
            let mut piece = vec![0; index(extent.length.min(MAX_LINK_BYTES + self.geometry.block_bytes))];
            self.source
                .read_at(extent.volume_offset, &mut piece)
                .map_err(|e| Error::io(self.source.name(), format!("the link {}", node.0), e))?;
            let content = if self.geometry.v5 { link_piece(&piece, node) } else { Some(&piece[..]) };
            target.extend_from_slice(content.ok_or_else(|| damaged("has a block that is none"))?);
        }
        if bytes(target.len()) < size {
            return Err(damaged("is cut short"));
        }
        target.truncate(index(size));
        Ok(Name::Bytes(target))
    }

    fn wrong_kind(&self, node: NodeId, found: &'static str, needed: &'static str) -> Error {
        Error::WrongKind {
            volume: self.source.name().to_owned(),
            path: format!("Inode {}", node.0),
            found,
            needed,
        }
    }
}

/// The part of a link's target that a block of version 5 holds.
fn link_piece(piece: &[u8], node: NodeId) -> Option<&[u8]> {
    let (head, content) = LinkHead::read_from_prefix(piece).ok()?;
    let fits = head.magic.get() == LINK_MAGIC && head.owner.get() == node.0;
    content.get(..index(u64::from(head.length.get()))).filter(|_| fits)
}

impl Tree for XfsTree {
    fn facts(&self) -> &TreeFacts {
        &self.facts
    }

    fn root(&self) -> NodeId {
        NodeId(self.geometry.sb.root_inode.get())
    }

    fn list(&self, folder: NodeId) -> Result<Vec<Entry>> {
        let mapped = self.mapped(folder)?;
        let (inode, extents) = &*mapped;
        if inode.kind() != NodeKind::Folder {
            return Err(self.wrong_kind(folder, "no folder", "a folder"));
        }
        let kind_of = |number| Ok(Inode::read(&self.source, &self.geometry, number)?.kind());
        folder::list(&self.source, &self.geometry, inode, extents, &kind_of)
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        let mut metadata = Inode::read(&self.source, &self.geometry, node.0)?.metadata();
        if metadata.kind == NodeKind::Link {
            metadata.link_target = Some(self.link_target(node)?);
        }
        Ok(metadata)
    }

    fn read_at(&self, node: NodeId, stream: Option<&str>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        no_streams(self.source.name(), stream)?;
        let mapped = self.mapped(node)?;
        let (inode, extents) = &*mapped;
        if inode.kind() != NodeKind::File {
            return Err(self.wrong_kind(node, "no file", "a file"));
        }
        if !matches!(inode.raw.format, format::FORMAT_EXTENTS | format::FORMAT_BTREE) {
            return Err(Error::damaged(
                self.source.name(),
                format!("inode {} keeps its content in no known way", node.0),
            ));
        }
        read_through(&self.source, extents, inode.raw.size.get(), offset, buf)
            .map_err(|e| Error::io(self.source.name(), format!("inode {}", node.0), e))
    }

    fn extents(&self, node: NodeId, stream: Option<&str>) -> Result<Vec<FileExtent>> {
        no_streams(self.source.name(), stream)?;
        Ok(self.mapped(node)?.1.clone())
    }

    fn free_space(&self) -> Result<ChangedRanges> {
        free::free_space(&self.source, &self.geometry)
    }

    fn shares_blocks(&self, node: NodeId) -> Result<bool> {
        Ok(self.mapped(node)?.0.has(FLAG2_REFLINK))
    }
}
