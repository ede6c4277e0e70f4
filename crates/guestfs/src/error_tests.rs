//! Code, text, next step and retry of every error, pinned.

use super::*;

fn every_error() -> Vec<Error> {
    let volume = || "disk0/part2".to_owned();
    let path = || "/etc/fstab".to_owned();
    vec![
        Error::io("disk0/part2", "the boot sector", io::Error::from(io::ErrorKind::PermissionDenied)),
        Error::damaged("disk0/part2", "the superblock's checksum is wrong"),
        Error::unsupported("disk0/part2", "ReFS cannot be read yet"),
        Error::NotFound { volume: volume(), path: path() },
        Error::WrongKind { volume: volume(), path: path(), found: "a folder", needed: "a file" },
        Error::Ambiguous { volume: volume(), path: path(), count: 2 },
        Error::NoStream { volume: volume(), stream: "Zone.Identifier".into() },
        Error::TooLarge { volume: volume(), what: "the attribute list".into(), limit: 65536 },
    ]
}

const TEXTS: &str = "
GF-001 Cannot read the boot sector of disk0/part2. | See the cause below; check the storage, and that all disks of the volume are given.
GF-002 disk0/part2 is damaged: the superblock's checksum is wrong. | Restore the whole disk and let the guest check it, or use another restore point.
GF-003 disk0/part2: ReFS cannot be read yet. | Restore the whole disk and read it in the guest's own system.
GF-004 disk0/part2 has no /etc/fstab. | List the folder above it to see the names there are.
GF-005 /etc/fstab on disk0/part2 is a folder, not a file. | List the folder above it to see what there is.
GF-006 /etc/fstab on disk0/part2 fits 2 names, none of them exactly. | List the folder and write the name exactly as it stands there.
GF-007 A file on disk0/part2 has no stream named Zone.Identifier. | Look at the file's details to see the streams it has.
GF-008 disk0/part2: the attribute list is larger than the limit of 65536. | Restore the whole disk and read it in the guest's own system.
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
fn failures_from_below_say_whether_waiting_helps() {
    for (kind, retry) in [(io::ErrorKind::Interrupted, Retry::Now), (io::ErrorKind::TimedOut, Retry::Later)] {
        assert_eq!(Error::io("disk0", "sector 0", kind.into()).retry(), retry);
    }
}
