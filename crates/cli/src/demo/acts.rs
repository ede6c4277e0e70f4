//! The acts of the demonstration, each through the product's own path.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyperv::VmId;
use protection::run::{DiskReport, Site};
use protection::{Policy, World};
use repository::PointId;
use simulator::guest::{ExpectedDisk, FileRecord, GuestFiles};

use super::checks;
use super::figures::{Figures, VERDICT};
use crate::commands::restore::{self, DiskForm};
use crate::commands::{backup, plan, repo};
use crate::context::Context;
use crate::files;
use crate::fleet::Fleet;
use crate::output::{Output, units};
use crate::practice::{HOST_NAME, Practice};
use crate::report::Outcome;
use crate::settings::Settings;

/// A simulated host, and a home and repository of its own.
pub(super) struct Stage {
    pub practice: Practice,
    context: Context,
    folder: PathBuf,
    disk_file_bytes: u64,
    backups_taken: usize,
}

/// One backup that was made.
pub(super) struct Taken {
    /// Its position, from 0.
    number: usize,
    pub point: PointId,
    pub disk: DiskReport,
    pub took: Duration,
}

impl Stage {
    /// Builds host, virtual machine and repository in `folder`.
    pub(super) async fn set(output: Output, folder: &Path, vm_name: &str, data_mib: u64) -> Outcome<Self> {
        let practice = Practice::start(folder, vm_name, data_mib, 0).await?;
        let passphrase_file = folder.join("passphrase.secret");
        files::replace_private(&passphrase_file, uuid::Uuid::new_v4().to_string().as_bytes())?;
        let context = Context {
            output,
            settings: Settings::at(Some(folder.join("home"))),
            repo: Some(folder.join("repo")),
            passphrase_file: Some(passphrase_file),
            recovery_key_file: None,
        };
        repo::create(&context).await?;
        context.settings.add_host(practice.host_entry())?;
        let disk_file_bytes = disk_files(&practice)?.iter().map(|file| file_bytes(file)).sum();
        Ok(Self { practice, context, folder: folder.to_owned(), disk_file_bytes, backups_taken: 0 })
    }

    /// Where the story begins.
    pub(super) fn introduction(&self, files: &[FileRecord]) -> String {
        let content = files.iter().map(|file| file.bytes).sum();
        format!(
            "A simulated Hyper-V host answers WS-Management at {}.\nVM {} has {} of {} in ext4; its VHDX takes {}.\n",
            self.practice.served.url(),
            self.practice.vm_name,
            units::count(files.len() as u64, "file"),
            units::bytes(content),
            units::bytes(self.disk_file_bytes),
        )
    }

    /// All files of the guest as they are now, read from the guest's own image.
    pub(super) fn guest_files(&self) -> Outcome<Vec<FileRecord>> {
        Ok(GuestFiles::list(&self.practice.guest_files.image(), &self.scratch()?)?)
    }

    /// What `refpoint backup --vm` does.
    pub(super) async fn back_up(&mut self) -> Outcome<Taken> {
        let repository = self.context.open_repository().await?;
        let journal = plan::open_journal(&self.context)?;
        let _lock = journal.lock()?;
        let begun = Instant::now();
        let fleet = Fleet::look(&self.context, Some(HOST_NAME)).await?;
        let mut results = Vec::new();
        for chosen in fleet.choose(std::slice::from_ref(&self.practice.vm_name))? {
            let (world, host) = (World::quiet(), chosen.seen.host.clone());
            let site = Site { host: &host, repository: &repository, journal: &journal, world: &world };
            results.extend(backup::backup_host(&Policy::default(), chosen, site).await?);
        }
        if let Some(failure) = results.iter().find_map(|result| result.failure()) {
            return Err(failure.clone());
        }
        let Some((point, [disk])) = results.first().and_then(|result| result.done()) else {
            return Err(checks::mismatch("the backup", "it has not exactly one disk".to_owned()));
        };
        self.backups_taken += 1;
        let number = self.backups_taken - 1;
        Ok(Taken { number, point: point.parse()?, disk: disk.clone(), took: begun.elapsed() })
    }

    /// What `refpoint restore disk` does, in both forms, and the comparisons.
    pub(super) async fn restore_and_check(&self, taken: &Taken, files: &[FileRecord]) -> Outcome<()> {
        let check = format!("the disk of backup {}", taken.number + 1);
        let (vhdx, raw) = (self.restored(taken, "vhdx"), self.restored(taken, "raw"));
        restore::disk_to_file(&self.context, &taken.point, &vhdx, DiskForm::Vhdx).await?;
        restore::disk_to_file(&self.context, &taken.point, &raw, DiskForm::Raw).await?;
        checks::bytes_match(&check, &self.expected(taken)?, &vhdx)?;
        checks::files_match(&check, files, &raw, &self.scratch()?)
    }

    /// What `refpoint restore vm` does; the new machine must be there, and its disk right.
    pub(super) async fn restore_vm_and_check(&self, taken: &Taken, name: &str) -> Outcome<()> {
        restore::vm_beside(&self.context, &taken.point, HOST_NAME, name).await?;
        let fleet = Fleet::look(&self.context, Some(HOST_NAME)).await?;
        let mut restored: Vec<(VmId, PathBuf)> = Vec::new();
        for seen in &fleet.hosts {
            for vm in seen.inventory.vms.iter().filter(|vm| vm.name == name) {
                for disk in &vm.disks {
                    restored.push((vm.id, seen.host.paths().to_local(&disk.path)?));
                }
            }
        }
        match restored.as_slice() {
            [(_, file)] => checks::bytes_match("the disk of the restored VM", &self.expected(taken)?, file),
            several => {
                let problem = format!("{} disks are registered for {name}, not one", several.len());
                Err(checks::mismatch("the restored VM", problem))
            }
        }
    }

    /// One reference point for the next backup, and neither checkpoints nor differencing files.
    pub(super) fn check_leftovers(&self) -> Outcome<String> {
        let left = self.practice.host.leftovers(self.practice.vm)?;
        let clean = left.checkpoints.is_empty() && left.avhdx_files.is_empty() && !left.merging;
        if !clean || left.reference_points.len() != 1 {
            return Err(checks::mismatch("what is left on the host", format!("{left:?}")));
        }
        Ok(units::count(left.reference_points.len() as u64, "reference point"))
    }

    /// The figures, once everything was right.
    pub(super) async fn figures(&self, taken: &[&Taken], written: u64, took: Duration) -> Outcome<Figures> {
        let stats = self.context.open_repository().await?.stats().await?;
        let mut content_bytes = 0;
        for taken in taken {
            let ranges = self.expected(taken)?.written();
            content_bytes += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
        }
        let read = |at: usize| taken.get(at).map_or(0, |taken| taken.disk.read_bytes);
        Ok(Figures {
            verdict: VERDICT,
            disk_capacity_bytes: taken.first().map_or(0, |taken| taken.disk.capacity_bytes),
            disk_file_bytes: self.disk_file_bytes,
            guest_written_bytes: written,
            backups: taken.iter().map(|taken| (*taken).into()).collect(),
            content_bytes,
            repository_bytes: stats.stored_bytes,
            dedup_ratio: content_bytes as f64 / stats.stored_bytes.max(1) as f64,
            read_bytes_saved: read(0).saturating_sub(read(1)),
            seconds: took.as_secs_f64(),
        })
    }

    /// Stops the host.
    pub(super) async fn strike(self) {
        self.practice.served.shutdown().await;
    }

    /// What the guest's writes left on its disk at the moment of a backup.
    fn expected(&self, taken: &Taken) -> Outcome<ExpectedDisk> {
        let moments = self.practice.host.moments(self.practice.vm)?;
        let Some(moment) = moments.get(taken.number) else {
            let problem = format!("backup {} has no moment in the write log", taken.number + 1);
            return Err(checks::mismatch("the number of checkpoints", problem));
        };
        Ok(self.practice.host.expected(self.practice.vm, 0, Some(moment.checkpoint))?)
    }

    fn restored(&self, taken: &Taken, extension: &str) -> PathBuf {
        self.folder.join(format!("restored-{}.{extension}", taken.number + 1))
    }

    fn scratch(&self) -> Outcome<PathBuf> {
        let folder = self.folder.join("scratch");
        files::make_private_folder(&folder)?;
        Ok(folder)
    }
}

/// The disk files of the virtual machine, on this machine.
fn disk_files(practice: &Practice) -> Outcome<Vec<PathBuf>> {
    let maps = practice.host.path_map();
    let paths = hyperv::PathMap::new(maps)?;
    let vms = practice.host.vms();
    let disks = vms.iter().flat_map(|vm| &vm.disks);
    Ok(disks.map(|path| paths.to_local(path)).collect::<Result<_, _>>()?)
}

fn file_bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |facts| facts.len())
}
