//! Replaying a log for good: its changes are put in place before anything else is written.
//!
//! A new file write GUID comes first (MS-VHDX 2.2.2: new before the first change of the file); the data
//! write GUID stays, since what the guest sees does not change. The log stays named until everything is
//! durable in place, and applying its changes twice is the same as once, so that a replay that is cut
//! anywhere can be run again. Only then do the headers say that the log is empty.

use std::sync::Arc;

use uuid::Uuid;

use super::header::{CurrentHeader, NewGuids};
use super::log::{Change, Replay};
use super::space::ZEROS;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::index;
use crate::range::ByteRange;

/// Puts the changes of the log in place, if there are any.
pub(super) fn replay_in_place(file: &Arc<dyn FileIo>) -> Result<()> {
    let mut header = CurrentHeader::read(&**file)?;
    if header.log_guid().is_nil() {
        return Ok(());
    }
    // Everything is checked before the first byte changes.
    let replay = Replay::read(&**file, &header.header)?;
    header.replace_guids(&**file, NewGuids { file_write: Uuid::new_v4(), data_write: None })?;
    let failed = |error| Error::io(file.name(), "replay the log of", error);
    if file.len().map_err(failed)? < replay.final_length() {
        file.set_len(replay.final_length()).map_err(failed)?;
    }
    replay.for_each_change(&**file, &mut |offset, change| match change {
        Change::Bytes(bytes) => file.write_at(offset, bytes).map_err(failed),
        Change::Zeros(length) => clear(&**file, offset, length).map_err(failed),
    })?;
    file.flush().map_err(failed)?;
    header.set_log(&**file, Uuid::nil())
}

/// Clears a range that lies inside the file; holes stay holes.
fn clear(file: &dyn FileIo, start: u64, length: u64) -> std::io::Result<()> {
    let range = ByteRange::at(start, length);
    let mut at = range.start;
    while at < range.end {
        let run = file.run_at(at)?;
        let end = run.end.clamp(at + 1, range.end);
        if run.is_hole {
            at = end;
            continue;
        }
        let end = end.min(at + ZEROS.len() as u64);
        file.write_at(at, &ZEROS[..index(end - at)])?;
        at = end;
    }
    Ok(())
}
