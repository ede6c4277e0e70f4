//! FAT12, FAT16, FAT32 and exFAT, read only.
//!
//! Why an own reader: the format is small, and the published ones tell no extents and want a stream that can be written
//! (`docs/decisions`). There is no journal: a volume that was in use says so, and the tree is then uncertain.

mod folder;
mod format;
mod geometry;
mod node;
mod table;

use std::sync::Arc;

use vdisk::ChangedRanges;
use zerocopy::FromBytes;

use self::folder::{ENTRY_BYTES, Found};
use self::format::{EXFAT_FILE, EXFAT_STREAM, ExFatFile, ExFatStream, FatEntry};
use self::geometry::{Geometry, Kind, Root};
use self::node::Node;
use self::table::{Chain, Next};
use crate::block::{Cached, Last, read_through};
use crate::error::{Error, Result};
use crate::ext::no_streams;
use crate::name::CaseRule;
use crate::number::index;
use crate::source::Source;
use crate::tree::{Condition, Entry, FileExtent, Metadata, NodeId, NodeKind, Times, Tree, TreeFacts};

/// Largest folder: exFAT allows 256 MiB, FAT 2 MiB.
const MAX_FOLDER_BYTES: u64 = 256 << 20;
/// The topmost folder has no entry; no entry lies at 0.
const ROOT: NodeId = NodeId(0);

/// Opens a FAT or exFAT file system.
pub(crate) fn open(source: Arc<dyn Source>) -> Result<Box<dyn Tree>> {
    let geometry = Geometry::read(&source)?;
    let source = Cached::new(source);
    let condition = if is_dirty(&source, &geometry)? {
        let why = "it was in use, so its last changes may be missing or half done";
        Condition::Uncertain { why: why.into() }
    } else {
        Condition::Clean
    };
    let [a, b, c, d] = geometry.serial.to_be_bytes();
    let facts = TreeFacts {
        volume: source.name().to_owned(),
        file_system: geometry.kind.name().to_owned(),
        label: String::new(),
        uuid: format!("{a:02X}{b:02X}-{c:02X}{d:02X}"),
        block_bytes: geometry.cluster_bytes,
        size: geometry.size,
        case_rule: CaseRule::Insensitive,
        condition,
    };
    let mut tree = FatTree { source, geometry, facts, last: Last::default() };
    tree.facts.label = tree.folder(ROOT)?.label;
    Ok(Box::new(tree))
}

/// FAT16 and FAT32 also clear a bit of the second entry of the table while they are in use.
fn is_dirty(source: &dyn Source, geometry: &Geometry) -> Result<bool> {
    let clean = match geometry.kind {
        Kind::Fat16 => 0xC000,
        Kind::Fat32 => 0x0C00_0000,
        Kind::Fat12 | Kind::ExFat => 0,
    };
    Ok(geometry.dirty || table::raw_entry(source, geometry, 1)? & clean != clean)
}

struct FatTree {
    source: Cached,
    geometry: Geometry,
    facts: TreeFacts,
    last: Last<(Node, Vec<FileExtent>)>,
}

impl FatTree {
    fn damaged(&self, node: NodeId, what: &str) -> Error {
        let which =
            if node == ROOT { "the topmost folder".to_owned() } else { format!("the entry at {}", node.0) };
        Error::damaged(self.source.name(), format!("{which} {what}"))
    }

    fn read_entry(&self, place: u64) -> Result<[u8; ENTRY_BYTES]> {
        let mut raw = [0; ENTRY_BYTES];
        self.source
            .read_at(place, &mut raw)
            .map_err(|e| Error::io(self.source.name(), "an entry of a folder", e))?;
        Ok(raw)
    }

    fn node(&self, node: NodeId) -> Result<Node> {
        let found = match (node, self.geometry.kind) {
            (ROOT, _) => Some(self.root_node()),
            (_, Kind::ExFat) => self.exfat_node(node)?,
            _ => FatEntry::read_from_bytes(&self.read_entry(node.0)?)
                .ok()
                .and_then(|entry| Node::of_fat(&entry)),
        };
        found.ok_or_else(|| self.damaged(node, "is none"))
    }

    fn root_node(&self) -> Node {
        let first = if let Root::Cluster(first) = self.geometry.root { first } else { 0 };
        let chain = Chain { first, contiguous: false, bytes: None };
        let times = Times::default();
        Node { kind: NodeKind::Folder, chain, bytes: 0, valid_bytes: 0, attributes: 0x10, times }
    }

    /// The second entry of a set may lie in the folder's next cluster.
    fn exfat_node(&self, node: NodeId) -> Result<Option<Node>> {
        let (place, contiguous) = (node.0 & !1, node.0 & 1 == 1);
        let next = place + ENTRY_BYTES as u64;
        let last = (next - self.geometry.heap.min(next)).is_multiple_of(self.geometry.cluster_bytes);
        let next = match self.geometry.cluster_at(place) {
            Some(cluster) if last && !contiguous => match table::next(&self.source, &self.geometry, cluster)?
            {
                Next::Cluster(following) => self.geometry.place(following),
                _ => None,
            },
            Some(_) => Some(next),
            None => None,
        };
        let Some(next) = next else { return Ok(None) };
        let (first, second) = (self.read_entry(place)?, self.read_entry(next)?);
        let both = ExFatFile::read_from_bytes(&first).ok().zip(ExFatStream::read_from_bytes(&second).ok());
        let is_set = first[0] == EXFAT_FILE && second[0] == EXFAT_STREAM;
        Ok(both.filter(|_| is_set).map(|(file, stream)| Node::of_exfat(&file, &stream)))
    }

    fn mapped(&self, node: NodeId) -> Result<Arc<(Node, Vec<FileExtent>)>> {
        self.last.get(node, || {
            let found = self.node(node)?;
            let extents = match self.geometry.root {
                Root::Fixed(volume_offset, length) if node == ROOT => {
                    vec![FileExtent { file_offset: 0, volume_offset, length, unwritten: false }]
                }
                _ if found.chain.bytes == Some(0) => Vec::new(),
                _ => table::extents(&self.source, &self.geometry, found.chain)?,
            };
            let valid = if found.kind == NodeKind::File { found.valid_bytes } else { u64::MAX };
            Ok((found, written_until(extents, valid)))
        })
    }

    fn folder(&self, node: NodeId) -> Result<Found> {
        let mapped = self.mapped(node)?;
        let (folder, extents) = &*mapped;
        if folder.kind != NodeKind::Folder {
            return Err(self.wrong_kind(node, "a file", "a folder"));
        }
        let length = extents.last().map_or(0, |extent| extent.file_offset + extent.length);
        if length > MAX_FOLDER_BYTES {
            return Err(self.damaged(node, "is larger than any folder"));
        }
        let mut content = vec![0; index(length)];
        read_through(&self.source, extents, length, 0, &mut content)
            .map_err(|e| Error::io(self.source.name(), "a folder", e))?;
        let found = match self.geometry.kind {
            Kind::ExFat => folder::exfat(&content, extents, folder.chain.contiguous),
            _ => folder::fat(&content, extents),
        };
        found.ok_or_else(|| self.damaged(node, "holds an entry that is none"))
    }

    fn wrong_kind(&self, node: NodeId, found: &'static str, needed: &'static str) -> Error {
        let path = format!("The entry at {}", node.0);
        Error::WrongKind { volume: self.source.name().to_owned(), path, found, needed }
    }
}

/// exFAT tells how much of a file was ever written; what follows reads as zeros.
fn written_until(extents: Vec<FileExtent>, valid: u64) -> Vec<FileExtent> {
    let split = |extent: FileExtent| {
        let written = valid.saturating_sub(extent.file_offset).min(extent.length);
        let rest = FileExtent {
            file_offset: extent.file_offset + written,
            volume_offset: extent.volume_offset + written,
            length: extent.length - written,
            unwritten: true,
        };
        [FileExtent { length: written, ..extent }, rest]
    };
    extents.into_iter().flat_map(split).filter(|extent| extent.length > 0).collect()
}

impl Tree for FatTree {
    fn facts(&self) -> &TreeFacts {
        &self.facts
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn list(&self, folder: NodeId) -> Result<Vec<Entry>> {
        Ok(self.folder(folder)?.entries)
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        Ok(self.node(node)?.metadata())
    }

    fn read_at(&self, node: NodeId, stream: Option<&str>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        no_streams(self.source.name(), stream)?;
        let mapped = self.mapped(node)?;
        let (file, extents) = &*mapped;
        if file.kind != NodeKind::File {
            return Err(self.wrong_kind(node, "a folder", "a file"));
        }
        read_through(&self.source, extents, file.bytes, offset, buf)
            .map_err(|e| Error::io(self.source.name(), format!("the file at {}", node.0), e))
    }

    fn extents(&self, node: NodeId, stream: Option<&str>) -> Result<Vec<FileExtent>> {
        no_streams(self.source.name(), stream)?;
        Ok(self.mapped(node)?.1.clone())
    }

    fn free_space(&self) -> Result<ChangedRanges> {
        if self.geometry.kind != Kind::ExFat {
            return table::free(&self.geometry, |cluster| {
                Ok(table::next(&self.source, &self.geometry, cluster)? != Next::Free)
            });
        }
        let chain = self.folder(ROOT)?.bitmap.ok_or_else(|| self.damaged(ROOT, "names no bitmap"))?;
        let length = u64::from(self.geometry.clusters).div_ceil(8);
        if chain.bytes.is_none_or(|bytes| bytes < length) {
            return Err(self.damaged(ROOT, "names a bitmap that is too short"));
        }
        let extents = table::extents(&self.source, &self.geometry, Chain { bytes: Some(length), ..chain })?;
        let mut bitmap = vec![0; index(length)];
        read_through(&self.source, &extents, length, 0, &mut bitmap)
            .map_err(|e| Error::io(self.source.name(), "the bitmap of clusters", e))?;
        table::free(&self.geometry, |cluster| Ok(table::bit(&bitmap, cluster)))
    }
}
