//! Which bytes of an NTFS volume need not be kept: free clusters, and the files in which Windows keeps its memory.
//!
//! Only `pagefile.sys`, `hiberfil.sys` and `swapfile.sys` in the root are looked at, and only a plain
//! stream on a volume in certain condition is given up: whatever is in doubt stays in the backup,
//! with the reason. The first piece of each file is always kept, since Windows reads its header.
//! (On a restored disk the rest reads as zeros: a page file is written anew at every start, and a
//! saved memory without its pages is not resumed.)

use std::sync::Arc;

use vdisk::{ByteRange, ChangedRanges};

use super::attribute::{Form, code};
use super::fault::{Fault, Outcome};
use super::file::File;
use super::name::{ATTRIBUTE_REPARSE, FileName};
use super::record::Reference;
use super::stream::Stream;
use super::tree::{NtfsTree, ROOT, standard};
use crate::error::Result;
use crate::exclude::Exclusion;
use crate::name::Name;
use crate::source::Source;
use crate::tree::{Condition, Tree};

/// The files in which Windows keeps its memory.
const NAMES: [&str; 3] = ["pagefile.sys", "hiberfil.sys", "swapfile.sys"];
/// Bytes kept from the start of each file: the largest page of any Windows; a whole cluster if larger.
const KEPT_BYTES: u64 = 64 << 10;

/// Free clusters and the files in which Windows keeps its memory, as far as the root has them.
pub(crate) fn exclusions(source: Arc<dyn Source>) -> Result<Vec<Exclusion>> {
    let tree = NtfsTree::open(source)?;
    let mut found: Vec<_> = NAMES.iter().filter_map(|name| page_file(&tree, name)).collect();
    let outcome = match doubt(&tree) {
        None => tree.free_space().map_err(|error| error.to_string()),
        Some(why) => Err(format!("which clusters are free is not certain ({why})")),
    };
    found.push(Exclusion { what: "free space".to_owned(), outcome });
    Ok(found)
}

/// Why the tree is not certain.
fn doubt(tree: &NtfsTree) -> Option<&str> {
    match &tree.facts().condition {
        Condition::Clean => None,
        Condition::Replayed { what: why } | Condition::Uncertain { why } => Some(why),
    }
}

/// What to do with one file; nothing when there is none of that name.
fn page_file(tree: &NtfsTree, name: &str) -> Option<Exclusion> {
    let wide: Vec<u16> = name.encode_utf16().collect();
    let outcome = match (tree.lookup(ROOT, &wide), doubt(tree)) {
        (Ok(found), _) if found.is_empty() => return None,
        (_, Some(why)) => Err(format!("the place of the file is not certain ({why})")),
        (Ok(found), None) => match *found {
            [only] => ranges(tree, only, name).map_err(reason),
            _ => Err("several files have this name".to_owned()),
        },
        (Err(fault), None) => Err(reason(fault)),
    };
    Some(Exclusion { what: name.to_owned(), outcome })
}

/// The bytes of a file that need not be kept.
fn ranges(tree: &NtfsTree, file: Reference, name: &str) -> Outcome<ChangedRanges> {
    let file = File::open(&tree.mft, file)?;
    if file.is_folder() || standard(&file)?.attributes & ATTRIBUTE_REPARSE != 0 {
        return Err(Fault::Unsupported("it is not a plain file".into()));
    }
    if !is_in_root(&file, name)? {
        return Err(Fault::damaged("the file does not say that it is in the root"));
    }
    let stream = file.stream(code::DATA, &[])?.ok_or_else(|| Fault::damaged("the file has no $DATA"))?;
    if stream.is_resident() {
        return Err(Fault::Unsupported("its content stands in its record".into()));
    }
    if stream.is_transformed() {
        return Err(Fault::Unsupported("it is compressed or encrypted".into()));
    }
    Ok(after_first_piece(tree, &stream))
}

/// Whether one of the file's own names is this one in the root.
fn is_in_root(file: &File<'_>, name: &str) -> Outcome<bool> {
    let mut found = false;
    file.for_each(code::FILE_NAME, |attribute| {
        let Form::Resident(value) = &attribute.form else { return Ok(()) };
        let held = FileName::parse(value)?;
        found |= held.parent.number() == ROOT.number()
            && Name::from_utf16_le(held.name).to_text_lossy().eq_ignore_ascii_case(name);
        Ok(())
    })?;
    Ok(found)
}

/// The clusters of a stream except those of its first piece, which a damaged stream may hold twice.
fn after_first_piece(tree: &NtfsTree, stream: &Stream) -> ChangedRanges {
    let cluster_bytes = tree.facts().block_bytes;
    let first = KEPT_BYTES.div_ceil(cluster_bytes);
    let (mut kept, mut rest) = (Vec::new(), Vec::new());
    for run in stream.runs() {
        let Some(lcn) = run.lcn else { continue };
        let skip = first.saturating_sub(run.vcn).min(run.clusters);
        kept.push(ByteRange::at(lcn * cluster_bytes, skip * cluster_bytes));
        rest.push(ByteRange::at((lcn + skip) * cluster_bytes, (run.clusters - skip) * cluster_bytes));
    }
    ChangedRanges::from_ranges(rest).minus(&ChangedRanges::from_ranges(kept))
}

/// Why a file is kept, for people.
fn reason(fault: Fault) -> String {
    match fault {
        Fault::Io(error) => format!("it could not be read: {error}"),
        Fault::Damaged(what) | Fault::Unsupported(what) => what,
        Fault::TooLarge(what, limit) => format!("{what} is larger than {limit} bytes"),
        Fault::NoStream(_) | Fault::WrongKind(..) => "it is not a plain file".to_owned(),
    }
}
