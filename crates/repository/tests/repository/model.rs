//! A model of the repository: a vector of bytes per restore point, and random backups compared with it.

use proptest::prelude::*;
use repository::DiskWriter;

use crate::common::*;

/// One backup: how much the disk grows, whether it has a base, and what happens to stretches of blocks.
#[derive(Debug, Clone)]
struct Backup {
    grow_sectors: u64,
    based: bool,
    stretches: Vec<Stretch>,
}

#[derive(Debug, Clone)]
struct Stretch {
    skip_blocks: u64,
    blocks: u64,
    act: Act,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Noise(u64),
    Text(u64),
    Zeros,
    Hole,
}

fn act() -> impl Strategy<Value = Act> {
    // Few seeds, so that blocks repeat within and between restore points.
    prop_oneof![
        3 => (0..4_u64).prop_map(Act::Noise),
        2 => (0..4_u64).prop_map(Act::Text),
        1 => Just(Act::Zeros),
        2 => Just(Act::Hole),
    ]
}

fn backups() -> impl Strategy<Value = Vec<Backup>> {
    let stretch = (0..40_u64, 1..60_u64, act()).prop_map(|(skip_blocks, blocks, act)| Stretch {
        skip_blocks,
        blocks,
        act,
    });
    let backup = (0..3000_u64, prop::bool::weighted(0.8), prop::collection::vec(stretch, 0..8));
    let backup = backup.prop_map(|(grow, based, stretches)| Backup {
        grow_sectors: if grow % 3 == 0 { grow } else { 0 },
        based,
        stretches,
    });
    prop::collection::vec(backup, 1..5)
}

fn content(act: Act, length: u64) -> Vec<u8> {
    match act {
        Act::Noise(seed) => noise(seed, length),
        Act::Text(seed) => text(seed, length),
        Act::Zeros | Act::Hole => vec![0; usize::try_from(length).unwrap()],
    }
}

async fn apply(writer: &DiskWriter, backup: &Backup, model: &mut [u8], block_bytes: u64) {
    let mut at = 0;
    for stretch in &backup.stretches {
        let start = at + stretch.skip_blocks * block_bytes;
        let end = (start + stretch.blocks * block_bytes).min(model.len() as u64);
        if start >= end {
            break;
        }
        let bytes = content(stretch.act, end - start);
        model[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()].copy_from_slice(&bytes);
        match stretch.act {
            Act::Hole => writer.hole(start..end).await.unwrap(),
            _ => writer.put(start, bytes.into()).await.unwrap(),
        }
        at = end.next_multiple_of(block_bytes);
    }
}

async fn run_model(block_bytes: u32, first_sectors: u64, backups: Vec<Backup>) {
    let located = memory();
    let repository = create(&located, block_bytes).await;
    let mut models: Vec<Vec<u8>> = Vec::new();
    let mut sectors = first_sectors;
    for (number, backup) in (0_u128..).zip(&backups) {
        sectors += backup.grow_sectors;
        let base = models.last().filter(|_| backup.based);
        let mut model = base.cloned().unwrap_or_default();
        model.resize(usize::try_from(sectors * 512).unwrap(), 0);
        let session = repository.begin_session().await.unwrap();
        let spec = disk_spec("d0", sectors * 512, base.map(|_| point_id(number - 1)));
        let writer = session.begin_disk(spec).await.unwrap();
        apply(&writer, backup, &mut model, u64::from(block_bytes)).await;
        writer.finish().await.unwrap();
        session.commit(point_spec(point_id(number))).await.unwrap();
        models.push(model);
    }
    let reader = open(&located).await;
    assert_eq!(reader.points().await.unwrap().len(), models.len());
    for (number, model) in (0_u128..).zip(&models) {
        assert!(read_all(&reader, point_id(number)).await == *model, "restore point {number}");
        let report = reader.verify(&point_id(number)).await.unwrap();
        assert!(report.is_whole(), "{report:?}");
        let view = reader.disk(&point_id(number), &key("d0")).await.unwrap();
        let mut outside = model.clone();
        for range in view.data_ranges().await.unwrap() {
            outside[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(0);
        }
        assert!(outside.iter().all(|byte| *byte == 0), "data outside data_ranges of point {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_restore_point_reads_back_as_the_model_says(
        block_bytes in prop::sample::select(vec![4096_u32, 16384, 65536, 1 << 20]),
        first_sectors in 1..9000_u64,
        backups in backups(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(run_model(block_bytes, first_sectors, backups));
    }
}

/// Found by the property above: when a disk grew past the span of its base's map and all of it was put, the base's
/// root took the place of the new first leaf, and the point showed the old content there.
#[tokio::test]
async fn a_grown_disk_that_is_written_whole_reads_back() {
    let whole = Stretch { skip_blocks: 0, blocks: 17, act: Act::Noise(0) };
    let first = Backup { grow_sectors: 0, based: false, stretches: vec![] };
    let second = Backup { grow_sectors: 1116, based: true, stretches: vec![whole] };
    run_model(65536, 933, vec![first, second]).await;
}

/// The same for a hole over a whole node of the map: the base's root must not show through it.
#[tokio::test]
async fn a_hole_over_a_grown_disk_hides_its_base() {
    let located = memory();
    let repository = create(&located, 65536).await;
    for (number, capacity) in [(0, 512 << 10), (1, (1 << 30) + (1 << 20))] {
        let session = repository.begin_session().await.unwrap();
        let base = (number == 1).then(|| point_id(0));
        let writer = session.begin_disk(disk_spec("d0", capacity, base)).await.unwrap();
        match base {
            None => writer.put(0, text(1, capacity).into()).await.unwrap(),
            Some(_) => writer.hole(0..capacity).await.unwrap(),
        }
        writer.finish().await.unwrap();
        session.commit(point_spec(point_id(number))).await.unwrap();
    }
    let view = open(&located).await.disk(&point_id(1), &key("d0")).await.unwrap();
    assert_eq!(view.data_ranges().await.unwrap(), []);
}
