//! A guest's volumes and files from the command line: mke2fs makes the file system, so its files were put there by
//! someone else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use support::{Bench, Run, noise, shape, tool};

const MIB: u64 = 1 << 20;

/// A disk without partitions that holds ext4 with three files and a link, as raw image and as VHDX.
fn disk_with_files(bench: &Bench) {
    let folder = bench.path("files/etc");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("fstab"), "UUID=1 / ext4 defaults 0 1\n").unwrap();
    std::fs::write(folder.join("big.bin"), noise(7, 3_000_001)).unwrap();
    std::fs::write(folder.join("a\u{1b}[2Jb"), "").unwrap();
    std::os::unix::fs::symlink("etc/fstab", bench.path("files/link")).unwrap();
    let raw = bench.raw_image("disk.raw", 64 * MIB, &[]);
    tool("mke2fs", &["-q", "-t", "ext4", "-L", "SYSTEM", "-d", &bench.arg("files"), &bench.arg("disk.raw")]);
    bench.qemu_vhdx("disk.vhdx", &raw);
}

/// A page without moments, which differ from run to run.
fn stable(run: &Run) -> String {
    let words = run.page();
    let is_moment = |word: &str| word.len() == 10 && word.as_bytes()[4] == b'-' && word.as_bytes()[7] == b'-';
    let lines = words.lines().map(|line| {
        let words: Vec<_> =
            line.split_whitespace().filter(|word| !is_moment(word) && !word.contains(":")).collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_file_comes_out_of_a_disk_byte_for_byte_with_its_time() {
    let bench = Bench::new();
    disk_with_files(&bench);

    let run = bench.refpoint(&["disk", "get", "disk.vhdx", "/etc/big.bin", "--to", "out.bin"]).expect_exit(0);

    assert!(run.stdout.starts_with("copied 2.9 MiB from /etc/big.bin of disk0"), "{}", run.stdout);
    let (original, copy) = (bench.path("files/etc/big.bin"), bench.path("out.bin"));
    assert!(std::fs::read(&original).unwrap() == std::fs::read(&copy).unwrap());
    let seconds = |path| {
        let time = std::fs::metadata(path).unwrap().modified().unwrap();
        time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    };
    assert_eq!(seconds(original), seconds(copy));
}

#[test]
fn volumes_and_folders_are_listed_without_steering_the_terminal() {
    let bench = Bench::new();
    disk_with_files(&bench);

    let volumes = bench.refpoint(&["disk", "volumes", "disk.vhdx", "--exclusions"]).expect_exit(0);
    let folder = bench.refpoint(&["disk", "ls", "disk.vhdx", "/etc"]).expect_exit(0);
    let root = bench.refpoint(&["disk", "ls", "disk.raw", "--raw"]).expect_exit(0);

    insta::assert_snapshot!("guest-volumes", stable(&volumes));
    insta::assert_snapshot!("guest-folder", stable(&folder));
    assert!(root.stdout.contains("link -> etc/fstab"), "{}", root.stdout);
}

#[test]
fn the_json_of_volumes_folders_and_copies_keeps_its_shape() {
    let bench = Bench::new();
    disk_with_files(&bench);
    let json = |arguments: &[&str]| {
        let run = bench.refpoint(&[arguments, &["--output", "json"]].concat()).expect_exit(0);
        shape(&run.json(), 0)
    };

    let shapes = [
        json(&["disk", "volumes", "disk.vhdx", "--exclusions"]),
        json(&["disk", "ls", "disk.vhdx"]),
        json(&["disk", "get", "disk.vhdx", "/etc/fstab", "--to", "fstab"]),
    ];

    insta::assert_snapshot!("guest-json-shapes", shapes.join("\n"));
}

#[test]
fn what_cannot_be_had_is_told_by_name_and_nothing_is_replaced() {
    let bench = Bench::new();
    disk_with_files(&bench);
    std::fs::write(bench.path("mine.txt"), "mine").unwrap();
    bench.raw_image("empty.raw", MIB, &[]);
    let get = |path, to| ["disk", "get", "disk.vhdx", path, "--to", to];
    for (arguments, exit, words) in [
        (&get("/etc/passwd", "out")[..], 4, "disk0 has no /etc/passwd"),
        (&get("/etc", "out"), 2, "/etc on disk0 is a folder, not a file"),
        (&get("/link", "out"), 2, "/link on disk0 is a link, not a file"),
        (&get("/etc/fstab", "mine.txt"), 1, "mine.txt could not be created"),
        (&["disk", "ls", "disk.vhdx", "--volume", "lvm/vg0/root"], 4, "There is no volume lvm/vg0/root"),
        (&["disk", "ls", "empty.raw", "--raw"], 4, "No volume has files that can be read"),
        (&["disk", "volumes", "gone.vhdx"], 4, "Cannot open gone.vhdx"),
    ] {
        let run = bench.refpoint(arguments).expect_exit(exit);
        assert!(run.stderr.contains(words), "{words} is not in:\n{}", run.stderr);
        assert!(!bench.path("out").exists());
    }
    assert_eq!(std::fs::read_to_string(bench.path("mine.txt")).unwrap(), "mine");
}
