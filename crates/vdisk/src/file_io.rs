//! Where image bytes live: the `FileIo` trait, files of this machine, and memory.
//!
//! All access is positioned, because several readers share one file and because a large sequential
//! read with `pread` is already as fast as `cat`. Offsets have no alignment rule here; the formats
//! above choose their own.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::data_run::DataRun;
use crate::number::index;

/// Bytes of one image file, wherever it lives.
pub trait FileIo: Send + Sync + std::fmt::Debug {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buf` from `offset`; `UnexpectedEof` when the file ends before.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`, growing the file when needed.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns once everything written before is durable.
    fn flush(&self) -> io::Result<()>;

    /// Cuts the file, or grows it by bytes that read as zero.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The run of data or of a hole that `offset`, which lies inside the file, belongs to.
    ///
    /// A hole reads as zeros. Whoever does not know says that all of the rest is data.
    fn run_at(&self, _offset: u64) -> io::Result<FileRun> {
        Ok(FileRun { is_hole: false, end: self.len()? })
    }

    /// Name of the file for error texts.
    fn name(&self) -> &str;
}

/// What lies at a place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRun {
    /// Whether nothing was ever written there.
    pub is_hole: bool,
    /// Where the run ends; behind the place that was asked for.
    pub end: u64,
}

/// A file of this machine.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    name: String,
    data_run: Mutex<DataRun>,
}

impl LocalFile {
    /// Opens an existing file for reading.
    pub fn open_read(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Ok(Self::new(File::open(path)?, path))
    }

    /// Opens an existing file for reading and writing, and locks it against a second writer.
    pub fn open_read_write(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_locked(path.as_ref(), OpenOptions::new().read(true).write(true))
    }

    /// Creates a file that must not exist yet, locked against a second writer.
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_locked(path.as_ref(), OpenOptions::new().read(true).write(true).create_new(true))
    }

    fn new(file: File, path: &Path) -> Self {
        Self { file, name: path.display().to_string(), data_run: Mutex::default() }
    }

    fn data_run(&self) -> MutexGuard<'_, DataRun> {
        self.data_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same file, told by another name in errors; for a file that gets its real name later.
    #[must_use]
    pub fn renamed(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Two writers of one image would each keep their own block table, so the second is refused.
    fn open_locked(path: &Path, options: &OpenOptions) -> io::Result<Self> {
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self::new(file, path)),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, "another writer has this file open"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl FileIo for LocalFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// Asks the file system (`lseek` with `SEEK_DATA` and `SEEK_HOLE`). That moves the file's position, which
    /// positioned reads and writes do not use.
    fn run_at(&self, offset: u64) -> io::Result<FileRun> {
        let len = self.file.metadata()?.len();
        if let Some(end) = self.data_run().end_of(offset).filter(|end| *end <= len) {
            return Ok(FileRun { is_hole: false, end });
        }
        let rest = |is_hole| FileRun { is_hole, end: len };
        let data = match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(data) => data,
            // No data from here on.
            Err(Errno::NXIO) => return Ok(rest(true)),
            // A file system that cannot tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(rest(false)),
            Err(error) => return Err(error.into()),
        };
        if data > offset {
            return Ok(FileRun { is_hole: true, end: data.min(len) });
        }
        match seek(&self.file, SeekFrom::Hole(offset)) {
            Ok(hole) if hole > offset => {
                let end = hole.min(len);
                self.data_run().found(offset, end);
                Ok(FileRun { is_hole: false, end })
            }
            Ok(_) | Err(Errno::NXIO) => Ok(rest(false)),
            Err(error) => Err(error.into()),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Bytes per page of a [`MemoryFile`]; small enough that a sparse image stays small in memory.
const PAGE_BYTES: u64 = 64 * 1024;

/// A sparse file in memory. Clones share the bytes, as two handles of one file do.
#[derive(Debug, Clone)]
pub struct MemoryFile {
    name: Arc<str>,
    content: Arc<RwLock<Content>>,
}

#[derive(Default)]
struct Content {
    len: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes in {} pages", self.len, self.pages.len())
    }
}

impl MemoryFile {
    /// An empty file.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), content: Arc::default() }
    }

    /// A file that holds these bytes.
    #[must_use]
    pub fn with_bytes(name: &str, bytes: &[u8]) -> Self {
        let file = Self::new(name);
        file.change(|content| content.write(0, bytes));
        file
    }

    /// Bytes of memory that the file takes; holes take none.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.look(|content| content.pages.len() as u64 * PAGE_BYTES)
    }

    fn look<T>(&self, read: impl FnOnce(&Content) -> T) -> T {
        read(&self.content.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, write: impl FnOnce(&mut Content) -> T) -> T {
        write(&mut self.content.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FileIo for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.look(|content| content.len))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.look(|content| content.read(offset, buf))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset.checked_add(data.len() as u64).is_none() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.change(|content| content.write(offset, data));
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|content| content.set_len(len));
        Ok(())
    }

    fn run_at(&self, offset: u64) -> io::Result<FileRun> {
        Ok(self.look(|content| content.run_at(offset)))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Content {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.len => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        for_each_page(offset, buf.len(), |page, in_page, in_buf| {
            let part = &mut buf[in_buf.clone()];
            match self.pages.get(&page) {
                Some(bytes) => part.copy_from_slice(&bytes[in_page..in_page + part.len()]),
                None => part.fill(0),
            }
        });
        Ok(())
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        for_each_page(offset, data.len(), |page, in_page, in_data| {
            let part = &data[in_data];
            if let Some(bytes) = self.pages.get_mut(&page) {
                bytes[in_page..in_page + part.len()].copy_from_slice(part);
            } else if part.iter().any(|byte| *byte != 0) {
                let mut bytes = vec![0; index(PAGE_BYTES)].into_boxed_slice();
                bytes[in_page..in_page + part.len()].copy_from_slice(part);
                self.pages.insert(page, bytes);
            }
        });
        self.len = self.len.max(offset + data.len() as u64);
    }

    fn run_at(&self, offset: u64) -> FileRun {
        let first = offset / PAGE_BYTES;
        let mut pages = self.pages.range(first..).map(|(page, _)| *page);
        let is_hole = !self.pages.contains_key(&first);
        let end = if is_hole {
            pages.next().unwrap_or(u64::MAX / PAGE_BYTES)
        } else {
            pages
                .zip(first..)
                .take_while(|(page, expected)| page == expected)
                .last()
                .map_or(first, |(page, _)| page)
                + 1
        };
        FileRun { is_hole, end: (end * PAGE_BYTES).min(self.len) }
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE_BYTES)));
            if let Some(bytes) = self.pages.get_mut(&(len / PAGE_BYTES)) {
                bytes[index(len % PAGE_BYTES)..].fill(0);
            }
        }
        self.len = len;
    }
}

/// Calls `visit(page, offset in page, range in the caller's buffer)` for each page touched.
fn for_each_page(offset: u64, length: usize, mut visit: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        let in_page = index(at % PAGE_BYTES);
        let part = (index(PAGE_BYTES) - in_page).min(length - done);
        visit(at / PAGE_BYTES, in_page, done..done + part);
        done += part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_file_keeps_holes_free_and_reads_them_as_zero() {
        let file = MemoryFile::new("memory");
        file.set_len(64 << 30).unwrap();
        file.write_at((32 << 30) - 3, b"abcdef").unwrap();
        let mut buf = [9; 8];
        file.read_at((32 << 30) - 4, &mut buf).unwrap();
        assert_eq!(&buf, b"\0abcdef\0");
        assert_eq!(file.stored_bytes(), 2 * PAGE_BYTES);
    }

    #[test]
    fn a_sparse_file_tells_where_its_data_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = LocalFile::create_new(folder.path().join("sparse")).unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_at(64 << 20, &[1; 4096]).unwrap();
        let (mut at, mut data) = (0, Vec::new());
        while at < 1 << 30 {
            let run = file.run_at(at).unwrap();
            assert!(run.end > at, "the run at {at} ends at {}", run.end);
            if !run.is_hole {
                data.push(at..run.end);
            }
            at = run.end;
        }
        // A file system may call more than was written data, never less.
        assert!(data.iter().any(|run| run.contains(&(64 << 20)) && run.contains(&((64 << 20) + 4095))));
    }

    #[test]
    fn what_is_remembered_of_a_run_is_never_more_than_data() {
        let folder = tempfile::tempdir().unwrap();
        let file = LocalFile::create_new(folder.path().join("sparse")).unwrap();
        file.write_at(0, &[1; 1 << 20]).unwrap();
        assert!(!file.run_at(4096).unwrap().is_hole);
        file.set_len(64 << 20).unwrap();
        assert_eq!(file.run_at(8192).unwrap(), FileRun { is_hole: false, end: 1 << 20 });
        assert!(file.run_at(2 << 20).unwrap().is_hole, "a hole that came later is found");
        file.set_len(5000).unwrap();
        assert_eq!(file.run_at(4096).unwrap().end, 5000);
    }

    #[test]
    fn reading_past_the_end_is_unexpected_eof_and_cutting_forgets_the_rest() {
        let file = MemoryFile::with_bytes("memory", &[7; 100]);
        assert_eq!(file.read_at(99, &mut [0; 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(50).unwrap();
        file.set_len(100).unwrap();
        let mut buf = [1; 51];
        file.read_at(49, &mut buf).unwrap();
        assert_eq!((buf[0], buf[1], buf[50]), (7, 0, 0));
    }

    #[test]
    fn a_second_writer_of_a_local_file_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.bin");
        let first = LocalFile::create_new(&path).unwrap();
        first.write_at(10, b"x").unwrap();
        assert_eq!(LocalFile::open_read_write(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(LocalFile::open_read(&path).unwrap().len().unwrap(), 11);
        drop(first);
        assert!(LocalFile::open_read_write(&path).is_ok());
    }
}
