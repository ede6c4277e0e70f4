//! Targets `partitions` and `lvm`: tables put together by hand, with patches and with their checksums made right.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use guestfs::Source;

use super::input::Input;
use super::oracle::check_disks;

const PATCHES_MAX: usize = 24;
const SECTOR: usize = 512;
const DISK_SECTORS: u64 = 16_384;

/// A sparse disk of sectors.
struct Sectors(BTreeMap<u64, Vec<u8>>);

impl Source for Sectors {
    fn len(&self) -> u64 {
        DISK_SECTORS * SECTOR as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        for (sector, bytes) in self.0.range(offset / 512..end.div_ceil(512)) {
            let at = sector * 512;
            let (from, to) = (at.max(offset), (at + 512).min(end));
            if from < to {
                buf[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
            }
        }
        Ok(())
    }

    fn logical_sector(&self) -> u32 {
        512
    }

    fn name(&self) -> &str {
        "x.raw"
    }
}

impl Sectors {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        for (number, byte) in bytes.iter().enumerate() {
            let at = at + number as u64;
            let sector = self.0.entry(at / 512).or_insert_with(|| vec![0; SECTOR]);
            sector[(at % 512) as usize] = *byte;
        }
    }

    fn get(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes).unwrap();
        bytes
    }

    /// Patches within these areas: (start, length).
    fn patch(&mut self, input: &mut Input<'_>, areas: &[(u64, u64)]) {
        for _ in 0..PATCHES_MAX {
            if input.is_empty() {
                return;
            }
            let (start, length) = areas[usize::from(input.byte()) % areas.len()];
            let offset = input.below(length);
            let count = usize::from(input.byte()) % 16 + 1;
            self.put(start + offset, input.take(count));
        }
    }
}

/// CRC-32 (reflected 0xEDB88320) without its final inversion.
fn crc32(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

/// An MBR with an extended partition, or a GPT with its backup.
pub fn partitions(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut disk = Sectors(BTreeMap::new());
    if input.byte() & 1 == 0 {
        let entry = |kind: u8, start: u32, length: u32| {
            let mut entry = vec![0, 0, 0, 0, kind, 0, 0, 0];
            entry.extend(start.to_le_bytes());
            entry.extend(length.to_le_bytes());
            entry
        };
        disk.put(446, &[entry(7, 64, 2000), entry(0x83, 2064, 100), entry(5, 3000, 9000)].concat());
        disk.put(510, b"\x55\xaa");
        for (at, next) in [(3000_u64, 1000_u32), (4000, 2000), (5000, 0)] {
            let link = if next == 0 { Vec::new() } else { entry(5, next, 900) };
            disk.put(at * 512 + 446, &[entry(0x82, 10, 500), link].concat());
            disk.put(at * 512 + 510, b"\x55\xaa");
        }
        let areas = [(446, 66), (3000 * 512 + 446, 66), (4000 * 512 + 446, 66), (5000 * 512 + 446, 66)];
        disk.patch(&mut input, &areas);
    } else {
        gpt(&mut disk, &mut input);
    }
    check_disks(&[Arc::new(disk)]);
}

fn gpt(disk: &mut Sectors, input: &mut Input<'_>) {
    disk.put(446 + 4, &[0xEE, 0, 0, 0, 1, 0, 0, 0, 0xFF, 0x3F, 0, 0]);
    disk.put(510, b"\x55\xaa");
    let last = DISK_SECTORS - 1;
    let tables = [(1_u64, last, 2_u64), (last, 1, last - 32)];
    for (own, other, entries) in tables {
        let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        for value in [own, other, 34, last - 33] {
            header.extend(value.to_le_bytes());
        }
        header.extend(b"disk guid 16 byt");
        header.extend(entries.to_le_bytes());
        header.extend(b"\x80\0\0\0\x80\0\0\0");
        disk.put(own * 512, &header);
        for (number, start) in [(0_u64, 64_u64), (1, 4096), (5, 9000)] {
            let mut entry =
                b"\xa2\xa0\xd0\xeb\xe5\xb9\x33\x44\x87\xc0\x68\xb6\xb7\x26\x99\xc7part guid 16 byt".to_vec();
            entry.extend(start.to_le_bytes());
            entry.extend((start + 3000).to_le_bytes());
            entry.extend([0; 8]);
            entry.extend("data".encode_utf16().flat_map(u16::to_le_bytes));
            disk.put(entries * 512 + number * 128, &entry);
        }
    }
    let choice = input.byte();
    disk.patch(input, &[(512, 96), (1024, 256), (1024 + 5 * 128, 128), (last * 512, 96), (446, 66)]);
    if choice & 1 == 0 {
        for (own, _, entries) in tables {
            let sum = !crc32(!0, &disk.get(entries * 512, 128 * 128));
            disk.put(own * 512 + 88, &sum.to_le_bytes());
            disk.put(own * 512 + 16, &[0; 4]);
            let sum = !crc32(!0, &disk.get(own * 512, 92));
            disk.put(own * 512 + 16, &sum.to_le_bytes());
        }
    }
}

/// What a volume group's description looks like; the fuzzer changes it.
const GROUP: &str = r#"vg0 {
id = "AAAAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAAAA"
seqno = 3
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
extent_size = 256
max_lv = 0
physical_volumes {
pv0 {
id = "PPPPPP-PPPP-PPPP-PPPP-PPPP-PPPP-PPPPPP"
device = "/dev/sda"
status = ["ALLOCATABLE"]
dev_size = 16384
pe_start = 2048
pe_count = 50
}
}
logical_volumes {
root {
id = "LLLLLL-LLLL-LLLL-LLLL-LLLL-LLLL-LLLLLL"
status = ["READ", "WRITE", "VISIBLE"]
segment_count = 2
segment1 {
start_extent = 0
extent_count = 4
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}
segment2 {
start_extent = 4
extent_count = 6
type = "striped"
stripe_count = 2
stripe_size = 64
stripes = ["pv0", 10, "pv0", 20]
}
}
}
}
# comment
contents = "Text Format Volume Group"
version = 1
"#;
const AREA: u64 = 4096;
const AREA_BYTES: u64 = 65_536;

/// One physical volume whose text is patched, or replaced when the first byte says so.
pub fn lvm(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    let mut disk = Sectors(BTreeMap::new());
    let mut label = b"LABELONE\x01\0\0\0\0\0\0\0\0\0\0\0\x20\0\0\0LVM2 001".to_vec();
    label.extend([b'P'; 32]);
    for value in [DISK_SECTORS * 512, 2048 * 512, 0, 0, 0, AREA, AREA_BYTES, 0, 0] {
        label.extend(value.to_le_bytes());
    }
    disk.put(512, &label);
    let mut text = GROUP.as_bytes().to_vec();
    if choice & 1 == 1 {
        text = input.take(4000).to_vec();
    } else {
        patch_text(&mut text, &mut input);
    }
    let mut header = b"\0\0\0\0 LVM2 x[5A%r0N*>\x01\0\0\0".to_vec();
    for value in [AREA, AREA_BYTES, 512, text.len() as u64] {
        header.extend(value.to_le_bytes());
    }
    header.extend(crc32(0xf597_a6cf, &text).to_le_bytes());
    disk.put(AREA, &header);
    disk.put(AREA + 512, &text);
    if choice & 2 == 2 {
        disk.patch(&mut input, &[(512, 128), (AREA, 80)]);
    }
    let sum = crc32(0xf597_a6cf, &disk.get(AREA + 4, 508));
    disk.put(AREA, &sum.to_le_bytes());
    let sum = crc32(0xf597_a6cf, &disk.get(512 + 20, 492));
    disk.put(512 + 16, &sum.to_le_bytes());
    check_disks(&[Arc::new(disk)]);
}

/// Replaces a stretch of the text: place, bytes taken away, bytes put in.
fn patch_text(text: &mut Vec<u8>, input: &mut Input<'_>) {
    for _ in 0..8 {
        if input.is_empty() {
            return;
        }
        let at = input.below(text.len() as u64) as usize;
        let away = usize::from(input.byte() % 24).min(text.len() - at);
        let count = usize::from(input.byte() % 24);
        let put = input.take(count).to_vec();
        text.splice(at..at + away, put);
    }
}
