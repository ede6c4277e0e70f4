//! The `wxtla` crate as a judge.
//!
//! wxtla 0.3.1 looks through UNDEFINED and UNMAPPED blocks of a child at the parent, where MS-VHDX 2.5.1.1 says
//! that the block has no content of the parent; it refuses files in which a block without data keeps its place;
//! of a VHD it knows only the footer at the end and the Current Size. Chains with such a file are not shown to it.
//!
//! It reads no chain of both formats. Of such a chain it is shown the lower files, and then the upper ones over a
//! file made by hand that has the format they need, the identity they name and the bytes that are below.

use std::sync::Arc;

use vdisk::{ByteRange, Disk, FileIo, MemoryFile};
use wxtla::images::qcow::QcowImage;
use wxtla::images::vhd::VhdImage;
use wxtla::images::vhdx::VhdxImage;
use wxtla::{
    ByteSource, ByteSourceHandle, RelatedPathBuf, RelatedSourceRequest, RelatedSourceResolver, SourceHints,
    SourceIdentity,
};

use crate::chain::{Format, Made};
use crate::judges::compare;
use crate::model::Model;
use crate::plain_vhd::whole_vhd;
use crate::plain_vhdx::whole_vhdx;

/// Whether wxtla reads this chain as the specification has it.
pub(crate) fn can_judge(made: &Made) -> bool {
    let lower_by_geometry = made.lower.as_ref().is_some_and(|lower| lower.size_by_geometry);
    !made.wxtla_differs && !made.size_by_geometry && !lower_by_geometry
}

/// Compares all files with the model.
pub(crate) fn judge(made: &Made) {
    let Some(lower) = &made.lower else { return judge_files(&made.files, made.formats[0], &made.model) };
    let upper = &made.files[..made.files.len() - lower.files.len()];
    let below = made.formats[upper.len()];
    judge_files(&lower.files, below, &lower.model);

    let files = lower.files.iter().map(|file| Arc::new(file.clone()) as Arc<dyn FileIo>).collect();
    let identity = Disk::open_chain(files).unwrap().layers().next().unwrap().data_write_guid;
    let name = lower.files[0].name();
    let stand_in = match made.formats[0] {
        Format::Vhdx => whole_vhdx(&lower.model, identity, name),
        Format::Vhd => whole_vhd(&lower.model, identity, name),
    };
    judge_files(&[upper, &[stand_in]].concat(), made.formats[0], &made.model);
}

/// Compares files of one format, leaf first, with the model.
pub(crate) fn judge_files(files: &[MemoryFile], format: Format, model: &Model) {
    let folder = Folder(files.to_vec());
    let identity = SourceIdentity::new(RelatedPathBuf::from_relative_path(files[0].name()).unwrap());
    let hints = SourceHints::new().with_resolver(&folder).with_source_identity(&identity);
    let source = Arc::new(Source(files[0].clone()));
    match format {
        Format::Vhdx => compare_all(&VhdxImage::open_with_hints(source, hints).unwrap(), model),
        Format::Vhd => compare_all(&VhdImage::open_with_hints(source, hints).unwrap(), model),
    }
}

/// Compares a qcow2 file with the model.
pub(crate) fn judge_qcow2(file: &MemoryFile, model: &Model) {
    compare_all(&QcowImage::open(Arc::new(Source(file.clone()))).unwrap(), model);
}

fn compare_all(image: &dyn ByteSource, model: &Model) {
    assert_eq!(image.size().unwrap(), model.capacity);
    for (start, end) in model.touched() {
        let range = ByteRange::new(start, end);
        compare("wxtla", range, model, &mut |offset, buf| image.read_exact_at(offset, buf).unwrap());
    }
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
