//! The tools and the steps that each takes. The commands of the peers are the ones that a careful user would choose:
//! default chunks, zstd at its fast level where it can be chosen, no shortcut by time of change.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::GUESTS;

/// A tool that takes all steps.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// How to get it, for `sh`; `$FOLDER` is the bench's own folder. Empty for ours.
    install: &'static str,
    /// Its program: a path below the bench's folder, or a name.
    program: fn(&Work) -> PathBuf,
    version: &'static str,
    pub(super) steps: fn(&Work) -> Vec<Step>,
}

/// One step: a command, or looking at what the repository takes.
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) command: Option<Command>,
    /// Whether it is part of the table.
    pub(super) counts: bool,
}

/// Where everything is.
pub(super) struct Work {
    pub(super) folder: PathBuf,
    pub(super) images: PathBuf,
    pub(super) program: PathBuf,
    /// Changed ranges of each guest from day 1 to day 2.
    pub(super) ranges: Vec<PathBuf>,
}

pub(super) const ALL: &[Tool] = &[
    Tool { name: "refpoint", install: "", program: |work| work.program.clone(), version: "", steps: ours },
    Tool {
        name: "restic",
        install: "apt-get install -y -qq restic",
        program: |_| "restic".into(),
        version: "version",
        steps: restic,
    },
    Tool {
        name: "borg",
        // Built here, so that its version does not depend on the distribution's.
        install: "apt-get install -y -qq pkg-config python3-dev libacl1-dev libssl-dev liblz4-dev libzstd-dev \
                  libxxhash-dev && python3 -m venv $FOLDER/borg && $FOLDER/borg/bin/pip install -q borgbackup==1.4.5",
        program: borg_program,
        version: "--version",
        steps: borg,
    },
];

fn borg_program(work: &Work) -> PathBuf {
    work.folder.join("borg/bin/borg")
}

const FIRST: &str = "first backup of three guests";
const STORED_1: &str = "stored after day 1";
const RESCAN: &str = "full re-scan, nothing changed";
const SCAN_2: &str = "day 2 by full scan";
const RANGES_2: &str = "day 2 by changed ranges";
const STORED_2: &str = "stored after day 2 by full scan";
const STORED_RANGES_2: &str = "stored after day 2 by changed ranges";
const RESTORE: &str = "restore one disk, holes kept";
const RESTORE_FULL: &str = "restore one disk, every byte";
const VERIFY: &str = "verify all data";
const RANDOM: &str = "random reads of 4 KiB";

impl Tool {
    /// What the tool says of its version, after it was installed where it was missing.
    pub(super) fn ready(&self, work: &Work) -> Result<String> {
        if self.install.is_empty() {
            return Ok("this tree".to_owned());
        }
        if let Some(version) = self.version(work) {
            return Ok(version);
        }
        eprintln!("installing {}", self.name);
        let mut install = Command::new("sh");
        install.args(["-c", self.install]).env("FOLDER", &work.folder).stdout(Stdio::null());
        install.status().context("cannot run sh")?;
        let missing = || format!("{} is needed and could not be installed by: {}", self.name, self.install);
        self.version(work).with_context(missing)
    }

    fn version(&self, work: &Work) -> Option<String> {
        let program = (self.program)(work);
        let output = Command::new(program).arg(self.version).stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().next().filter(|_| output.status.success()).map(str::to_owned)
    }
}

impl Step {
    fn run(what: &'static str, command: Command) -> Self {
        Self { what, command: Some(command), counts: true }
    }

    /// Needed, but not measured against others.
    fn uncounted(what: &'static str, command: Command) -> Self {
        Self { what, command: Some(command), counts: false }
    }

    fn stored(what: &'static str) -> Self {
        Self { what, command: None, counts: true }
    }
}

impl Work {
    pub(super) fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    fn out(&self) -> PathBuf {
        self.folder.join("restored")
    }

    fn day(&self, day: u8) -> Vec<PathBuf> {
        GUESTS.iter().map(|guest| self.images.join(format!("d{day}")).join(guest)).collect()
    }

    /// Removes repository, restored files and caches.
    pub(super) fn clean(&self) -> Result<()> {
        for folder in [self.repository(), self.out(), self.folder.join("cache")] {
            if folder.exists() {
                std::fs::remove_dir_all(&folder)
                    .with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
        std::fs::create_dir_all(self.out()).context("cannot make the folder for restored disks")
    }

    /// Reads all images once, so that every tool finds them in memory.
    pub(super) fn warm(&self) -> Result<()> {
        for image in [self.day(1), self.day(2)].concat() {
            let mut file =
                std::fs::File::open(&image).with_context(|| format!("cannot read {}", image.display()))?;
            std::io::copy(&mut file, &mut std::io::sink())?;
        }
        Ok(())
    }
}

fn ours(work: &Work) -> Vec<Step> {
    let repository = work.repository();
    let program = |step: &str| {
        let mut command = Command::new(&work.program);
        command.arg(step).arg(&repository);
        command
    };
    let with = |step: &str, arguments: &[&Path]| {
        let mut command = program(step);
        command.args(arguments);
        command
    };
    let scan = |day| {
        let mut command = program("scan");
        command.args(work.day(day));
        command
    };
    let mut changed = program("ranges");
    for (disk, ranges) in work.day(2).iter().zip(&work.ranges) {
        changed.args([disk, ranges]);
    }
    let (vm1, out) = (Path::new(GUESTS[0]), work.out().join("vm1.raw"));
    vec![
        Step::uncounted("init", program("init")),
        Step::run(FIRST, scan(1)),
        Step::stored(STORED_1),
        Step::run(RESCAN, scan(1)),
        Step::run(RANGES_2, changed),
        Step::stored(STORED_RANGES_2),
        Step::run(SCAN_2, scan(2)),
        Step::stored(STORED_2),
        Step::run(RESTORE, with("restore", &[vm1, &out])),
        Step::run(RESTORE_FULL, with("restore-full", &[vm1, &out])),
        Step::run(VERIFY, program("verify")),
        Step::run(RANDOM, with("random-reads", &[vm1, Path::new("20000")])),
    ]
}

fn restic(work: &Work) -> Vec<Step> {
    let restic = |arguments: &[&str]| {
        let mut command = Command::new("restic");
        command.arg("-q").arg("-r").arg(work.repository()).args(arguments);
        command.env("RESTIC_PASSWORD", "bench").env("RESTIC_CACHE_DIR", work.folder.join("cache"));
        command
    };
    let backup = |day| {
        let mut command = restic(&["backup", "--force"]);
        command.args(work.day(day));
        command
    };
    let mut restore = restic(&["restore", "latest", "--include"]);
    restore.arg(&work.day(2)[0]).arg("--target").arg(work.out());
    vec![
        Step::uncounted("init", restic(&["init", "--repository-version", "2"])),
        Step::run(FIRST, backup(1)),
        Step::stored(STORED_1),
        Step::run(RESCAN, backup(1)),
        Step::run(SCAN_2, backup(2)),
        Step::stored(STORED_2),
        Step::run(RESTORE_FULL, restore),
        Step::run(VERIFY, restic(&["check", "--read-data"])),
    ]
}

fn borg(work: &Work) -> Vec<Step> {
    let borg = |arguments: &[&str]| {
        let mut command = Command::new("borg");
        command
            .args(arguments)
            .env("BORG_PASSPHRASE", "bench")
            .env("BORG_BASE_DIR", work.folder.join("cache"));
        command
    };
    let archive = |name: &str| {
        let mut path = work.repository().into_os_string();
        path.push(format!("::{name}"));
        path
    };
    let create = |name: &str, day| {
        let mut command = borg(&["create", "--files-cache=disabled", "-C", "zstd,1"]);
        command.arg(archive(name)).args(work.day(day));
        command
    };
    let mut init = borg(&["init", "-e", "repokey-blake2"]);
    init.arg(work.repository());
    let mut extract = borg(&["extract"]);
    let first = &work.day(2)[0];
    extract.arg(archive("c")).arg(first.strip_prefix("/").unwrap_or(first)).current_dir(work.out());
    let mut check = borg(&["check", "--verify-data"]);
    check.arg(work.repository());
    vec![
        Step::uncounted("init", init),
        Step::run(FIRST, create("a", 1)),
        Step::stored(STORED_1),
        Step::run(RESCAN, create("b", 1)),
        Step::run(SCAN_2, create("c", 2)),
        Step::stored(STORED_2),
        Step::run(RESTORE_FULL, extract),
        Step::run(VERIFY, check),
    ]
}
