//! `refpoint disk volumes`: the partitions and volumes on a guest's disks, and what lies on them.

use clap::Args;
use guestfs::{ExclusionOptions, Exclusions, Layout, Source as _, Volume};
use serde::Serialize;

use super::guest::{Guest, condition};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Table, View, units};
use crate::report::{Failure, Outcome};

/// List the volumes on a guest's disks: partitions, LVM, Windows dynamic disks
///
/// Nothing is written to the disks. Journals of file systems are replayed in memory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  refpoint disk volumes sql01.vhdx
  refpoint disk volumes data1.vhdx --with data2.vhdx
  refpoint disk volumes sql01.vhdx --exclusions --output json")]
pub(crate) struct VolumesArgs {
    #[command(flatten)]
    guest: Guest,
    /// Also show what a backup could leave out: page files, hibernation files, swap
    #[arg(long)]
    exclusions: bool,
}

#[derive(Debug, Serialize)]
struct VolumesView {
    volumes: Vec<VolumeView>,
    /// What is named on the disks and cannot be put together.
    gaps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusions: Option<ExclusionsView>,
}

#[derive(Debug, Serialize)]
struct VolumeView {
    name: String,
    kind: String,
    label: String,
    content: String,
    size_bytes: u64,
    has_readable_files: bool,
    /// `clean`, `replayed` or `uncertain`; nothing where there are no files.
    condition: Option<&'static str>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ExclusionsView {
    excluded: Vec<ExcludedView>,
    kept: Vec<KeptView>,
}

#[derive(Debug, Serialize)]
struct ExcludedView {
    volume: String,
    what: String,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct KeptView {
    volume: String,
    what: String,
    why: String,
}

/// Runs `refpoint disk volumes`.
pub(super) fn run(context: &Context, args: &VolumesArgs) -> Outcome<Exit> {
    let layout = args.guest.layout()?;
    let exclusions = args
        .exclusions
        .then(|| ExclusionsView::of(&guestfs::plan_exclusions(&layout, ExclusionOptions::default())));
    context.output.show(&VolumesView::of(&layout, exclusions));
    Ok(Exit::Done)
}

impl VolumesView {
    fn of(layout: &Layout, exclusions: Option<ExclusionsView>) -> Self {
        let gaps = layout.gaps.iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
        Self { volumes: layout.volumes.iter().map(VolumeView::of).collect(), gaps, exclusions }
    }
}

impl VolumeView {
    fn of(volume: &Volume) -> Self {
        let mut view = Self {
            name: volume.name.clone(),
            kind: volume.kind.clone(),
            label: volume.label.clone(),
            content: volume.detail.clone(),
            size_bytes: volume.len(),
            has_readable_files: volume.content.has_readable_files(),
            condition: None,
            notes: volume.notes.clone(),
        };
        if view.has_readable_files {
            view.look_inside(volume);
        } else {
            view.notes.push(volume.sentence().to_owned());
        }
        view
    }

    /// A file system that cannot be opened is a note, since the others still can.
    fn look_inside(&mut self, volume: &Volume) {
        match volume.open() {
            Ok(tree) => {
                let facts = tree.facts();
                let (word, detail) = condition(&facts.condition);
                self.condition = Some(word);
                if !detail.is_empty() {
                    self.notes.push(format!("{word}: {detail}."));
                }
                if !facts.label.is_empty() {
                    facts.label.clone_into(&mut self.label);
                }
                facts.file_system.clone_into(&mut self.content);
            }
            Err(error) => self.notes.push(Failure::from(error).headline()),
        }
    }
}

impl ExclusionsView {
    fn of(exclusions: &Exclusions) -> Self {
        let excluded = exclusions.items.iter().map(|item| ExcludedView {
            volume: item.volume.clone(),
            what: item.what.clone(),
            bytes: item.bytes,
        });
        let kept = exclusions.kept.iter().map(|kept| KeptView {
            volume: kept.volume.clone(),
            what: kept.what.clone(),
            why: kept.why.clone(),
        });
        Self { excluded: excluded.collect(), kept: kept.collect() }
    }
}

impl View for VolumesView {
    fn text(&self) -> String {
        let mut table = Table::new(&["VOLUME", ">SIZE", "CONTENT", "LABEL", "CONDITION", "KIND"]);
        for volume in &self.volumes {
            table.row([
                volume.name.clone(),
                units::bytes(volume.size_bytes),
                volume.content.clone(),
                volume.label.clone(),
                volume.condition.unwrap_or_default().to_owned(),
                volume.kind.clone(),
            ]);
        }
        let mut text = table.render();
        for volume in &self.volumes {
            for note in &volume.notes {
                text.push_str(&format!("{}: {note}\n", volume.name));
            }
        }
        for gap in &self.gaps {
            text.push_str(&format!("missing: {gap}\n"));
        }
        if let Some(exclusions) = &self.exclusions {
            text.push_str(&exclusions.text());
        }
        text
    }
}

impl ExclusionsView {
    fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.excluded {
            let size = units::bytes(item.bytes);
            text.push_str(&format!("could be left out: {} of {} on {}\n", size, item.what, item.volume));
        }
        for kept in &self.kept {
            text.push_str(&format!("must be kept: {} on {}: {}\n", kept.what, kept.volume, kept.why));
        }
        if text.is_empty() {
            text.push_str("nothing could be left out\n");
        }
        text
    }
}
