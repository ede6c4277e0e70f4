//! The two halves against each other and against hand-made messages, over in-memory streams.

mod golden;
mod operations;
mod paging;
mod raw;
mod strictness;
mod support;
mod trouble;
