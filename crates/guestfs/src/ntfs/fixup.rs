//! The update sequence: two bytes of every 512 that tell a torn write from a whole one.
//!
//! Records, index blocks and log pages are written with the same number in the last two bytes of
//! each 512; the true bytes wait in an array in the header. A number that differs means that only a
//! part of the structure reached the disk: the structure is then refused, never shown. The stride
//! is 512 bytes on every disk, also where sectors are larger. Source: linux-ntfs documentation
//! (Fixup) and Microsoft's MULTI_SECTOR_HEADER.

use super::fault::{Fault, Outcome, view};
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Bytes that one element of the array protects.
const STRIDE: usize = 512;

/// How every protected structure begins.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct MultiSectorHeader {
    signature: [u8; 4],
    array_offset: U16,
    array_count: U16,
}
const _: () = assert!(size_of::<MultiSectorHeader>() == 8);

/// Checks a structure's signature and update sequence, and puts the true bytes back.
pub(super) fn restore(bytes: &mut [u8], signature: [u8; 4]) -> Outcome<()> {
    let header: &MultiSectorHeader = view(bytes, 0, "the header")?;
    if header.signature != signature {
        return Err(Fault::damaged(format!(
            "the signature is {:?} instead of {:?}",
            String::from_utf8_lossy(&header.signature),
            String::from_utf8_lossy(&signature)
        )));
    }
    let (start, count) = (usize::from(header.array_offset.get()), usize::from(header.array_count.get()));
    let strides = bytes.len() / STRIDE;
    // The array lies before the first protected bytes, or restoring would change the array itself.
    if count != strides + 1
        || start < size_of::<MultiSectorHeader>()
        || !start.is_multiple_of(2)
        || start + 2 * count > STRIDE - 2
    {
        return Err(Fault::damaged(format!("the update sequence of {count} at {start} is impossible")));
    }
    let expected = [bytes[start], bytes[start + 1]];
    for stride in 0..strides {
        let tail = (stride + 1) * STRIDE - 2;
        if bytes[tail..tail + 2] != expected {
            return Err(Fault::damaged("the update sequence differs: it was written in part only"));
        }
        let kept = start + 2 * (stride + 1);
        bytes.copy_within(kept..kept + 2, tail);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A protected structure of 1 KiB whose true tail bytes are 0xA1A1 and 0xB2B2.
    fn protected() -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[..4].copy_from_slice(b"FILE");
        bytes[4..8].copy_from_slice(&[48, 0, 3, 0]);
        bytes[48..54].copy_from_slice(&[7, 0, 0xA1, 0xA1, 0xB2, 0xB2]);
        bytes[510..512].copy_from_slice(&[7, 0]);
        bytes[1022..].copy_from_slice(&[7, 0]);
        bytes
    }

    #[test]
    fn true_bytes_come_back() {
        let mut bytes = protected();
        restore(&mut bytes, *b"FILE").unwrap();
        assert_eq!((&bytes[510..512], &bytes[1022..]), (&[0xA1, 0xA1][..], &[0xB2, 0xB2][..]));
    }

    #[test]
    fn a_torn_write_is_refused() {
        let mut bytes = protected();
        bytes[1022] = 6;
        assert!(matches!(restore(&mut bytes, *b"FILE"), Err(Fault::Damaged(_))));
    }

    #[test]
    fn an_array_over_protected_bytes_or_of_another_length_is_refused() {
        for (offset, count) in [(506_u16, 3_u16), (48, 2), (48, 4), (0, 3), (49, 3), (0xFFFE, 3)] {
            let mut bytes = protected();
            bytes[4..6].copy_from_slice(&offset.to_le_bytes());
            bytes[6..8].copy_from_slice(&count.to_le_bytes());
            assert!(restore(&mut bytes, *b"FILE").is_err(), "{offset} {count}");
        }
    }
}
