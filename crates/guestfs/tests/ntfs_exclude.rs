//! What a backup may leave out of an NTFS volume, and when it keeps everything.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "only tests use it")]

mod ntfs_image;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use guestfs::Layout;
use ntfs_image::{Image, noise};
use rustix::fs::{XattrFlags, setxattr};
use vdisk::ChangedRanges;

/// Bytes kept from the start of each file.
const KEPT: usize = 64 << 10;

/// What may be left out of the volume, by its name.
fn exclusions(image: &Image) -> BTreeMap<String, Result<ChangedRanges, String>> {
    let volume = Layout::read(&[image.source()]).unwrap().volumes.remove(0);
    volume.exclusions().unwrap().into_iter().map(|exclusion| (exclusion.what, exclusion.outcome)).collect()
}

/// An image with these files.
fn image_with(write: impl FnOnce(&Path)) -> Image {
    let image = Image::format(32, &[]);
    image.mounted(write);
    image
}

#[test]
fn page_files_are_left_out_but_for_their_first_piece() {
    let content = noise(4, 3 << 20);
    let image = image_with(|root| {
        fs::write(root.join("PageFile.sys"), &content).unwrap();
        fs::write(root.join("swapfile.sys"), &content[..KEPT]).unwrap();
        fs::create_dir(root.join("folder")).unwrap();
        fs::write(root.join("folder/hiberfil.sys"), &content).unwrap();
    });

    let found = exclusions(&image);

    let page_file = found["pagefile.sys"].as_ref().unwrap();
    let left_out: Vec<u8> = page_file.iter().flat_map(|r| image.peek(r.start, r.len() as usize)).collect();
    assert!(left_out == content[KEPT..], "exactly the rest of the file");
    assert!(found["swapfile.sys"].as_ref().unwrap().is_empty());
    assert!(!found.contains_key("hiberfil.sys"), "only files of the root count");
}

#[test]
fn free_space_is_left_out_and_holds_no_file() {
    let image = image_with(|root| fs::write(root.join("pagefile.sys"), noise(4, 3 << 20)).unwrap());
    let found = exclusions(&image);
    let free = found["free space"].as_ref().unwrap();
    assert!(free.total_bytes() > 10 << 20);
    assert!(free.intersect(found["pagefile.sys"].as_ref().unwrap()).is_empty());
}

#[test]
fn a_page_file_in_another_form_is_kept() {
    let resident = image_with(|root| fs::write(root.join("pagefile.sys"), "short").unwrap());
    let compressed = image_with(|root| {
        setxattr(root, "system.ntfs_attrib_be", &0x0816_u32.to_be_bytes(), XattrFlags::empty()).unwrap();
        fs::write(root.join("pagefile.sys"), "a text that repeats ".repeat(100_000)).unwrap();
    });
    let folder = image_with(|root| fs::create_dir(root.join("pagefile.sys")).unwrap());
    for (image, words) in
        [(resident, "stands in its record"), (compressed, "compressed"), (folder, "not a plain file")]
    {
        let why = exclusions(&image)["pagefile.sys"].clone().unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn nothing_is_left_out_of_an_uncertain_volume() {
    let image = image_with(|root| {
        fs::write(root.join("pagefile.sys"), noise(4, 3 << 20)).unwrap();
        fs::write(root.join("hiberfil.sys"), [&b"hibr"[..], &noise(5, 1 << 20)].concat()).unwrap();
    });
    for (what, outcome) in exclusions(&image) {
        assert!(outcome.unwrap_err().contains("not certain"), "{what}");
    }
}
