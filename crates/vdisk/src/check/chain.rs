//! Rules between a child and its parent, and for files that Hyper-V keeps beside a disk.

use std::path::Path;
use std::sync::Arc;

use super::report::Findings;
use super::rule::declare_rules;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file_io::FileIo;

declare_rules! { "CHAIN", "MS-VHDX";
    PARENT_IDENTITY Error "2.6.2.6" "parent-identity"
        "The file below a child is the one that it was made over."
        "A child names its parent by the data write GUID that the parent had when the child was made. Another value means that the parent is another disk's file or was changed since; read together they would show a mixture of two states. Find the right parent, or an older copy of it."
    SECTOR_SIZE Error "2.6.2.4" "sector-size"
        "A child and its parent have the same logical sector size."
        "The child tells sector by sector whether it or its parent holds the content, which has no meaning for sectors of different sizes."
    NO_PARENT_GIVEN Note "2.6.2.6" "parent-not-given"
        "The last file of a chain needs no parent."
        "Only the files that were named could be checked. Name the whole chain, child first, or keep the parent beside its child."
    NOT_A_CHAIN Error "2.6.2.6" "not-a-chain"
        "Each file but the last is a child of the one after it."
        "The file before this one needs no parent, so this file is no part of its disk. Name the files child first, or check them one by one."
    CHANGE_TRACKING_FILE Note "1" "change-tracking-file"
        "No .rct or .mrt file lies beside a disk that left its host."
        "Hyper-V keeps its change tracking in files of these names. They belong to the very state of the disk that they were copied with: if the disk is changed outside Hyper-V they must be deleted, or backups made from them miss changes."
}

/// Checks each file against the next one.
pub(super) fn check(files: &[Arc<dyn FileIo>], findings: &mut Findings) -> Result<()> {
    for (number, file) in files.iter().enumerate() {
        findings.enter(file.name());
        let below = files.get(number + 1);
        let Ok(leaf) = Disk::open_leaf(Arc::clone(file)) else { continue };
        let Some(locator) = leaf.layers().next().and_then(|layer| layer.parent) else {
            if let Some(below) = below {
                findings.add(&NOT_A_CHAIN, below.name(), format!("{} needs no parent", file.name()));
            }
            continue;
        };
        let Some(below) = below else {
            let path = locator.first_path().unwrap_or("a parent without a path");
            findings.add(&NO_PARENT_GIVEN, "parent locator", format!("it names {path}"));
            continue;
        };
        match Disk::open_chain(vec![Arc::clone(file), Arc::clone(below)]) {
            Err(Error::ParentMismatch { expected, found, .. }) => {
                let found = format!("{} has data id {found}, expected {expected}", below.name());
                findings.add(&PARENT_IDENTITY, "parent locator", found);
            }
            Err(Error::BadChain { why, .. }) => {
                let parent = Disk::open_leaf(Arc::clone(below));
                let fits = parent.is_ok_and(|parent| parent.logical_sector() == leaf.logical_sector());
                findings.add(if fits { &NOT_A_CHAIN } else { &SECTOR_SIZE }, below.name(), why);
            }
            // Whatever else is wrong with one of them was found in the file itself.
            _ => {}
        }
    }
    Ok(())
}

/// Notes files of change tracking beside a disk file.
pub(super) fn leftovers(file: &str, findings: &mut Findings) {
    for ending in ["rct", "mrt"] {
        let beside = format!("{file}.{ending}");
        if Path::new(&beside).exists() {
            findings.add(&CHANGE_TRACKING_FILE, &beside, "it exists");
        }
    }
}
