//! `refpoint host leftovers`: recovery checkpoints, reference points and disks on differencing files, with whose
//! they are. Vendors leave these behind silently; here an administrator sees them and who has to act.

use hyperv::{CheckpointKind, DiskKind, VmFacts};
use protection::history;
use protection::plan::checkpoint_name_prefix;
use repository::{Indexed, Repository, SourceId};
use serde::Serialize;

use crate::commands::plan::open_journal;
use crate::context::Context;
use crate::exit::Exit;
use crate::fleet::Fleet;
use crate::output::{Table, View};
use crate::report::Outcome;

/// Lists what is on a host beside its virtual machines.
pub(super) async fn run(context: &Context, name: &str) -> Outcome<Exit> {
    let fleet = Fleet::look(context, Some(name)).await?;
    let instance = open_journal(context)?.instance().to_owned();
    // Whose a reference point is stands in the repository; without one the list is still worth having.
    let repository = match &context.repo {
        Some(_) => Some(context.open_repository().await?),
        None => None,
    };
    let mut view = LeftoversView { host: name.to_owned(), leftovers: Vec::new() };
    for vm in fleet.hosts.iter().flat_map(|seen| &seen.inventory.vms) {
        view.add_checkpoints(vm, &instance);
        view.add_unmerged(vm);
        view.add_reference_points(vm, repository.as_ref()).await?;
    }
    context.output.show(&view);
    let attention = view.leftovers.iter().any(|leftover| leftover.attention);
    Ok(if attention { Exit::Warnings } else { Exit::Done })
}

#[derive(Debug, Serialize)]
struct LeftoversView {
    host: String,
    leftovers: Vec<Leftover>,
}

#[derive(Debug, Serialize)]
struct Leftover {
    vm: String,
    kind: &'static str,
    id: String,
    name: String,
    created: Option<String>,
    /// Who made it and what becomes of it.
    owner: String,
    /// Whether somebody has to act.
    attention: bool,
}

impl LeftoversView {
    fn add_checkpoints(&mut self, vm: &VmFacts, instance: &str) {
        let recovery = vm.checkpoints.iter().filter(|found| found.kind == CheckpointKind::Recovery);
        for checkpoint in recovery {
            let owner = if checkpoint.name.starts_with(&checkpoint_name_prefix(instance)) {
                "an interrupted run from here; the next backup removes it"
            } else if checkpoint.name.starts_with("Refpoint ") {
                "another Refpoint; its next backup removes it"
            } else {
                "another product; remove it with that product"
            };
            self.leftovers.push(Leftover {
                vm: vm.name.clone(),
                kind: "recovery checkpoint",
                id: checkpoint.id.to_string(),
                name: checkpoint.name.clone(),
                created: checkpoint.created.clone(),
                owner: owner.to_owned(),
                attention: true,
            });
        }
    }

    /// A disk on a differencing file without any checkpoint: a merge that did not happen.
    fn add_unmerged(&mut self, vm: &VmFacts) {
        if !vm.checkpoints.is_empty() {
            return;
        }
        for disk in vm.disks.iter().filter(|disk| disk.kind == DiskKind::Differencing) {
            self.leftovers.push(Leftover {
                vm: vm.name.clone(),
                kind: "unmerged disk",
                id: disk.attachment.clone(),
                name: disk.path.clone(),
                created: None,
                owner: "no checkpoint is left; Hyper-V has to merge it, or it is meant to be so".to_owned(),
                attention: true,
            });
        }
    }

    async fn add_reference_points(
        &mut self,
        vm: &VmFacts,
        repository: Option<&Repository<Indexed>>,
    ) -> Outcome<()> {
        let history = match repository {
            Some(repository) => history::read(repository, &SourceId::new(vm.id.to_string())?).await?,
            None => history::VmHistory::default(),
        };
        for found in &vm.reference_points {
            let ours = history.points.iter().find(|point| {
                let record = point.continuation.as_ref();
                record.is_some_and(|record| record.reference_point == found.id)
            });
            let owner = match ours {
                Some(point) => {
                    format!("ours, of restore point {}; the next backup goes on from it", point.id)
                }
                None if repository.is_some() => "not named by this repository".to_owned(),
                None => "name a repository with --repo to see whether it is ours".to_owned(),
            };
            self.leftovers.push(Leftover {
                vm: vm.name.clone(),
                kind: "reference point",
                id: found.id.to_string(),
                name: String::new(),
                created: None,
                owner,
                attention: false,
            });
        }
        Ok(())
    }
}

impl View for LeftoversView {
    fn text(&self) -> String {
        if self.leftovers.is_empty() {
            return format!("Nothing is left on host {}.\n", self.host);
        }
        let mut table = Table::new(&["VM", "WHAT", "ID", "NAME", "CREATED", "OWNER"]);
        for left in &self.leftovers {
            let created = left.created.clone().unwrap_or_default();
            table.row([&left.vm, left.kind, &left.id, &left.name, &created, &left.owner]);
        }
        table.render()
    }
}
