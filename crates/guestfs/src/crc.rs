//! CRC-32 as GPT and LVM use it.
//!
//! The polynomial is that of Ethernet (reflected 0xEDB88320); `crc32c` computes another one. Tables are small and
//! rare, so a table of 256 entries is fast enough.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut value = 0u32;
    while value < 256 {
        let mut crc = value;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[value as usize] = crc;
        value += 1;
    }
    table
}

/// The register after `bytes`, from `initial`, without a final exclusive or.
pub(crate) fn crc32_raw(initial: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(initial, |crc, &byte| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ TABLE[usize::from(low ^ byte)]
    })
}

/// CRC-32 of UEFI, zip and Ethernet.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !crc32_raw(u32::MAX, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_is_met() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
