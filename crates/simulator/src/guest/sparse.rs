//! Where a sparse file on this machine holds data, so that large, mostly empty images are read in moments.

use std::fs::File;
use std::io;
use std::ops::Range;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// More data runs than this in one image are taken as one: the caller then reads all of it, which is only slower.
const RUNS_MAX: usize = 1 << 20;

/// The runs of a file that may hold data; the rest are holes and read as zeroes.
pub(crate) fn data_ranges(file: &File) -> io::Result<Vec<Range<u64>>> {
    let length = file.metadata()?.len();
    let mut runs = Vec::new();
    let mut at = 0;
    while at < length {
        let Some(start) = seek(file, at, Whence::SeekData)? else { break };
        let end = seek(file, start, Whence::SeekHole)?.unwrap_or(length).min(length);
        if start < at || end <= start || runs.len() == RUNS_MAX {
            return Ok(std::iter::once(0..length).collect());
        }
        runs.push(start..end);
        at = end;
    }
    Ok(runs)
}

fn seek(file: &File, from: u64, whence: Whence) -> io::Result<Option<u64>> {
    let from = i64::try_from(from).map_err(io::Error::other)?;
    match lseek(file, from, whence) {
        Ok(at) => Ok(Some(u64::try_from(at).map_err(io::Error::other)?)),
        // Beyond the last data.
        Err(Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn every_byte_of_data_lies_in_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("image")).unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_all_at(b"x", 5 << 20).unwrap();
        file.write_all_at(b"y", (1 << 30) - 1).unwrap();
        let runs = data_ranges(&file).unwrap();
        for at in [5 << 20, (1 << 30) - 1] {
            assert!(runs.iter().any(|run| run.contains(&at)), "{at} in {runs:?}");
        }
    }
}
