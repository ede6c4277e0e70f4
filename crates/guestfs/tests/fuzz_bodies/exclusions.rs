//! Target `exclusions`: what a backup leaves out of disks whose tables, or whose file systems, are patched.
//!
//! What is left out reads as zeros on a restored disk, and that is how it is judged: a restored disk has the same tables
//! and volumes, and, where only tables were patched, the same files. First pages are kept, and nothing lies
//! beyond a disk or in half a page.
//!
//! Input: a byte that chooses the disks, then what their tables take, or patches of a file system.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, LazyLock};

use guestfs::{
    Content, ExclusionOptions, Exclusions, Layout, NodeId, NodeKind, Source, Tree, Volume, plan_exclusions,
};
use vdisk::{ByteRange, ChangedRanges};

use super::files::Base;
use super::input::Input;
use super::sectors::Sectors;
use super::{ldm, tables};

static EXT: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/ext4-swap.img.gz")));
static NTFS: LazyLock<Base> = LazyLock::new(|| Base::unpack(include_bytes!("bases/ntfs-pagefile.img.gz")));

/// Where partitions of the tables begin, in sectors: the first three of GPT, the last three also of MBR.
const PLACES: [u64; 6] = [64, 4096, 9000, 3010, 4010, 5010];
/// Bytes that every swap area and memory file keeps.
const KEPT_BYTES: u64 = 64 << 10;
const NODES_MAX: usize = 60;
const PATCHES_MAX: usize = 16;
const FILE_BYTES_MAX: usize = 256 << 10;

pub fn body(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    let mut only_tables = true;
    let disks = match choice % 8 {
        0 | 1 => ldm::disks(&mut input),
        2 => vec![group(&mut input)],
        3 | 4 => {
            only_tables = false;
            vec![patched_files(choice, &mut input)]
        }
        _ => {
            let mut disk = contents(choice);
            tables::add_partitions(&mut disk, &mut input);
            vec![disk]
        }
    };
    let disks: Vec<Arc<dyn Source>> =
        disks.into_iter().map(|disk| Arc::new(disk) as Arc<dyn Source>).collect();
    check(&disks, only_tables, bytes.len() < 2);
}

/// A disk with a file system or a swap area wherever a partition may begin.
fn contents(choice: u8) -> Sectors {
    let mut disk = Sectors::default();
    let (one, other) = if choice & 8 == 0 { (&NTFS.bytes, &EXT.bytes) } else { (&EXT.bytes, &NTFS.bytes) };
    disk.lay(PLACES[0], one);
    disk.lay(if choice & 16 == 0 { PLACES[1] } else { PLACES[2] }, other);
    for place in PLACES.into_iter().skip(2) {
        put_swap(&mut disk, place * 512, 70);
    }
    disk
}

/// A file system that has the whole disk, or the first partition of it.
fn patched_files(choice: u8, input: &mut Input<'_>) -> Sectors {
    let base: &'static Base = if choice & 8 == 0 { &NTFS } else { &EXT };
    let mut disk = Sectors::default();
    let start = if choice & 16 == 0 { 0 } else { PLACES[0] };
    disk.lay(start, &base.bytes);
    if start > 0 {
        // GPT, whose first partition has room for either.
        tables::add_partitions(&mut disk, &mut Input::new(&[1]));
    }
    for _ in 0..PATCHES_MAX {
        if input.is_empty() {
            break;
        }
        let sector = base.telling[input.below(base.telling.len() as u64) as usize] as u64;
        let offset = input.below(512);
        let count = usize::from(input.byte()) % 16 + 1;
        disk.put((start + sector) * 512 + offset, input.take(count));
    }
    disk
}

/// A volume group whose volume is a swap area.
fn group(input: &mut Input<'_>) -> Sectors {
    let mut disk = Sectors::default();
    put_swap(&mut disk, 2048 * 512, 200);
    tables::add_group(&mut disk, input);
    disk
}

fn put_swap(disk: &mut Sectors, at: u64, pages: u32) {
    disk.put(at + 1024, &[1, 0, 0, 0]);
    disk.put(at + 1028, &(pages - 1).to_le_bytes());
    disk.put(at + 4086, b"SWAPSPACE2");
}

/// `is_sound` says that nothing was patched.
fn check(disks: &[Arc<dyn Source>], only_tables: bool, is_sound: bool) {
    let Ok(layout) = Layout::read(disks) else { return };
    let less = plan_exclusions(&layout, ExclusionOptions { free_space: false });
    assert!(!is_sound || !less.items.is_empty(), "nothing of sound disks is left out: {:?}", less.kept);
    let more = plan_exclusions(&layout, ExclusionOptions { free_space: true });
    for plan in [&less, &more] {
        check_plan(plan, &layout, disks);
        check_restored(plan, &layout, disks, only_tables);
    }
    for (disk, ranges) in &less.disks {
        assert!(ranges.minus(&more.disks[disk]).is_empty(), "more is left out of disk {disk} on request");
    }
}

/// Whole pages of disks, and the first pages of swap areas kept.
fn check_plan(plan: &Exclusions, layout: &Layout, disks: &[Arc<dyn Source>]) {
    for (number, ranges) in &plan.disks {
        let size = disks[*number].len();
        for range in ranges {
            assert!(
                range.end <= size && range.start % 4096 == 0 && range.end % 4096 == 0,
                "{range:?} of {size}"
            );
        }
    }
    for item in &plan.items {
        assert!(layout.volume(&item.volume).is_some() && !item.what.is_empty());
    }
    for kept in &plan.kept {
        assert!(layout.volume(&kept.volume).is_some() && !kept.what.is_empty() && !kept.why.is_empty());
    }
    for volume in layout.volumes.iter().filter(|volume| volume.content == Content::LinuxSwap) {
        let first = ChangedRanges::from_ranges([ByteRange::new(0, KEPT_BYTES.min(volume.len()))]);
        for (disk, held) in volume.on_disks(&first).unwrap_or_default() {
            let excluded = plan.disks.get(&disk).cloned().unwrap_or_default();
            assert!(held.intersect(&excluded).is_empty(), "the first pages of {} are left out", volume.name);
        }
    }
}

/// A disk as it is restored: what was left out is zero.
struct Restored {
    disk: Arc<dyn Source>,
    excluded: ChangedRanges,
}

impl Source for Restored {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buf)?;
        let wanted = ByteRange::at(offset, buf.len() as u64);
        for range in &self.excluded {
            let part = range.intersect(wanted);
            if !part.is_empty() {
                buf[(part.start - offset) as usize..(part.end - offset) as usize].fill(0);
            }
        }
        Ok(())
    }

    fn logical_sector(&self) -> u32 {
        self.disk.logical_sector()
    }

    fn name(&self) -> &str {
        self.disk.name()
    }
}

/// The restored disks have the same tables and volumes, and the same files where the file systems are sound.
fn check_restored(plan: &Exclusions, layout: &Layout, disks: &[Arc<dyn Source>], only_tables: bool) {
    if plan.disks.is_empty() {
        return;
    }
    let restored = disks.iter().enumerate().map(|(number, disk)| {
        let excluded = plan.disks.get(&number).cloned().unwrap_or_default();
        Arc::new(Restored { disk: Arc::clone(disk), excluded }) as Arc<dyn Source>
    });
    let after = Layout::read(&restored.collect::<Vec<_>>()).expect("a restored disk is read");
    if !only_tables && layout.disks[0].kind == guestfs::TableKind::None {
        return;
    }
    assert_eq!(layout.disks, after.disks);
    assert_eq!(layout.gaps, after.gaps);
    assert_eq!(layout.volumes.len(), after.volumes.len());
    let touched: BTreeSet<&str> = plan.items.iter().map(|item| item.volume.as_str()).collect();
    for (before, after) in layout.volumes.iter().zip(&after.volumes) {
        assert!(before.name == after.name && before.map() == after.map(), "{before:?} became {after:?}");
        if only_tables || !touched.contains(before.name.as_str()) {
            assert_eq!(before.detail, after.detail, "{}", before.name);
            check_files(before, after, plan);
        }
    }
}

fn check_files(before: &Volume, after: &Volume, plan: &Exclusions) {
    let Ok(old) = before.open() else { return };
    let new = after.open().expect("a file system opens on the restored disk too");
    assert_eq!(old.facts(), new.facts());
    let given_up: Vec<NodeId> = plan
        .items
        .iter()
        .filter(|item| item.volume == before.name)
        .filter_map(|item| old.find(&item.what).ok())
        .collect();
    let mut waiting = vec![old.root()];
    let mut seen = BTreeSet::from([old.root()]);
    while let Some(node) = waiting.pop() {
        let Ok(metadata) = old.metadata(node) else { continue };
        assert_eq!(Some(&metadata), new.metadata(node).ok().as_ref());
        if metadata.kind == NodeKind::File {
            let kept = if given_up.contains(&node) { KEPT_BYTES as usize } else { FILE_BYTES_MAX };
            assert!(
                content(&*old, node, kept) == content(&*new, node, kept),
                "node {} of {}",
                node.0,
                before.name
            );
        }
        let Ok(entries) = old.list(node) else { continue };
        assert_eq!(Some(&entries), new.list(node).ok().as_ref());
        for entry in entries.into_iter().filter(|entry| seen.insert(entry.node)).take(NODES_MAX) {
            waiting.push(entry.node);
        }
    }
}

fn content(tree: &dyn Tree, node: NodeId, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    let length = tree.read_at(node, None, 0, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}
