//! Virtual hard disks of Hyper-V: VHDX files and differencing chains, changed ranges and extents.
