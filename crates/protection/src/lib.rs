//! Deciding and running backups: planner, checker, journaled steps, transfer pipeline.
