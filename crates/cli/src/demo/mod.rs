//! The demonstration: the product's own path from host to repository and back, on a simulated host, judged by what
//! the guest wrote.
//!
//! Nothing here decides or moves bytes for the product: each act calls what the command of that name calls. The
//! judge is the simulator's write log and the guest's own file system, which the product never sees.

mod acts;
mod checks;
mod figures;

use std::path::Path;
use std::time::Instant;

use crate::output::{Output, units};
use crate::report::Outcome;
use acts::{Stage, Taken};
use figures::BackupFigures;
pub(crate) use figures::Figures;

/// Name of the virtual machine.
const VM_NAME: &str = "DEMO01";

/// Name of its restored copy.
const RESTORED_NAME: &str = "DEMO01-restored";

/// Plays all acts in `folder` and returns the figures; the first difference ends it.
pub(crate) async fn play(output: Output, folder: &Path, data_mib: u64) -> Outcome<Figures> {
    let begun = Instant::now();
    let mut stage = Stage::set(output, folder, VM_NAME, data_mib).await?;
    let before = stage.guest_files()?;
    output.tell(&stage.introduction(&before));

    let first = stage.back_up().await?;
    tell_full(output, &first);
    let changed = stage.practice.change_files()?;
    let after = stage.guest_files()?;
    output.tell(&format!(
        "2  The guest changes {} and {}: {} written",
        units::count(changed.files as u64, "file"),
        units::count(changed.pages as u64, "database page"),
        units::bytes(changed.written_bytes),
    ));
    let second = stage.back_up().await?;
    checks::only_changes_were_read(&second.disk)?;
    tell_changed(output, &first, &second);

    stage.restore_and_check(&first, &before).await?;
    stage.restore_and_check(&second, &after).await?;
    output.tell(&format!(
        "4  Both restored as VHDX and compared with the guest's writes, byte for byte\n   {} and {} read back from \
         their ext4, with the guest's content; file systems clean",
        units::count(before.len() as u64, "file"),
        units::count(after.len() as u64, "file"),
    ));
    stage.restore_vm_and_check(&second, RESTORED_NAME).await?;
    output.tell(&format!(
        "5  VM restored as {RESTORED_NAME} beside the original: registered, its disk compared"
    ));
    let left = stage.check_leftovers()?;
    output.tell(&format!("6  Left on the host: {left}, nothing else"));

    let figures = stage.figures(&[&first, &second], changed.written_bytes, begun.elapsed()).await?;
    stage.strike().await;
    output.tell(&figures.summary());
    Ok(figures)
}

fn tell_full(output: Output, taken: &Taken) {
    output.tell(&format!(
        "1  Full backup\n   read {} of the {} disk, stored {} after deduplication and compression, in {}",
        units::bytes(taken.disk.read_bytes),
        units::bytes(taken.disk.capacity_bytes),
        units::bytes(taken.disk.stored_bytes),
        units::duration(taken.took),
    ));
}

fn tell_changed(output: Output, first: &Taken, second: &Taken) {
    let saved = first.disk.read_bytes.saturating_sub(second.disk.read_bytes);
    output.tell(&format!(
        "3  Second backup, of changed ranges only (RCT)\n   the host reported {}, read {}, stored {}, in {}\n   RCT \
         saved reading {} ({} of the first)",
        units::bytes(second.disk.reported_bytes.unwrap_or(0)),
        units::bytes(second.disk.read_bytes),
        units::bytes(second.disk.stored_bytes),
        units::duration(second.took),
        units::bytes(saved),
        units::percent(saved, first.disk.read_bytes),
    ));
}

impl From<&Taken> for BackupFigures {
    fn from(taken: &Taken) -> Self {
        Self {
            restore_point: taken.point.to_string(),
            changed_ranges_only: taken.disk.changed_only,
            reported_bytes: taken.disk.reported_bytes,
            read_bytes: taken.disk.read_bytes,
            new_bytes: taken.disk.new_bytes,
            stored_bytes: taken.disk.stored_bytes,
            seconds: taken.took.as_secs_f64(),
        }
    }
}
