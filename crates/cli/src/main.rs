//! The refpoint command.

fn main() {}
