//! The steps that `cargo xtask bench repository` measures, each as a program run of its own.
//!
//! They go the product's way: `vdisk` reads, `protection::transfer` moves, `repository` stores, `recovery` brings
//! back. Disks are raw files; the source of a disk is its file name, so that day 2 of `vm1.raw` continues day 1.

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use protection::transfer::{Selection, copy};
use recovery::{DiskTarget, TargetFormat, restore_disk};
use repository::{
    BaseDisk, DiskKey, DiskSpec, DiskView, Indexed, InitOptions, KdfStrength, Key, Opened, PointId,
    PointSpec, Repository, RestorePoint, Secret, SourceId, Unlocked,
};
use vdisk::{ByteRange, ChangedRanges, Disk, LocalFile};

/// The grain in which Hyper-V reports changed ranges at its finest.
const CHANGE_GRAIN: usize = 16 << 10;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "store_speed init REPO
store_speed scan REPO DISK...            everything that is allocated, over the last restore point if there is one
store_speed diff OLD NEW RANGES          the changed ranges in 16 KiB grain, as lines `start end`
store_speed ranges REPO DISK RANGES ...  only these, over the last restore point
store_speed restore REPO DISK-NAME OUT
store_speed restore-full REPO DISK-NAME OUT   every byte, zeros too
store_speed verify REPO
store_speed random-reads REPO DISK-NAME COUNT";

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["init", repo] => init(repo).await,
        ["scan", repo, disks @ ..] if !disks.is_empty() => scan(repo, disks).await,
        ["diff", old, new, ranges] => diff(Path::new(old), Path::new(new), Path::new(ranges)),
        ["ranges", repo, pairs @ ..] if pairs.len() >= 2 => changed(repo, pairs).await,
        ["restore", repo, disk, out] => restore(repo, disk, Path::new(out)).await,
        ["restore-full", repo, disk, out] => restore_full(repo, disk, Path::new(out)).await,
        ["verify", repo] => verify(repo).await,
        ["random-reads", repo, disk, count] => random_reads(repo, disk, count.parse()?).await,
        _ => Err(USAGE.into()),
    }
}

fn passphrase() -> Secret {
    Secret::new("bench")
}

async fn init(repo: &str) -> Outcome<()> {
    let options = InitOptions { kdf: KdfStrength::default(), ..InitOptions::new(passphrase()) };
    Repository::at_folder(Path::new(repo)).create(options).await?;
    Ok(())
}

async fn unlock(repo: &str) -> Outcome<Repository<Unlocked>> {
    Ok(Repository::at_folder(Path::new(repo)).unlock(Key::Passphrase(passphrase())).await?)
}

fn open(path: &Path) -> Outcome<Disk> {
    Ok(Disk::open_raw(Arc::new(LocalFile::open_read(path)?))?)
}

fn name_of(path: &Path) -> Outcome<String> {
    let name = path.file_name().ok_or("a disk has no file name")?;
    Ok(name.to_string_lossy().into_owned())
}

fn key() -> Outcome<DiskKey> {
    Ok(DiskKey::new("disk")?)
}

async fn scan(repo: &str, disks: &[&str]) -> Outcome<()> {
    let repository = unlock(repo).await?.index().await?;
    for disk in disks {
        store(&repository, Path::new(disk), &Selection::Allocated).await?;
    }
    Ok(())
}

async fn changed(repo: &str, pairs: &[&str]) -> Outcome<()> {
    let repository = unlock(repo).await?.index().await?;
    for pair in pairs.chunks(2) {
        let [disk, ranges] = pair else { return Err(USAGE.into()) };
        let ranges = read_ranges(Path::new(ranges))?;
        store(&repository, Path::new(disk), &Selection::Ranges(ranges)).await?;
    }
    Ok(())
}

/// One disk as one restore point, over the last one of the same name.
async fn store(repository: &Repository<Indexed>, path: &Path, selection: &Selection) -> Outcome<()> {
    let name = name_of(path)?;
    let source = SourceId::new(&*name)?;
    let disk = open(path)?;
    let base = last_point(repository, &source).await?.map(|point| point.id);
    let session = repository.begin_session().await?;
    let spec = DiskSpec {
        key: key()?,
        name: name.clone(),
        capacity_bytes: disk.capacity(),
        logical_sector: 512,
        physical_sector: 4096,
        identity: None,
        base: base.map(|point| key().map(|key| BaseDisk { point, key })).transpose()?,
    };
    let writer = session.begin_disk(spec).await?;
    let copied = copy(&disk, selection, &writer, &|_| {}).await?;
    let summary = writer.finish().await?;
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let spec = PointSpec {
        id: PointId::generate(now)?,
        source,
        source_name: name.clone(),
        created_unix_ms: now,
        labels: BTreeMap::new(),
        attachments: BTreeMap::new(),
    };
    session.commit(spec).await?;
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{name}: read {} MiB, new {} MiB, stored {} MiB",
        mib(copied.read_bytes),
        mib(summary.new_bytes),
        mib(summary.stored_bytes)
    );
    Ok(())
}

async fn last_point<State>(repository: &Repository<State>, source: &SourceId) -> Outcome<Option<RestorePoint>>
where
    State: Opened,
{
    let points = repository.points().await?.points;
    Ok(points.into_iter().rfind(|point| point.source == *source))
}

fn diff(old: &Path, new: &Path, ranges: &Path) -> Outcome<()> {
    let (old, new) = (open(old)?, open(new)?);
    let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut found = Vec::new();
    for start in (0..new.capacity()).step_by(1 << 20) {
        let length = usize::try_from((new.capacity() - start).min(1 << 20))?;
        old.read_at(start, &mut one[..length])?;
        new.read_at(start, &mut other[..length])?;
        for at in (0..length).step_by(CHANGE_GRAIN) {
            let end = (at + CHANGE_GRAIN).min(length);
            if one[at..end] != other[at..end] {
                found.push(ByteRange::new(start + at as u64, start + end as u64));
            }
        }
    }
    let lines: String = ChangedRanges::from_ranges(found)
        .iter()
        .map(|range| format!("{} {}\n", range.start, range.end))
        .collect();
    Ok(std::fs::write(ranges, lines)?)
}

fn read_ranges(path: &Path) -> Outcome<ChangedRanges> {
    let mut ranges = Vec::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let (start, end) = line.split_once(' ').ok_or("a line of ranges has no second number")?;
        ranges.push(ByteRange::new(start.parse()?, end.parse()?));
    }
    Ok(ChangedRanges::from_ranges(ranges))
}

async fn view(repo: &str, disk: &str) -> Outcome<DiskView> {
    let repository = unlock(repo).await?;
    let point = last_point(&repository, &SourceId::new(disk)?).await?.ok_or("no such disk")?;
    Ok(repository.disk(&point.id, &key()?).await?)
}

async fn restore(repo: &str, disk: &str, out: &Path) -> Outcome<()> {
    let view = view(repo, disk).await?;
    let target = DiskTarget { replace: true, ..DiskTarget::new(out, TargetFormat::Raw) };
    restore_disk(&view, &target, &|_| {}).await?;
    Ok(())
}

async fn restore_full(repo: &str, disk: &str, out: &Path) -> Outcome<()> {
    use std::io::Write;
    let view = view(repo, disk).await?;
    let mut file = std::fs::File::create(out)?;
    for start in (0..view.capacity()).step_by(4 << 20) {
        let length = usize::try_from((view.capacity() - start).min(4 << 20))?;
        file.write_all(&view.read_range(start, length).await?)?;
    }
    Ok(())
}

async fn verify(repo: &str) -> Outcome<()> {
    let repository = unlock(repo).await?;
    for point in repository.points().await?.points {
        let report = repository.verify(&point.id).await?;
        if !report.is_whole() {
            return Err(format!("restore point {} is damaged", point.id).into());
        }
    }
    Ok(())
}

/// Prints the median and the 99th percentile, in microseconds, of reads of 4 KiB anywhere in the data.
async fn random_reads(repo: &str, disk: &str, count: usize) -> Outcome<()> {
    let view = view(repo, disk).await?;
    let units: Vec<u64> =
        view.data_ranges().await?.into_iter().flat_map(|range| range.step_by(4096)).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut buffer = [0; 4096];
    let mut micros = Vec::with_capacity(count);
    for round in 0..count + count / 10 {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = units[usize::try_from(state % units.len() as u64)?];
        let begun = Instant::now();
        view.read_at(at, &mut buffer).await?;
        // The first tenth warms the map up.
        if round >= count / 10 {
            micros.push(begun.elapsed().as_micros());
        }
    }
    micros.sort_unstable();
    let at = |share: usize| micros[(micros.len() - 1) * share / 100];
    println!("p50 {} us, p99 {} us", at(50), at(99));
    Ok(())
}
