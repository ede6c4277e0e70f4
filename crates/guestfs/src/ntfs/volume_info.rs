//! $Volume: label, version and the dirty flag; and whether Windows sleeps on this volume.
//!
//! Together with $LogFile these decide the tree's condition. The dirty flag asks for a check of the
//! disk; it is not set by mounting alone. A `hiberfil.sys` that was not resumed means that Windows
//! holds metadata of this volume in its saved memory (hibernation, or a fast shutdown). Source:
//! linux-ntfs documentation ($Volume), Microsoft's VOLUME_INFORMATION.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::attribute::code;
use super::fault::{Fault, Outcome, view};
use super::file::File;
use super::logfile::{self, LogState};
use super::mft::Mft;
use super::name::units;
use crate::tree::Condition;

/// Record of $LogFile.
const LOG_RECORD: u64 = 2;
/// Record of $Volume.
const VOLUME_RECORD: u64 = 3;
/// The check disk program should run.
const DIRTY: u16 = 1;

/// The value of $VOLUME_INFORMATION.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Information {
    reserved: U64,
    major: u8,
    minor: u8,
    flags: U16,
}
const _: () = assert!(size_of::<Information>() == 12);

/// What $Volume says.
pub(super) struct VolumeInfo {
    /// The label; empty when there is none.
    pub label: String,
    /// Version of the file system, such as 3.1.
    pub version: (u8, u8),
    dirty: bool,
}

impl VolumeInfo {
    /// Reads $Volume.
    pub(super) fn read(mft: &Mft) -> Outcome<Self> {
        let file = File::open_number(mft, VOLUME_RECORD)?;
        let label: Vec<u16> = file.value(code::VOLUME_NAME)?.iter().flat_map(|value| units(value)).collect();
        let value = file
            .value(code::VOLUME_INFORMATION)?
            .ok_or_else(|| Fault::damaged("$Volume has no volume information"))?;
        let information: &Information = view(&value, 0, "the volume information")?;
        Ok(Self {
            label: String::from_utf16_lossy(&label),
            version: (information.major, information.minor),
            dirty: information.flags.get() & DIRTY != 0,
        })
    }

    /// The condition of the volume; `sleeper` is the start of `hiberfil.sys`, if there is one.
    pub(super) fn condition(&self, mft: &Mft, sleeper: Option<[u8; 4]>) -> Condition {
        let mut reasons = Vec::new();
        match log_state(mft) {
            Ok(LogState::Clean) => {}
            Ok(LogState::Unclean(why)) => reasons.push(why),
            Err(_) => reasons
                .push("$LogFile is unreadable, so it cannot tell what Windows had not put in place yet"),
        }
        if self.dirty {
            reasons.push("$Volume is marked dirty, so Windows asks for a check of the disk");
        }
        if mft.mirror_used() {
            reasons.push("the first records of the $MFT are damaged, and their copy in $MFTMirr was used");
        }
        if let Some(start) = sleeper.filter(|start| is_asleep(*start)) {
            reasons.push(match start {
                [0xFF, ..] => "hiberfil.sys is unreadable, so it cannot tell whether Windows is hibernated",
                _ => "hiberfil.sys holds a hibernated Windows or a fast startup, with metadata of this volume in it",
            });
        }
        if reasons.is_empty() {
            return Condition::Clean;
        }
        Condition::Uncertain { why: format!("{}: {CONSEQUENCE}", reasons.join("; ")) }
    }
}

/// What every reason means for the reader of files.
const CONSEQUENCE: &str = "names, sizes and places of files that changed shortly before the capture may be older \
    than it, or half changed; files that were at rest are not touched by this";

/// The start of a `hiberfil.sys` that could not be read.
pub(super) const UNREADABLE: [u8; 4] = [0xFF; 4];

/// Whether the first bytes of `hiberfil.sys` say that a saved memory waits to be resumed.
/// `wake` is left behind by a resume, and zeros by a system that never slept.
fn is_asleep(start: [u8; 4]) -> bool {
    !(start == [0; 4] || start.eq_ignore_ascii_case(b"wake"))
}

/// What $LogFile says.
fn log_state(mft: &Mft) -> Outcome<LogState> {
    let file = File::open_number(mft, LOG_RECORD)?;
    let log = file.stream(code::DATA, &[])?.ok_or_else(|| Fault::damaged("$LogFile has no $DATA"))?;
    logfile::state(&mft.medium, &log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_memory_that_waits_makes_the_volume_uncertain() {
        for (start, asleep) in [
            (b"hibr", true),
            (b"HIBR", true),
            (b"RSTR", true),
            (b"wake", false),
            (b"WAKE", false),
            (b"\0\0\0\0", false),
        ] {
            assert_eq!(is_asleep(*start), asleep, "{start:?}");
        }
    }
}
