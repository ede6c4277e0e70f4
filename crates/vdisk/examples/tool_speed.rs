//! The tools' inner loops as a program, to be timed against other programs on the same file.
//!
//! `tool_speed nothing DISK` does all of a conversion but the writing; `zero` reads and tells zeros on
//! one thread; `blake3` prints the digest; `convert DISK TARGET` writes by the target's ending. A name
//! that ends in .raw is a raw disk.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a program for the terminal"
)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use vdisk::{ByteRange, CreateKind, Disk, Existing, LocalFile, Target, convert, is_zero, measure};

/// Bytes of one read; they stay in the cache of the processor until they are looked at.
const READ_BYTES: u64 = 256 * 1024;

type Failure = Box<dyn std::error::Error>;

fn go_on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn open(path: &str) -> Result<Disk, Failure> {
    if path.ends_with(".raw") {
        return Ok(Disk::open_raw(Arc::new(LocalFile::open_read(path)?))?);
    }
    Ok(Disk::open_local(path)?)
}

/// Reads what is data on one thread, and returns how many bytes were zero all the same.
fn zeros_in_data(disk: &Disk) -> Result<u64, Failure> {
    let mut buf = vec![0; READ_BYTES as usize];
    let mut zeros = 0;
    for window in disk.data_windows(ByteRange::new(0, disk.capacity()), READ_BYTES) {
        let window = window?;
        let part = &mut buf[..window.len() as usize];
        disk.read_at(window.start, part)?;
        zeros += part.chunks(65_536).filter(|unit| is_zero(unit)).map(|unit| unit.len() as u64).sum::<u64>();
    }
    Ok(zeros)
}

fn target(path: &str) -> Target {
    match Path::new(path).extension().and_then(std::ffi::OsStr::to_str) {
        Some("vhdx") => Target::Vhdx { kind: CreateKind::Dynamic, block_bytes: Some(2 << 20), disk_id: None },
        Some("vhd") => Target::Vhd { kind: CreateKind::Dynamic },
        Some("qcow2") => Target::Qcow2,
        _ => Target::Raw,
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let begun = Instant::now();
    match words.as_slice() {
        ["nothing", disk] => println!("{} bytes of data", measure(&open(disk)?, &go_on)?),
        ["zero", disk] => println!("{} bytes of zeros", zeros_in_data(&open(disk)?)?),
        ["blake3", disk] => {
            let digest = open(disk)?.blake3(&go_on)?;
            println!("{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        }
        ["convert", disk, path] => {
            let written = convert(&open(disk)?, Path::new(path), &target(path), Existing::Replace, &go_on)?;
            println!("{written:?}");
        }
        _ => return Err("nothing|zero|blake3 DISK, or convert DISK TARGET".into()),
    }
    eprintln!("{:.3} s", begun.elapsed().as_secs_f64());
    Ok(())
}
