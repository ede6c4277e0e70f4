//! Makes the restore point visible: from here on the backup exists.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use recovery::vm::{DEFINITION_ATTACHMENT, DISKS_ATTACHMENT, VmDisk, VmDisks};
use repository::{PointSpec, SourceId};
use serde_json::{Value, json};

use super::Step;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::run::StepName;
use crate::run::settle::Interrupted;
use crate::run::state::VmRun;

/// The step.
pub(super) struct Commit;

impl Step for Commit {
    fn name(&self) -> StepName {
        StepName::Commit
    }

    fn describe(&self, run: &VmRun<'_>) -> String {
        format!("publish restore point {}", run.point)
    }

    fn intent<'a>(&'a self, run: &'a VmRun<'_>) -> BoxFuture<'a, Result<Option<Value>>> {
        async move { Ok(Some(json!({ "point": run.point.to_string() }))) }.boxed()
    }

    fn apply<'a>(&'a self, run: &'a mut VmRun<'_>) -> BoxFuture<'a, Result<Value>> {
        async move {
            let session = run.session.take().ok_or(Error::OutOfOrder { step: "commit" })?;
            let spec = PointSpec {
                id: run.point,
                source: SourceId::new(run.vm().to_string())?,
                source_name: run.plan.name.clone(),
                created_unix_ms: run.site.world.now_unix_ms(),
                labels: labels(run),
                attachments: attachments(run)?,
            };
            session.commit(spec).await?;
            run.committed = true;
            run.site
                .world
                .tell(&Event::PointCommitted { vm: run.plan.name.clone(), point: run.point.to_string() });
            Ok(Value::Null)
        }
        .boxed()
    }

    /// A restore point that was published is good and stays; one that was not is not visible.
    fn settle<'a>(&'a self, _interrupted: &'a Interrupted<'_>) -> BoxFuture<'a, Result<Option<String>>> {
        async { Ok(None) }.boxed()
    }
}

/// What a restore needs beside the disks: how the VM was defined, and where each disk was attached.
fn attachments(run: &VmRun<'_>) -> Result<BTreeMap<String, Bytes>> {
    let disks = run.backup.disks.iter().map(|disk| VmDisk {
        key: disk.key.to_string(),
        attachment: disk.attachment.clone(),
        path: disk.path.clone(),
    });
    let disks = VmDisks::new(disks.collect()).to_json()?;
    Ok(BTreeMap::from([
        (DEFINITION_ATTACHMENT.to_owned(), Bytes::from(run.definition.clone())),
        (DISKS_ATTACHMENT.to_owned(), Bytes::from(disks)),
    ]))
}

fn labels(run: &VmRun<'_>) -> BTreeMap<String, String> {
    [
        ("kind", "vm".to_owned()),
        ("host", run.site.host.computer_name().to_owned()),
        ("vm-id", run.vm().to_string()),
        ("consistency", run.backup.method.consistency_label().to_owned()),
        ("method", run.backup.method.title().to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
