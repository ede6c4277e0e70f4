//! Targets `partitions` and `lvm`: tables put together by hand, with patches and with their checksums made right.

use std::sync::Arc;

use super::input::Input;
use super::oracle::check_disks;
use super::sectors::{DISK_SECTORS, Sectors};

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
    let mut disk = Sectors::default();
    add_partitions(&mut disk, &mut Input::new(bytes));
    check_disks(&[Arc::new(disk)]);
}

/// Puts a patched table on a disk; the first bit chooses the kind.
pub(super) fn add_partitions(disk: &mut Sectors, input: &mut Input<'_>) {
    if input.byte() & 1 == 1 {
        return gpt(disk, input);
    }
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
    disk.patch(input, &[(446, 66), (3000 * 512 + 446, 66), (4000 * 512 + 446, 66), (5000 * 512 + 446, 66)]);
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

/// One physical volume.
pub fn lvm(bytes: &[u8]) {
    let mut disk = Sectors::default();
    add_group(&mut disk, &mut Input::new(bytes));
    check_disks(&[Arc::new(disk)]);
}

/// Makes a disk a physical volume whose text is patched, or replaced when the first byte says so.
pub(super) fn add_group(disk: &mut Sectors, input: &mut Input<'_>) {
    let choice = input.byte();
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
        patch_text(&mut text, input);
    }
    let mut header = b"\0\0\0\0 LVM2 x[5A%r0N*>\x01\0\0\0".to_vec();
    for value in [AREA, AREA_BYTES, 512, text.len() as u64] {
        header.extend(value.to_le_bytes());
    }
    header.extend(crc32(0xf597_a6cf, &text).to_le_bytes());
    disk.put(AREA, &header);
    disk.put(AREA + 512, &text);
    if choice & 2 == 2 {
        disk.patch(input, &[(512, 128), (AREA, 80)]);
    }
    let sum = crc32(0xf597_a6cf, &disk.get(AREA + 4, 508));
    disk.put(AREA, &sum.to_le_bytes());
    let sum = crc32(0xf597_a6cf, &disk.get(512 + 20, 492));
    disk.put(512 + 16, &sum.to_le_bytes());
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
