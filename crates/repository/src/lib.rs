//! Deduplicating, encrypted store of restore points.
