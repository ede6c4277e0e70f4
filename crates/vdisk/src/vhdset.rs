//! VHD Sets: recognised by name, and never read.
//!
//! The format of a `.vhds` file is not public: whatever its bytes look like, what they mean is not
//! known, and a disk read from them would be made up. Its data lies in `.avhdx` files, which are
//! ordinary VHDX files. Which of them belongs to which point in time is what the host says
//! (`GetVHDSnapshotInformation`, `SnapshotPath`); the names tell nothing.

/// Whether a file's name says that it is a VHD Set.
pub(crate) fn is_named_so(name: &str) -> bool {
    extension(name).is_some_and(|extension| extension.eq_ignore_ascii_case("vhds"))
}

/// What follows the last dot of a file's name, if anything does.
pub(crate) fn extension(name: &str) -> Option<&str> {
    let (_, extension) = name.rsplit(['/', '\\']).next()?.rsplit_once('.')?;
    Some(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vhd_set_is_known_by_the_end_of_its_name() {
        for (name, expected) in [
            ("/c/cluster.vhds", true),
            (r"C:\VMs\Cluster.VHDS", true),
            ("cluster.vhds.avhdx", false),
            ("folder.vhds/disk.vhdx", false),
            ("vhds", false),
        ] {
            assert_eq!(is_named_so(name), expected, "{name}");
        }
    }
}
