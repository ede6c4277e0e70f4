//! Overwrites random 4 KiB pages of a VHDX in place, as a guest does, and prints how long that took.
//!
//! `random_writes FILE.vhdx COUNT FLUSH_INTERVAL [STEP]`: a flush after every so many writes, 0 for one at the
//! end. With STEP the writes go through the disk in steps of so many bytes, as `qemu-img bench` does.
#![allow(clippy::print_stdout, reason = "an example tells its result")]

use std::sync::Arc;
use std::time::Instant;

use vdisk::{LocalFile, WritableDisk};

const PAGE: u64 = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: random_writes FILE.vhdx COUNT FLUSH_INTERVAL [STEP]";
    let path = arguments.next().ok_or(usage)?;
    let mut numbers = Vec::new();
    for argument in arguments {
        numbers.push(argument.parse::<u64>()?);
    }
    let (Some(&count), Some(&interval)) = (numbers.first(), numbers.get(1)) else { return Err(usage.into()) };
    let step = numbers.get(2).copied();

    let mut disk = WritableDisk::open(Arc::new(LocalFile::open_read_write(path)?))?;
    let pages = disk.capacity() / PAGE;
    let data = vec![0xa5; usize::try_from(PAGE)?];
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let start = Instant::now();
    for number in 0..count {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let page = step.map_or(random, |step| number * step / PAGE) % pages;
        disk.write_at(page * PAGE, &data)?;
        if interval > 0 && (number + 1) % interval == 0 {
            disk.flush()?;
        }
    }
    disk.flush()?;
    let seconds = start.elapsed().as_secs_f64();
    disk.close()?;
    println!("{count} writes in {seconds:.3} s");
    Ok(())
}
