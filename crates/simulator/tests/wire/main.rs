//! The simulated host as a client sees it over TCP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod changes;
mod checkpoints;
mod definition;
mod faults;
mod inventory;
mod killed;
mod restart;
#[path = "../support/mod.rs"]
mod support;
