//! The index: chunk id → place, from the runs of committed sessions.
//!
//! Runs are merged into few sorted segments as they come in, the way a binary counter carries, so a
//! look-up searches few arrays and adding costs amortised little. Segments are immutable and shared:
//! a session keeps the snapshot it began with while others commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::format::pack::Codec;
use crate::format::run::{Run, RunEntry, RunFrame};
use crate::name::{ChunkId, SessionId, pack_object};
use crate::seal::Salt;

/// A pack, whichever session wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexPack {
    pub(crate) session: SessionId,
    pub(crate) number: u32,
    pub(crate) bytes: u32,
    pub(crate) salt: Salt,
}

impl IndexPack {
    pub(crate) fn object(&self) -> String {
        pack_object(self.session, self.number)
    }
}

/// Which frame of which pack; orders as frames lie in storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FrameKey {
    pub(crate) session: SessionId,
    pub(crate) pack: u32,
    pub(crate) number: u32,
}

/// Everything needed to read one chunk.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(crate) frame: FrameKey,
    pub(crate) salt: Salt,
    pub(crate) frame_offset: u32,
    pub(crate) stored_bytes: u32,
    pub(crate) plain_bytes: u32,
    pub(crate) codec: Codec,
    /// Offset in the plain frame.
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

#[derive(Debug, Default)]
struct Segment {
    packs: Vec<IndexPack>,
    frames: Vec<RunFrame>,
    entries: Vec<RunEntry>,
}

/// A snapshot of the index; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    segments: Vec<Arc<Segment>>,
    /// Runs taken in, by session.
    sessions: BTreeMap<SessionId, u32>,
}

impl Index {
    /// Whether all runs of this session are in.
    pub(crate) fn has(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// How many runs a session has, when they are in.
    pub(crate) fn runs_of(&self, session: SessionId) -> Option<u32> {
        self.sessions.get(&session).copied()
    }

    /// Takes in the runs of a session; a session that is in already is left as it is.
    pub(crate) fn add(&mut self, session: SessionId, runs: Vec<Run>) {
        if self.sessions.insert(session, u32::try_from(runs.len()).unwrap_or(u32::MAX)).is_some() {
            return;
        }
        for run in runs {
            self.segments.push(Arc::new(Segment::from_run(session, run)));
            self.carry();
        }
    }

    /// Merges the last two segments while they are of similar size.
    fn carry(&mut self) {
        while let [.., older, newer] = self.segments.as_slice()
            && newer.entries.len() * 2 >= older.entries.len()
        {
            let merged = older.merge(newer);
            self.segments.truncate(self.segments.len() - 2);
            self.segments.push(Arc::new(merged));
        }
    }

    pub(crate) fn find(&self, id: &ChunkId) -> Option<Location> {
        self.segments.iter().find_map(|segment| segment.find(id))
    }

    pub(crate) fn entries(&self) -> usize {
        self.segments.iter().map(|segment| segment.entries.len()).sum()
    }

    /// All packs, each once per segment that knows it.
    pub(crate) fn packs(&self) -> impl Iterator<Item = &IndexPack> {
        self.segments.iter().flat_map(|segment| &segment.packs)
    }

    /// Plain bytes of all chunks.
    pub(crate) fn plain_bytes(&self) -> u64 {
        let entries = self.segments.iter().flat_map(|segment| &segment.entries);
        entries.map(|entry| u64::from(entry.length)).sum()
    }
}

impl Segment {
    fn from_run(session: SessionId, run: Run) -> Self {
        let packs = run.packs.into_iter().map(|pack| IndexPack {
            session,
            number: pack.number,
            bytes: pack.bytes,
            salt: pack.salt,
        });
        Self { packs: packs.collect(), frames: run.frames, entries: run.entries }
    }

    /// Both segments as one; where both have a chunk, the older place wins.
    fn merge(&self, newer: &Self) -> Self {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (pack_shift, frame_shift) = (count(self.packs.len()), count(self.frames.len()));
        let shifted =
            newer.frames.iter().map(|frame| RunFrame { pack: frame.pack + pack_shift, ..frame.clone() });
        let mut entries = Vec::with_capacity(self.entries.len() + newer.entries.len());
        let mut theirs = newer
            .entries
            .iter()
            .map(|entry| RunEntry { frame: entry.frame + frame_shift, ..*entry })
            .peekable();
        for entry in &self.entries {
            while let Some(earlier) = theirs.next_if(|other| other.id < entry.id) {
                entries.push(earlier);
            }
            theirs.next_if(|other| other.id == entry.id);
            entries.push(*entry);
        }
        entries.extend(theirs);
        Self {
            packs: [self.packs.as_slice(), newer.packs.as_slice()].concat(),
            frames: self.frames.iter().cloned().chain(shifted).collect(),
            entries,
        }
    }

    fn find(&self, id: &ChunkId) -> Option<Location> {
        let at = self.entries.binary_search_by(|entry| entry.id.cmp(id)).ok()?;
        let entry = &self.entries[at];
        let frame = self.frames.get(entry.frame as usize)?;
        let pack = self.packs.get(frame.pack as usize)?;
        Some(Location {
            frame: FrameKey { session: pack.session, pack: pack.number, number: frame.number },
            salt: pack.salt,
            frame_offset: frame.offset,
            stored_bytes: frame.stored_bytes,
            plain_bytes: frame.plain_bytes,
            codec: frame.codec,
            offset: entry.offset,
            length: entry.length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::run::RunPack;

    fn run(ids: impl IntoIterator<Item = u8>, pack: u32) -> Run {
        let entry = |id: u8| RunEntry { id: ChunkId([id; 16]), frame: 0, offset: 0, length: 4096 };
        Run {
            packs: vec![RunPack { number: pack, bytes: 1000, salt: [0; 32] }],
            frames: vec![RunFrame {
                pack: 0,
                number: 0,
                offset: 48,
                stored_bytes: 100,
                plain_bytes: 4096,
                codec: Codec::Zstd,
            }],
            entries: ids.into_iter().map(entry).collect(),
        }
    }

    #[test]
    fn chunks_of_all_sessions_are_found_in_few_segments() {
        let mut index = Index::default();
        for session in 0..100_u8 {
            index.add(SessionId([session; 16]), vec![run([session, session + 100], u32::from(session))]);
        }
        assert!(index.segments.len() < 8, "{} segments", index.segments.len());
        assert_eq!(index.entries(), 200);
        for id in 0..200_u8 {
            let found = index.find(&ChunkId([id; 16])).unwrap();
            assert_eq!(found.frame.session, SessionId([id % 100; 16]));
            assert_eq!(found.frame.pack, u32::from(id % 100));
        }
        assert!(index.find(&ChunkId([200; 16])).is_none());
    }

    #[test]
    fn a_chunk_that_two_sessions_stored_counts_once_and_keeps_its_first_place() {
        let mut index = Index::default();
        index.add(SessionId([1; 16]), vec![run([5, 6], 0)]);
        index.add(SessionId([2; 16]), vec![run([5, 7], 0)]);
        assert_eq!(index.entries(), 3);
        assert_eq!(index.find(&ChunkId([5; 16])).unwrap().frame.session, SessionId([1; 16]));
    }
}
