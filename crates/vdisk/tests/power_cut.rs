//! Power cuts at every write: what was flushed is there, nothing else shows, and the file opens.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod common;

use common::MIB;
use common::guest::Guest;
use common::power_cut::{Random, cut_at};

// case 61
#[test]
fn after_a_cut_at_any_write_each_sector_is_as_flushed_or_as_written_later() {
    let mut guest = Guest::new(6 * MIB);
    let (start, from) = (guest.file.bytes(), guest.file.position());
    guest.write(4096, 4096);
    guest.write(MIB + 512, 1024);
    guest.flush();
    guest.write(4096, 2048);
    guest.write(3 * MIB, 4096);
    guest.flush();
    guest.zero(MIB, MIB);
    guest.write(8192, 512);
    guest.flush();
    guest.close();
    let images = guest.check_all_cuts(&start, from, 1);
    assert!(images > 100, "{images}");
}

/// Blocks are cleared and their space is used again for others, with and without a flush between.
// cases 61, 62
#[test]
fn recycled_space_never_shows_what_another_block_held() {
    let mut images = 0;
    for seed in 0..5 {
        let mut guest = Guest::new(5 * MIB);
        guest.write(0, MIB);
        guest.write(MIB, 8192);
        guest.flush();
        let (start, from) = (guest.file.bytes(), guest.file.position());
        let mut random = Random(seed);
        for _ in 0..16 {
            let block = random.below(5) * MIB;
            match random.below(4) {
                0 => guest.zero(block, MIB),
                1 => guest.flush(),
                2 => guest.write(block, MIB / 4),
                _ => guest.write(block + random.below(250) * 4096, 4096),
            }
        }
        guest.close();
        images += guest.check_all_cuts(&start, from, seed);
    }
    assert!(images > 500, "{images}");
}

/// Partly present blocks: their bitmaps, the payload, and the table go through the log together.
// case 61
#[test]
fn a_child_cut_at_any_write_shows_its_own_sectors_or_those_of_its_parent() {
    let mut parent = Guest::new(9 * MIB);
    parent.write(0, 64 * 1024);
    parent.write(5 * MIB, 8192);
    let mut guest = parent.into_child();
    let (start, from) = (guest.file.bytes(), guest.file.position());
    guest.write(512, 1024);
    guest.write(5 * MIB - 512, 2048);
    guest.flush();
    guest.write(1024, 2048);
    guest.zero(4 * MIB, 2 * MIB);
    guest.zero(2048, 512);
    guest.flush();
    guest.write(5 * MIB, 512);
    guest.write(2 * MIB, 2 * MIB);
    guest.flush();
    guest.close();
    let images = guest.check_all_cuts(&start, from, 3);
    assert!(images > 100, "{images}");
}

/// The log of 1 MiB goes round several times, with entries that wrap at its end.
#[test]
fn a_log_that_goes_round_keeps_its_promise() {
    let mut guest = Guest::new(70 * 512 * MIB);
    let (start, from) = (guest.file.bytes(), guest.file.position());
    for round in 0..4 {
        for page in 0..70 {
            // Blocks of 1 MiB: 512 entries of 8 bytes are a page of the table.
            guest.write((page * 512 + round) * MIB, 512);
        }
        guest.flush();
    }
    guest.close();
    let mut random = Random(5);
    let chosen = |_| random.below(30) == 0;
    let ops = guest.file.ops();
    let images =
        cut_at(&start, &ops[from..], 5, chosen, |position, image| guest.check(&image, from + position));
    assert!(images > 50, "{images}");
}
