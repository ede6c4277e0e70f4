//! The readers that judge: ours, `wxtla`, and `qemu-img`.
//!
//! wxtla 0.3.1 looks through UNDEFINED and UNMAPPED blocks of a child at the parent, where MS-VHDX 2.5.1.1 says
//! that the block has no content of the parent; and it refuses files in which a block without data keeps its
//! place. Chains with such a block are not shown to it. QEMU reads no child and no sectors of 4096 bytes.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use vdisk::{ByteRange, Disk, ExtentKind, FileIo, LocalFile, MemoryFile, Target, write_image};
use wxtla::images::vhdx::VhdxImage;
use wxtla::{
    ByteSource, ByteSourceHandle, RelatedPathBuf, RelatedSourceRequest, RelatedSourceResolver, SourceHints,
    SourceIdentity,
};

use crate::chain::Made;
use crate::model::Model;

/// One image in so many goes to a process of QEMU, each of which takes longer than everything else.
const QEMU_EVERY: u64 = 20;
const REWRITE_EVERY: u64 = 4;
/// Most bytes compared at a time.
const PIECE: u64 = 1 << 20;

/// How many images each judge saw.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) images: u64,
    chains: u64,
    pub(crate) wxtla: u64,
    rewritten: u64,
    qemu_judged: u64,
    qemu_made: u64,
}

impl Tally {
    pub(crate) const fn is_by_qemu_too(&self) -> bool {
        self.qemu_judged > 0 && self.qemu_made > 0
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            images: self.images + other.images,
            chains: self.chains + other.chains,
            wxtla: self.wxtla + other.wxtla,
            rewritten: self.rewritten + other.rewritten,
            qemu_judged: self.qemu_judged + other.qemu_judged,
            qemu_made: self.qemu_made + other.qemu_made,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, chains, wxtla, rewritten, qemu_judged, qemu_made } = self;
        write!(
            f,
            "{images} images, {chains} of them with parents: all read by us, {wxtla} by wxtla, {rewritten} \
             written anew, {qemu_judged} judged by qemu-img, {qemu_made} made by it"
        )
    }
}

/// Lets every judge that fits read the image.
pub(crate) fn judge(seed: u64, made: &Made, tally: &mut Tally) {
    let disk = Disk::open_chain(made.shared()).unwrap();
    by_us(&disk, &made.model);
    tally.images += 1;
    if !made.wxtla_differs {
        by_wxtla(&made.files, &made.model);
        tally.wxtla += 1;
    }
    if seed.is_multiple_of(REWRITE_EVERY) {
        written_anew(&disk, &made.model);
        tally.rewritten += 1;
    }
    if made.files.len() > 1 {
        tally.chains += 1;
    } else if seed % QEMU_EVERY == 1 && disk.logical_sector() == 512 {
        by_qemu(&made.files[0], &made.model);
        tally.qemu_judged += 1;
    } else if seed % QEMU_EVERY == 2 {
        made_by_qemu(seed, &made.model);
        tally.qemu_made += 1;
    }
}

/// Reads agree with the model wherever it was written and wherever the disk says that data is; the rest of
/// the disk is said to be nothing.
fn by_us(disk: &Disk, model: &Model) {
    assert_eq!(disk.capacity(), model.capacity);
    let mut at = 0;
    for extent in disk.extents(ByteRange::new(0, u64::MAX)) {
        let extent = extent.unwrap();
        assert_eq!(extent.range.start, at);
        at = extent.range.end;
        if matches!(extent.kind, ExtentKind::Data { .. }) {
            compare("vdisk", extent.range, model, &mut |offset, buf| disk.read_at(offset, buf).unwrap());
        }
    }
    assert_eq!(at, model.capacity);
    for (start, end) in model.touched() {
        let range = ByteRange::new(start, end);
        compare("vdisk", range, model, &mut |offset, buf| disk.read_at(offset, buf).unwrap());
    }
}

fn compare(judge: &str, range: ByteRange, model: &Model, read: &mut dyn FnMut(u64, &mut [u8])) {
    let mut buf = vec![0xEE; range.len().min(PIECE) as usize];
    let mut at = range.start;
    while at < range.end {
        let part = &mut buf[..(range.end - at).min(PIECE) as usize];
        read(at, part);
        let expected = model.read(at, part.len() as u64);
        if *part != expected {
            let first = part.iter().zip(&expected).position(|(one, other)| one != other);
            panic!("{judge} reads something else at {}", at + first.unwrap_or(0) as u64);
        }
        at += part.len() as u64;
    }
}

fn by_wxtla(files: &[MemoryFile], model: &Model) {
    let image = open_wxtla(files);
    assert_eq!(image.size().unwrap(), model.capacity);
    for (start, end) in model.touched() {
        let range = ByteRange::new(start, end);
        compare("wxtla", range, model, &mut |offset, buf| image.read_exact_at(offset, buf).unwrap());
    }
}

fn open_wxtla(files: &[MemoryFile]) -> VhdxImage {
    let folder = Folder(files.to_vec());
    let identity = SourceIdentity::new(RelatedPathBuf::from_relative_path(files[0].name()).unwrap());
    let hints = SourceHints::new().with_resolver(&folder).with_source_identity(&identity);
    VhdxImage::open_with_hints(Arc::new(Source(files[0].clone())), hints).unwrap()
}

/// A file in memory, for wxtla.
struct Source(MemoryFile);

impl ByteSource for Source {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> wxtla::Result<usize> {
        let held = self.0.len().unwrap().saturating_sub(offset).min(buf.len() as u64) as usize;
        self.0.read_at(offset, &mut buf[..held]).unwrap();
        Ok(held)
    }

    fn size(&self) -> wxtla::Result<u64> {
        Ok(self.0.len().unwrap())
    }
}

/// The files of a chain, found by their names.
struct Folder(Vec<MemoryFile>);

impl RelatedSourceResolver for Folder {
    fn resolve(&self, request: &RelatedSourceRequest) -> wxtla::Result<Option<ByteSourceHandle>> {
        let path = request.path.to_string();
        let file = self.0.iter().find(|file| path.rsplit('/').next() == Some(file.name()));
        Ok(file.map(|file| Arc::new(Source(file.clone())) as ByteSourceHandle))
    }
}

/// The whole chain as one new file.
fn written_anew(disk: &Disk, model: &Model) {
    let file = MemoryFile::new("anew.vhdx");
    let target = Target::Vhdx { kind: vdisk::CreateKind::Dynamic, block_bytes: Some(1 << 20), disk_id: None };
    let shared: Arc<dyn FileIo> = Arc::new(file.clone());
    write_image(disk, &shared, &target, &|_| std::ops::ControlFlow::Continue(())).unwrap();
    by_us(&Disk::open(shared).unwrap(), model);
    by_wxtla(&[file], model);
}

fn by_qemu(file: &MemoryFile, model: &Model) {
    let folder = tempfile::tempdir().unwrap();
    let (image, raw) = (folder.path().join("disk.vhdx"), folder.path().join("disk.raw"));
    save(file, &image);
    save(&model.raw(), &raw);
    qemu_img(&["check", "-f", "vhdx"], &[&image]);
    qemu_img(&["compare", "-f", "raw", "-F", "vhdx"], &[&raw, &image]);
}

fn made_by_qemu(seed: u64, model: &Model) {
    let folder = tempfile::tempdir().unwrap();
    let (image, raw) = (folder.path().join("disk.vhdx"), folder.path().join("disk.raw"));
    save(&model.raw(), &raw);
    let options = ["block_size=1M", "block_size=16M", "block_size=1M,block_state_zero=off", "log_size=3M"];
    let options = options[(seed / QEMU_EVERY) as usize % options.len()];
    qemu_img(&["convert", "-f", "raw", "-O", "vhdx", "-o", options], &[&raw, &image]);
    by_us(&Disk::open_local(&image).unwrap(), model);
}

/// Writes what is not zero; the rest stays a hole.
fn save(file: &MemoryFile, path: &Path) {
    let local = LocalFile::create_new(path).unwrap();
    let length = file.len().unwrap();
    local.set_len(length).unwrap();
    let mut at = 0;
    while at < length {
        let run = file.run_at(at).unwrap();
        let end = run.end.min(at + PIECE);
        if run.is_hole {
            at = run.end;
            continue;
        }
        let mut bytes = vec![0; (end - at) as usize];
        file.read_at(at, &mut bytes).unwrap();
        if !vdisk::is_zero(&bytes) {
            local.write_at(at, &bytes).unwrap();
        }
        at = end;
    }
}

fn qemu_img(arguments: &[&str], paths: &[&Path]) {
    let output = Command::new("qemu-img").args(arguments).args(paths).output();
    let output = output.unwrap_or_else(|error| panic!("qemu-img is needed by this test: {error}"));
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "qemu-img {arguments:?}: {said}");
}
