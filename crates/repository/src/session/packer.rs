//! The packer: one task per session that seals frames into packs and stores the packs.
//!
//! A single owner keeps frame numbers (nonces) and offsets in order without locks. One pack grows while
//! at most one is being stored, which bounds memory at two packs. A session that fails or is dropped
//! removes its packs again: nothing can ever name them, and a full disk needs the space.

use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Session;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::format::pack::{Frame, LooseFrame, PackBuilder};
use crate::format::run::{ENTRIES_PER_RUN, Run, RunEntry, RunFrame, RunPack};
use crate::name::{SessionId, pack_object};
use crate::seal::{Salt, random};

/// What the packer is told.
pub(super) enum Command {
    /// Put this frame into a pack.
    Frame(LooseFrame),
    /// Everything was sent: store the last pack and give back the runs.
    Finish(oneshot::Sender<Vec<Run>>),
}

/// A pack that is stored.
struct StoredPack {
    number: u32,
    bytes: u32,
    salt: Salt,
    frames: Vec<Frame>,
}

struct Packer {
    core: Arc<Core>,
    session: SessionId,
    next_number: u32,
    growing: Option<PackBuilder>,
    storing: Option<JoinHandle<Result<StoredPack>>>,
    runs: RunBuilder,
    /// The committer waiting for the runs; told nothing before a failure is noted.
    reply: Option<oneshot::Sender<Vec<Run>>>,
}

/// Runs until the session is finished, failed or dropped.
pub(super) async fn run(
    core: Arc<Core>,
    session: SessionId,
    mut commands: mpsc::Receiver<Command>,
    owner: Weak<Session>,
) {
    let runs = RunBuilder::default();
    let mut packer =
        Packer { core, session, next_number: 0, growing: None, storing: None, runs, reply: None };
    let outcome = packer.work(&mut commands).await;
    if let Ok(true) = outcome {
        return;
    }
    if let Err(cause) = outcome
        && let Some(owner) = owner.upgrade()
    {
        owner.fail(cause);
    }
    drop((commands, packer.reply.take()));
    packer.discard().await;
}

impl Packer {
    /// `true` when the session was finished, `false` when it was dropped.
    async fn work(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<bool> {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Frame(frame) => self.add(frame).await?,
                Command::Finish(reply) => {
                    self.reply = Some(reply);
                    self.store_growing().await?;
                    self.await_storing().await?;
                    let runs = std::mem::take(&mut self.runs).finish();
                    // A committer that is gone cannot commit: treat it like a dropped session.
                    return Ok(self.reply.take().is_some_and(|reply| reply.send(runs).is_ok()));
                }
            }
        }
        Ok(false)
    }

    async fn add(&mut self, frame: LooseFrame) -> Result<()> {
        let growing = match &mut self.growing {
            Some(growing) => growing,
            None => {
                let name = pack_object(self.session, self.next_number);
                self.growing.insert(PackBuilder::new(name, &self.core.keys, random()?))
            }
        };
        growing.add(frame)?;
        if growing.bytes() >= self.core.config.pack_bytes { self.store_growing().await } else { Ok(()) }
    }

    async fn store_growing(&mut self) -> Result<()> {
        let Some(growing) = self.growing.take() else { return Ok(()) };
        self.await_storing().await?;
        let (core, number) = (Arc::clone(&self.core), self.next_number);
        self.next_number += 1;
        self.storing = Some(tokio::spawn(async move {
            let pack = growing.finish()?;
            if !core.store.create(&pack.name, pack.parts).await? {
                return Err(core.store.damaged(&pack.name, "it exists although its name is random"));
            }
            Ok(StoredPack { number, bytes: pack.bytes, salt: pack.salt, frames: pack.frames })
        }));
        Ok(())
    }

    async fn await_storing(&mut self) -> Result<()> {
        if let Some(storing) = self.storing.take() {
            self.runs.add(storing.await.map_err(Error::internal)??);
        }
        Ok(())
    }

    /// Removes this session's packs as far as the store lets us.
    async fn discard(&mut self) {
        if let Some(storing) = self.storing.take() {
            let _ = storing.await;
        }
        discard_packs(&self.core, self.session, self.next_number).await;
    }
}

/// Removes the first `count` packs of a session that will never commit.
pub(super) async fn discard_packs(core: &Core, session: SessionId, count: u32) {
    for number in 0..count {
        // Best effort: without delete rights the packs stay as orphans.
        if core.store.delete(&pack_object(session, number)).await.is_err() {
            return;
        }
    }
}

/// Collects stored packs into runs.
#[derive(Default)]
struct RunBuilder {
    open: Run,
    full: Vec<Run>,
}

impl RunBuilder {
    fn add(&mut self, pack: StoredPack) {
        let index = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let pack_index = index(self.open.packs.len());
        self.open.packs.push(RunPack { number: pack.number, bytes: pack.bytes, salt: pack.salt });
        for (number, frame) in (0..).zip(pack.frames) {
            let frame_index = index(self.open.frames.len());
            self.open.frames.push(RunFrame {
                pack: pack_index,
                number,
                offset: frame.offset,
                stored_bytes: frame.stored_bytes,
                plain_bytes: frame.plain_bytes,
                codec: frame.codec,
            });
            let mut offset = 0;
            for (id, length) in frame.chunks {
                self.open.entries.push(RunEntry { id, frame: frame_index, offset, length });
                offset += length;
            }
        }
        if self.open.entries.len() >= ENTRIES_PER_RUN {
            self.close();
        }
    }

    fn close(&mut self) {
        let mut run = std::mem::take(&mut self.open);
        run.entries.sort_unstable_by_key(|entry| entry.id);
        self.full.push(run);
    }

    fn finish(mut self) -> Vec<Run> {
        if !self.open.packs.is_empty() {
            self.close();
        }
        self.full
    }
}
