//! $LogFile: whether the volume was dismounted cleanly.
//!
//! NTFS writes metadata to its log first and to its place later. Two restart pages at the front of
//! the log tell how far that went. The log is not replayed here: no published description covers
//! every record that Windows writes, and replaying part of it would show a tree that never existed.
//! So an unclean log is reported, and what it may hold back is said in plain words. Source:
//! linux-ntfs documentation ($LogFile) and Microsoft's published names of the structures.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Outcome, part, view};
use super::fixup;
use super::medium::Medium;
use super::stream::Stream;
use crate::number::index;

/// Smallest and largest page of the log; Windows writes 4 KiB.
const PAGE_BYTES: std::ops::RangeInclusive<u64> = 512..=64 << 10;
/// Where the second restart page is looked for when the first one is unreadable.
const USUAL_PAGE_BYTES: u64 = 4096;
/// Bytes looked at to call a log empty: the restart pages and the first pages after them.
const EMPTY_BYTES: u64 = 64 << 10;
/// No client has the log open.
const NO_CLIENT: u16 = 0xFFFF;
/// Flag of a restart area: the volume was dismounted cleanly.
const VOLUME_IS_CLEAN: u16 = 2;
/// What an emptied log is filled with.
const ERASED: u8 = 0xFF;

/// What a restart page begins with.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PageHeader {
    signature: [u8; 4],
    fixup_offset: U16,
    fixup_count: U16,
    check_disk_sequence: U64,
    system_page_bytes: U32,
    log_page_bytes: U32,
    area_offset: U16,
    minor_version: U16,
    major_version: U16,
}
const _: () = assert!(size_of::<PageHeader>() == 30);

/// The restart area in such a page.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RestartArea {
    current_sequence: U64,
    clients: U16,
    free_list: U16,
    in_use_list: U16,
    flags: U16,
}
const _: () = assert!(size_of::<RestartArea>() == 16);

/// What the log says about the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogState {
    /// Nothing waits in it.
    Clean,
    /// Metadata may wait in it; why, as a clause.
    Unclean(&'static str),
}

/// A restart page that was readable.
struct Restart {
    current_sequence: u64,
    state: LogState,
}

/// Reads the state of the log.
pub(super) fn state(medium: &Medium, log: &Stream) -> Outcome<LogState> {
    if log.size == 0 {
        return Ok(LogState::Unclean("$LogFile is empty, so it cannot tell"));
    }
    let first = restart_page(medium, log, 0)?;
    let second_at = first.as_ref().map_or(USUAL_PAGE_BYTES, |(_, page_bytes)| *page_bytes);
    let second = restart_page(medium, log, second_at)?;
    let newest =
        [first, second].into_iter().flatten().map(|(restart, _)| restart).max_by_key(|r| r.current_sequence);
    match newest {
        Some(restart) => Ok(restart.state),
        None if is_erased(medium, log)? => Ok(LogState::Clean),
        None => Ok(LogState::Unclean("neither restart page of $LogFile is readable")),
    }
}

/// The restart page at `offset` and the page size it gives; `None` when it is no valid one.
fn restart_page(medium: &Medium, log: &Stream, offset: u64) -> Outcome<Option<(Restart, u64)>> {
    let mut start = [0; size_of::<PageHeader>()];
    if log.read_at(medium, offset, &mut start)? < start.len() {
        return Ok(None);
    }
    let header: &PageHeader = view(&start, 0, "a restart page")?;
    let page_bytes = u64::from(header.system_page_bytes.get());
    let signature = header.signature;
    if !matches!(&signature, b"RSTR" | b"CHKD")
        || !page_bytes.is_power_of_two()
        || !PAGE_BYTES.contains(&page_bytes)
    {
        return Ok(None);
    }
    let mut page = vec![0; index(page_bytes)];
    let whole = log.read_at(medium, offset, &mut page)? == page.len();
    if !whole || fixup::restore(&mut page, signature).is_err() {
        return Ok(None);
    }
    Ok(read_page(&page, &signature).ok().map(|restart| (restart, page_bytes)))
}

/// What a whole restart page says.
fn read_page(page: &[u8], signature: &[u8; 4]) -> Outcome<Restart> {
    let header: &PageHeader = view(page, 0, "a restart page")?;
    let area: &RestartArea = view(page, usize::from(header.area_offset.get()), "a restart area")?;
    let version = (header.major_version.get(), header.minor_version.get());
    let open = area.in_use_list.get() != NO_CLIENT && area.flags.get() & VOLUME_IS_CLEAN == 0;
    let state = match version {
        // Check disk has already put everything in its place.
        _ if signature == b"CHKD" => LogState::Clean,
        (1, _) if !open => LogState::Clean,
        (1, _) => LogState::Unclean("$LogFile holds changes that Windows had not put in place yet"),
        // Windows 8 and later write version 2.0 while a volume is in use and go back to 1.1 when it is
        // dismounted; a clean flag under 2.0 comes from a fast shutdown that kept metadata in memory.
        (2, _) if open => {
            LogState::Unclean("$LogFile (version 2.0) holds changes that Windows had not put in place yet")
        }
        (2, _) => LogState::Unclean("$LogFile (version 2.0) says that Windows still had the volume in use"),
        _ => LogState::Unclean("$LogFile has an unknown version"),
    };
    Ok(Restart { current_sequence: area.current_sequence.get(), state })
}

/// Whether the log was emptied, as formatting and repair do.
fn is_erased(medium: &Medium, log: &Stream) -> Outcome<bool> {
    let mut start = vec![0; index(EMPTY_BYTES.min(log.size))];
    let count = log.read_at(medium, 0, &mut start)?;
    Ok(part(&start, 0, count, "$LogFile")?.iter().all(|byte| *byte == ERASED))
}
