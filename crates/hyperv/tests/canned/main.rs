//! The control plane against a tiny host whose every object and answer is written down in the test.
//!
//! The wire in between is real WS-Management over in-memory streams. The simulated host is not used here, so that a
//! test shows the whole exchange; `simulated_host.rs` plays the full flow.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise, as tests do")]

mod changed_ranges;
mod checkpoint;
mod connect;
mod define_vm;
mod disk_file;
mod inventory;
mod merge;
mod reference_point;
mod support;
