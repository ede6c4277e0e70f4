//! Public behaviour of the repository, one module per story. One binary, because linking is what costs.

mod backup;
mod common;
