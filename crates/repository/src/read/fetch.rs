//! Fetching chunks by plan: locate all, group by frame, merge neighbouring frames into few range reads,
//! decode on blocking threads, and hash every chunk before it is handed out.
//!
//! A chunk is used only after its frame's seal *and* its own identity were checked. Damage is an error
//! for the chunks that it touches, not for the others.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt;

use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::Fault;
use crate::format::pack::open_frame;
use crate::index::{FrameKey, Location};
use crate::name::{ChunkId, pack_object};

/// Frames closer than this are read in one go: a seek costs more than the gap.
const GAP_BYTES_MAX: u32 = 64 << 10;
/// One range read stays below this, so that its frames decode on several cores.
const READ_BYTES_MAX: u32 = 1 << 20;
/// Range reads under way at once: keeps the disk and two to four cores busy with little memory.
const READS_AT_ONCE: usize = 4;

/// A chunk to fetch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) id: ChunkId,
    /// The length it must have, where the caller knows.
    pub(crate) bytes: Option<u32>,
}

/// A frame that was opened and decompressed.
#[derive(Debug)]
pub(crate) struct DecodedFrame {
    plain: Bytes,
    /// Chunks of this frame whose identity was checked.
    checked: Mutex<HashSet<ChunkId>>,
}

impl DecodedFrame {
    /// The chunk's bytes, after its identity was checked once.
    fn chunk(&self, core: &Core, object: &str, wanted: &Placed) -> Result<Bytes> {
        let range =
            wanted.location.offset as usize..(wanted.location.offset + wanted.location.length) as usize;
        if range.end > self.plain.len() {
            return Err(core.store.damaged(object, "a chunk lies outside its frame"));
        }
        let bytes = self.plain.slice(range);
        let known = self.checked.lock().unwrap_or_else(PoisonError::into_inner).contains(&wanted.id);
        if !known {
            if core.keys.chunk_id(&bytes) != wanted.id {
                return Err(core.store.damaged(object, "a chunk does not match its identity"));
            }
            self.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted.id);
        }
        Ok(bytes)
    }
}

/// A chunk that was asked for (by position) and where it is.
#[derive(Debug, Clone)]
struct Placed {
    position: usize,
    id: ChunkId,
    location: Location,
}

/// One range read: frames of one pack that lie close together.
struct ReadRun {
    bytes: Range<u32>,
    frames: Vec<(FrameKey, Vec<Placed>)>,
}

type Delivery = (usize, std::result::Result<Bytes, Arc<Error>>);

/// Fetches all chunks, or fails with the first damage.
pub(crate) async fn fetch_all(
    core: &Arc<Core>,
    wanted: &[Wanted],
) -> std::result::Result<Vec<Bytes>, Arc<Error>> {
    let mut found = vec![Bytes::new(); wanted.len()];
    let mut failure = None;
    fetch(core, wanted, |position, result| match result {
        Ok(bytes) => found[position] = bytes,
        Err(cause) => failure = Some(cause),
    })
    .await;
    failure.map_or(Ok(found), Err)
}

/// Fetches chunks and delivers each once, by its position in `wanted`, in no certain order.
pub(crate) async fn fetch(
    core: &Arc<Core>,
    wanted: &[Wanted],
    mut deliver: impl FnMut(usize, std::result::Result<Bytes, Arc<Error>>),
) {
    let mut missing: BTreeMap<FrameKey, Vec<Placed>> = BTreeMap::new();
    let index = core.index();
    for (position, want) in wanted.iter().enumerate() {
        match locate(core, &index, position, want) {
            Ok(placed) => missing.entry(placed.location.frame).or_default().push(placed),
            Err(cause) => deliver(position, Err(Arc::new(cause))),
        }
    }
    missing.retain(|key, placed| {
        let Some(frame) = core.frames.get(key) else { return true };
        for one in placed {
            let result = frame.chunk(core, &pack_object(key.session, key.pack), one);
            deliver(one.position, result.map_err(Arc::new));
        }
        false
    });
    let mut reads = futures::stream::iter(plan(missing))
        .map(|run| read_run(Arc::clone(core), run))
        .buffer_unordered(READS_AT_ONCE);
    while let Some(deliveries) = reads.next().await {
        for (position, result) in deliveries {
            deliver(position, result);
        }
    }
}

fn locate(core: &Core, index: &crate::index::Index, position: usize, want: &Wanted) -> Result<Placed> {
    let chunk = || format!("chunk {}", want.id);
    let Some(location) = index.find(&want.id) else {
        return Err(Error::MissingObject { place: core.store.place().to_owned(), object: chunk() });
    };
    if want.bytes.is_some_and(|bytes| bytes != location.length) {
        return Err(core.store.damaged(&chunk(), "its length differs between map and index"));
    }
    Ok(Placed { position, id: want.id, location })
}

/// Merges frames, which come in storage order, into range reads.
fn plan(frames: BTreeMap<FrameKey, Vec<Placed>>) -> Vec<ReadRun> {
    let mut runs: Vec<ReadRun> = Vec::new();
    for (key, placed) in frames {
        let Some(location) = placed.first().map(|one| one.location.clone()) else { continue };
        let (start, end) = (location.frame_offset, location.frame_offset + location.stored_bytes);
        let close = runs.last_mut().filter(|run| {
            let last = run.frames.last().map(|(last, _)| (last.session, last.pack));
            last == Some((key.session, key.pack))
                && start >= run.bytes.end
                && start - run.bytes.end <= GAP_BYTES_MAX
                && end - run.bytes.start <= READ_BYTES_MAX
        });
        match close {
            Some(run) => {
                run.bytes.end = end;
                run.frames.push((key, placed));
            }
            None => runs.push(ReadRun { bytes: start..end, frames: vec![(key, placed)] }),
        }
    }
    runs
}

async fn read_run(core: Arc<Core>, run: ReadRun) -> Vec<Delivery> {
    let positions: Vec<usize> =
        run.frames.iter().flat_map(|(_, placed)| placed.iter().map(|one| one.position)).collect();
    let all_failed = |cause: Error| {
        let cause = Arc::new(cause);
        positions.iter().map(|position| (*position, Err(Arc::clone(&cause)))).collect()
    };
    let Some((key, _)) = run.frames.first() else { return Vec::new() };
    let object = pack_object(key.session, key.pack);
    let range = u64::from(run.bytes.start)..u64::from(run.bytes.end);
    let sealed = match core.store.get_range(&object, range).await {
        Ok(sealed) => sealed,
        Err(cause) => return all_failed(cause),
    };
    match tokio::task::spawn_blocking(move || decode_run(&core, &object, &run, &sealed)).await {
        Ok(deliveries) => deliveries,
        Err(cause) => all_failed(Error::internal(cause)),
    }
}

fn decode_run(core: &Core, object: &str, run: &ReadRun, sealed: &[u8]) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for (key, placed) in &run.frames {
        match decode_frame(core, object, *key, placed, (sealed, run.bytes.start)) {
            Ok(frame) => {
                for one in placed {
                    let result = frame.chunk(core, object, one).map_err(Arc::new);
                    deliveries.push((one.position, result));
                }
                core.frames.put(*key, Arc::clone(&frame), frame.plain.len());
            }
            Err(fault) => {
                let cause = Arc::new(fault.at(core.store.place(), object));
                deliveries.extend(placed.iter().map(|one| (one.position, Err(Arc::clone(&cause)))));
            }
        }
    }
    deliveries
}

fn decode_frame(
    core: &Core,
    object: &str,
    key: FrameKey,
    placed: &[Placed],
    (sealed, start): (&[u8], u32),
) -> std::result::Result<Arc<DecodedFrame>, Fault> {
    let cut_short = Fault::Damaged("it is cut short");
    let location = &placed.first().ok_or(cut_short)?.location;
    let from = (location.frame_offset - start) as usize;
    let payload = sealed.get(from..from + location.stored_bytes as usize).ok_or(cut_short)?;
    let seal_key = core.keys.pack_key(&location.salt);
    let record = (key.number, location.codec, location.plain_bytes);
    let plain = open_frame(&seal_key, object, record, &mut payload.to_vec())?;
    Ok(Arc::new(DecodedFrame { plain: plain.into(), checked: Mutex::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::pack::Codec;
    use crate::name::SessionId;

    fn frame(pack: u32, number: u32, frame_offset: u32, stored_bytes: u32) -> (FrameKey, Vec<Placed>) {
        let key = FrameKey { session: SessionId([1; 16]), pack, number };
        let location = Location {
            frame: key,
            salt: [0; 32],
            frame_offset,
            stored_bytes,
            plain_bytes: stored_bytes,
            codec: Codec::Raw,
            offset: 0,
            length: 1,
        };
        (key, vec![Placed { position: 0, id: ChunkId([0; 16]), location }])
    }

    #[test]
    fn neighbouring_frames_are_read_together_and_distant_ones_apart() {
        let frames = [
            frame(0, 0, 48, 1000),
            frame(0, 1, 1048, 1000),
            frame(0, 3, 3000, 1000),
            frame(0, 9, 4000 + GAP_BYTES_MAX + 1, 1000),
            frame(1, 0, 48, 1000),
            frame(1, 1, 1048, READ_BYTES_MAX),
        ];
        let runs = plan(frames.into_iter().collect());
        let shape: Vec<_> = runs.iter().map(|run| (run.bytes.clone(), run.frames.len())).collect();
        let far = 4000 + GAP_BYTES_MAX + 1;
        assert_eq!(
            shape,
            [(48..4000, 3), (far..far + 1000, 1), (48..1048, 1), (1048..1048 + READ_BYTES_MAX, 1)]
        );
    }
}
