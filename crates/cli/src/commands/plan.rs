//! `refpoint plan`: what a backup would do now, and why; nothing is changed anywhere.

use clap::{ArgGroup, Args};
use protection::plan::{self, Plan};
use protection::run::{Journal, Site};
use protection::{Policy, World};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::fleet::{Chosen, Fleet, SilentHost};
use crate::output::View;
use crate::report::Outcome;

/// Show what a backup would do, with the reasons, without doing it
///
/// For each virtual machine: the method and why, the methods passed over and why, and for each disk whether
/// only changed ranges or the whole disk will be read.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["vms", "all"]).required(true))]
#[command(after_help = "\
Examples:
  refpoint plan --vm SQL01 --repo /backups
  refpoint plan --all --host HV1 --repo /backups --output json")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub which: WhichVms,
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// Which virtual machines are meant.
#[derive(Debug, Args)]
pub(crate) struct WhichVms {
    /// A virtual machine by name or id; may be given several times
    #[arg(long = "vm", value_name = "NAME")]
    pub vms: Vec<String>,
    /// All virtual machines of the host, or of all hosts
    #[arg(long, conflicts_with = "vms")]
    pub all: bool,
    /// Only on this host [default: every registered host is searched]
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// What may be done where the best is not possible.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Skip a virtual machine whose guest cannot be quiesced, instead of backing it up crash-consistently
    #[arg(long)]
    pub application_consistent_only: bool,
    /// Read whole disks even where changed ranges are known
    #[arg(long)]
    pub read_everything: bool,
}

impl PolicyArgs {
    /// As the planner takes it.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            crash_consistent_allowed: !self.application_consistent_only,
            read_everything: self.read_everything,
        }
    }
}

/// Runs `refpoint plan`.
pub(crate) async fn run(context: &Context, args: PlanArgs) -> Outcome<Exit> {
    let repository = context.open_repository().await?;
    let fleet = Fleet::look(context, args.which.host.as_deref()).await?;
    let journal = open_journal(context)?;
    let (policy, world) = (args.policy.policy(), World::quiet());
    let mut view = PlansView { plans: Vec::new(), silent_hosts: fleet.silent.clone() };
    for Chosen { seen, vms } in fleet.choose(&args.which.vms)? {
        let site = Site { host: &seen.host, repository: &repository, journal: &journal, world: &world };
        let checked = protection::prepare(site, &seen.inventory, &vms, &policy).await?;
        view.plans.push(checked.plan().clone());
    }
    context.output.show(&view);
    Ok(if view.silent_hosts.is_empty() { Exit::Done } else { Exit::Warnings })
}

/// The journal of this home.
pub(crate) fn open_journal(context: &Context) -> Outcome<Journal> {
    let path = context.settings.journal()?;
    Ok(Journal::open(&path, || uuid::Uuid::new_v4().simple().to_string())?)
}

#[derive(Debug, Serialize)]
struct PlansView {
    /// One for each host.
    plans: Vec<Plan>,
    /// Hosts that were not looked at, since they did not answer.
    silent_hosts: Vec<SilentHost>,
}

impl View for PlansView {
    fn text(&self) -> String {
        self.plans.iter().map(plan::text).collect::<Vec<_>>().join("\n")
    }
}
