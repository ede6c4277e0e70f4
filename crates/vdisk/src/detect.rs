//! What a file that is not a VHDX looks like, for the error text.
//!
//! Only signatures at fixed places are compared; nothing is parsed. The list holds what people
//! really hand to a backup tool by mistake: other disk formats, raw disks and compressed copies.

use std::io;

use crate::file_io::FileIo;
use crate::number::index;

/// (offset, signature, description), tried in order.
const SIGNATURES: &[(u64, &[u8], &str)] = &[
    (0, b"vhdxfile", "a VHDX file"),
    (0, b"conectix", "a dynamic VHD (the older format)"),
    (0, b"QFI\xfb", "a QCOW2 image of QEMU"),
    (0, b"KDMV", "a VMDK disk of VMware"),
    (0, b"# Disk DescriptorFile", "a VMDK descriptor of VMware"),
    (0x40, &[0x7f, 0x10, 0xda, 0xbe], "a VDI disk of VirtualBox"),
    (0, &[0x1f, 0x8b], "a gzip-compressed file"),
    (0, b"BZh", "a bzip2-compressed file"),
    (0, b"\xfd7zXZ\0", "an xz-compressed file"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, &[0x28, 0xb5, 0x2f, 0xfd], "a zstd-compressed file"),
    (512, b"EFI PART", "a raw disk image with a GPT partition table"),
    (4096, b"EFI PART", "a raw disk image with a GPT partition table and 4096-byte sectors"),
    (0x8001, b"CD001", "an ISO 9660 CD image"),
    (3, b"NTFS    ", "a raw NTFS volume"),
    (510, &[0x55, 0xaa], "a raw disk image with an MBR partition table or a boot sector"),
];

/// Bytes of the start of the file that the signatures need.
const HEAD_BYTES: u64 = 0x8010;
/// Length of the footer of a VHD.
const VHD_FOOTER_BYTES: u64 = 512;

/// A few words on what the file seems to be.
pub(crate) fn looks_like(file: &dyn FileIo) -> io::Result<&'static str> {
    let length = file.len()?;
    if length == 0 {
        return Ok("an empty file");
    }
    let mut head = vec![0; index(length.min(HEAD_BYTES))];
    file.read_at(0, &mut head)?;
    let is_at = |offset: u64, signature: &[u8]| {
        head.get(index(offset)..).is_some_and(|rest| rest.starts_with(signature))
    };
    if let Some((_, _, name)) = SIGNATURES.iter().find(|(offset, signature, _)| is_at(*offset, signature)) {
        return Ok(name);
    }
    if has_vhd_footer(file, length)? {
        return Ok("a fixed VHD (the older format)");
    }
    Ok(if head.iter().all(|byte| *byte == 0) {
        "a file that starts with zeros"
    } else {
        "none of the known disk formats"
    })
}

fn has_vhd_footer(file: &dyn FileIo, length: u64) -> io::Result<bool> {
    let Some(offset) = length.checked_sub(VHD_FOOTER_BYTES) else { return Ok(false) };
    let mut cookie = [0; 8];
    file.read_at(offset, &mut cookie)?;
    Ok(&cookie == b"conectix")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryFile;

    fn seen(offset: usize, signature: &[u8], length: usize) -> &'static str {
        let mut bytes = vec![0; length];
        bytes[offset..offset + signature.len()].copy_from_slice(signature);
        looks_like(&MemoryFile::with_bytes("x", &bytes)).unwrap()
    }

    #[test]
    fn every_signature_is_named() {
        for (offset, signature, name) in SIGNATURES {
            assert_eq!(seen(index(*offset), signature, 0x9000), *name);
        }
        assert_eq!(seen(0x9000 - 512, b"conectix", 0x9000), "a fixed VHD (the older format)");
    }

    #[test]
    fn files_without_a_signature_are_described_too() {
        assert_eq!(looks_like(&MemoryFile::new("x")).unwrap(), "an empty file");
        assert_eq!(seen(0, b"", 100), "a file that starts with zeros");
        assert_eq!(seen(5, b"hello", 20), "none of the known disk formats");
    }
}
