//! Checksums of ext4: CRC-32C without the final inversion, and CRC-16 of older group descriptors.
//!
//! Source: the kernel's `Documentation/filesystems/ext4/checksums`.

/// Continues a CRC-32C as ext4 keeps it: it starts from a seed and is never inverted at the end.
pub(super) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, data)
}

/// CRC-16 (reflected polynomial 0xA001), as `uninit_bg` uses it.
pub(super) fn crc16(seed: u16, data: &[u8]) -> u16 {
    data.iter().fold(seed, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ (if crc & 1 == 1 { 0xA001 } else { 0 }))
    })
}

/// CRC-32 with the highest bit first, as journals with `checksum` (version 1) use it.
pub(super) fn crc32_be(seed: u32, data: &[u8]) -> u32 {
    data.iter().fold(seed, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| {
            (crc << 1) ^ (if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_their_published_check_values() {
        assert_eq!(!crc32c(u32::MAX, b"123456789"), 0xE306_9283, "CRC-32/ISCSI");
        assert_eq!(crc16(0, b"123456789"), 0xBB3D, "CRC-16/ARC");
        assert_eq!(!crc32_be(u32::MAX, b"123456789"), 0xFC89_1918, "CRC-32/BZIP2");
    }
}
