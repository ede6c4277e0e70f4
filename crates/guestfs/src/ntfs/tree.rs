//! NTFS as a `Tree`.
//!
//! A node is a file reference: record number and sequence count together, so that a node kept from
//! an old listing never reads another file. The reserved records ($MFT and its like) are left out of
//! the root's listing, short names that stand beside long ones out of all listings; both are found
//! by name. Faults get the volume's name here.

use std::sync::{Arc, OnceLock};

use vdisk::ChangedRanges;

use super::attribute::{Attribute, Form, code};
use super::bitmap;
use super::fault::{Fault, Outcome};
use super::file::{File, twice};
use super::index::Index;
use super::medium::Medium;
use super::mft::Mft;
use super::name::{ATTRIBUTE_REPARSE, FileName, UPCASE_BYTES, UpCase};
use super::open_streams::OpenStreams;
use super::record::Reference;
use super::reparse::Reparse;
use super::standard::Standard;
use super::stream::Stream;
use super::volume_info::{UNREADABLE, VolumeInfo};
use crate::error::{Error, Result};
use crate::name::{CaseRule, Name};
use crate::number::bytes;
use crate::source::Source;
use crate::tree::{
    Condition, Entry, FileExtent, Metadata, NodeId, NodeKind, Stream as StreamInfo, Tree, TreeFacts,
};

/// Record of the root folder.
pub(super) const ROOT: Reference = Reference(5);
/// Record of $UpCase.
const UPCASE_RECORD: u64 = 10;
/// Records below this one are reserved for the file system itself.
const RESERVED_RECORDS: u64 = 16;
/// `FILE_ATTRIBUTE_DIRECTORY`, which records do not hold but Windows shows.
const ATTRIBUTE_DIRECTORY: u32 = 0x10;

/// An NTFS volume.
pub(super) struct NtfsTree {
    pub(super) mft: Mft,
    facts: TreeFacts,
    upcase: OnceLock<UpCase>,
    streams: OpenStreams,
}

/// Opens the file system of a volume.
pub(crate) fn open(source: Arc<dyn Source>) -> Result<Box<dyn Tree>> {
    Ok(Box::new(NtfsTree::open(source)?))
}

impl NtfsTree {
    /// Opens the file system and finds its condition.
    pub(super) fn open(source: Arc<dyn Source>) -> Result<Self> {
        let volume = source.name().to_owned();
        Self::mount(source).map_err(|fault| error(&volume, "the file system", fault))
    }

    /// Reads what every use needs.
    fn mount(source: Arc<dyn Source>) -> Outcome<Self> {
        let mft = Mft::open(Medium::open(source)?)?;
        let info = VolumeInfo::read(&mft)?;
        let geometry = &mft.medium.geometry;
        let facts = TreeFacts {
            volume: mft.medium.name().to_owned(),
            file_system: format!("NTFS {}.{}", info.version.0, info.version.1),
            label: info.label.clone(),
            uuid: format!("{:016X}", geometry.serial),
            block_bytes: geometry.cluster_bytes,
            size: geometry.volume_bytes(),
            case_rule: CaseRule::Insensitive,
            condition: Condition::Clean,
        };
        let mut tree = Self { mft, facts, upcase: OnceLock::new(), streams: OpenStreams::default() };
        let sleeper = tree.sleeper();
        tree.facts.condition = info.condition(&tree.mft, sleeper);
        Ok(tree)
    }

    /// The first bytes of `hiberfil.sys`, if the root has one.
    fn sleeper(&self) -> Option<[u8; 4]> {
        let read = || -> Outcome<Option<[u8; 4]>> {
            let name: Vec<u16> = "hiberfil.sys".encode_utf16().collect();
            let Some(&file) = self.lookup(ROOT, &name)?.first() else { return Ok(None) };
            let mut start = [0; 4];
            self.open_stream(NodeId(file.0), None)?.read_at(&self.mft.medium, 0, &mut start)?;
            Ok(Some(start))
        };
        read().unwrap_or(Some(UNREADABLE))
    }

    /// The files in a folder that a name may mean.
    pub(super) fn lookup(&self, folder: Reference, name: &[u16]) -> Outcome<Vec<Reference>> {
        let file = self.folder(folder)?;
        let mut found = Index::open(&self.mft.medium, &file)?.find(name, self.upcase()?)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// A file that must be a folder.
    fn folder(&self, reference: Reference) -> Outcome<File<'_>> {
        let file = File::open(&self.mft, reference)?;
        if file.is_folder() { Ok(file) } else { Err(Fault::WrongKind("a file", "a folder")) }
    }

    /// The volume's upper-case table, read when first needed.
    fn upcase(&self) -> Outcome<&UpCase> {
        if let Some(table) = self.upcase.get() {
            return Ok(table);
        }
        let file = File::open_number(&self.mft, UPCASE_RECORD)?;
        let stream = file.stream(code::DATA, &[])?.ok_or_else(|| Fault::damaged("$UpCase has no $DATA"))?;
        let table = UpCase::parse(&stream.read_all(&self.mft.medium, UPCASE_BYTES, "$UpCase")?)?;
        Ok(self.upcase.get_or_init(|| table))
    }

    /// All entries of a folder that Windows would show.
    fn entries(&self, folder: NodeId) -> Outcome<Vec<Entry>> {
        let file = self.folder(Reference(folder.0))?;
        let in_root = file.reference().number() == ROOT.number();
        let mut entries = Vec::new();
        Index::open(&self.mft.medium, &file)?.walk(|reference, name| {
            if !(name.dos_only || in_root && reference.number() < RESERVED_RECORDS) {
                let kind = self.kind(reference, name);
                entries.push(Entry { name: Name::from_utf16_le(name.name), node: NodeId(reference.0), kind });
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// What an entry names. Only reparse points need their record; if that is unreadable, reading
    /// the file tells, and the listing shows what the index says.
    fn kind(&self, reference: Reference, name: &FileName<'_>) -> NodeKind {
        let plain = if name.is_folder() { NodeKind::Folder } else { NodeKind::File };
        if !name.is_reparse() {
            return plain;
        }
        let reparse = File::open(&self.mft, reference).and_then(|file| reparse(&file));
        reparse.ok().flatten().and_then(|point| point.kind()).unwrap_or(plain)
    }

    /// Everything about a file but its bytes.
    fn describe(&self, node: NodeId) -> Outcome<Metadata> {
        let file = File::open(&self.mft, Reference(node.0))?;
        let standard = standard(&file)?;
        let mut metadata = Metadata::new(if file.is_folder() { NodeKind::Folder } else { NodeKind::File }, 0);
        let mut links = 0;
        file.for_each(code::FILE_NAME, |attribute| {
            let Form::Resident(value) = &attribute.form else { return Ok(()) };
            links += u32::from(!FileName::parse(value)?.dos_only);
            Ok(())
        })?;
        let mut has_main = false;
        file.for_each(code::DATA, |attribute| {
            match attribute.name {
                [] if has_main => return Err(twice()),
                [] => (metadata.size, has_main) = (size_of_stream(attribute), true),
                name => metadata
                    .streams
                    .push(StreamInfo { name: Name::from_utf16_le(name), size: size_of_stream(attribute) }),
            }
            Ok(())
        })?;
        metadata.times = standard.times;
        metadata.links = links.max(1);
        metadata.windows_attributes =
            Some(standard.attributes | if file.is_folder() { ATTRIBUTE_DIRECTORY } else { 0 });
        if let Some(point) = reparse(&file)? {
            metadata.kind = point.kind().unwrap_or(metadata.kind);
            metadata.reparse = Some(point.tag_name());
            metadata.link_target = point.target;
        }
        Ok(metadata)
    }

    /// A stream of a file, kept open for the next read. Refuses the main stream of files whose
    /// content another part of Windows provides.
    fn open_stream(&self, node: NodeId, name: Option<&str>) -> Outcome<Arc<Stream>> {
        if let Some(stream) = self.streams.get(node, name) {
            return Ok(stream);
        }
        let stream = Arc::new(self.read_stream(node, name)?);
        self.streams.keep(node, name, &stream);
        Ok(stream)
    }

    /// A stream of a file.
    fn read_stream(&self, node: NodeId, name: Option<&str>) -> Outcome<Stream> {
        let file = File::open(&self.mft, Reference(node.0))?;
        let wide: Vec<u8> = name.unwrap_or_default().encode_utf16().flat_map(u16::to_le_bytes).collect();
        if wide.is_empty() {
            if file.is_folder() {
                return Err(Fault::WrongKind("a folder", "a file"));
            }
            if let Some(point) = reparse(&file)? {
                point.refuse_unreadable(standard(&file)?.attributes)?;
            }
        }
        match file.stream(code::DATA, &wide)? {
            Some(stream) => Ok(stream),
            None => match name {
                Some(name) => Err(Fault::NoStream(name.to_owned())),
                None => Err(Fault::damaged(format!(
                    "record {} of the $MFT has no $DATA",
                    file.reference().number()
                ))),
            },
        }
    }

    /// Where a stream lies.
    fn places(&self, node: NodeId, name: Option<&str>) -> Outcome<Vec<FileExtent>> {
        let stream = self.open_stream(node, name)?;
        if stream.is_transformed() {
            return Err(Fault::Unsupported(
                "the file is compressed or encrypted: its clusters do not hold the bytes that the guest reads".into(),
            ));
        }
        Ok(extents(&stream, self.facts.block_bytes))
    }

    /// The node of a path.
    fn resolve(&self, path: &str) -> Result<NodeId> {
        let mut node = self.root();
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            let found = self.step(node, part).map_err(|fault| match fault {
                Fault::WrongKind(found, needed) => Error::WrongKind {
                    volume: self.facts.volume.clone(),
                    path: path.to_owned(),
                    found,
                    needed,
                },
                other => error(&self.facts.volume, path, other),
            })?;
            node = match *found {
                [only] => NodeId(only.0),
                [] => {
                    return Err(Error::NotFound { volume: self.facts.volume.clone(), path: path.to_owned() });
                }
                _ => {
                    let (volume, count) = (self.facts.volume.clone(), found.len());
                    return Err(Error::Ambiguous { volume, path: path.to_owned(), count });
                }
            };
        }
        Ok(node)
    }

    /// The files in a folder that a part of a path may mean. Text shown for a name that is not
    /// Unicode finds it too, by looking at all names.
    fn step(&self, folder: NodeId, part: &str) -> Outcome<Vec<Reference>> {
        let wide: Vec<u16> = part.encode_utf16().collect();
        let found = self.lookup(Reference(folder.0), &wide)?;
        if !found.is_empty() || !part.contains(char::REPLACEMENT_CHARACTER) {
            return Ok(found);
        }
        let shown = self.entries(folder)?.into_iter().filter(|entry| entry.name.to_text_lossy() == part);
        Ok(shown.map(|entry| Reference(entry.node.0)).collect())
    }

    /// Adds the volume's name to a fault that concerns a node.
    fn error(&self, node: NodeId, fault: Fault) -> Error {
        error(&self.facts.volume, &format!("Record {}", Reference(node.0).number()), fault)
    }
}

impl Tree for NtfsTree {
    fn facts(&self) -> &TreeFacts {
        &self.facts
    }

    fn root(&self) -> NodeId {
        NodeId(ROOT.0)
    }

    fn list(&self, folder: NodeId) -> Result<Vec<Entry>> {
        self.entries(folder).map_err(|fault| self.error(folder, fault))
    }

    fn metadata(&self, node: NodeId) -> Result<Metadata> {
        self.describe(node).map_err(|fault| self.error(node, fault))
    }

    fn read_at(&self, node: NodeId, stream: Option<&str>, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.open_stream(node, stream)
            .and_then(|stream| stream.read_at(&self.mft.medium, offset, buf))
            .map_err(|fault| self.error(node, fault))
    }

    fn extents(&self, node: NodeId, stream: Option<&str>) -> Result<Vec<FileExtent>> {
        self.places(node, stream).map_err(|fault| self.error(node, fault))
    }

    /// Free clusters by $Bitmap. On a tree that is not clean the map may be older than the files.
    fn free_space(&self) -> Result<ChangedRanges> {
        bitmap::free_space(&self.mft).map_err(|fault| error(&self.facts.volume, "$Bitmap", fault))
    }

    fn find(&self, path: &str) -> Result<NodeId> {
        self.resolve(path)
    }
}

/// Times and attributes of a file.
pub(super) fn standard(file: &File<'_>) -> Outcome<Standard> {
    let value = file.value(code::STANDARD_INFORMATION)?;
    let number = file.reference().number();
    Standard::parse(
        &value.ok_or_else(|| {
            Fault::damaged(format!("record {number} of the $MFT has no standard information"))
        })?,
    )
}

/// The reparse point of a file, if it has one.
fn reparse(file: &File<'_>) -> Outcome<Option<Reparse>> {
    if standard(file)?.attributes & ATTRIBUTE_REPARSE == 0 {
        return Ok(None);
    }
    file.value(code::REPARSE_POINT)?.map(|value| Reparse::parse(&value)).transpose()
}

/// Bytes of the stream that an attribute, or its first extent, begins.
fn size_of_stream(attribute: &Attribute<'_>) -> u64 {
    match &attribute.form {
        Form::Resident(value) => bytes(value.len()),
        Form::NonResident(extent) => extent.size,
    }
}

/// The runs of a stream up to its size, split where what was never written begins.
fn extents(stream: &Stream, cluster_bytes: u64) -> Vec<FileExtent> {
    let (end, written) = (stream.size.div_ceil(cluster_bytes), stream.initialized().div_ceil(cluster_bytes));
    let mut extents = Vec::new();
    for run in stream.runs() {
        let Some(lcn) = run.lcn else { continue };
        let split = written.clamp(run.vcn, run.end());
        for (from, to, unwritten) in [(run.vcn, split, false), (split, run.end(), true)] {
            let to = to.min(end);
            if from < to {
                extents.push(FileExtent {
                    file_offset: from * cluster_bytes,
                    volume_offset: (lcn + from - run.vcn) * cluster_bytes,
                    length: (to - from) * cluster_bytes,
                    unwritten,
                });
            }
        }
    }
    extents
}

/// The crate's error of a fault.
pub(super) fn error(volume: &str, what: &str, fault: Fault) -> Error {
    match fault {
        Fault::Io(source) => Error::io(volume, what, source),
        Fault::Damaged(damage) => Error::damaged(volume, damage),
        Fault::Unsupported(text) => Error::unsupported(volume, format!("{what}: {text}")),
        Fault::TooLarge(what, limit) => Error::TooLarge { volume: volume.into(), what: what.into(), limit },
        Fault::NoStream(stream) => Error::NoStream { volume: volume.into(), stream },
        Fault::WrongKind(found, needed) => {
            Error::WrongKind { volume: volume.into(), path: what.into(), found, needed }
        }
    }
}
