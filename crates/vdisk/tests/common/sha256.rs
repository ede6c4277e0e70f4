//! SHA-256 of whole disks that are mostly zeros.
//!
//! The digest of 10 GiB takes ten seconds, nearly all of it for zeros. What a run of zeros makes of
//! the state of the hash depends on nothing but that state and the length of the run, so the results of
//! the long runs stand in `samples/sha256-of-zero-runs.txt`. A disk that is read wrong comes to a run
//! with another state, which is then not in the list, and all its zeros are hashed: the digest is right
//! in any case. With `REFPOINT_WHOLE_DIGESTS=1` the list is not used but checked, line by line.

use std::collections::BTreeMap;

use vdisk::{ByteRange, Disk, ExtentKind};

use super::MIB;

/// Shorter runs are hashed.
const LISTED_BYTES_MIN: u64 = 64 * MIB;
const LIST: &str = include_str!("../samples/sha256-of-zero-runs.txt");
const BLOCK: usize = 64;

type State = [u32; 8];

const FIRST: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 of a whole disk in hexadecimal.
pub(crate) fn of_disk(disk: &Disk) -> String {
    let mut hash = Hash { state: FIRST, zeros: 0, unlisted: Vec::new() };
    let mut buf = vec![0; MIB as usize];
    for extent in disk.extents(ByteRange::new(0, disk.capacity())) {
        let extent = extent.unwrap();
        if !matches!(extent.kind, ExtentKind::Data { .. }) {
            hash.zeros += extent.range.len();
            continue;
        }
        let mut at = extent.range.start;
        while at < extent.range.end {
            let part = &mut buf[..(extent.range.end - at).min(MIB) as usize];
            disk.read_at(at, part).unwrap();
            hash.bytes(part);
            at += part.len() as u64;
        }
    }
    hash.finish(disk.capacity())
}

struct Hash {
    state: State,
    /// Zeros that came last and are not in the state yet.
    zeros: u64,
    unlisted: Vec<String>,
}

impl Hash {
    /// Takes whole blocks of 64 bytes.
    fn bytes(&mut self, bytes: &[u8]) {
        self.take_zeros();
        self.compress(bytes);
    }

    fn compress(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        assert!(rest.is_empty(), "disks are whole sectors");
        sha2::block_api::compress256(&mut self.state, blocks);
    }

    fn take_zeros(&mut self) {
        let (before, length) = (self.state, std::mem::take(&mut self.zeros));
        let is_listed = length >= LISTED_BYTES_MIN;
        let key = format!("{} {length}", hex(before));
        let list: BTreeMap<String, &str> = LIST.lines().filter_map(row).collect();
        let check_all = std::env::var_os("REFPOINT_WHOLE_DIGESTS").is_some();
        if let Some(after) = list.get(&key).filter(|_| is_listed && !check_all) {
            self.state = unhex(after);
            return;
        }
        let mut left = length;
        while left > 0 {
            let part = left.min(ZEROS.len() as u64);
            self.compress(&ZEROS[..part as usize]);
            left -= part;
        }
        let after = hex(self.state);
        if is_listed && list.get(&key) != Some(&after.as_str()) {
            self.unlisted.push(format!("{key} {after}"));
        }
    }

    /// The padding: a bit, zeros, and the length in bits.
    fn finish(mut self, length: u64) -> String {
        self.take_zeros();
        let mut last = [0; BLOCK];
        last[0] = 0x80;
        last[BLOCK - 8..].copy_from_slice(&(length * 8).to_be_bytes());
        self.compress(&last);
        let digest = hex(self.state);
        if self.unlisted.is_empty() {
            digest
        } else {
            format!("{digest}\nnot listed:\n{}", self.unlisted.join("\n"))
        }
    }
}

static ZEROS: [u8; MIB as usize] = [0; MIB as usize];

/// State and length of a run, and the state after it.
fn row(line: &str) -> Option<(String, &str)> {
    let (key, after) = line.trim().rsplit_once(' ')?;
    (!line.starts_with('#')).then(|| (key.to_owned(), after))
}

fn hex(state: State) -> String {
    state.iter().map(|word| format!("{word:08x}")).collect()
}

fn unhex(text: &str) -> State {
    std::array::from_fn(|word| u32::from_str_radix(&text[word * 8..word * 8 + 8], 16).unwrap())
}
