//! `Tree`: the one view of every file system.
//!
//! A tree owns the volume that it reads, never writes, and tells the condition it found the file system in: what
//! a crash left in a journal is either replayed or reported, never passed over.

use vdisk::ChangedRanges;

use crate::error::{Error, Result};
use crate::name::{CaseRule, Name};

/// A file or folder of one tree: an inode number, an MFT reference, or what its file system uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// Bytes.
    File,
    /// Names of other nodes.
    Folder,
    /// A symbolic link, or a reparse point that acts as one.
    Link,
    /// A device, socket or pipe, or a reparse point that is not a link.
    Special,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the guest keeps it.
    pub name: Name,
    /// What it names.
    pub node: NodeId,
    /// What that is.
    pub kind: NodeKind,
}

/// What a file system says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFacts {
    /// Name of the volume it lies on, for texts.
    pub volume: String,
    /// Kind and version in the field's words, such as `ext4` or `NTFS 3.1`.
    pub file_system: String,
    /// Label; empty when there is none.
    pub label: String,
    /// UUID or serial number as its own system writes it; empty when there is none.
    pub uuid: String,
    /// Bytes of an allocation unit.
    pub block_bytes: u64,
    /// Bytes that the file system covers.
    pub size: u64,
    /// How names compare.
    pub case_rule: CaseRule,
    /// The condition it was found in.
    pub condition: Condition,
}

/// Whether the tree is what the guest would see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It was unmounted cleanly, or its journal was empty.
    Clean,
    /// The journal held changes, and the tree shows them.
    Replayed {
        /// What was replayed, as a sentence without its full stop.
        what: String,
    },
    /// The tree may lack the guest's last changes, or hold half of them.
    Uncertain {
        /// Why, as a sentence without its full stop.
        why: String,
    },
}

/// Everything about a node but its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: NodeKind,
    /// Bytes of its main stream; 0 for folders.
    pub size: u64,
    /// Its times.
    pub times: Times,
    /// Number of names that it has.
    pub links: u32,
    /// Mode and owner, where the file system has them.
    pub unix: Option<UnixOwner>,
    /// `FILE_ATTRIBUTE_*`, where the file system has them ([MS-FSCC] 2.6).
    pub windows_attributes: Option<u32>,
    /// Streams besides the main one.
    pub streams: Vec<Stream>,
    /// Name of its reparse tag, such as `IO_REPARSE_TAG_WOF`.
    pub reparse: Option<String>,
    /// Where a link leads.
    pub link_target: Option<Name>,
}

impl Metadata {
    /// A node of this kind and size with one name and nothing else known.
    #[must_use]
    pub fn new(kind: NodeKind, size: u64) -> Self {
        Self {
            kind,
            size,
            times: Times::default(),
            links: 1,
            unix: None,
            windows_attributes: None,
            streams: Vec::new(),
            reparse: None,
            link_target: None,
        }
    }
}

/// Times in nanoseconds since 1970-01-01 UTC; `None` where the file system has none. 128 bits, because Windows
/// counts from 1601 and some dates lie beyond 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// Made.
    pub created: Option<i128>,
    /// Content changed.
    pub modified: Option<i128>,
    /// Metadata changed.
    pub changed: Option<i128>,
    /// Read.
    pub accessed: Option<i128>,
}

/// Mode and owner of a node on a file system of Unix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixOwner {
    /// File type and permissions, as `st_mode`.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A stream besides the main one (NTFS), or an extended attribute that acts as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: Name,
    /// Its bytes.
    pub size: u64,
}

/// A run of a file that lies in one piece on the volume. Holes and resident data have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileExtent {
    /// Place in the file.
    pub file_offset: u64,
    /// Place on the volume.
    pub volume_offset: u64,
    /// Bytes; whole allocation units, so the last may reach beyond the end of the file.
    pub length: u64,
    /// Allocated and never written: the file reads as zeros there, the volume may hold anything.
    pub unwritten: bool,
}

/// A file system, read only.
pub trait Tree: Send + Sync {
    /// What it says about itself.
    fn facts(&self) -> &TreeFacts;

    /// The topmost folder.
    fn root(&self) -> NodeId;

    /// The names in a folder, without `.` and `..`, in the order of the disk.
    fn list(&self, folder: NodeId) -> Result<Vec<Entry>>;

    /// Everything about a node but its bytes.
    fn metadata(&self, node: NodeId) -> Result<Metadata>;

    /// Reads from a file's main stream or a named one. Fewer bytes than asked for mean the end of the file;
    /// holes read as zeros.
    fn read_at(&self, node: NodeId, stream: Option<&str>, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// Where the bytes of a file lie on the volume, in the order of the file. Data inside the file's own record
    /// has no extent.
    fn extents(&self, node: NodeId, stream: Option<&str>) -> Result<Vec<FileExtent>>;

    /// Bytes of the volume that the file system says are free.
    fn free_space(&self) -> Result<ChangedRanges>;

    /// Whether other files may use the same blocks, so that leaving them out would harm those too.
    fn shares_blocks(&self, _node: NodeId) -> Result<bool> {
        Ok(false)
    }

    /// The node of a path with `/` between names; links are not followed. An exact name wins over one that only
    /// fits by the file system's case rule.
    fn find(&self, path: &str) -> Result<NodeId> {
        let mut node = self.root();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            let entries = self.list(node)?;
            node = pick(&entries, part, self.facts(), path)?;
        }
        Ok(node)
    }
}

/// The entry that `part` names.
fn pick(entries: &[Entry], part: &str, facts: &TreeFacts, path: &str) -> Result<NodeId> {
    if let Some(exact) = entries.iter().find(|entry| entry.name.is(part)) {
        return Ok(exact.node);
    }
    let mut fitting = entries.iter().filter(|entry| entry.name.fits(part, facts.case_rule));
    match (fitting.next(), fitting.count()) {
        (Some(only), 0) => Ok(only.node),
        (Some(_), more) => {
            Err(Error::Ambiguous { volume: facts.volume.clone(), path: path.to_owned(), count: more + 1 })
        }
        (None, _) => Err(Error::NotFound { volume: facts.volume.clone(), path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        (1..)
            .zip(names)
            .map(|(id, name)| Entry { name: (*name).into(), node: NodeId(id), kind: NodeKind::File })
            .collect()
    }

    #[test]
    fn an_exact_name_wins_and_an_unclear_one_is_refused() {
        let entries = entries(&["readme", "README", "Pagefile.sys"]);
        let facts = TreeFacts {
            volume: "disk0/part1".into(),
            file_system: "FAT32".into(),
            label: String::new(),
            uuid: String::new(),
            block_bytes: 4096,
            size: 1 << 30,
            case_rule: CaseRule::Insensitive,
            condition: Condition::Clean,
        };
        let find = |part| pick(&entries, part, &facts, part);

        assert_eq!(find("README").unwrap(), NodeId(2));
        assert_eq!(find("pagefile.SYS").unwrap(), NodeId(3));
        assert!(matches!(find("Readme"), Err(Error::Ambiguous { count: 2, .. })));
        assert!(matches!(find("nothing"), Err(Error::NotFound { .. })));
    }
}
