//! What an NTFS volume says about how it was left, and volumes that others made.
//!
//! The specimens under `shared/` were written by Windows Server 2003 R2 and 2008 R2, with genuine
//! `$LogFile` restart pages. No specimen of an unclean Windows log exists; such pages are made here by
//! the published layout.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "only tests use it")]

mod ntfs_image;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use guestfs::Condition;
use ntfs_image::{Image, read_back, read_file};

/// Bytes of a restart page.
const PAGE: usize = 4096;

/// A restart page of this version whose log client is open or not.
fn restart_page(version: u16, in_use: u16, flags: u16, sequence: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..8].copy_from_slice(b"RSTR\x1E\0\x09\0");
    page[16..20].copy_from_slice(&4096_u32.to_le_bytes());
    page[20..24].copy_from_slice(&4096_u32.to_le_bytes());
    page[24..26].copy_from_slice(&0x30_u16.to_le_bytes());
    page[26..28].copy_from_slice(&u16::from(version == 1).to_le_bytes());
    page[28..30].copy_from_slice(&version.to_le_bytes());
    page[30..32].copy_from_slice(&[1, 0]);
    page[0x30..0x38].copy_from_slice(&sequence.to_le_bytes());
    page[0x38..0x3A].copy_from_slice(&1_u16.to_le_bytes());
    page[0x3A..0x3C].copy_from_slice(&0xFFFF_u16.to_le_bytes());
    page[0x3C..0x3E].copy_from_slice(&in_use.to_le_bytes());
    page[0x3E..0x40].copy_from_slice(&flags.to_le_bytes());
    for stride in 1..=PAGE / 512 {
        page[stride * 512 - 2..stride * 512].copy_from_slice(&[1, 0]);
    }
    page
}

/// An image whose log begins with these two pages.
fn with_log(pages: [&[u8]; 2]) -> Image {
    let image = Image::format(16, &[]);
    let tree = image.open();
    let log = tree.extents(tree.find("$LogFile").unwrap(), None).unwrap()[0];
    for (page, at) in pages.iter().zip([0, PAGE as u64]) {
        image.poke(log.volume_offset + at, page);
    }
    image
}

/// Why the condition is not certain; empty when it is clean.
fn doubt(image: &Image) -> String {
    match &image.open().facts().condition {
        Condition::Clean => String::new(),
        Condition::Uncertain { why } => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_open_log_makes_the_tree_uncertain_and_a_closed_one_does_not() {
    let page = restart_page;
    let torn = |mut page: Vec<u8>| {
        page[1022] ^= 0xFF;
        page
    };
    let cases = [
        (page(1, 0, 0, 8), page(1, 0, 0, 7), "had not put in place"),
        (page(1, 0, 2, 8), page(1, 0, 0, 7), ""),
        (page(1, 0, 2, 7), page(1, 0, 0, 8), "had not put in place"),
        (page(1, 0xFFFF, 0, 8), page(1, 0xFFFF, 0, 8), ""),
        (page(2, 0, 0, 8), page(2, 0, 0, 8), "version 2.0"),
        (page(2, 0, 2, 8), page(2, 0, 2, 8), "had the volume in use"),
        (page(3, 0xFFFF, 2, 8), page(3, 0xFFFF, 2, 8), "unknown version"),
        (torn(page(1, 0, 2, 8)), page(1, 0, 0, 7), "had not put in place"),
        (torn(page(1, 0, 2, 8)), torn(page(1, 0, 2, 8)), "neither restart page"),
    ];
    for (number, (first, second, words)) in cases.iter().enumerate() {
        let why = doubt(&with_log([first, second]));
        assert!(why.contains(words) && why.is_empty() == words.is_empty(), "case {number}: {why}");
    }
}

#[test]
fn the_dirty_flag_makes_the_tree_uncertain() {
    let image = Image::format(16, &["-L", "dirty"]);
    assert_eq!(doubt(&image), "");

    let tree = image.open();
    let table = tree.extents(tree.find("$MFT").unwrap(), None).unwrap()[0].volume_offset;
    let record = image.peek(table + 3 * 1024, 1024);
    let flags = flags_of_volume(&record);
    image.poke(table + 3 * 1024 + flags as u64, &[1, 0]);

    assert!(doubt(&image).contains("marked dirty"));
}

/// Where $VOLUME_INFORMATION has its flags in the record of $Volume.
fn flags_of_volume(record: &[u8]) -> usize {
    let at = record.windows(4).position(|bytes| bytes == [0x70, 0, 0, 0]).unwrap();
    at + usize::from(record[at + 20]) + 10
}

#[test]
fn a_hibernated_windows_makes_the_tree_uncertain() {
    for (start, words) in
        [(&b"hibr"[..], "hibernated"), (b"HIBR", "hibernated"), (b"WAKE", ""), (&[0; 4], "")]
    {
        let image = Image::format(16, &[]);
        image.mounted(|root| fs::write(root.join("HiberFil.sys"), [start, &[0; 5000]].concat()).unwrap());
        let why = doubt(&image);
        assert!(why.contains(words) && why.is_empty() == words.is_empty(), "{start:?}: {why}");
    }
}

#[test]
fn a_damaged_first_record_is_taken_from_the_mirror_and_told() {
    let image = Image::format(16, &[]);
    image.mounted(|root| fs::write(root.join("file"), "content").unwrap());
    let table = {
        let tree = image.open();
        tree.extents(tree.find("$MFT").unwrap(), None).unwrap()[0].volume_offset
    };
    image.poke(table, &[0; 1024]);

    let tree = image.open();

    assert!(doubt(&image).contains("$MFTMirr"));
    assert_eq!(read_file(&*tree, tree.find("file").unwrap(), None), b"content");
}

#[test]
fn the_image_of_the_ntfs_crate_is_read() {
    let mut bytes = Vec::new();
    let packed = fs::File::open("tests/samples/ntfs-crate-testfs1.img.gz").unwrap();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    let image = Image::of_bytes(&bytes);

    let tree = image.open();
    let all = read_back(&*tree);

    assert_eq!((all.len(), tree.facts().label.as_str()), (517, "mylabel"));
    for path in ["1000-bytes-file", "empty-file", "file-with-12345", "sparse-file"] {
        let judged = Command::new("ntfscat").args(["-q", "-f"]).arg(image.path()).arg(path).output().unwrap();
        assert!(all[path].bytes == judged.stdout, "{path} as ntfscat reads it");
    }
}

#[test]
fn volumes_made_by_windows_servers_are_read_and_clean() {
    for (member, first, sectors) in
        [("ldm-2003r2-mirrored-1.img", 63, 96_255), ("ldm-2008r2-mirrored-1.img", 128, 32_767)]
    {
        let image = Image::of_bytes(&windows_volume(member, first, sectors + 1));

        let tree = image.open();

        assert_eq!(tree.facts().condition, Condition::Clean, "{member}");
        let judged =
            Command::new("ntfscat").args(["-q", "-f"]).arg(image.path()).arg("test.txt").output().unwrap();
        assert_eq!(read_file(&*tree, tree.find("test.txt").unwrap(), None), judged.stdout);
        assert!(!judged.stdout.is_empty() && tree.free_space().unwrap().total_bytes() > 0);
        assert_eq!(tree.find("$Extend/$RmMetadata").is_ok(), member.contains("2008"));
    }
}

/// Sectors of a disk in the specimens of libldm.
fn windows_volume(member: &str, first: usize, sectors: usize) -> Vec<u8> {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specimens/ldm/ldm-data.tar.xz");
    assert!(
        packed.exists(),
        "the folder shared/ beside the repository is needed: {} is not there",
        packed.display()
    );
    let output = Command::new("tar").arg("-xOJf").arg(packed).arg(member).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout[first * 512..(first + sectors) * 512].to_vec()
}
