//! A Hyper-V host on the wire, with real disk files, real checkpoints and real change tracking.
