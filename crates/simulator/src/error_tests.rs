//! Code and text of every error, so that neither changes by accident.

use std::io;

use uuid::Uuid;

use crate::Error;
use crate::ids::SimVmId;

fn vm() -> SimVmId {
    SimVmId(Uuid::from_u128(0x7f1b_9e63_0b0c_4d61_9d0e_3c0e_4a1a_2b77))
}

fn every_error() -> Vec<Error> {
    let disk =
        || vdisk::Error::ParentNotFound { file: "a.avhdx".into(), path: "a.vhdx".into(), source: None };
    vec![
        Error::file("writing", "/lab/host.json", io::ErrorKind::StorageFull.into()),
        Error::Disk { path: r"C:\VMs\a.avhdx".into(), source: disk() },
        Error::FolderInUse { path: "/lab".into() },
        Error::SavedState { path: "/lab/host.json".into(), what: "it is too large".into() },
        Error::NoSuchVm { vm: "SQL09".into() },
        Error::NoSuchDisk { vm: vm(), index: 3 },
        Error::NoSuchMoment { vm: vm(), index: 0, moment: "X".into() },
        Error::Refused { doing: "merge a disk", why: "its chain has one file only".into() },
        Error::GuestAccess {
            vm: vm(),
            index: 0,
            offset: 1,
            length: 2,
            why: "it is not made of whole sectors",
        },
        Error::HostPath { path: "a.vhdx".into(), why: "it does not begin with a drive letter" },
        Error::Program {
            program: "mke2fs",
            doing: "build a file system".into(),
            what: "exit status: 1".into(),
        },
    ]
}

#[test]
fn every_error_has_its_code_and_text() {
    let told: Vec<String> = every_error().iter().map(|error| format!("{} {error}", error.code())).collect();
    assert_eq!(
        told,
        [
            "SM-001 writing /lab/host.json failed",
            r"SM-002 virtual disk C:\VMs\a.avhdx of the simulated host cannot be used",
            "SM-003 the folder /lab is in use by another simulated host",
            "SM-004 the saved state /lab/host.json of the simulated host is damaged: it is too large",
            "SM-005 the simulated host has no VM SQL09",
            "SM-006 VM 7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77 has no disk number 3",
            "SM-007 the write log of disk 0 of VM 7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77 has no moment X",
            "SM-008 the simulated host refused to merge a disk: its chain has one file only",
            "SM-009 the guest of VM 7F1B9E63-0B0C-4D61-9D0E-3C0E4A1A2B77 cannot access 2 bytes at 1 of disk 0: \
             it is not made of whole sectors",
            "SM-010 \"a.vhdx\" is not a path on the simulated host: it does not begin with a drive letter",
            "SM-011 mke2fs could not build a file system: exit status: 1",
        ]
    );
}

#[test]
fn every_error_tells_the_next_step() {
    for error in every_error() {
        assert!(error.next_step().ends_with('.'), "{error}: {}", error.next_step());
    }
    assert_eq!(every_error()[0].next_step(), "Free space on the volume that holds the simulator's folder.");
    assert_eq!(every_error()[0].retry(), crate::Retry::Later);
}
