//! The tools for disk files, end to end: qemu-img judges what they write, pages are pinned.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use serde_json::Value;
use support::{Bench, Run, noise, shape, tool};

const MIB: u64 = 1 << 20;

/// A raw disk of 80 MiB that holds about 3 MiB, and the same as a VHDX by qemu-img.
fn one_disk(bench: &Bench) {
    let raw =
        bench.raw_image("disk.raw", 80 * MIB, &[(0, noise(1, 2 << 20)), (50 * MIB + 512, noise(2, 1 << 20))]);
    bench.qemu_vhdx("disk.vhdx", &raw);
}

/// A child over `disk.vhdx`, made by us and written by nobody.
fn child(bench: &Bench) {
    bench.refpoint(&["disk", "create", "child.avhdx", "--parent", "disk.vhdx"]).expect_exit(0);
}

fn json(bench: &Bench, arguments: &[&str]) -> Value {
    bench.refpoint(&[arguments, &["--output", "json"]].concat()).expect_exit(0).json()
}

/// A page without what differs from run to run.
fn stable(run: &Run) -> String {
    let page = run.page();
    let words = page.split(' ').map(|word| {
        let plain = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        if uuid::Uuid::try_parse(plain).is_ok() {
            word.replace(plain, "ID")
        } else if plain.len() == 10 && plain.starts_with("0x") {
            word.replace(plain, "CHECKSUM")
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn same(bench: &Bench, format: &str, file: &str) {
    tool("qemu-img", &["compare", "-f", format, "-F", "raw", &bench.arg(file), &bench.arg("disk.raw")]);
}

#[test]
fn every_conversion_is_sound_and_equal_by_qemus_judgement() {
    let bench = Bench::new();
    one_disk(&bench);
    for (target, options) in [
        ("copy.raw", &[][..]),
        ("copy.vhdx", &[]),
        ("small.vhdx", &["--block-size", "1M"]),
        ("fixed.vhdx", &["--fixed"]),
        ("copy.vhd", &[]),
        ("fixed.vhd", &["--fixed"]),
        ("copy.qcow2", &[]),
        ("named.bin", &["--to", "qcow2"]),
    ] {
        let arguments = [&["disk", "convert", "disk.vhdx", target], options].concat();
        let made = json(&bench, &arguments);
        assert!(made["data_bytes"].as_u64().unwrap() <= 4 * MIB, "{made}");
        let format = made["format"].as_str().unwrap().replace("vhd", "vpc").replace("vpcx", "vhdx");
        same(&bench, &format, target);
        if format != "raw" && format != "vpc" {
            tool("qemu-img", &["check", "-f", &format, &bench.arg(target)]);
        }
    }
    bench.refpoint(&["disk", "convert", "disk.raw", "from-raw.vhdx", "--raw"]).expect_exit(0);
    same(&bench, "vhdx", "from-raw.vhdx");
}

#[test]
fn the_digest_is_that_of_the_raw_bytes_in_every_format() {
    let bench = Bench::new();
    one_disk(&bench);
    let expected = tool("sha256sum", &[&bench.arg("disk.raw")]);
    let sha = bench.refpoint(&["disk", "digest", "disk.vhdx", "--algorithm", "sha256"]).expect_exit(0).stdout;
    assert_eq!(sha.split_once("  ").unwrap().0, expected.split_once("  ").unwrap().0);
    let digest =
        |arguments: &[&str]| json(&bench, &[&["disk", "digest"], arguments].concat())["digest"].clone();
    assert_eq!(digest(&["disk.vhdx"]), digest(&["disk.raw", "--raw"]));
}

#[test]
fn a_chain_is_found_shown_checked_and_flattened() {
    let bench = Bench::new();
    one_disk(&bench);
    child(&bench);
    let info = json(&bench, &["disk", "info", "child.avhdx"]);
    assert_eq!(info["layers"][0]["parent_path"], r".\disk.vhdx");
    assert_eq!(info["layers"].as_array().unwrap().len(), 2);
    bench.refpoint(&["disk", "check", "child.avhdx"]).expect_exit(0);
    bench.refpoint(&["disk", "convert", "child.avhdx", "flat.vhdx"]).expect_exit(0);
    same(&bench, "vhdx", "flat.vhdx");

    // The same chain with its parent elsewhere, told in both ways.
    std::fs::create_dir(bench.path("elsewhere")).unwrap();
    std::fs::rename(bench.path("disk.vhdx"), bench.path("elsewhere/base.vhdx")).unwrap();
    for option in [["--parent", "elsewhere/base.vhdx"], ["--parent-map", r".\disk.vhdx=elsewhere/base.vhdx"]]
    {
        let run = bench.refpoint(&[&["disk", "digest", "child.avhdx"][..], &option].concat()).expect_exit(0);
        assert!(run.stdout.ends_with("  child.avhdx\n"), "{}", run.stdout);
    }
    insta::assert_snapshot!(
        "missing-parent",
        stable(&bench.refpoint(&["disk", "convert", "child.avhdx", "x.raw"]))
    );
    let info = bench.refpoint(&["disk", "info", "child.avhdx"]).expect_exit(3);
    assert!(info.stdout.contains("unknown without the parent"), "{}", info.stdout);
}

#[test]
fn compared_disks_are_equal_across_formats_or_their_first_difference_is_told() {
    let bench = Bench::new();
    one_disk(&bench);
    let equal = bench.refpoint(&["disk", "compare", "disk.vhdx", "disk.raw", "--second-raw"]);
    insta::assert_snapshot!("compare-equal", equal.page());
    bench.raw_image("longer.raw", 81 * MIB, &[(0, noise(1, 2 << 20)), (50 * MIB + 512, noise(2, 1 << 20))]);
    let longer = bench.refpoint(&["disk", "compare", "disk.vhdx", "longer.raw", "--second-raw"]);
    insta::assert_snapshot!("compare-longer", longer.page());
    bench.raw_image("other.raw", 80 * MIB, &[(0, noise(1, 2 << 20)), (70 * MIB + 1, vec![1, 2, 3])]);
    let other = bench.refpoint(&["disk", "compare", "disk.vhdx", "other.raw", "--second-raw"]).expect_exit(1);
    assert!(other.stdout.contains("the first one is at 52429312"), "{}", other.stdout);
}

#[test]
fn a_map_tells_where_each_byte_comes_from() {
    let bench = Bench::new();
    bench.refpoint(&["disk", "create", "new.vhdx", "--size", "96M", "--block-size", "1M"]).expect_exit(0);
    let raw =
        bench.raw_image("disk.raw", 96 * MIB, &[(2 * MIB, noise(1, 1 << 20)), (90 * MIB, noise(2, 512))]);
    let raw = raw.display().to_string();
    bench.refpoint(&["disk", "convert", &raw, "disk.vhdx", "--raw", "--block-size", "1M"]).expect_exit(0);
    insta::assert_snapshot!("map", bench.refpoint(&["disk", "map", "disk.vhdx"]).page());
    let data = json(&bench, &["disk", "map", "disk.vhdx", "--only", "data"]);
    assert_eq!(data["extents"].as_array().unwrap().len(), 2);
    let none = json(&bench, &["disk", "map", "new.vhdx", "--only", "data"]);
    assert_eq!(none["extents"], serde_json::json!([]));
}

#[test]
fn a_damaged_disk_is_told_by_its_rules_and_ends_with_5() {
    let bench = Bench::new();
    bench.refpoint(&["disk", "create", "disk.vhdx", "--size", "10G"]).expect_exit(0);
    insta::assert_snapshot!("check-sound", bench.refpoint(&["disk", "check", "disk.vhdx"]).page());
    let disk = std::fs::File::options().write(true).open(bench.path("disk.vhdx")).unwrap();
    use std::os::unix::fs::FileExt;
    // A header of which a part was written, and a block that lies behind the end of the file.
    disk.write_all_at(&[1; 16], 0x1_0000 + 512).unwrap();
    disk.write_all_at(&((900_u64 << 20) | 6).to_le_bytes(), 3 << 20).unwrap();
    let damaged = bench.refpoint(&["disk", "check", "disk.vhdx"]);
    assert_eq!(damaged.exit, 5);
    insta::assert_snapshot!("check-damaged", stable(&damaged));
    let explain = bench.refpoint(&["disk", "check", "--explain", "vhdx-2.5.1.1-block-bounds"]);
    insta::assert_snapshot!("check-explain", explain.page());
    let rules = bench.refpoint(&["disk", "check", "--rules"]).expect_exit(0).stdout;
    assert!(rules.lines().count() > 50, "{rules}");
}

#[test]
fn bad_input_is_told_with_the_next_step() {
    let bench = Bench::new();
    one_disk(&bench);
    std::fs::write(bench.path("notes.txt"), "Dear diary,\n".repeat(100)).unwrap();
    std::fs::write(bench.path("taken.raw"), "precious").unwrap();
    bench.raw_image("boot.img", MIB, &[(510, vec![0x55, 0xaa])]);
    let table: &[(&str, &[&str])] = &[
        ("convert-missing", &["convert", "nowhere.vhdx", "x.raw"]),
        ("convert-no-disk", &["convert", "notes.txt", "x.raw"]),
        ("convert-taken", &["convert", "disk.vhdx", "taken.raw"]),
        ("convert-unnamed", &["convert", "disk.vhdx", "x.bin"]),
        ("convert-block-size", &["convert", "disk.vhdx", "x.vhdx", "--block-size", "3M"]),
        ("convert-block-size-of-vhd", &["convert", "disk.vhdx", "x.vhd", "--block-size", "2M"]),
        ("convert-fixed-raw", &["convert", "disk.vhdx", "x.raw", "--fixed"]),
        ("convert-no-folder", &["convert", "disk.vhdx", "nowhere/x.vhdx"]),
        ("create-taken", &["create", "disk.vhdx", "--size", "1G"]),
        ("create-size", &["create", "x.vhdx", "--size", "1000T"]),
        ("check-no-disk", &["check", "notes.txt"]),
        ("check-no-rule", &["check", "--explain", "VHDX-9"]),
        ("map-missing", &["map", "nowhere.vhdx"]),
        ("digest-no-disk", &["digest", "notes.txt"]),
        ("volumes-of-raw", &["volumes", "boot.img"]),
    ];
    let mut page = String::new();
    for (name, arguments) in table {
        let run = bench.refpoint(&[&["disk"], *arguments].concat());
        page.push_str(&format!("{name}\n{}\n", run.page()));
    }
    insta::assert_snapshot!("bad-input", page);
    assert_eq!(std::fs::read(bench.path("taken.raw")).unwrap(), b"precious");
    let left = std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(['x', '.'])).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Scripts read these; a changed shape is a changed interface.
#[test]
fn the_json_of_every_tool_keeps_its_shape() {
    let bench = Bench::new();
    one_disk(&bench);
    std::fs::write(bench.path("disk.vhdx.rct"), "").unwrap();
    let pages = [
        ("disk info", json(&bench, &["disk", "info", "disk.vhdx"])),
        ("disk check", json(&bench, &["disk", "check", "disk.vhdx"])),
        ("disk check --rules", json(&bench, &["disk", "check", "--rules"])),
        ("disk map", json(&bench, &["disk", "map", "disk.vhdx"])),
        ("disk convert", json(&bench, &["disk", "convert", "disk.vhdx", "copy.raw"])),
        ("disk create", json(&bench, &["disk", "create", "new.vhdx", "--size", "1G"])),
        ("disk compare", json(&bench, &["disk", "compare", "disk.vhdx", "copy.raw", "--second-raw"])),
        ("disk digest", json(&bench, &["disk", "digest", "disk.vhdx"])),
    ];
    let text: String = pages.iter().map(|(name, value)| format!("{name}\n{}\n", shape(value, 1))).collect();
    insta::assert_snapshot!("disk-json-shapes", text);
}
