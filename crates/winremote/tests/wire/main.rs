//! The two halves against each other and against hand-made messages, over in-memory streams.

mod operations;
mod support;
