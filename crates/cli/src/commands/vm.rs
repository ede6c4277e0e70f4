//! `refpoint vm`: what is there to protect.

use clap::Subcommand;
use hyperv::{CheckpointKind, PowerState, VmFacts, VssStatus};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::fleet::{Fleet, SilentHost};
use crate::output::{Table, View, units};
use crate::report::Outcome;

/// Look at virtual machines
#[derive(Debug, Subcommand)]
pub(crate) enum VmCommand {
    /// Show the virtual machines of the registered hosts, and what stands in the way of backing them up
    #[command(after_help = "\
Examples:
  refpoint vm list
  refpoint vm list --host HV1 --output json")]
    List {
        /// Only this host
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
    },
}

/// Runs `refpoint vm …`.
pub(crate) async fn run(context: &Context, command: VmCommand) -> Outcome<Exit> {
    let VmCommand::List { host } = command;
    let fleet = Fleet::look(context, host.as_deref()).await?;
    let view = VmListView::of(&fleet);
    for gap in &view.gaps {
        context.output.warn(&format!("{} on {}: {}", gap.what, gap.host, gap.why));
    }
    context.output.show(&view);
    Ok(if view.gaps.is_empty() && view.silent_hosts.is_empty() { Exit::Done } else { Exit::Warnings })
}

#[derive(Debug, Serialize)]
struct VmListView {
    vms: Vec<VmRow>,
    /// What a host could not tell.
    gaps: Vec<GapRow>,
    silent_hosts: Vec<SilentHost>,
}

#[derive(Debug, Serialize)]
struct VmRow {
    host: String,
    #[serde(flatten)]
    facts: VmFacts,
    /// What a person should know before backing it up.
    remarks: Vec<String>,
}

#[derive(Debug, Serialize)]
struct GapRow {
    host: String,
    what: String,
    why: String,
}

impl VmListView {
    fn of(fleet: &Fleet) -> Self {
        let mut view = Self { vms: Vec::new(), gaps: Vec::new(), silent_hosts: fleet.silent.clone() };
        for seen in &fleet.hosts {
            let host = seen.host.name();
            for facts in &seen.inventory.vms {
                let remarks = remarks(facts);
                view.vms.push(VmRow { host: host.to_owned(), facts: facts.clone(), remarks });
            }
            for gap in &seen.inventory.gaps {
                let (what, why) = (gap.what.clone(), gap.why.clone());
                view.gaps.push(GapRow { host: host.to_owned(), what, why });
            }
        }
        view.vms.sort_by(|a, b| (&a.host, &a.facts.name).cmp(&(&b.host, &b.facts.name)));
        view
    }
}

impl View for VmListView {
    fn text(&self) -> String {
        let mut table = Table::new(&["HOST", "VM", "STATE", ">DISKS", ">CAPACITY", "REMARKS"]);
        for VmRow { host, facts, remarks } in &self.vms {
            let capacity = facts.disks.iter().map(|disk| disk.capacity_bytes).sum();
            let disks = facts.disks.len().to_string();
            let state = facts.state.to_string();
            let cells = [host, &facts.name, &state, &disks, &units::bytes(capacity), &remarks.join("; ")];
            table.row(cells.into_iter().map(String::as_str));
        }
        table.render()
    }
}

/// What stands in the way of the best backup, each in a few words.
fn remarks(vm: &VmFacts) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(busy) = &vm.busy {
        remarks.push(format!("busy: {busy}"));
    }
    if vm.state == PowerState::Running && vm.vss != VssStatus::Ready {
        remarks.push(format!("guest service {}", vm.vss));
    }
    let recovery = vm.checkpoints.iter().filter(|checkpoint| checkpoint.kind == CheckpointKind::Recovery);
    match recovery.count() as u64 {
        0 => {}
        number => remarks.push(units::count(number, "recovery checkpoint")),
    }
    for disk in &vm.disks {
        if let Some(reason) = &disk.unsupported {
            remarks.push(format!("{}: {reason}", disk.path));
        }
    }
    remarks
}
