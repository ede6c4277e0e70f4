//! NTFS volumes written by ntfs-3g read back byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "only tests use it")]

mod ntfs_image;

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use guestfs::{Condition, Error, NodeKind, Tree};
use ntfs_image::{Image, assert_same, noise, read_back, read_file, written};
use rustix::fs::{XattrFlags, setxattr};

/// Sets an extended attribute, through which ntfs-3g writes streams, attributes and reparse points.
fn set(path: &Path, name: &str, value: &[u8]) {
    setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// A reparse point with this tag and data.
fn reparse_point(tag: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&tag.to_le_bytes()[..], &length.to_le_bytes(), &[0, 0], data].concat()
}

/// The names in a folder.
fn names(tree: &dyn Tree, folder: &str) -> Vec<String> {
    tree.list(tree.find(folder).unwrap()).unwrap().into_iter().map(|entry| entry.name.to_string()).collect()
}

#[test]
fn every_file_comes_back_with_its_bytes_times_and_links() {
    let image = Image::format(128, &["-L", "Grüße"]);
    let expected = image.mounted(|root| {
        write_many(&root.join("many"), 3000);
        write_sizes(&root.join("sizes"));
        write_unicode(&root.join("Ünïcode"));
        write_deep(root, 25);
        fs::write(root.join("large"), noise(1, 20 << 20)).unwrap();
        fs::hard_link(root.join("large"), root.join("many/other name")).unwrap();
        written(root)
    });

    let tree = image.open();

    assert_eq!((tree.facts().label.as_str(), tree.facts().file_system.as_str()), ("Grüße", "NTFS 3.1"));
    assert_eq!(tree.facts().condition, Condition::Clean);
    assert_same(&read_back(&*tree), &expected);
}

/// A folder with so many names that its index has several levels; every third is deleted again.
fn write_many(folder: &Path, count: usize) {
    fs::create_dir(folder).unwrap();
    for number in 0..count {
        fs::write(folder.join(format!("file with a number {number}.txt")), noise(number as u64, number % 97))
            .unwrap();
    }
    for number in (0..count).step_by(3) {
        fs::remove_file(folder.join(format!("file with a number {number}.txt"))).unwrap();
    }
}

/// Files whose lengths lie around every border: none, resident, a cluster, a piece.
fn write_sizes(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for size in [0, 1, 500, 700, 720, 740, 1024, 4095, 4096, 4097, 65535, 65536, 65537, 300_001, 1 << 20] {
        fs::write(folder.join(size.to_string()), noise(size as u64, size)).unwrap();
    }
}

/// Names in several scripts, of several lengths, and outside the basic plane.
fn write_unicode(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for name in
        ["日本語.txt", "Ελληνικά", "emoji 🦀 🚀", "e\u{301} combined", "ﬀ ligature", "ß", &"長".repeat(80)]
    {
        fs::write(folder.join(name), name).unwrap();
    }
    fs::write(folder.join("x".repeat(255)), "longest").unwrap();
}

/// A chain of folders.
fn write_deep(root: &Path, depth: usize) {
    let path = (0..depth).fold(root.to_owned(), |path, level| path.join(format!("level {level}")));
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("bottom"), "deep").unwrap();
}

#[test]
fn files_in_many_pieces_and_with_holes_come_back() {
    let image = Image::format(16, &["-c", "512"]);
    let expected = image.mounted(|root| {
        let sparse = fs::File::create(root.join("sparse")).unwrap();
        for hole in [1_u64, 7, 19, 200] {
            sparse.write_all_at(&noise(hole, 5000), hole << 20).unwrap();
        }
        sparse.set_len(300 << 20).unwrap();
        let preallocated = fs::File::create(root.join("all hole")).unwrap();
        preallocated.set_len(5 << 20).unwrap();
        write_scattered(root);
        written(root)
    });

    let tree = image.open();

    assert_same(&read_back(&*tree), &expected);
    let extents = tree.extents(tree.find("scattered").unwrap(), None).unwrap();
    assert!(extents.len() > 300, "{} extents need an attribute list", extents.len());
}

/// Fills the volume with small files and puts a large one where every second of them was, so that its run list
/// fills many records.
fn write_scattered(root: &Path) {
    let folder = root.join("filling");
    fs::create_dir(&folder).unwrap();
    let path = |number: u64| folder.join(number.to_string());
    let count = (0..).find(|number| fs::write(path(*number), noise(*number, 1000)).is_err()).unwrap();
    for number in (0..=count).step_by(2) {
        fs::remove_file(path(number)).unwrap();
    }
    // ntfs-3g may call the volume full before all holes are used; what it took is what counts.
    let mut file = fs::File::create(root.join("scattered")).unwrap();
    let _ = (0..count / 2).try_for_each(|number| file.write_all(&noise(number, 512)));
}

#[test]
fn compressed_files_come_back_decoded() {
    let image = Image::format(64, &[]);
    let expected = image.mounted(|root| {
        let folder = root.join("compressed");
        fs::create_dir(&folder).unwrap();
        set(&folder, "system.ntfs_attrib_be", &0x0830_u32.to_be_bytes());
        let text: String = (0..200_000).map(|line| format!("line {line} of a text that repeats\n")).collect();
        fs::write(folder.join("text"), &text).unwrap();
        fs::write(folder.join("small"), "resident").unwrap();
        fs::write(folder.join("noise"), noise(5, 300_000)).unwrap();
        fs::write(folder.join("mixed"), [noise(6, 70_000), vec![0; 300_000], text.into_bytes()].concat())
            .unwrap();
        fs::write(folder.join("one unit"), vec![b'a'; 65536]).unwrap();
        written(root)
    });

    let tree = image.open();

    assert_same(&read_back(&*tree), &expected);
    let text = tree.find("compressed/text").unwrap();
    assert_eq!(tree.metadata(text).unwrap().windows_attributes.unwrap() & 0x800, 0x800, "it is compressed");
    assert!(matches!(tree.extents(text, None), Err(Error::Unsupported { .. })));
}

#[test]
fn alternate_streams_and_many_names_are_found_through_attribute_lists() {
    let image = Image::format(64, &[]);
    let long = |number| format!("a rather long name for one file, number {number:04}");
    image.mounted(|root| {
        fs::write(root.join("file"), "main").unwrap();
        set(&root.join("file"), "user.short", b"resident");
        set(&root.join("file"), "user.long", &noise(3, 60_000));
        fs::create_dir(root.join("names")).unwrap();
        for number in 0..400 {
            fs::hard_link(root.join("file"), root.join("names").join(long(number))).unwrap();
        }
    });

    let tree = image.open();

    let node = tree.find("file").unwrap();
    assert_eq!(tree.find(&format!("NAMES/{}", long(399).to_uppercase())).unwrap(), node);
    let info = tree.metadata(node).unwrap();
    let mut streams: Vec<_> =
        info.streams.iter().map(|stream| (stream.name.to_string(), stream.size)).collect();
    streams.sort();
    assert_eq!((info.links, streams), (401, vec![("long".to_owned(), 60_000), ("short".to_owned(), 8)]));
    assert_eq!(read_file(&*tree, node, None), b"main");
    assert_eq!(read_file(&*tree, node, Some("short")), b"resident");
    assert!(read_file(&*tree, node, Some("long")) == noise(3, 60_000));
    assert!(matches!(tree.read_at(node, Some("none"), 0, &mut [0]), Err(Error::NoStream { .. })));
}

#[test]
fn links_show_their_target_and_files_kept_elsewhere_are_refused() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let junction =
        [&[0, 0, 14, 0, 16, 0, 6, 0][..], &utf16("\\??\\C:\\"), &[0, 0], &utf16("C:\\"), &[0, 0]].concat();
    let symlink = [&[0, 0, 4, 0, 4, 0, 4, 0, 1, 0, 0, 0][..], &utf16("up"), &utf16("up")].concat();
    let image = Image::format(32, &[]);
    image.mounted(|root| {
        fs::create_dir(root.join("junction")).unwrap();
        set(&root.join("junction"), "system.ntfs_reparse_data", &reparse_point(0xA000_0003, &junction));
        for (name, tag, data) in [
            ("symlink", 0xA000_000C, &symlink[..]),
            ("wof", 0x8000_0017, &[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
            ("dedup", 0x8000_0013, &[1, 2, 0, 0]),
        ] {
            fs::write(root.join(name), "stream").unwrap();
            set(&root.join(name), "system.ntfs_reparse_data", &reparse_point(tag, data));
        }
    });

    let tree = image.open();

    let info = |path: &str| tree.metadata(tree.find(path).unwrap()).unwrap();
    let target = |path: &str| (info(path).kind, info(path).link_target.map(|name| name.to_string()));
    assert_eq!(target("junction"), (NodeKind::Link, Some("C:\\".to_owned())));
    assert_eq!(target("symlink"), (NodeKind::Link, Some("up".to_owned())));
    assert_eq!(info("wof").reparse.as_deref(), Some("IO_REPARSE_TAG_WOF"));
    for (path, words) in [("wof", "compact /u /exe"), ("dedup", "chunk store")] {
        let node = tree.find(path).unwrap();
        let refused = tree.read_at(node, None, 0, &mut [0; 8]).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
        assert!(tree.extents(node, None).is_err(), "extents of {path} would show zeros");
    }
}

#[test]
fn every_size_of_cluster_and_record_is_read() {
    for arguments in [
        &["-c", "512"][..],
        &["-c", "1024"],
        &["-c", "65536"],
        &["-c", "2097152"],
        &["-s", "4096", "-c", "4096"],
        &["-s", "4096", "-c", "32768"],
    ] {
        let image = Image::format(128, arguments);
        let expected = image.mounted(|root| {
            write_many(&root.join("many"), 300);
            write_sizes(&root.join("sizes"));
            written(root)
        });
        assert_same(&read_back(&*image.open()), &expected);
    }
}

#[test]
fn names_are_found_by_the_case_rule_of_the_volume() {
    let image = Image::format(32, &[]);
    image.mounted(|root| {
        fs::create_dir(root.join("Größe")).unwrap();
        fs::write(root.join("Größe/ÄPFEL.txt"), "x").unwrap();
        fs::write(root.join("both"), "lower").unwrap();
        fs::write(root.join("BOTH"), "upper").unwrap();
    });

    let tree = image.open();

    assert!(tree.find("GRÖßE/äpfel.TXT").is_ok());
    assert_eq!(read_file(&*tree, tree.find("both").unwrap(), None), b"lower");
    assert!(matches!(tree.find("Both"), Err(Error::Ambiguous { count: 2, .. })));
    assert!(matches!(tree.find("Größe/Birnen"), Err(Error::NotFound { .. })));
    assert!(matches!(tree.find("both/below"), Err(Error::WrongKind { .. })));
    assert!(tree.find("$MFT").is_ok() && !names(&*tree, "/").contains(&"$MFT".to_owned()));
}

#[test]
fn extents_and_free_space_agree_with_the_volume() {
    let image = Image::format(64, &[]);
    let (content, free) = (
        noise(9, 3_000_000),
        image.mounted(|root| {
            fs::write(root.join("file"), noise(9, 3_000_000)).unwrap();
            fs::write(root.join("gone"), noise(8, 3_000_000)).unwrap();
            fs::remove_file(root.join("gone")).unwrap();
            let free = rustix::fs::statvfs(root).unwrap();
            free.f_bfree * free.f_frsize
        }),
    );

    let tree = image.open();

    let extents = tree.extents(tree.find("file").unwrap(), None).unwrap();
    let raw: Vec<u8> = extents.iter().flat_map(|e| image.peek(e.volume_offset, e.length as usize)).collect();
    assert!(raw[..content.len()] == content, "the extents hold the bytes");
    let free_space = tree.free_space().unwrap();
    assert_eq!(free_space.total_bytes(), free, "as ntfs-3g counts it");
    let used = extents.iter().map(|e| vdisk::ByteRange::at(e.volume_offset, e.length));
    assert!(free_space.intersect(&vdisk::ChangedRanges::from_ranges(used)).is_empty());
}
