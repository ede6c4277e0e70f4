//! Images mounted by others than us: by the kernel through a loop device, and disks of any format served by QEMU.
//!
//! Mounting takes root and loop devices, serving takes FUSE. Where that is not allowed a test fails and says so.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a served disk may take to appear, and a mounted one to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// An image that the kernel has mounted; unmounted when it goes.
pub(crate) struct Mounted(pub(crate) PathBuf);

impl Mounted {
    /// Mounts the file system of an image at a folder, for reading and writing.
    pub(crate) fn new(image: &Path, at: &Path) -> Self {
        Self::with_options(image, at, "loop")
    }

    /// Mounts it for reading.
    pub(crate) fn read_only(image: &Path, at: &Path) -> Self {
        Self::with_options(image, at, "loop,ro")
    }

    fn with_options(image: &Path, at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let output = Command::new("mount").args(["-o", options]).args([image, at]).output();
        let output = output.expect("mount (package mount) is needed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "this test mounts images, which takes root and loop devices: mount of {}: {said}",
            image.display()
        );
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    /// A process that another test is just starting holds this one's files until it runs its command, so that the
    /// folder is busy for a moment.
    fn drop(&mut self) {
        let given_up = Instant::now() + PATIENCE;
        loop {
            let output = Command::new("umount").arg(&self.0).output().unwrap();
            if output.status.success() || std::thread::panicking() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("busy") && Instant::now() < given_up, "umount: {said}");
        }
    }
}

/// A disk that `qemu-nbd` reads and `nbdfuse` shows as a raw file; ends when it goes.
pub(crate) struct Served {
    process: Child,
    point: PathBuf,
}

impl Served {
    /// Serves an image of this format, by QEMU's name of it, in a folder.
    pub(crate) fn new(image: &Path, format: &str, point: &Path) -> Self {
        fs::create_dir_all(point).unwrap();
        let process = Command::new("nbdfuse")
            .arg("-r")
            .arg(point.join("disk"))
            .args(["--socket-activation", "qemu-nbd", "-r", "-f", format])
            .arg(image)
            .stderr(Stdio::null())
            .spawn()
            .expect("nbdfuse (package libnbd-bin) is needed");
        let mut served = Self { process, point: point.to_owned() };
        let given_up = Instant::now() + PATIENCE;
        while !fs::metadata(served.disk()).is_ok_and(|disk| disk.len() > 0) {
            let ended = served.process.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "qemu-nbd and nbdfuse could not serve {} as {format} (is /dev/fuse there, and qemu-nbd?)",
                image.display()
            );
            assert!(Instant::now() < given_up, "nbdfuse did not mount in time");
            std::thread::yield_now();
        }
        served
    }

    /// The raw file.
    pub(crate) fn disk(&self) -> PathBuf {
        self.point.join("disk")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let unmounted = Command::new("fusermount").args(["-u", "-z"]).arg(&self.point).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
