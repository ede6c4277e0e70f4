//! The active sequence of a log: the entries that must be replayed (MS-VHDX 2.3.2).
//!
//! The log is a ring that is never cleared, so valid entries of the past lie beside the live ones. An
//! entry goes on into the one that starts where it ends and has the next number; a chain of them
//! counts only if the Tail of its last entry is the start of an entry in it, and the chain with the
//! greatest last number is active. An entry that is not valid merely ends its chain: it is the torn
//! end of the log.
//!
//! Valid entries never overlap (see `entry`), so each has one successor and one predecessor at most
//! and the search takes one pass over the log and one over the entries.

use super::area::LogArea;
use super::entry::{Candidate, Entry};
use super::layout::LOG_SECTOR_BYTES;
use crate::error::{Error, Result};
use crate::file_io::FileIo;

/// The entries to replay, oldest first; at least one.
pub(super) fn active_sequence(file: &dyn FileIo, log: &LogArea) -> Result<Vec<Entry>> {
    let entries = valid_entries(file, log)?;
    let links = Links::of(&entries, log);
    let mut active: Option<(usize, usize)> = None;
    for last in links.last_entries() {
        let Some(first) = links.tail_of(&entries, last) else { continue };
        match active.map(|(_, other)| entries[last].sequence_number.cmp(&entries[other].sequence_number)) {
            Some(std::cmp::Ordering::Less) => {}
            Some(std::cmp::Ordering::Equal) => {
                return Err(Error::damaged(file.name(), "its log has two ends with the same number"));
            }
            Some(std::cmp::Ordering::Greater) | None => active = Some((first, last)),
        }
    }
    let Some((first, last)) = active else {
        return Err(Error::damaged(
            file.name(),
            "its log should hold changes, but has no valid sequence of entries",
        ));
    };
    Ok(links.walk(first, last).map(|at| entries[at]).collect())
}

/// All valid entries, by their place in the log.
fn valid_entries(file: &dyn FileIo, log: &LogArea) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut pending: Option<Candidate> = None;
    log.for_each_sector(file, &mut |number, sector| {
        let Some(sector) = sector else {
            pending = None;
            return true;
        };
        pending = match Candidate::begin(log, number, sector) {
            Some(candidate) => Some(candidate),
            None => pending.take().and_then(|mut candidate| candidate.feed(sector).then_some(candidate)),
        };
        entries.extend(pending.take_if(|candidate| candidate.is_complete()).and_then(Candidate::finish));
        true
    })?;
    // The last entry may go on at the start of the ring; it ends before its own start.
    if pending.is_some() {
        log.for_each_sector(file, &mut |_, sector| {
            let fed = sector.is_some_and(|sector| pending.as_mut().is_some_and(|last| last.feed(sector)));
            if !fed {
                pending = None;
            }
            entries.extend(pending.take_if(|candidate| candidate.is_complete()).and_then(Candidate::finish));
            pending.is_some()
        })?;
    }
    Ok(entries)
}

/// Which entry goes on into which, by their numbers in the list of entries.
struct Links {
    next: Vec<Option<u32>>,
    previous: Vec<Option<u32>>,
}

impl Links {
    fn of(entries: &[Entry], log: &LogArea) -> Self {
        let mut links = Self { next: vec![None; entries.len()], previous: vec![None; entries.len()] };
        for (at, entry) in entries.iter().enumerate() {
            let end = (entry.sector + entry.sectors) % log.sectors();
            let Ok(next) = entries.binary_search_by_key(&end, |entry| entry.sector) else { continue };
            // The list has fewer entries than the log has sectors, which are at most 2^18.
            if let (Ok(here), Ok(there)) = (u32::try_from(at), u32::try_from(next))
                && entry.sequence_number.checked_add(1) == Some(entries[next].sequence_number)
            {
                links.next[at] = Some(there);
                links.previous[next] = Some(here);
            }
        }
        links
    }

    /// The entries that go on into none.
    fn last_entries(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.next.len()).filter(|at| self.next[*at].is_none())
    }

    /// The entry that the Tail of the last entry of a chain names, if it is in that chain.
    fn tail_of(&self, entries: &[Entry], last: usize) -> Option<usize> {
        let tail = entries[last].tail;
        let mut at = last;
        while entries[at].sector * LOG_SECTOR_BYTES != tail {
            at = self.previous[at]? as usize;
        }
        Some(at)
    }

    fn walk(&self, first: usize, last: usize) -> impl Iterator<Item = usize> + '_ {
        let next = move |at: &usize| if *at == last { None } else { self.next[*at].map(|at| at as usize) };
        std::iter::successors(Some(first), next)
    }
}
