//! LZNT1: the compression of NTFS streams.
//!
//! Data is cut into chunks of 4 KiB. Each begins with 16 bits that say its length and whether it is
//! compressed; a compressed chunk is a sequence of literals and of (distance, length) pairs whose
//! split into bits depends on how much of the chunk is already there. Source: [MS-XCA] 2.5.
//!
//! [MS-XCA]: https://learn.microsoft.com/openspecs/windows_protocols/ms-xca/

use super::fault::{Fault, Outcome};

/// Bytes that a chunk decodes to at most.
const CHUNK_BYTES: usize = 4096;
/// Bit of a chunk's header: compressed.
const COMPRESSED: u16 = 0x8000;
/// Bits of a chunk's header: its length less three, header included.
const LENGTH_MASK: u16 = 0x0FFF;

/// Decodes `input` into exactly `size` bytes; what the input does not reach is zeros.
pub(super) fn decode(mut input: &[u8], size: usize) -> Outcome<Vec<u8>> {
    let mut output = Vec::with_capacity(size);
    // A header of zero ends the data, and so does the end of the clusters that hold it.
    while output.len() < size
        && let Some((&header, rest)) = input.split_first_chunk::<2>()
    {
        let header = u16::from_le_bytes(header);
        if header == 0 {
            break;
        }
        let length = usize::from(header & LENGTH_MASK) + 1;
        let (chunk, rest) =
            rest.split_at_checked(length).ok_or_else(|| broken("a chunk runs past the end of its unit"))?;
        // A chunk that decodes short is followed by zeros: the next one stands for the next 4 KiB.
        let start = output.len();
        if header & COMPRESSED == 0 {
            output.extend_from_slice(chunk);
        } else {
            decode_chunk(chunk, &mut output)?;
        }
        if output.len() - start > CHUNK_BYTES {
            return Err(broken("a chunk decodes to more than 4096 bytes"));
        }
        output.resize(start + CHUNK_BYTES, 0);
        input = rest;
    }
    output.resize(size, 0);
    Ok(output)
}

/// Decodes one compressed chunk to the end of `output`.
fn decode_chunk(mut chunk: &[u8], output: &mut Vec<u8>) -> Outcome<()> {
    let start = output.len();
    while let Some((&flags, mut rest)) = chunk.split_first() {
        for bit in 0..8 {
            if rest.is_empty() {
                return Ok(());
            }
            if output.len() - start > CHUNK_BYTES {
                return Err(broken("a chunk decodes to more than 4096 bytes"));
            }
            if flags & (1 << bit) == 0 {
                output.push(rest[0]);
                rest = &rest[1..];
            } else {
                let (&pair, after) =
                    rest.split_first_chunk::<2>().ok_or_else(|| broken("a pair is cut in half"))?;
                copy_back(u16::from_le_bytes(pair), start, output)?;
                rest = after;
            }
        }
        chunk = rest;
    }
    Ok(())
}

/// Copies what a pair refers to, byte by byte, since it may overlap its own result.
fn copy_back(pair: u16, start: usize, output: &mut Vec<u8>) -> Outcome<()> {
    let done = output.len() - start;
    if done == 0 {
        return Err(broken("a chunk begins with a pair"));
    }
    // The distance takes as many bits as the position needs, four at least; the length the others.
    let distance_bits = usize::BITS.saturating_sub((done - 1).leading_zeros()).clamp(4, 12);
    let length_bits = 16 - distance_bits;
    let distance = usize::from(pair >> length_bits) + 1;
    let length = usize::from(pair & ((1 << length_bits) - 1)) + 3;
    if distance > done || done + length > CHUNK_BYTES {
        return Err(broken("a pair reaches outside its chunk"));
    }
    let from = output.len() - distance;
    for at in from..from + length {
        output.push(output[at]);
    }
    Ok(())
}

/// The data breaks a rule of the compression.
fn broken(what: &str) -> Fault {
    Fault::damaged(format!("compressed data (LZNT1): {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_decodes() {
        // [MS-XCA] 3.3.
        let packed = [
            0x38, 0xb0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xa2, 0x47, 0x01,
            0xa0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xc0, 0x45, 0x20, 0x05, 0x24,
            0x13, 0x88, 0x05, 0xb4, 0x02, 0x4a, 0x44, 0xef, 0x03, 0x58, 0x02, 0x8c, 0x09, 0x16, 0x01, 0x48,
            0x45, 0x00, 0xbe, 0x00, 0x9e, 0x00, 0x04, 0x01, 0x18, 0x90, 0x00,
        ];
        let plain = b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D \
                      E F# G F# D E F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        assert_eq!(decode(&packed, plain.len()).unwrap(), plain);
    }

    #[test]
    fn stored_chunks_and_the_end_mark_leave_zeros_behind() {
        assert_eq!(decode(&[0x02, 0x30, 1, 2, 3, 0, 0, 9], 8).unwrap(), [1, 2, 3, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn broken_data_is_refused() {
        for bytes in [
            &[0x05, 0xB0, 0][..],
            &[0x02, 0xB0, 1, 0, 0],
            &[0x02, 0xB0, 2, 65, 0],
            &[0x03, 0xB0, 2, 65, 0, 0x20],
        ] {
            assert!(matches!(decode(bytes, 4096), Err(Fault::Damaged(_))), "{bytes:x?}");
        }
    }
}
