//! Code, text, next step and retry of every error, pinned.

use super::*;

fn every_error() -> Vec<Error> {
    let file = || "sql.avhdx".to_owned();
    vec![
        Error::io("sql.avhdx", "read", io::Error::from(io::ErrorKind::PermissionDenied)),
        Error::NotVhdx { file: file(), looks_like: "a QCOW2 image of QEMU" },
        Error::NotVhdx { file: file(), looks_like: "a raw NTFS volume" },
        Error::Truncated { file: file(), what: "block 7".into(), needed: 9, length: 8 },
        Error::damaged("sql.avhdx", "neither of its two headers is valid"),
        Error::LogNeedsReplay { file: file() },
        Error::unsupported("sql.avhdx", "VHDX version 2"),
        Error::Incomplete { file: file() },
        Error::BadBlock { file: file(), block: 3, entry: 5, why: "a state that is not allowed" },
        Error::NeedsParent { file: file(), parent_path: Some(r".\sql.vhdx".into()) },
        Error::ParentNotFound { file: file(), path: "sql.vhdx".into(), source: None },
        Error::ParentMismatch {
            file: file(),
            parent: "other.vhdx".into(),
            expected: Uuid::from_u128(1),
            found: Uuid::from_u128(2),
        },
        Error::BadChain { file: file(), why: "it is its own ancestor".into() },
        Error::OutOfRange { file: file(), offset: 10, length: 5, capacity: 12 },
        Error::BadOptions { file: file(), what: "the disk size is 0".into() },
        Error::VhdSet { file: "cluster.vhds".into() },
        Error::BothFormats { file: "disk.img".into() },
        Error::ParentPathNotFollowed {
            file: file(),
            path: r"..\sql.vhdx".into(),
            why: "it leaves the child's folder",
        },
        Error::NotResized { file: file(), why: "there is data at 7".into() },
        Error::HasReaders { file: file() },
    ]
}

const TEXTS: &str = r"
VD-001 Cannot read sql.avhdx. | Check the permissions of the file and its folder.
VD-002 sql.avhdx is not a VHDX or VHD file: it looks like a QCOW2 image of QEMU. | Name a .vhdx, .avhdx or .vhd file, or convert the disk to VHDX first.
VD-002 sql.avhdx is not a VHDX or VHD file: it looks like a raw NTFS volume. | Say that it is a raw disk (`--raw` with the `disk` commands), or convert it to VHDX first.
VD-003 sql.avhdx is cut short: block 7 needs 9 bytes, and the file has 8. | Copy the file again from its source, or use an older copy.
VD-004 sql.avhdx is damaged: neither of its two headers is valid. | Check the storage that holds the file, and use another copy of it.
VD-005 sql.avhdx was not closed cleanly: its log holds changes that must be in place before it is written. | Attach the disk read-write in Hyper-V once (Mount-VHD, then Dismount-VHD). Reading it works as it is.
VD-006 sql.avhdx needs something that this version cannot read: VHDX version 2. | Use a newer Refpoint, or convert the disk with Convert-VHD.
VD-007 sql.avhdx was never finished: its creator left the Incomplete mark in it. | Run the copy or conversion that made this file again.
VD-008 sql.avhdx is damaged: the table entry of block 3 is 0x0000000000000005, a state that is not allowed. | Check the storage that holds the file, and use another copy of it.
VD-009 sql.avhdx is a differencing disk and needs its parent (.\sql.vhdx). | Put the parent file where the child expects it, or open the whole chain.
VD-010 The parent sql.vhdx of sql.avhdx cannot be opened. | Put the parent file where the child expects it, or open the whole chain.
VD-011 other.vhdx is not the parent that sql.avhdx was made over: expected data id 00000000-0000-0000-0000-000000000001, found 00000000-0000-0000-0000-000000000002. | Find the parent that belongs to this child; merging over another one would mix two disks.
VD-012 sql.avhdx cannot be used in this chain: it is its own ancestor. | Check that the files are given child first and belong together.
VD-013 5 bytes at 10 reach beyond the end of sql.avhdx (12 bytes). | Read or write inside the disk's size only.
VD-014 Cannot create sql.avhdx: the disk size is 0. | Choose a size that the VHDX format allows.
VD-015 cluster.vhds is a VHD Set, which holds no disk data itself. | Name the .avhdx file that the host gives for this set (Get-VHD, or SnapshotPath of GetVHDSnapshotInformation).
VD-019 disk.img begins as a VHDX and ends as a fixed VHD; a guest can write either, so neither is believed. | Give the file the extension of its format, .vhdx or .vhd.
VD-016 The parent path ..\sql.vhdx in sql.avhdx is not followed: it leaves the child's folder. | Copy the parent beside the child, or say which local file this path means.
VD-017 Cannot resize sql.avhdx: there is data at 7. | Choose a size that the format allows; to make the disk smaller, free its end in the guest first or allow its end to be cut off.
VD-018 sql.avhdx is still being read through a view of its writer. | Close what still reads the disk, then run again.
";

#[test]
fn every_error_keeps_its_code_text_and_next_step() {
    let lines = every_error().into_iter().map(|error| {
        assert_eq!(error.retry(), Retry::No, "{error}");
        format!("{} {error} | {}", error.code(), error.next_step())
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(text, TEXTS.trim());
}

#[test]
fn failures_of_the_storage_say_whether_waiting_helps() {
    for (kind, retry, step) in [
        (io::ErrorKind::StorageFull, Retry::Later, "Free space on the file's volume, then run again."),
        (io::ErrorKind::Interrupted, Retry::Now, "Check the storage that holds the file, then run again."),
        (io::ErrorKind::NotFound, Retry::No, "Check the path."),
        (
            io::ErrorKind::UnexpectedEof,
            Retry::Later,
            "The file became shorter while it was open: see who changes it, then open it again.",
        ),
    ] {
        let error = Error::io("a.vhdx", "write", kind.into());
        assert_eq!((error.retry(), error.next_step().as_str()), (retry, step));
    }
}

#[test]
fn work_that_was_stopped_may_be_run_again_at_once() {
    let error = Error::Stopped { file: "a.vhdx".into() };
    let text = "VD-020 The work on a.vhdx was stopped before it was done. | Run it again; what was begun is removed.";
    assert_eq!(format!("{} {error} | {}", error.code(), error.next_step()), text);
    assert_eq!(error.retry(), Retry::Now);
}
