//! A qcow2 file of QEMU in one pass (QEMU's docs/interop/qcow2.txt, version 3).
//!
//! Written by ourselves, not by `qemu-img`, because writing without snapshots, compression or
//! encryption is these few lines, and it saves operators an installed QEMU. Clusters are given out in
//! ascending order and each is used once, so the reference counts are all one and can be written at
//! the end, and only one second-level table is in memory at a time. The header comes last: a file
//! cut off before has no signature.

use std::sync::Arc;

use zerocopy::big_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes, KnownLayout};

use super::{Placed, Sink, UNIT_BYTES};
use crate::error::{Error, Result};
use crate::file_io::FileIo;
use crate::number::{align_up, index};
use crate::range::ByteRange;

const CLUSTER_BITS: u32 = 16;
const CLUSTER_BYTES: u64 = 1 << CLUSTER_BITS;
const _: () = assert!(CLUSTER_BYTES == UNIT_BYTES, "zeros are left out in whole clusters");
/// Entries of a second-level table, which fills one cluster.
const L2_ENTRIES: u64 = CLUSTER_BYTES / 8;
/// Bytes of the disk that one second-level table maps.
const L2_SPAN: u64 = L2_ENTRIES * CLUSTER_BYTES;
/// Reference counts (16 bits each) in one cluster.
const COUNTS_PER_CLUSTER: u64 = CLUSTER_BYTES / 2;
/// Bit 63 of a table entry: the cluster is referenced once.
const COPIED: u64 = 1 << 63;

/// Header of version 3, without extensions (qcow2.txt, "Header").
#[derive(Debug, Clone, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    /// `QFI\xfb`.
    magic: [u8; 4],
    /// 3.
    version: U32,
    /// 0: no backing file.
    backing_file_offset: U64,
    /// 0.
    backing_file_size: U32,
    /// Clusters of 2^16 bytes.
    cluster_bits: U32,
    /// Bytes of the virtual disk.
    size: U64,
    /// 0: not encrypted.
    crypt_method: U32,
    /// Entries of the first-level table.
    l1_size: U32,
    /// Place of the first-level table.
    l1_table_offset: U64,
    /// Place of the table of reference count blocks.
    refcount_table_offset: U64,
    /// Its clusters.
    refcount_table_clusters: U32,
    /// 0.
    nb_snapshots: U32,
    /// 0.
    snapshots_offset: U64,
    /// 0.
    incompatible_features: U64,
    /// 0.
    compatible_features: U64,
    /// 0.
    autoclear_features: U64,
    /// Counts of 2^4 bits.
    refcount_order: U32,
    /// Bytes of this header.
    header_length: U32,
    /// End of the header extensions: type 0, length 0.
    no_extensions: U64,
}
const _: () = assert!(size_of::<Header>() == 112);
/// What `header_length` says: the fields of the header proper.
const HEADER_BYTES: u32 = 104;

pub(super) struct Qcow2 {
    file: Arc<dyn FileIo>,
    capacity: u64,
    /// First-level table: place of each second-level table, or 0.
    l1: Vec<u64>,
    /// The second-level table being filled: its number and entries.
    l2: Option<(u64, Vec<u64>)>,
    next_free: u64,
}

impl Qcow2 {
    pub(super) fn begin(file: Arc<dyn FileIo>, capacity: u64) -> Result<Self> {
        if !capacity.is_multiple_of(512) || capacity == 0 {
            let what = format!("the disk size is {capacity}, but qcow2 needs whole sectors of 512 bytes");
            return Err(Error::BadOptions { file: file.name().to_owned(), what });
        }
        let tables = capacity.div_ceil(L2_SPAN);
        let next_free = CLUSTER_BYTES + align_up(tables * 8, CLUSTER_BYTES);
        Ok(Self { file, capacity, l1: vec![0; index(tables)], l2: None, next_free })
    }

    fn take(&mut self, bytes: u64) -> u64 {
        let offset = self.next_free;
        self.next_free += align_up(bytes, CLUSTER_BYTES);
        offset
    }

    fn put(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.file.write_at(offset, data).map_err(|error| Error::io(self.file.name(), "write", error))
    }

    /// Makes `table` the second-level table being filled; the one before is complete.
    fn change_table(&mut self, table: u64) -> Result<()> {
        if self.l2.as_ref().is_some_and(|(current, _)| *current == table) {
            return Ok(());
        }
        self.write_table()?;
        self.l1[index(table)] = self.take(CLUSTER_BYTES) | COPIED;
        self.l2 = Some((table, vec![0; index(L2_ENTRIES)]));
        Ok(())
    }

    fn write_table(&mut self) -> Result<()> {
        let Some((table, entries)) = self.l2.take() else { return Ok(()) };
        self.put(self.l1[index(table)] & !COPIED, &big_endian(&entries))
    }

    /// Reference counts for every cluster of the file, these included; returns their table.
    fn write_counts(&mut self) -> Result<(u64, u64)> {
        let start = self.next_free;
        let used = start / CLUSTER_BYTES;
        let (mut blocks, mut tables) = (0, 0);
        // Each round needs room for the counts of the room found before; two or three rounds settle it.
        while (used + blocks + tables).div_ceil(COUNTS_PER_CLUSTER) != blocks
            || (blocks * 8).div_ceil(CLUSTER_BYTES) != tables
        {
            blocks = (used + blocks + tables).div_ceil(COUNTS_PER_CLUSTER);
            tables = (blocks * 8).div_ceil(CLUSTER_BYTES);
        }
        let mut left = used + blocks + tables;
        let mut places = Vec::with_capacity(index(blocks));
        for _ in 0..blocks {
            let counts = left.min(COUNTS_PER_CLUSTER);
            let place = self.take(CLUSTER_BYTES);
            self.put(place, &[0, 1].repeat(index(counts)))?;
            places.push(place);
            left -= counts;
        }
        let place = self.take(tables * CLUSTER_BYTES);
        self.put(place, &big_endian(&places))?;
        Ok((place, tables))
    }

    fn header(&self, refcount_table: (u64, u64)) -> Header {
        let small = |value: u64| U32::new(u32::try_from(value).unwrap_or(u32::MAX));
        Header {
            magic: *b"QFI\xfb",
            version: 3.into(),
            backing_file_offset: 0.into(),
            backing_file_size: 0.into(),
            cluster_bits: CLUSTER_BITS.into(),
            size: self.capacity.into(),
            crypt_method: 0.into(),
            l1_size: small(self.l1.len() as u64),
            l1_table_offset: CLUSTER_BYTES.into(),
            refcount_table_offset: refcount_table.0.into(),
            refcount_table_clusters: small(refcount_table.1),
            nb_snapshots: 0.into(),
            snapshots_offset: 0.into(),
            incompatible_features: 0.into(),
            compatible_features: 0.into(),
            autoclear_features: 0.into(),
            refcount_order: 4.into(),
            header_length: HEADER_BYTES.into(),
            no_extensions: 0.into(),
        }
    }
}

impl Sink for Qcow2 {
    fn place(&mut self, data: ByteRange) -> Result<Vec<Placed>> {
        let tables = data.start / L2_SPAN..data.end.div_ceil(L2_SPAN);
        let placed = tables.map(|table| {
            let part = ByteRange::at(table * L2_SPAN, L2_SPAN).intersect(data);
            self.change_table(table)?;
            let file_offset = self.take(part.len());
            if let Some((_, entries)) = &mut self.l2 {
                let first = part.start % L2_SPAN / CLUSTER_BYTES;
                for cluster in 0..part.len().div_ceil(CLUSTER_BYTES) {
                    entries[index(first + cluster)] = (file_offset + cluster * CLUSTER_BYTES) | COPIED;
                }
            }
            Ok(Placed { data: part, file_offset })
        });
        placed.collect()
    }

    fn finish(&mut self) -> Result<()> {
        self.write_table()?;
        let refcount_table = self.write_counts()?;
        self.put(CLUSTER_BYTES, &big_endian(&self.l1))?;
        let failed = |error| Error::io(self.file.name(), "make durable", error);
        self.file.set_len(self.next_free).and_then(|()| self.file.flush()).map_err(failed)?;
        self.put(0, self.header(refcount_table).as_bytes())?;
        self.file.flush().map_err(failed)
    }
}

fn big_endian(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}
