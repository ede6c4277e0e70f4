//! VHD Sets: recognised by name, and never read.
//!
//! The format of a `.vhds` file is not public: whatever its bytes look like, what they mean is not
//! known, and a disk read from them would be made up. Its data lies in `.avhdx` files, which are
//! ordinary VHDX files. Which of them belongs to which point in time is what the host says
//! (`GetVHDSnapshotInformation`, `SnapshotPath`); the names tell nothing.

/// Whether a file's name says that it is a VHD Set.
pub(crate) fn is_named_so(name: &str) -> bool {
    let extension = name.rsplit(['/', '\\']).next().and_then(|name| name.rsplit_once('.'));
    extension.is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("vhds"))
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
