//! LVM2: a physical volume of a real Hyper-V disk, judged by the checkers of the file systems on it, and groups of
//! several physical volumes made here by the documented layout, judged by `pvck`.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::process::Command;
use std::sync::{Arc, OnceLock};

use common::lvm::{EXTENT, Group, PhysicalVolume};
use common::{extract, run, sample};
use guestfs::{Content, Layout, Source};
use proptest::prelude::*;
use vdisk::{ByteRange, ChangedRanges, Disk};

/// The layout of the sample, unpacked once.
fn hyper_v_layout() -> &'static Layout {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    LAYOUT.get_or_init(|| {
        let disk = Disk::open(sample("lvm2.vhdx.gz")).unwrap();
        Layout::read(&[Arc::new(disk)]).unwrap()
    })
}

#[test]
fn the_volumes_of_a_hyper_v_disk_are_found() {
    let layout = hyper_v_layout();

    let seen: Vec<_> = layout
        .volumes
        .iter()
        .map(|volume| format!("{} | {} | {} | {}", volume.name, volume.kind, volume.detail, volume.len()))
        .collect();

    assert_eq!(
        seen,
        [
            "disk0/part1 | Linux LVM | LVM2 physical volume | 10736352768",
            "lvm/test/fat | linear, 3 segments | FAT32 | 746586112",
            "lvm/test/ntfs | linear, 2 segments | NTFS | 1178599424",
            "lvm/test/vol01 | linear, 2 segments | ext3 | 1283457024",
        ]
    );
    assert!(layout.gaps.is_empty(), "{:?}", layout.gaps);
}

#[test]
fn the_file_systems_on_them_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    for volume in &hyper_v_layout().volumes {
        let mut check = match volume.content {
            Content::Ext => Command::new("e2fsck"),
            Content::Fat => Command::new("fsck.fat"),
            // Not `ntfsfix`: the guest had trimmed the end of this volume, where the second boot sector was.
            Content::Ntfs => Command::new("ntfsinfo"),
            _ => continue,
        };
        check.args(match volume.content {
            Content::Ext => ["-f", "-n"].as_slice(),
            Content::Ntfs => &["--force", "--mft"],
            _ => &["-n"],
        });
        run(check.arg(extract(volume, folder.path())), "");
    }
}

#[test]
fn a_volume_over_two_disks_is_put_together() {
    let lv = r#"root {
        id = "r" status = ["READ", "WRITE", "VISIBLE"] segment_count = 2
        segment1 { start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv1", 1] }
        segment2 { start_extent = 2 extent_count = 1 type = "striped" stripe_count = 1 stripes = ["pv0", 3] }
    }"#;
    let group = Group::of_two(lv);

    let layout = group.layout();

    let root = layout.volume("lvm/vg0/root").unwrap();
    assert_eq!((root.len(), root.kind.as_str()), (3 * EXTENT, "linear, 2 segments"));
    assert_eq!(group.first_bytes(root), [group.mark(1, 1), group.mark(1, 2), group.mark(0, 3)]);
    assert!(layout.gaps.is_empty(), "{:?}", layout.gaps);
}

#[test]
fn stripes_mirrors_and_running_moves_are_followed() {
    let group = Group::of_two(
        r#"fast { status = ["VISIBLE"] segment_count = 1 segment1 { start_extent = 0 extent_count = 4
            type = "striped" stripe_count = 2 stripe_size = 8 stripes = ["pv0", 0, "pv1", 2] } }
        safe { status = ["VISIBLE"] segment_count = 1 segment1 { start_extent = 0 extent_count = 1
            type = "raid1" device_count = 2 raids = ["m0", "i0", "m1", "i1"] } }
        i0 { status = ["READ"] segment_count = 1 segment1 { start_extent = 0 extent_count = 1 type = "striped"
            stripe_count = 1 stripes = ["pv0", 4] } }
        i1 { status = ["READ"] segment_count = 1 segment1 { start_extent = 0 extent_count = 1 type = "striped"
            stripe_count = 1 stripes = ["pv1", 5] } }
        moving { status = ["VISIBLE"] segment_count = 1 segment1 { start_extent = 0 extent_count = 1
            type = "striped" stripe_count = 1 stripes = ["pvmove0", 1] } }
        pvmove0 { status = ["LOCKED", "PVMOVE"] segment_count = 2
            segment1 { start_extent = 0 extent_count = 1 type = "mirror" mirrors = ["pv0", 5, "pv1", 0] }
            segment2 { start_extent = 1 extent_count = 1 type = "mirror" mirrors = ["pv0", 6, "pv1", 1] } }"#,
    );

    let layout = group.layout();

    assert!(layout.gaps.is_empty(), "{:?}", layout.gaps);
    let fast = layout.volume("lvm/vg0/fast").unwrap();
    let mut chunk = [0; 1];
    fast.read_at(4096, &mut chunk).unwrap();
    assert_eq!(chunk[0], group.mark(1, 2), "the second stripe is on the second disk");
    assert_eq!(group.first_bytes(layout.volume("lvm/vg0/safe").unwrap()), [group.mark(0, 4)]);
    assert_eq!(group.first_bytes(layout.volume("lvm/vg0/moving").unwrap()), [group.mark(0, 6)]);
    let safe = layout.volume("lvm/vg0/safe").unwrap();
    let places = safe.on_disks(&ChangedRanges::from_ranges([ByteRange::new(0, 1)])).unwrap();
    assert_eq!(places.len(), 2, "both copies");
    assert_eq!(
        layout.volume("lvm/vg0/i0").map(|volume| &volume.name),
        None,
        "internal volumes are not shown"
    );
}

#[test]
fn a_missing_disk_leaves_the_other_volumes_usable() {
    let group = Group::of_two(
        r#"here { status = ["VISIBLE"] segment_count = 1 segment1 { start_extent = 0 extent_count = 1
            type = "striped" stripe_count = 1 stripes = ["pv0", 0] } }
        gone { status = ["VISIBLE"] segment_count = 2 segment1 { start_extent = 0 extent_count = 1
            type = "striped" stripe_count = 1 stripes = ["pv0", 1] }
            segment2 { start_extent = 1 extent_count = 1 type = "striped" stripe_count = 1 stripes = ["pv1", 0] } }"#,
    );

    let layout = Layout::read(&group.disks()[..1]).unwrap();

    assert_eq!(group.first_bytes(layout.volume("lvm/vg0/here").unwrap()), [group.mark(0, 0)]);
    let gone = layout.volume("lvm/vg0/gone").unwrap();
    assert!(gone.notes[0].contains("pv1 of vg0 (/dev/sdb"), "{:?}", gone.notes);
    assert!(gone.read_at(EXTENT, &mut [0]).unwrap_err().to_string().contains("is missing"));
    assert!(layout.gaps[0].what.starts_with("LVM physical volume pv1"), "{:?}", layout.gaps);
}

#[test]
fn what_cannot_be_read_is_named() {
    let segment = |body: &str| {
        format!(
            "status = [\"VISIBLE\"] segment_count = 1 segment1 {{ start_extent = 0 extent_count = 1 {body} }}"
        )
    };
    let plain = segment(r#"type = "striped" stripe_count = 1 stripes = ["pv0", 0]"#);
    let text = format!(
        "thin {{ {} }} r5 {{ {} }} cached {{ {} }} origin {{ {plain} }} snap {{ {plain} }} loop {{ {} }} \
         snapshot0 {{ status = [\"READ\"] segment_count = 1 segment1 {{ start_extent = 0 extent_count = 1 type = \"snapshot\" \
         chunk_size = 8 origin = \"origin\" cow_store = \"snap\" }} }}",
        segment(r#"type = "thin" thin_pool = "pool""#),
        segment(r#"type = "raid5""#),
        segment(r#"type = "cache""#),
        segment(r#"type = "striped" stripe_count = 1 stripes = ["loop", 0]"#),
    );

    let layout = Group::of_two(&text).layout();

    let gaps: Vec<_> = layout.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
    assert_eq!(
        gaps,
        [
            "lvm/vg0/cached: segments of type cache cannot be read",
            "lvm/vg0/loop: its parts lie inside each other too deeply",
            "lvm/vg0/r5: segments of type raid5 cannot be read",
            "lvm/vg0/snap: it is an LVM snapshot, which cannot be read; its origin can",
            "lvm/vg0/thin: segments of type thin cannot be read",
        ]
    );
    assert!(layout.volume("lvm/vg0/origin").is_some());
}

/// A text that has been changed often runs around the end of its area.
#[test]
fn a_text_around_the_end_of_its_area_is_read_and_the_newest_wins() {
    let lv = |extent: u32| {
        format!(
            "root {{ status = [\"VISIBLE\"] segment_count = 1 segment1 {{ start_extent = 0 extent_count = 1 \
             type = \"striped\" stripe_count = 1 stripes = [\"pv0\", {extent}] }} }}"
        )
    };
    let mut group = Group::of_two(&lv(1));
    let newer = Group::of_two(&lv(2)).text.replace("seqno = 7", "seqno = 8");
    group.volumes[1] = PhysicalVolume::new(1, &newer).wrapped();

    let layout = group.layout();

    assert_eq!(group.first_bytes(layout.volume("lvm/vg0/root").unwrap()), [group.mark(0, 2)]);
    assert!(layout.gaps.is_empty(), "{:?}", layout.gaps);
}

#[test]
fn pvck_finds_the_volumes_made_here_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let group = Group::of_two("");
    for (number, volume) in group.volumes.iter().enumerate() {
        let path = folder.path().join(format!("pv{number}"));
        std::fs::write(&path, volume.clone().wrapped().bytes()).unwrap();

        let said = run(Command::new("pvck").args(["--dump", "headers"]).arg(&path), "");

        assert!(said.contains("label_header at 512") && !said.contains("CHECK"), "{said}");
    }
}

#[test]
fn a_damaged_text_or_label_is_a_gap() {
    for (at, what) in [
        (512 + 40, "label's checksum"),
        (4096 + 100, "header of a metadata area"),
        (8192 + 20, "checksum of the metadata text"),
    ] {
        let mut group = Group::of_two("");
        group.volumes[0].damage(at);
        group.volumes.truncate(1);

        let layout = group.layout();

        assert!(layout.gaps[0].why.contains(what), "{:?}", layout.gaps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mutated_volumes_are_answered_without_harm(
        hits in prop::collection::vec((0usize..16_384, any::<u8>()), 1..6),
        words in prop::collection::vec(("[a-z0-9_]{1,8}|\\{|\\}|\\[|\\]|=|\"pv0\"|18446744073709551615", 0usize..60), 0..4),
        repair in any::<bool>(),
    ) {
        let mut text = Group::of_two(r#"a { status = ["VISIBLE"] segment_count = 1 segment1 { start_extent = 0
            extent_count = 4 type = "striped" stripe_count = 2 stripe_size = 8 stripes = ["pv0", 0, "pv1", 2] } }"#).text;
        // Whole words of the text are exchanged, and its checksum made right again.
        for (word, at) in words {
            let mut parts: Vec<&str> = text.split(' ').collect();
            let place = at % parts.len();
            parts[place] = &word;
            text = parts.join(" ");
        }
        let mut volume = PhysicalVolume::new(0, &text);
        if !repair {
            hits.iter().for_each(|(at, value)| volume.put(*at, &[*value]));
        }
        let layout = Layout::read(&[volume.disk()]).unwrap();
        for volume in &layout.volumes {
            let _ = volume.read_at(0, &mut [0; 512]);
        }
    }
}

#[test]
fn a_text_with_groups_without_end_is_told_and_costs_little() {
    let text: String =
        (0..900).map(|number| format!("g{number} {{ id = \"{number}\" seqno = 1 }}\n")).collect();

    let layout = Layout::read(&[PhysicalVolume::new(0, &text).disk()]).unwrap();

    let why: Vec<_> = layout.gaps.iter().map(|gap| gap.why.as_str()).collect();
    assert_eq!(why[0], "a text describes more than 4 groups");
    assert_eq!(why.len(), 5, "and what is missing of the first four");
}
