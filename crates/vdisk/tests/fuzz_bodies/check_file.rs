//! Target `check_file`: the validator on the same patched files as `vhdx_open`.
//!
//! It never fails on a file that is a VHDX by its first bytes, never says more than its bound, and what opening
//! refuses it calls an error too.

use std::sync::Arc;

use vdisk::check::{Severity, check};
use vdisk::{Disk, Error, FileIo, MemoryFile};

use super::oracle::sealed;
use super::vhdx_open::{AS_CHILD, PARENT, patched};

/// More findings than this are counted, not listed.
const FINDINGS_MAX: usize = 100_000;

pub fn body(bytes: &[u8]) {
    let (file, switches) = patched(bytes);
    check_one(&file, switches & AS_CHILD != 0);
}

fn check_one(file: &MemoryFile, as_child: bool) {
    let mut chain: Vec<Arc<dyn FileIo>> = vec![sealed(file)];
    if as_child {
        chain.push(sealed(&PARENT.file("parent.vhdx")));
    }
    let opened = Disk::open_chain(chain.clone());
    match check(&chain) {
        Ok(report) => {
            assert!(report.findings.len() < FINDINGS_MAX);
            let errors = report.count(Severity::Error);
            if let Err(error) = &opened {
                assert!(errors > 0, "opening says {error}, the validator finds no error");
            }
            for finding in &report.findings {
                assert!(!finding.file.is_empty() && !finding.found.is_empty(), "{finding:?}");
            }
        }
        Err(Error::NotVhdx { .. }) => assert!(opened.is_err()),
        Err(error) => assert!(opened.is_err(), "the validator gives up with {error} on a file that opens"),
    }
}
