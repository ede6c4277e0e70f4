//! Swap of Linux: areas on volumes of their own, and files.
//!
//! Source: the kernel's `include/linux/swap.h` (`union swap_header`): the last ten bytes of the first page are the
//! signature, and at 1024 stand the version and the last page. A page has 4, 16 or 64 KiB. The first 64 KiB are always
//! kept: they hold the UUID and label by which fstab finds the area. A system that is suspended to disk replaces the
//! signature, and so its saved memory is never left out.

use std::sync::Arc;

use vdisk::{ByteRange, ChangedRanges};

use super::Exclusion;
use crate::error::Result;
use crate::number::{bytes, index};
use crate::source::Source;
use crate::tree::{Condition, NodeId, NodeKind, Tree};

/// Bytes kept from the start of every area: the largest page.
const KEPT_BYTES: u64 = 64 << 10;
/// Most that is read of fstab; the largest seen in the field has a few KiB.
const FSTAB_BYTES: usize = 64 << 10;
/// Names that installers give to swap files.
const USUAL_FILES: [&str; 2] = ["/swapfile", "/swap.img"];

/// Swap files and free space of ext.
pub(super) fn ext(source: Arc<dyn Source>) -> Result<Vec<Exclusion>> {
    Ok(of_tree(&*crate::ext::open(source)?))
}

/// Swap files and free space of XFS.
pub(super) fn xfs(source: Arc<dyn Source>) -> Result<Vec<Exclusion>> {
    Ok(of_tree(&*crate::xfs::open(source)?))
}

/// A volume that is a swap area as a whole.
#[expect(clippy::needless_pass_by_value, reason = "all kinds of content are asked in the same way")]
pub(super) fn swap_area(source: Arc<dyn Source>) -> Result<Vec<Exclusion>> {
    let mut head = vec![0; index(KEPT_BYTES.min(source.len()))];
    let outcome = match source.read_at(0, &mut head) {
        Ok(()) => used_bytes(&head, source.len())
            .map(|used| ChangedRanges::from_ranges([ByteRange::new(KEPT_BYTES, used)])),
        Err(error) => Err(format!("it could not be read: {error}")),
    };
    Ok(vec![Exclusion { what: "swap area".to_owned(), outcome }])
}

fn of_tree(tree: &dyn Tree) -> Vec<Exclusion> {
    let doubt = match &tree.facts().condition {
        Condition::Clean | Condition::Replayed { .. } => None,
        Condition::Uncertain { why } => Some(why),
    };
    let mut found: Vec<Exclusion> =
        swap_files(tree).into_iter().filter_map(|path| swap_file(tree, path, doubt)).collect();
    let outcome = match doubt {
        None => tree.free_space().map_err(|error| error.to_string()),
        Some(why) => Err(format!("which blocks are free is not certain ({why})")),
    };
    found.push(Exclusion { what: "free space".to_owned(), outcome });
    found
}

/// The paths of swap files: the usual ones, and those that fstab names.
fn swap_files(tree: &dyn Tree) -> Vec<String> {
    let mut text = vec![0; FSTAB_BYTES];
    let length = tree.find("/etc/fstab").and_then(|node| tree.read_at(node, None, 0, &mut text)).unwrap_or(0);
    let mut paths: Vec<String> = USUAL_FILES.iter().map(|path| (*path).to_owned()).collect();
    for path in in_fstab(&String::from_utf8_lossy(&text[..length])) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

/// The files that fstab uses as swap: device, folder, type, options.
fn in_fstab(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (device, _, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let is_file = device.starts_with('/') && !device.starts_with("/dev/");
        (kind == "swap" && is_file).then(|| device.replace("\\040", " "))
    })
}

/// What to do with one file; nothing when there is none of that path.
fn swap_file(tree: &dyn Tree, path: String, doubt: Option<&String>) -> Option<Exclusion> {
    let node = tree.find(&path).ok()?;
    let outcome = match doubt {
        Some(why) => Err(format!("the place of the file is not certain ({why})")),
        None => ranges(tree, node),
    };
    Some(Exclusion { what: path, outcome })
}

/// The bytes of a swap file behind those that are kept.
fn ranges(tree: &dyn Tree, node: NodeId) -> Result<ChangedRanges, String> {
    let text = |error: crate::error::Error| error.to_string();
    let metadata = tree.metadata(node).map_err(text)?;
    if metadata.kind != NodeKind::File {
        return Err("it is not a plain file".to_owned());
    }
    if metadata.links != 1 || tree.shares_blocks(node).map_err(text)? {
        return Err("other files use the same blocks".to_owned());
    }
    let mut head = vec![0; index(KEPT_BYTES)];
    let length = tree.read_at(node, None, 0, &mut head).map_err(text)?;
    let used = used_bytes(&head[..length], metadata.size)?;
    let wanted = ByteRange::new(KEPT_BYTES, used);
    let extents = tree.extents(node, None).map_err(text)?;
    let places = |wanted: ByteRange| {
        let parts = extents.iter().map(|extent| {
            let part = ByteRange::at(extent.file_offset, extent.length).intersect(wanted);
            ByteRange::at(extent.volume_offset + part.start.saturating_sub(extent.file_offset), part.len())
        });
        ChangedRanges::from_ranges(parts)
    };
    // A damaged map may show the first pages at a second place of the file.
    Ok(places(wanted).minus(&places(ByteRange::new(0, KEPT_BYTES))))
}

/// Bytes that the area uses, by its first page; why it is kept, when that is not one.
fn used_bytes(head: &[u8], size: u64) -> Result<u64, String> {
    let page = [4_usize << 10, 16 << 10, 64 << 10]
        .into_iter()
        .find(|page| head.get(page - 10..*page).is_some_and(|end| end == b"SWAPSPACE2"))
        .ok_or("it has no signature of swap in use by this system")?;
    let number =
        |at: usize| head.get(at..).and_then(|rest| rest.first_chunk()).map(|raw| u32::from_le_bytes(*raw));
    match (number(1024), number(1028)) {
        (Some(1), Some(last)) => Ok((u64::from(last) + 1).saturating_mul(bytes(page)).min(size)),
        _ => Err("its version is not known".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_taken_from_fstab() {
        let text = "# /old none swap\nUUID=1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n/var/my\\040swap none swap sw\n";
        assert_eq!(in_fstab(text).collect::<Vec<_>>(), ["/var/my swap"]);
    }

    #[test]
    fn an_area_ends_at_its_last_page_and_needs_its_signature() {
        let mut head = vec![0; 64 << 10];
        head[1024..1028].copy_from_slice(&1_u32.to_le_bytes());
        head[1028..1032].copy_from_slice(&99_u32.to_le_bytes());
        assert!(used_bytes(&head, 1 << 30).is_err());
        for page in [4096_usize, 16_384, 65_536] {
            let mut head = head.clone();
            head[page - 10..page].copy_from_slice(b"SWAPSPACE2");
            assert_eq!(used_bytes(&head, 1 << 30), Ok(100 * page as u64));
            assert_eq!(used_bytes(&head, 70_000), Ok(70_000));
            head[page - 10..page - 1].copy_from_slice(b"S1SUSPEND");
            assert!(used_bytes(&head, 1 << 30).is_err(), "a suspended system keeps its memory");
        }
    }
}
