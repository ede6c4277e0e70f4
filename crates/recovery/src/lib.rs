//! Bringing data back: disks and whole virtual machines from a restore point.
