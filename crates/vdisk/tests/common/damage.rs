//! A sound file, ways to damage it, and what a reader makes of it.

use std::sync::Arc;

use vdisk::{Disk, Error, MemoryFile};

use super::{MIB, bytes_of, pattern, small_disk};

pub(crate) const HEADERS: [usize; 2] = [0x1_0000, 0x2_0000];
pub(crate) const REGIONS: [usize; 2] = [0x3_0000, 0x4_0000];
pub(crate) const METADATA: usize = 2 << 20;
pub(crate) const ITEMS: usize = METADATA + 0x1_0000;
pub(crate) const BAT: usize = 3 << 20;

pub(crate) type Change = fn(&mut Vec<u8>);

/// 8 MiB in 1 MiB blocks, of which 0, 1 and 7 have data at 4, 5 and 6 MiB.
pub(crate) fn sound() -> Vec<u8> {
    let (file, mut disk) = small_disk(8 * MIB - 512);
    disk.write_at(0, &pattern(1, 2 * MIB)).unwrap();
    disk.write_at(7 * MIB, &pattern(2, 512)).unwrap();
    disk.close().unwrap();
    bytes_of(&file)
}

pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub(crate) fn set_entry(bytes: &mut [u8], entry: usize, value: u64) {
    put(bytes, BAT + entry * 8, &value.to_le_bytes());
}

/// Makes the checksum of one header or region table right again.
pub(crate) fn seal(bytes: &mut [u8], at: usize, length: usize) {
    put(bytes, at + 4, &[0; 4]);
    let sum = crc32c::crc32c(&bytes[at..at + length]);
    put(bytes, at + 4, &sum.to_le_bytes());
}

pub(crate) fn seal_all(bytes: &mut [u8]) {
    for at in HEADERS {
        seal(bytes, at, 4096);
    }
    for at in REGIONS {
        seal(bytes, at, 0x1_0000);
    }
}

/// Changes both headers alike.
pub(crate) fn put_headers(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for at in HEADERS {
        put(bytes, at + offset, value);
        seal(bytes, at, 4096);
    }
}

/// Changes both region tables alike.
pub(crate) fn put_regions(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for at in REGIONS {
        put(bytes, at + offset, value);
        seal(bytes, at, 0x1_0000);
    }
}

pub(crate) fn open(bytes: &[u8]) -> Result<Disk, Error> {
    Disk::open(Arc::new(MemoryFile::with_bytes("x.vhdx", bytes)))
}

/// "ok" or the code of the error of opening and reading everything.
pub(crate) fn outcome(bytes: &[u8]) -> &'static str {
    let read = |disk: Disk| {
        let mut buf = vec![0; disk.capacity() as usize];
        disk.read_at(0, &mut buf).map(|()| buf)
    };
    match open(bytes).and_then(read) {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

pub(crate) fn check(cases: &[(&str, &str, Change)]) {
    let sound = sound();
    for (name, expected, change) in cases {
        let mut bytes = sound.clone();
        change(&mut bytes);
        assert_eq!(outcome(&bytes), *expected, "{name}");
    }
}
