//! Reads a virtual disk from start to end, as fast as one thread can: `cargo xtask bench vdisk-read` times it.
//!
//! It prints what it read and a sum over it, so that the reading can be neither wrong nor optimised away.

#![expect(clippy::print_stdout, reason = "an example for people talks on its streams")]

use std::env;
use std::error::Error;
use std::io;

use vdisk::Disk;

/// Bytes of one read: they stay in the second cache level of the processor.
const READ_BYTES: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: read_speed FILE"))?;
    let disk = Disk::open_local(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut sum = 0_u64;
    let mut offset = 0;
    while offset < disk.capacity() {
        let rest = usize::try_from(disk.capacity() - offset).unwrap_or(usize::MAX);
        let part = &mut buffer[..READ_BYTES.min(rest)];
        disk.read_at(offset, part)?;
        sum = part.chunks(4096).fold(sum, |sum, page| sum.wrapping_mul(31).wrapping_add(u64::from(page[0])));
        offset += part.len() as u64;
    }
    println!("read {offset} bytes, sum {sum:016x}");
    Ok(())
}
