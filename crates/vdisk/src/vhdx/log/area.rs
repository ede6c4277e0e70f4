//! The log as a ring of sectors, bounded and inside its file.

use uuid::Uuid;

use super::layout::LOG_SECTOR_BYTES;
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{MIB, index};
use crate::range::ByteRange;
use crate::vhdx::format::{HEADER_SECTION_BYTES, Header};

/// Longest log that is replayed. Windows makes logs of 1 MiB; this bounds the time and memory that a
/// hostile file can ask for, at about 20 MiB for its entries and sectors.
pub(in crate::vhdx) const LOG_BYTES_MAX: u64 = 1 << 30;
/// Bytes read at a time when the log is searched.
const READ_BYTES: u64 = MIB;

/// Where the log lies and which entries belong to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogArea {
    pub range: ByteRange,
    pub guid: Uuid,
}

impl LogArea {
    /// The log that the current header names, which is not empty.
    pub(super) fn of(file: &dyn FileIo, header: &Header, file_length: u64) -> Result<Self> {
        let name = file.name();
        if header.log_version.get() != 0 {
            return Err(Error::unsupported(name, format!("log version {}", header.log_version.get())));
        }
        let (offset, length) = (header.log_offset.get(), u64::from(header.log_length.get()));
        let aligned = offset.is_multiple_of(MIB) && length.is_multiple_of(MIB);
        if length == 0 || !aligned || offset < HEADER_SECTION_BYTES {
            return Err(Error::damaged(
                name,
                format!("its log is at {offset} with {length} bytes, which no log can be"),
            ));
        }
        if length > LOG_BYTES_MAX {
            return Err(Error::unsupported(name, format!("a log of {length} bytes")));
        }
        let range = ByteRange::at(offset, length);
        if range.end > file_length {
            let (file, what) = (name.to_owned(), "its log".to_owned());
            return Err(Error::Truncated { file, what, needed: range.end, length: file_length });
        }
        Ok(Self { range, guid: header.log_guid.into() })
    }

    pub(super) fn sectors(&self) -> u64 {
        self.range.len() / LOG_SECTOR_BYTES
    }

    /// Place in the file of a sector, counted from any place of the ring on.
    pub(super) fn file_offset(&self, sector: u64) -> u64 {
        self.range.start + sector % self.sectors() * LOG_SECTOR_BYTES
    }

    pub(super) fn read_sector(&self, file: &dyn FileIo, sector: u64, buf: &mut [u8]) -> Result<()> {
        file.read_at(self.file_offset(sector), buf).map_err(|error| unreadable(file, error))
    }

    /// Calls `visit(sector number, bytes)` for each sector that is not in a hole of the file, and
    /// `visit(sector number, none)` once for each hole, until it returns false.
    pub(super) fn for_each_sector(
        &self,
        file: &dyn FileIo,
        visit: &mut dyn FnMut(u64, Option<&[u8]>) -> bool,
    ) -> Result<()> {
        let mut buf = vec![0; index(READ_BYTES)];
        let mut at = self.range.start;
        while at < self.range.end {
            let number = (at - self.range.start) / LOG_SECTOR_BYTES;
            let run = file.run_at(at).map_err(|error| unreadable(file, error))?;
            // Whole sectors of a hole are skipped.
            let hole_end = run.end.min(self.range.end) & !(LOG_SECTOR_BYTES - 1);
            if run.is_hole && hole_end > at {
                if !visit(number, None) {
                    return Ok(());
                }
                at = hole_end;
                continue;
            }
            let part = &mut buf[..index(READ_BYTES.min(self.range.end - at))];
            file.read_at(at, part).map_err(|error| unreadable(file, error))?;
            for (sector, number) in part.chunks_exact(index(LOG_SECTOR_BYTES)).zip(number..) {
                if !visit(number, Some(sector)) {
                    return Ok(());
                }
            }
            at += part.len() as u64;
        }
        Ok(())
    }
}

fn unreadable(file: &dyn FileIo, error: std::io::Error) -> Error {
    Error::io(file.name(), "read the log of", error)
}
