//! Target `ldm`: a group of three Windows dynamic disks put together by hand, with patches and with its sums made right.
//!
//! Input: a byte that chooses the arrangement and how many disks are given, a byte of switches, records to add, and
//! patches. All disks are changed alike, unless a switch says otherwise.

use std::sync::Arc;

use guestfs::Source;

use super::input::Input;
use super::oracle::check_disks;
use super::sectors::Sectors;

/// First sector of the region that describes the group, and of the database in it.
const CONFIG: u64 = 14_336;
const DATABASE: u64 = 17;
const DATABASE_SECTORS: u64 = 12;
const BLOCK_BYTES: usize = 128;
const DATA_START: u64 = 63;
const DISKS: u8 = 3;
/// Records added by an input at most.
const ADDED_MAX: u8 = 6;

const STRIPED: u8 = 1;
const SPANNED: u8 = 2;
const RAID5: u8 = 3;

/// Switches of the second byte.
const APART: u8 = 1;
const SUMS_LEFT: u8 = 2;

pub fn body(bytes: &[u8]) {
    let disks = disks(&mut Input::new(bytes));
    let disks: Vec<Arc<dyn Source>> =
        disks.into_iter().map(|disk| Arc::new(disk) as Arc<dyn Source>).collect();
    check_disks(&disks);
}

/// The disks that an input describes.
pub(super) fn disks(input: &mut Input<'_>) -> Vec<Sectors> {
    let (choice, switches) = (input.byte(), input.byte());
    let mut records = records(choice % 6);
    for _ in 0..input.byte() % (ADDED_MAX + 1) {
        records.push(any_record(input));
    }
    let mut disks: Vec<Sectors> = (0..DISKS).map(|number| disk(number, &records)).collect();
    let database = (CONFIG + DATABASE) * 512;
    let areas = [
        (database + 512, DATABASE_SECTORS * 512 - 512),
        (database + 512, 512),
        (database, 149),
        ((CONFIG + 1) * 512, 64),
        (6 * 512, 360),
        (446, 66),
    ];
    if switches & APART == 0 {
        let before = input.clone();
        for disk in &mut disks {
            *input = before.clone();
            disk.patch(input, &areas);
        }
    } else {
        disks[usize::from(switches >> 2) % usize::from(DISKS)].patch(input, &areas);
    }
    if switches & SUMS_LEFT == 0 {
        disks.iter_mut().for_each(|disk| [6, CONFIG + 1].iter().for_each(|sector| seal(disk, sector * 512)));
    }
    disks.truncate(usize::from(DISKS - choice / 6 % DISKS));
    disks
}

fn disk(number: u8, records: &[Vec<u8>]) -> Sectors {
    let mut disk = Sectors::default();
    let mut entry = vec![0, 0, 0, 0, 0x42, 0, 0, 0];
    entry.extend((DATA_START as u32).to_le_bytes());
    entry.extend(16_000_u32.to_le_bytes());
    disk.put(446, &entry);
    disk.put(510, b"\x55\xaa");
    disk.put(6 * 512, &private_header(number));
    disk.put((CONFIG + 1) * 512, &contents());
    let mut head = b"VMDB".to_vec();
    head.extend(99_u32.to_be_bytes());
    head.extend((BLOCK_BYTES as u32).to_be_bytes());
    head.extend(512_u32.to_be_bytes());
    head.extend([0, 1, 0, 4, 0, 10]);
    head.resize(22 + 31 + 64, 0);
    head.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 7]);
    let database = (CONFIG + DATABASE) * 512;
    disk.put(database, &head);
    for (place, block) in blocks(records).iter().enumerate() {
        disk.put(database + 512 + (place * BLOCK_BYTES) as u64, block);
    }
    // Every disk begins with a swap area, so that something is found on the volumes.
    let data = DATA_START * 512;
    disk.put(data + 1024, &[1, 0, 0, 0, 99, 0, 0, 0]);
    disk.put(data + 4086, b"SWAPSPACE2");
    disk
}

fn disk_id(number: u8) -> String {
    format!("00000000-0000-0000-0000-00000000000{number}")
}

fn private_header(number: u8) -> Vec<u8> {
    let mut bytes = b"PRIVHEAD\0\0\0\0\0\x02\0\x0b".to_vec();
    bytes.resize(48, 0);
    for (id, width) in
        [(disk_id(number).as_str(), 64), ("host", 64), ("11111111-0000-0000-0000-000000000000", 64)]
    {
        let end = bytes.len() + width;
        bytes.extend(id.bytes());
        bytes.resize(end, 0);
    }
    bytes.extend(b"GroupDg0");
    bytes.resize(48 + 192 + 32 + 11, 0);
    for value in [DATA_START, CONFIG - DATA_START, CONFIG, 2048] {
        bytes.extend(value.to_be_bytes());
    }
    bytes.resize(512, 0);
    bytes
}

fn contents() -> Vec<u8> {
    let mut bytes = b"TOCBLOCK\0\0\0\0".to_vec();
    bytes.extend(5_u64.to_be_bytes());
    bytes.resize(36, 0);
    bytes.extend(b"config\0\0\0\0");
    bytes.extend(DATABASE.to_be_bytes());
    bytes.extend(DATABASE_SECTORS.to_be_bytes());
    bytes.resize(512, 0);
    bytes
}

/// The sum of a sector's bytes without its own four.
fn seal(disk: &mut Sectors, at: u64) {
    disk.put(at + 8, &[0; 4]);
    let sum: u32 = disk.get(at, 512).iter().map(|byte| u32::from(*byte)).sum();
    disk.put(at + 8, &sum.to_be_bytes());
}

/// Records as blocks of the database, as many as each needs.
fn blocks(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    for (group, record) in (1_u32..).zip(records) {
        let pieces: Vec<_> = record.chunks(BLOCK_BYTES - 16).collect();
        for (number, piece) in (0_u16..).zip(&pieces) {
            let mut block = b"VBLK\0\0\0\x01".to_vec();
            block.extend(group.to_be_bytes());
            block.extend(number.to_be_bytes());
            block.extend((pieces.len() as u16).to_be_bytes());
            block.extend(*piece);
            block.resize(BLOCK_BYTES, 0);
            blocks.push(block);
        }
    }
    blocks
}

/// The records of one arrangement: simple, spanned, striped, mirrored, RAID-5, and two simple volumes.
fn records(arrangement: u8) -> Vec<Vec<u8>> {
    let mut records: Vec<_> = (0..DISKS).map(|number| disk_record(number, &disk_id(number))).collect();
    let part = |component, disk, offset, column| partition_record(0, offset, 1000, component, disk, column);
    match arrangement {
        0 => records.extend([volume(40, 1, 1000), component(50, SPANNED, 1, 40, 0), part(50, 0, 0, None)]),
        1 => records.extend([
            volume(40, 1, 2000),
            component(50, SPANNED, 2, 40, 0),
            part(50, 0, 0, None),
            part(50, 1, 1000, None),
        ]),
        2 => records.extend([
            volume(40, 1, 1900),
            component(50, STRIPED, 2, 40, 128),
            part(50, 0, 0, Some(0)),
            part(50, 1, 0, Some(1)),
        ]),
        3 => records.extend([
            volume(40, 2, 1000),
            component(50, SPANNED, 1, 40, 0),
            component(51, SPANNED, 1, 40, 0),
            part(50, 0, 0, None),
            part(51, 1, 0, None),
        ]),
        4 => records.extend([
            volume(40, 1, 1700),
            component(50, RAID5, 3, 40, 128),
            part(50, 0, 0, Some(0)),
            part(50, 1, 0, Some(1)),
            part(50, 2, 0, Some(2)),
        ]),
        _ => records.extend([
            volume(40, 1, 1000),
            component(50, SPANNED, 1, 40, 0),
            part(50, 0, 0, None),
            volume(41, 1, 1000),
            component(51, SPANNED, 1, 41, 0),
            part(51, 2, 0, None),
        ]),
    }
    records
}

/// A record whose few numbers come from the input.
fn any_record(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.byte() % 4;
    let mut small = || u64::from(input.byte() % 64);
    match kind {
        0 => volume(small(), small() % 4, small() * 64),
        1 => component(small(), small() as u8 % 5, small() % 4, small(), small()),
        2 => partition_record(
            small() * 50,
            small() * 50,
            small() * 50,
            small(),
            small() as u8,
            Some(small()).filter(|column| *column < 4),
        ),
        _ => disk_record(small() as u8, &disk_id(small() as u8 % 10)),
    }
}

/// A record by its flags, its type and its fields.
fn record(flags: u8, kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let mut bytes = vec![0, 0, flags, kind];
    bytes.extend((fields.len() as u32).to_be_bytes());
    bytes.extend(fields);
    bytes
}

/// A number or a text behind its length.
fn number(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(7);
    text(&bytes[zeros..])
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![bytes.len() as u8];
    field.extend(bytes);
    field
}

fn volume(id: u64, components: u64, sectors: u64) -> Vec<u8> {
    let name = text(format!("Volume{id}").as_bytes());
    let (count, sectors) = (number(components), number(sectors));
    record(
        0x02,
        0x51,
        &[
            &number(id),
            &name,
            &text(b"gen"),
            &text(b""),
            &[0; 21],
            &count,
            &[0; 16],
            &sectors,
            &[0; 21],
            &text(b"E:"),
        ],
    )
}

fn component(id: u64, kind: u8, partitions: u64, volume: u64, stripe_sectors: u64) -> Vec<u8> {
    let (id, count, volume) = (number(id), number(partitions), number(volume));
    let stripe = if stripe_sectors == 0 { Vec::new() } else { number(stripe_sectors) };
    let flags = if stripe.is_empty() { 0 } else { 0x10 };
    let fields: [&[u8]; 10] = [
        &id,
        &text(b"Volume-01"),
        &text(b"ACTIVE"),
        &[kind],
        &[0; 4],
        &count,
        &[0; 16],
        &volume,
        &[0],
        &stripe,
    ];
    record(flags, 0x32, &fields)
}

fn partition_record(
    start: u64,
    offset: u64,
    sectors: u64,
    component: u64,
    disk: u8,
    column: Option<u64>,
) -> Vec<u8> {
    let places = [start.to_be_bytes(), offset.to_be_bytes()].concat();
    let owner = [number(sectors), number(component), number(u64::from(disk) + 10)].concat();
    let flags = if column.is_some() { 0x08 } else { 0 };
    let column = column.map(number).unwrap_or_default();
    record(flags, 0x33, &[&number(70), &text(b"Disk1-01"), &[0; 12], &places, &owner, &column])
}

fn disk_record(id: u8, guid: &str) -> Vec<u8> {
    let name = format!("Disk{id}");
    record(0, 0x34, &[&number(u64::from(id) + 10), &text(name.as_bytes()), &text(guid.as_bytes())])
}
