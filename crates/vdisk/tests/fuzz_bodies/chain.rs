//! Target `chain`: two or three files of either format, each patched, opened as one disk, checked, and merged.
//!
//! Input: a byte that chooses the formats, a byte of switches, then patches: the layer, and what `vhdx_open` or
//! `vhd_open` take. A merge leaves what the chain showed, also when it stops half-way.

use std::sync::Arc;

use uuid::Uuid;
use vdisk::{Disk, FileIo, MemoryFile, merge_into_parent};

use super::check_file::check_chain;
use super::input::Input;
use super::oracle::{check_disk, check_error, sealed, whole};
use super::plain::{Plain, locator_of};
use super::vhd_open::{self, DIFFERENCING, DYNAMIC, FIXED};
use super::vhdx_open::{self, CHILD, PARENT};

const PATCHES_MAX: usize = 24;
/// Identity of the lowest layer; those above count on from it.
const LOWEST_ID: u128 = 0xba5e;

/// Switches of the second byte.
const ALSO_MERGE: u8 = 1;
const CHECKSUMS_LEFT: u8 = 2;

/// A layer before it is patched.
enum Layer {
    Vhdx(Plain, MemoryFile),
    Vhd(u8, MemoryFile),
}

pub fn body(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (choice, switches) = (input.byte(), input.byte());
    let layers = sound(choice);
    for _ in 0..PATCHES_MAX {
        if input.is_empty() {
            break;
        }
        match &layers[usize::from(input.byte()) % layers.len()] {
            Layer::Vhdx(plain, file) => vhdx_open::patch(plain, file, &mut input, false),
            Layer::Vhd(kind, file) => vhd_open::patch(file, &mut input, *kind),
        }
    }
    if switches & CHECKSUMS_LEFT == 0 {
        layers.iter().for_each(|layer| match layer {
            Layer::Vhdx(_, file) => vhdx_open::seal_all(file),
            Layer::Vhd(kind, file) => vhd_open::seal_all(file, *kind),
        });
    }
    let files: Vec<&MemoryFile> =
        layers.iter().map(|(Layer::Vhdx(_, file) | Layer::Vhd(_, file))| file).collect();
    let chain: Vec<_> = files.iter().map(|file| sealed(file)).collect();
    check_chain(&chain);
    match Disk::open_chain(chain) {
        Ok(disk) => {
            check_disk(&disk);
            if switches & ALSO_MERGE != 0 {
                check_merge(&disk, &files);
            }
        }
        Err(error) => {
            assert!(bytes.len() > 2, "the sound files are refused: {error}");
            check_error(&error);
        }
    }
}

/// The layers that a byte chooses, child first.
fn sound(choice: u8) -> Vec<Layer> {
    let depth = if choice & 1 == 0 { 2 } else { 3 };
    let of = |level: u128| {
        let (id, below) = (LOWEST_ID + level, LOWEST_ID + level.saturating_sub(1));
        let is_vhd = choice >> (1 + level) & 1 == 1;
        let kind = match (level, choice & 16) {
            (0, 0) => DYNAMIC,
            (0, _) => FIXED,
            _ => DIFFERENCING,
        };
        if is_vhd {
            let name = format!("{level}.vhd");
            let ids = [id, below].map(|id| *Uuid::from_u128(id).as_bytes());
            return Layer::Vhd(kind, vhd_open::sound(kind, &name, ids[0], ids[1]));
        }
        let mut plain = if level == 0 { PARENT.clone() } else { CHILD.clone() };
        (plain.data_guid, plain.file_guid) = (id, 1 + level);
        if level > 0 {
            plain.locator = Some(locator_of(below, ".\\parent.vhdx"));
        }
        let file = plain.file(&format!("{level}.vhdx"));
        Layer::Vhdx(plain, file)
    };
    (0..depth).rev().map(of).collect()
}

/// After a merge the parent shows what the chain showed; when it is refused, the chain still does.
fn check_merge(before: &Disk, files: &[&MemoryFile]) {
    let Some(expected) = whole(before) else { return };
    let mut layers: Vec<Arc<dyn FileIo>> = files.iter().map(|file| sealed(file)).collect();
    layers[1] = Arc::new(files[1].clone());
    let after = match merge_into_parent(layers.clone()) {
        Ok(_) => Disk::open_chain(layers[1..].to_vec()),
        Err(error) => {
            check_error(&error);
            Disk::open_chain(layers)
        }
    };
    let after = after.expect("what a merge leaves opens");
    assert!(whole(&after).is_some_and(|bytes| bytes == expected), "a merge changed the disk");
}
