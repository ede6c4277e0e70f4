//! Targets `check_file` and `check_vhd`: the validator on the same patched files as `vhdx_open` and `vhd_open`.
//!
//! It never fails on a file whose format can be told, never says more than its bound, and what opening
//! refuses it calls an error too.

use std::sync::Arc;

use vdisk::check::{Severity, check};
use vdisk::{Disk, Error, FileIo};

use super::oracle::sealed;
use super::vhd_open;
use super::vhdx_open::{AS_CHILD, PARENT, patched};

/// More findings than this are counted, not listed.
const FINDINGS_MAX: usize = 100_000;

pub fn body(bytes: &[u8]) {
    let (file, switches) = patched(bytes);
    let mut chain: Vec<Arc<dyn FileIo>> = vec![sealed(&file)];
    if switches & AS_CHILD != 0 {
        chain.push(sealed(&PARENT.file("parent.vhdx")));
    }
    check_chain(&chain);
}

/// The same of a VHD.
pub fn vhd(bytes: &[u8]) {
    check_chain(&vhd_open::patched(bytes));
}

pub(super) fn check_chain(chain: &[Arc<dyn FileIo>]) {
    let opened = Disk::open_chain(chain.to_vec());
    match check(chain) {
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
