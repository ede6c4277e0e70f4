//! Maps of every kind against a model that lays out each byte by hand.

use proptest::prelude::*;
use vdisk::{Disk, FileIo, MemoryFile};

use super::*;

/// Bytes of each disk of these tests.
const DISK_BYTES: u64 = 64 * 1024;

/// Five disks of random bytes.
fn random_disks(seed: u64) -> Disks {
    let mut state = seed | 1;
    let disk = |_| {
        let bytes: Vec<u8> = (0..DISK_BYTES)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        let file = MemoryFile::new("disk");
        file.write_at(0, &bytes).unwrap();
        Arc::new(Disk::open_raw(Arc::new(file)).unwrap()) as Arc<dyn Source>
    };
    (0..5).map(disk).collect()
}

fn any_linear() -> impl Strategy<Value = VolumeMap> {
    (0usize..5, 0..DISK_BYTES / 2, 4096u64..DISK_BYTES / 2)
        .prop_map(|(disk, offset, length)| VolumeMap::linear(disk, offset, length))
}

/// Linear, striped, mirrored and concatenated maps, one inside the other.
fn any_map() -> impl Strategy<Value = VolumeMap> {
    any_linear().prop_recursive(3, 12, 3, |inner| {
        let parts = prop::collection::vec(inner, 1..4);
        (parts, 1u64..3000, 0..3).prop_map(|(parts, unit, kind)| {
            let shortest = parts.iter().map(VolumeMap::length).min().unwrap();
            let held = shortest / unit * unit * bytes(parts.len());
            match kind {
                0 => VolumeMap::concat(parts).unwrap(),
                1 => VolumeMap::mirrored(shortest, parts[..1].to_vec()).unwrap(),
                _ if held > 0 => VolumeMap::striped(held, unit, parts).unwrap(),
                _ => parts[0].clone(),
            }
        })
    })
}

fn read(map: &VolumeMap, disks: &Disks, offset: u64, length: u64) -> Vec<u8> {
    let mut buf = vec![0; index(length)];
    map.read(disks, "volume", offset, &mut buf).unwrap();
    buf
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each byte lies in exactly one place, which holds what the volume reads there.
    #[test]
    fn a_byte_is_read_where_the_map_says_it_lies(map in any_map(), seed: u64, at: prop::sample::Index) {
        let disks = random_disks(seed);
        let at = bytes(at.index(index(map.length())));
        let one = ChangedRanges::from_ranges([ByteRange::at(at, 1)]);

        let places = map.on_disks(&one).unwrap();

        let (&disk, ranges) = places.iter().next().unwrap();
        prop_assert_eq!((places.len(), ranges.total_bytes()), (1, 1));
        let mut there = [0];
        disks[disk].read_at(ranges.iter().next().unwrap().start, &mut there).unwrap();
        prop_assert_eq!(read(&map, &disks, at, 1), there);
    }

    /// A range lies where its bytes lie, and a slice reads what the whole reads there.
    #[test]
    fn ranges_and_slices_agree_with_single_bytes(map in any_map(), seed: u64, a: prop::sample::Index, len in 1u64..9000) {
        let disks = random_disks(seed);
        let start = bytes(a.index(index(map.length())));
        let range = ByteRange::at(start, len.min(map.length() - start));

        let mut expected = BTreeMap::<usize, ChangedRanges>::new();
        for at in (range.start..range.end).step_by(97).chain([range.end - 1]) {
            let one = map.on_disks(&ChangedRanges::from_ranges([ByteRange::at(at, 1)])).unwrap();
            for (disk, ranges) in one {
                let held = expected.entry(disk).or_default();
                *held = held.union(&ranges);
            }
        }
        let places = map.on_disks(&ChangedRanges::from_ranges([range])).unwrap();
        for (disk, ranges) in &expected {
            prop_assert!(places[disk].covers_all(ranges));
        }
        let slice = map.slice(range.start, range.len()).unwrap();
        prop_assert_eq!(read(&slice, &disks, 0, range.len()), read(&map, &disks, range.start, range.len()));
        prop_assert_eq!(slice.on_disks(&ChangedRanges::whole(range.len())), Some(places));
    }

    /// Filled by hand in the left-symmetric order, then read whole and with each column missing.
    #[test]
    fn raid5_reads_the_same_whole_and_with_any_one_column_missing(unit in 1u64..200, columns in 3usize..6, rows in 1u64..20, seed: u64) {
        let data_columns = bytes(columns) - 1;
        let content = read(&VolumeMap::linear(0, 0, DISK_BYTES), &random_disks(seed), 0, rows * unit * data_columns);
        let disks = left_symmetric(&content, columns, index(unit));
        let column = |number| VolumeMap::linear(number, 0, rows * unit);
        for lost in 0..=columns {
            let map = (0..columns)
                .map(|number| if number == lost { VolumeMap::missing(rows * unit, "lost") } else { column(number) })
                .collect();
            let map = VolumeMap::raid5(bytes(content.len()), unit, map).unwrap();
            prop_assert_eq!(&read(&map, &disks, 0, map.length()), &content);
            prop_assert!(map.gaps().is_empty());
            prop_assert_eq!(map.on_disks(&ChangedRanges::whole(1)), None);
        }
    }
}

/// Lays `content` out as Linux calls it: parity moves from the last column down, data starts behind it.
fn left_symmetric(content: &[u8], columns: usize, unit: usize) -> Disks {
    let mut disks = vec![Vec::new(); columns];
    for (row, stripe) in content.chunks(unit * (columns - 1)).enumerate() {
        let parity_at = columns - 1 - row % columns;
        let mut parity = vec![0; unit];
        for (number, chunk) in stripe.chunks(unit).enumerate() {
            parity.iter_mut().zip(chunk).for_each(|(sum, byte)| *sum ^= byte);
            disks[(parity_at + 1 + number) % columns].extend_from_slice(chunk);
        }
        disks[parity_at].extend_from_slice(&parity);
    }
    let disk = |bytes: Vec<u8>| {
        let file = MemoryFile::new("disk");
        file.write_at(0, &bytes).unwrap();
        Arc::new(Disk::open_raw(Arc::new(file)).unwrap()) as Arc<dyn Source>
    };
    disks.into_iter().map(disk).collect()
}

#[test]
fn a_mirror_lies_on_all_its_copies_and_reads_from_one_that_is_there() {
    let copies = vec![VolumeMap::missing(4096, "disk 2 is missing"), VolumeMap::linear(1, 512, 4096)];
    let map = VolumeMap::mirrored(4096, copies).unwrap();
    let both =
        VolumeMap::mirrored(4096, vec![VolumeMap::linear(0, 0, 4096), VolumeMap::linear(1, 512, 4096)]);

    let places = both.unwrap().on_disks(&ChangedRanges::from_ranges([ByteRange::new(10, 20)])).unwrap();

    let disks = random_disks(7);
    assert_eq!(read(&map, &disks, 0, 4096), read(&VolumeMap::linear(1, 512, 4096), &disks, 0, 4096));
    assert!(map.gaps().is_empty());
    assert_eq!(places[&0].iter().next(), Some(ByteRange::new(10, 20)));
    assert_eq!(places[&1].iter().next(), Some(ByteRange::new(522, 532)));
}

#[test]
fn a_missing_part_is_named_and_does_not_hinder_the_rest() {
    let missing = VolumeMap::missing(4096, "physical volume pv1 is missing");
    let map = VolumeMap::concat([VolumeMap::linear(0, 0, 4096), missing]).unwrap();
    let disks = random_disks(3);

    let error = map.read(&disks, "lvm/vg/lv", 4000, &mut [0; 200]).unwrap_err();

    assert_eq!(error.to_string(), "this part of lvm/vg/lv cannot be read: physical volume pv1 is missing");
    assert_eq!(map.gaps(), ["physical volume pv1 is missing"]);
    assert_eq!(read(&map, &disks, 0, 4096), read(&VolumeMap::linear(0, 0, 4096), &disks, 0, 4096));
}

#[test]
fn maps_that_cannot_be_are_refused() {
    let column = || VolumeMap::linear(0, 0, 4096);

    assert_eq!(VolumeMap::striped(4096, 0, vec![column()]), None);
    assert_eq!(VolumeMap::striped(8193, 512, vec![column(), column()]), None);
    assert_eq!(VolumeMap::raid5(512, 512, vec![column(), column()]), None);
    assert_eq!(VolumeMap::mirrored(4097, vec![column()]), None);
    assert_eq!(VolumeMap::mirrored(0, vec![]), None);
    assert_eq!(column().slice(4096, 1), None);
    assert_eq!(VolumeMap::concat([column(), VolumeMap::linear(1, 0, u64::MAX)]), None);
}

/// 16 TiB in stripes of 4 KiB would be 4 billion chunks.
#[test]
fn a_large_range_of_a_striped_volume_is_placed_at_once() {
    let columns: Vec<_> = (0..4).map(|disk| VolumeMap::linear(disk, 1 << 20, 4 << 40)).collect();
    let map = VolumeMap::striped(16 << 40, 4096, columns).unwrap();

    let places = map.on_disks(&ChangedRanges::whole(16 << 40)).unwrap();

    assert_eq!(places.len(), 4);
    assert_eq!(places[&3].iter().collect::<Vec<_>>(), [ByteRange::at(1 << 20, 4 << 40)]);
}
