//! Reading a dynamic VHDX as a disk, against `cat` of the same file.
//!
//! qemu-img makes the file, full of data without repetition, so both ways move nearly the same bytes out of
//! the page cache, and what is left is the price of our block table, checks and copies.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Bench, Benchmark};
use crate::workspace::{cargo, target_folder};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "vdisk-read",
    what: "reading a full dynamic VHDX as a disk, against cat of the file",
    run,
};

fn run(bench: &Bench<'_>) -> Result<()> {
    let disk = bench.folder.join(format!("disk-{}.vhdx", bench.mib));
    if !disk.exists() {
        make_disk(bench, &disk)?;
    }
    let build = ["build", "--release", "--quiet", "--package", "vdisk", "--example", "read_speed"];
    if !cargo(bench.root).args(build).status()?.success() {
        bail!("the example read_speed of vdisk does not build");
    }
    let reader = target_folder(bench.root)?.join("release/examples/read_speed");
    println!("{} MiB in {}", bench.mib, disk.display());
    bench.compare([("vdisk", Command::new(reader).arg(&disk)), ("cat", Command::new("cat").arg(&disk))])
}

/// Makes the VHDX, under another name until it is whole.
fn make_disk(bench: &Bench<'_>, disk: &Path) -> Result<()> {
    let raw = bench.folder.join("disk.raw");
    write_noise(&raw, bench.mib).with_context(|| format!("cannot write {}", raw.display()))?;
    let unfinished = disk.with_extension("unfinished");
    let status = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "vhdx", "-o", "subformat=dynamic"])
        .args([&raw, &unfinished])
        .stdin(Stdio::null())
        .status()
        .context("cannot run qemu-img (Debian: apt-get install qemu-utils)")?;
    fs::remove_file(&raw)?;
    if !status.success() {
        bail!("qemu-img could not make {}", unfinished.display());
    }
    fs::rename(&unfinished, disk).with_context(|| format!("cannot rename to {}", disk.display()))
}

/// Writes data that repeats nowhere, the same on every machine.
fn write_noise(path: &Path, mib: u32) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..u64::from(mib) * (1 << 20) / 8 {
        // xorshift64 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_its_size_and_is_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));

        write_noise(&one, 1).unwrap();
        write_noise(&two, 1).unwrap();

        let bytes = fs::read(&one).unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        assert_eq!(bytes, fs::read(&two).unwrap());
        assert_ne!(bytes[..4096], bytes[4096..8192]);
    }
}
