//! What the tests of this crate share: disks from files, and commands of other packages.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a test stops at the first surprise and uses what it needs"
)]

pub mod lvm;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use guestfs::{Layout, Source, Volume};
use vdisk::{Disk, FileIo, LocalFile, MemoryFile};

/// A file whose bytes are a disk.
pub fn raw_disk(path: &Path) -> Arc<dyn Source> {
    Arc::new(Disk::open_raw(Arc::new(LocalFile::open_read(path).unwrap())).unwrap())
}

/// Bytes that are a disk of this size with these sectors.
pub fn disk_of(parts: &[(u64, &[u8])], size: u64, sector: u32) -> Arc<dyn Source> {
    let file = MemoryFile::new("memory.img");
    file.set_len(size).unwrap();
    for (at, bytes) in parts {
        file.write_at(*at, bytes).unwrap();
    }
    Arc::new(WithSector { disk: Disk::open_raw(Arc::new(file)).unwrap(), sector })
}

/// A raw disk seen with sectors of another size.
pub struct WithSector {
    pub disk: Disk,
    pub sector: u32,
}

impl Source for WithSector {
    fn len(&self) -> u64 {
        self.disk.capacity()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        Source::read_at(&self.disk, offset, buf)
    }

    fn logical_sector(&self) -> u32 {
        self.sector
    }

    fn name(&self) -> &str {
        self.disk.name()
    }
}

/// The layout of one disk.
pub fn layout_of(disk: Arc<dyn Source>) -> Layout {
    Layout::read(&[disk]).unwrap()
}

/// An empty file of this size in a folder.
pub fn empty_image(folder: &Path, name: &str, size: u64) -> PathBuf {
    let path = folder.join(name);
    std::fs::File::create_new(&path).unwrap().set_len(size).unwrap();
    path
}

/// Runs a command that must succeed, with `input`, and returns what it says.
pub fn run(command: &mut Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A specimen that may not be part of the repository, from `shared/specimens` beside it.
pub fn shared_specimen(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/specimens");
    let root = if root.is_dir() {
        root
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/specimens")
    };
    assert!(root.is_dir(), "this test needs the folder `shared/` beside the repository");
    root.join(name)
}

/// Unpacks a sample of the repository into memory, keeping its holes free.
pub fn sample(name: &str) -> Arc<MemoryFile> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
    let mut unpacked = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let file = MemoryFile::new(name);
    let mut buf = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let mut chunk = (&mut unpacked).take(64 * 1024);
        let count = {
            let mut filled = 0;
            while let Ok(more @ 1..) = chunk.read(&mut buf[filled..]) {
                filled += more;
            }
            filled
        };
        if count == 0 {
            file.set_len(at).unwrap();
            return Arc::new(file);
        }
        if buf[..count].iter().any(|&byte| byte != 0) {
            file.write_at(at, &buf[..count]).unwrap();
        }
        at += count as u64;
    }
}

/// Copies a volume into a file, leaving holes where it is zero.
pub fn extract(volume: &Volume, folder: &Path) -> PathBuf {
    use std::os::unix::fs::FileExt;
    let path = folder.join("volume.img");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(volume.len()).unwrap();
    let mut buf = vec![0; 1 << 20];
    for at in (0..volume.len()).step_by(buf.len()) {
        let count = usize::try_from((volume.len() - at).min(1 << 20)).unwrap();
        volume.read_at(at, &mut buf[..count]).unwrap();
        if buf[..count].iter().any(|&byte| byte != 0) {
            file.write_all_at(&buf[..count], at).unwrap();
        }
    }
    path
}
