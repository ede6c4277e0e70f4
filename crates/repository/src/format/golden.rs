//! Golden bytes of every object, with fixed keys and salts, and hostile input for every parser.
//!
//! A change of a golden text is a change of the format: it needs a new version in
//! docs/formats/repository.md, never just an accepted snapshot. Frames are raw here, so that a new zstd
//! cannot change them.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::config::{Config, Plain, read_plain};
use super::envelope::{self, Kind};
use super::map::{self, Item};
use super::pack::{self, Codec, Frame, LooseFrame, PackBuilder};
use super::point::{AttachmentRecord, DiskRecord, RestorePoint, SessionRuns, WriteSummary};
use super::run::{Run, RunEntry, RunFrame, RunPack};
use super::slot::{self, KdfStrength, Slot};
use super::{Fault, Parsed};
use crate::name::{ChunkId, DiskKey, PointId, SessionId, SourceId};
use crate::seal::Keys;
use crate::secret::Secret;

const SALT: [u8; 32] = [0x5a; 32];
const REPOSITORY: [u8; 16] = [0x11; 16];
const PACK: &str = "packs/22/22222222222222222222222222222222-0";

fn keys() -> Keys {
    Keys::from_root(Zeroizing::new([0x77; 32]))
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        write!(text, "{:04x} ", line * 16).unwrap();
        chunk.iter().for_each(|byte| write!(text, " {byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn config() -> Config {
    Config { repository: REPOSITORY, block_bytes: 65536, pack_bytes: 32 << 20, frame_bytes: 128 << 10 }
}

fn run() -> Run {
    let frame = |number: u32, codec| RunFrame {
        pack: 0,
        number,
        offset: 48 + number * 1000,
        stored_bytes: 1000,
        plain_bytes: 8192,
        codec,
    };
    let entry = |id: u8, frame, offset| RunEntry { id: ChunkId([id; 16]), frame, offset, length: 4096 };
    Run {
        packs: vec![RunPack { number: 3, bytes: 4000, salt: SALT }],
        frames: vec![frame(0, Codec::Raw), frame(1, Codec::Zstd)],
        entries: vec![entry(1, 1, 0), entry(2, 0, 0), entry(9, 1, 4096)],
    }
}

fn leaf() -> Vec<Item> {
    let chunk = |units, id: u8| Item::Chunk { units, id: ChunkId([id; 16]) };
    vec![chunk(16, 1), Item::Hole { units: 224 }, chunk(15, 2), Item::Hole { units: 1 }]
}

fn node() -> Vec<map::Child> {
    let mut children = vec![None; 1024];
    (children[0], children[1], children[1023]) =
        (Some(ChunkId([1; 16])), Some(ChunkId([2; 16])), Some(ChunkId([3; 16])));
    children
}

fn point() -> RestorePoint {
    RestorePoint {
        id: PointId::from_uuid(uuid::Uuid::from_u128(0x1234)),
        source: SourceId::new("vm-1").unwrap(),
        source_name: "SQL01".into(),
        created_unix_ms: 1_700_000_000_000,
        labels: BTreeMap::from([("method".into(), "full".into())]),
        disks: vec![DiskRecord {
            key: DiskKey::new("scsi-0-0").unwrap(),
            name: "sql01.vhdx".into(),
            capacity_bytes: 1 << 40,
            logical_sector: 512,
            physical_sector: 4096,
            identity: None,
            summary: WriteSummary {
                put_bytes: 5,
                new_bytes: 4,
                reused_bytes: 1,
                zero_bytes: 0,
                stored_bytes: 3,
            },
            levels: 2,
            root: Some(ChunkId([4; 16])),
        }],
        attachments: vec![AttachmentRecord {
            name: "vm.json".into(),
            bytes: 2,
            chunks: vec![ChunkId([5; 16])],
        }],
        session: SessionId([0x22; 16]),
        runs: vec![SessionRuns { session: SessionId([0x22; 16]), runs: 1 }],
    }
}

fn built_pack() -> Vec<u8> {
    let mut builder = PackBuilder::new(PACK.into(), &keys(), SALT);
    let chunk = |id: u8, length: u32| (ChunkId([id; 16]), length);
    for (payload, chunks) in
        [(vec![7; 40], vec![chunk(1, 30), chunk(2, 10)]), (vec![8; 5], vec![chunk(3, 5)])]
    {
        let plain_bytes = u32::try_from(payload.len()).unwrap();
        builder.add(LooseFrame { codec: Codec::Raw, plain_bytes, payload, chunks }).unwrap();
    }
    builder.finish().unwrap().parts.concat()
}

fn read_pack(bytes: &[u8]) -> Parsed<Vec<Frame>> {
    let size = u32::try_from(bytes.len()).unwrap();
    let (Some(head), Some(foot)) =
        (bytes.get(..48), bytes.len().checked_sub(32).and_then(|at| bytes.get(at..)))
    else {
        return Err(Fault::Damaged("it is cut short"));
    };
    let (salt, offset, length) = pack::locate_directory(head, foot, size)?;
    let sealed = &bytes[offset as usize..(offset + length) as usize];
    pack::open_directory(PACK, &keys(), (&salt, offset), sealed)
}

#[test]
fn config_keeps_its_bytes() {
    let bytes = config().encode(&keys(), &SALT).unwrap();
    insta::assert_snapshot!("config", dump(&bytes));
    assert_eq!(read_plain(&bytes), Ok(Plain::Ours(REPOSITORY)));
    assert_eq!(Config::open(&bytes, &keys()), Ok(Some(config())));
    assert_eq!(Config::open(&bytes, &Keys::from_root(Zeroizing::new([0; 32]))), Ok(None));
}

#[test]
fn key_slots_keep_their_bytes() {
    let (passphrase, root) = (Secret::new("golden"), Zeroizing::new([0x77; 32]));
    let strength = KdfStrength { memory_kib: 8, passes: 1, lanes: 1 };
    let bytes = slot::encode("keys/1", (REPOSITORY, SALT), strength, (&passphrase, &root)).unwrap();
    insta::assert_snapshot!("slot", dump(&bytes));
    let slot = Slot::parse("keys/1", &bytes).unwrap();
    assert_eq!((slot.repository, slot.open(&passphrase).unwrap()), (REPOSITORY, Some(root)));
    assert!(slot.open(&Secret::new("gilded")).unwrap().is_none());
    assert!(Slot::parse("keys/2", &bytes).unwrap().open(&passphrase).unwrap().is_none());
}

#[test]
fn packs_keep_their_bytes() {
    let bytes = built_pack();
    insta::assert_snapshot!("pack", dump(&bytes));
    let frames = read_pack(&bytes).unwrap();
    let shape: Vec<_> =
        frames.iter().map(|frame| (frame.offset, frame.stored_bytes, frame.chunks.len())).collect();
    assert_eq!(shape, [(48, 56, 2), (104, 21, 1)]);
    let key = keys().pack_key(&SALT);
    let mut sealed = bytes[104..125].to_vec();
    assert_eq!(pack::open_frame(&key, PACK, (1, Codec::Raw, 5), &mut sealed).unwrap(), [8; 5]);
}

#[test]
fn runs_keep_their_bytes() {
    let bytes = run().encode().unwrap();
    insta::assert_snapshot!("run", dump(&bytes));
    assert_eq!(Run::parse(&bytes), Ok(run()));
}

#[test]
fn leaves_and_nodes_keep_their_bytes() {
    let (leaf_bytes, node_bytes) =
        (map::encode_leaf(&leaf()).unwrap(), map::encode_node(2, &node()).unwrap());
    insta::assert_snapshot!("leaf", dump(&leaf_bytes));
    insta::assert_snapshot!("node", dump(&node_bytes));
    assert_eq!(map::parse_leaf(&leaf_bytes), Ok(leaf()));
    assert_eq!(map::parse_node(&node_bytes, 2), Ok(node()));
    assert!(map::parse_node(&node_bytes, 1).is_err());
    assert_eq!(map::encode_leaf(&[Item::Hole { units: 256 }]), None);
    assert_eq!(map::encode_node(1, &vec![None; 1024]), None);
}

#[test]
fn restore_points_keep_their_bytes() {
    let content = point().encode().unwrap();
    insta::assert_snapshot!("point", String::from_utf8(content.clone()).unwrap());
    assert_eq!(RestorePoint::parse(&point().source, point().id, &content), Ok(point()));
    let other = SourceId::new("vm-2").unwrap();
    assert!(RestorePoint::parse(&other, point().id, &content).is_err());
    let unknown = String::from_utf8(content).unwrap().replacen('{', "{\"later\":1,", 1);
    assert_eq!(RestorePoint::parse(&point().source, point().id, unknown.as_bytes()), Ok(point()));
}

#[test]
fn sealed_objects_keep_their_bytes() {
    let bytes = envelope::seal(Kind::Companion, "points/a/b.c", &keys(), &SALT, b"content".to_vec()).unwrap();
    insta::assert_snapshot!("companion", dump(&bytes));
    let open = |kind, name| envelope::open(kind, name, &keys(), &bytes);
    assert_eq!(open(Kind::Companion, "points/a/b.c"), Ok(b"content".to_vec()));
    assert!(open(Kind::Point, "points/a/b.c").is_err() && open(Kind::Companion, "points/a/b.d").is_err());
    let mut newer = bytes.clone();
    newer[4] = 2;
    assert_eq!(envelope::open(Kind::Companion, "points/a/b.c", &keys(), &newer), Err(Fault::Newer(2)));
}

#[test]
fn the_identity_of_bytes_stays() {
    assert_eq!(keys().chunk_id(b"refpoint").to_string(), "ee2acfa3b4a62d91b7ee857e869c7d92");
}

#[test]
fn key_strength_beyond_the_bounds_is_not_accepted() {
    let fits = |memory_kib, passes, lanes| KdfStrength { memory_kib, passes, lanes }.in_bounds();
    assert!(fits(8, 1, 1) && fits(1 << 20, 16, 8) && KdfStrength::default().in_bounds());
    assert!(!fits(7, 1, 1) && !fits((1 << 20) + 1, 1, 1) && !fits(8, 0, 1) && !fits(8, 17, 1));
    assert!(!fits(63, 1, 8) && !fits(64, 1, 0) && !fits(128, 1, 9));
}

/// Every parser, on bytes from anyone. Returns how many accepted them.
fn parse_everything(bytes: &[u8]) -> usize {
    [
        matches!(read_plain(bytes), Ok(Plain::Ours(_))),
        matches!(Config::open(bytes, &keys()), Ok(Some(_))),
        Slot::parse("keys/1", bytes).is_ok(),
        read_pack(bytes).is_ok(),
        Run::parse(bytes).is_ok(),
        map::parse_leaf(bytes).is_ok(),
        map::parse_node(bytes, 1).is_ok(),
        RestorePoint::parse(&point().source, point().id, bytes).is_ok(),
        envelope::open(Kind::Run, "index/1", &keys(), bytes).is_ok(),
    ]
    .into_iter()
    .filter(|accepted| *accepted)
    .count()
}

proptest! {
    #[test]
    fn parsers_return_an_error_for_noise(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(parse_everything(&bytes), 0);
    }

    #[test]
    fn parsers_survive_good_objects_with_bad_parts(
        which in 0..7_usize,
        cut in 0..2000_usize,
        patches in prop::collection::vec((0..2000_usize, any::<u8>()), 1..6),
    ) {
        let strength = KdfStrength { memory_kib: 8, passes: 1, lanes: 1 };
        let root = Zeroizing::new([0x77; 32]);
        let mut bytes = match which {
            0 => config().encode(&keys(), &SALT).unwrap(),
            1 => slot::encode("keys/1", (REPOSITORY, SALT), strength, (&Secret::new("x"), &root)).unwrap(),
            2 => built_pack(),
            3 => run().encode().unwrap(),
            4 => map::encode_leaf(&leaf()).unwrap(),
            5 => map::encode_node(1, &node()).unwrap(),
            _ => point().encode().unwrap(),
        };
        for (at, byte) in patches {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        bytes.truncate(cut.max(1));
        // Runs and maps carry no seal of their own here, so some changes parse; none may panic.
        prop_assert!(parse_everything(&bytes) <= 2);
    }
}
