//! Public behaviour of the repository, one module per story. One binary, because linking is what costs.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::single_range_in_vec_init,
    reason = "tests and their helpers may stop at the first surprise"
)]

mod backup;
mod bases;
mod commit;
mod common;
mod conformance;
mod damage;
mod full;
mod keys;
mod model;
