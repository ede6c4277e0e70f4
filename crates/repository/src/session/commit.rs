//! The commit: packs, runs, barrier, then one create-if-absent that makes the restore point visible.
//!
//! docs/formats/repository.md section 5 is the order and says why it is safe.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::packer::{Command, discard_packs};
use super::{PointSpec, Session, WriteSession, locked};
use crate::error::{Error, Result};
use crate::format::envelope::Kind;
use crate::format::point::{
    ATTACHMENT_BYTES_MAX, ATTACHMENT_PIECE_BYTES, AttachmentRecord, DiskRecord, RestorePoint, SessionRuns,
};
use crate::format::run::Run;
use crate::name::{self, point_object, run_object};

impl WriteSession {
    /// Makes everything written durable, then visible as one restore point. Ends the session.
    pub async fn commit(self, spec: PointSpec) -> Result<RestorePoint> {
        let session = &self.inner;
        session.check()?;
        *locked(&session.ended) = true;
        let disks = session.finished_disks()?;
        check_attachments(&spec)?;
        let mut attachments = Vec::new();
        for (name, bytes) in &spec.attachments {
            attachments.push(session.keep_attachment(name, bytes).await?);
        }
        let runs = session.flush().await?;
        let packs = runs.iter().flat_map(|run| &run.packs).map(|pack| pack.number + 1).max().unwrap_or(0);
        if let Err(cause) = session.store_runs(&runs).await {
            discard_packs(&session.core, session.id, packs).await;
            return Err(cause);
        }
        let point = session.describe(spec, disks, attachments, &runs);
        session.publish(&point).await?;
        let own = SessionRuns { session: session.id, runs: count(&runs) };
        session.core.add_runs(own, runs);
        Ok(point)
    }
}

fn count(runs: &[Run]) -> u32 {
    u32::try_from(runs.len()).unwrap_or(u32::MAX)
}

fn check_attachments(spec: &PointSpec) -> Result<()> {
    match spec.attachments.iter().find(|(_, bytes)| bytes.len() > ATTACHMENT_BYTES_MAX) {
        None => Ok(()),
        Some((name, bytes)) => Err(Error::TooLarge {
            what: format!("Attachment {name} of restore point {}", spec.id),
            bytes: bytes.len() as u64,
            bytes_max: ATTACHMENT_BYTES_MAX as u64,
        }),
    }
}

impl Session {
    fn finished_disks(&self) -> Result<Vec<DiskRecord>> {
        let disks = locked(&self.disks);
        let unfinished = disks.iter().find(|(_, record)| record.is_none());
        match unfinished {
            Some((key, _)) => Err(Error::misuse(format!("disk {key} was begun but not finished"))),
            None => Ok(disks.values().flatten().cloned().collect()),
        }
    }

    async fn keep_attachment(&self, name: &str, bytes: &Bytes) -> Result<AttachmentRecord> {
        let mut chunks = Vec::new();
        for piece in bytes.chunks(ATTACHMENT_PIECE_BYTES) {
            let mut full = Vec::new();
            chunks.push(self.keep(piece, &mut full));
            self.send(full).await?;
        }
        Ok(AttachmentRecord { name: name.to_owned(), bytes: bytes.len() as u64, chunks })
    }

    /// Sends what is left to the packer and waits until all packs are stored.
    async fn flush(&self) -> Result<Vec<Run>> {
        let rest = locked(&self.maps).take();
        self.send(rest.into_iter().collect()).await?;
        let (reply, runs) = oneshot::channel();
        self.packer.send(Command::Finish(reply)).await.map_err(|_| self.failed())?;
        runs.await.map_err(|_| self.failed())
    }

    async fn store_runs(&self, runs: &[Run]) -> Result<()> {
        let store = &self.core.store;
        for (number, run) in (0..).zip(runs) {
            let object = run_object(self.id, number);
            if !self.core.create(Kind::Run, &object, run.encode()?).await? {
                return Err(store.damaged(&object, "it exists although its name is random"));
            }
        }
        // A folder whose disk was unmounted meanwhile must not receive the commit.
        if store.size(name::CONFIG).await?.is_none() {
            return Err(Error::NotFound { place: store.place().to_owned() });
        }
        store.barrier().await
    }

    fn describe(
        &self,
        spec: PointSpec,
        disks: Vec<DiskRecord>,
        attachments: Vec<AttachmentRecord>,
        runs: &[Run],
    ) -> RestorePoint {
        let own = SessionRuns { session: self.id, runs: count(runs) };
        let reused = locked(&self.reused);
        let needed = Some(own).filter(|own| own.runs > 0).into_iter().chain(reused.iter().copied());
        RestorePoint {
            id: spec.id,
            source: spec.source,
            source_name: spec.source_name,
            created_unix_ms: spec.created_unix_ms,
            labels: spec.labels,
            disks,
            attachments,
            session: self.id,
            runs: needed.collect(),
        }
    }

    /// The commit itself.
    async fn publish(&self, point: &RestorePoint) -> Result<()> {
        let core: &Arc<_> = &self.core;
        let object = point_object(&point.source, point.id);
        let created = core.create(Kind::Point, &object, point.encode()?).await?;
        // A put that a store repeated after a lost answer finds itself.
        if !created && core.read_point(&point.source, point.id).await?.session != self.id {
            let (point, source_id) = (point.id, point.source.to_string());
            return Err(Error::PointExists { point, source_id });
        }
        core.store.barrier().await
    }
}
