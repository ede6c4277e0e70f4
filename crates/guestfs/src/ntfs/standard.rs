//! $STANDARD_INFORMATION: times and attributes of a file.
//!
//! Windows counts 100 ns from 1601; the crate counts nanoseconds from 1970. Source: Microsoft's
//! STANDARD_INFORMATION, [MS-DTYP] 2.3.3 (FILETIME).
//!
//! [MS-DTYP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp/

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::fault::{Outcome, view};
use crate::tree::Times;

/// 100 ns from 1601 to 1970.
const EPOCH: i128 = 116_444_736_000_000_000;

/// The part that all versions have.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    created: U64,
    modified: U64,
    changed: U64,
    accessed: U64,
    attributes: U32,
}
const _: () = assert!(size_of::<Layout>() == 36);

/// Times and attributes.
pub(super) struct Standard {
    /// The four times.
    pub times: Times,
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
}

impl Standard {
    /// Reads the value of the attribute.
    pub(super) fn parse(value: &[u8]) -> Outcome<Self> {
        let layout: &Layout = view(value, 0, "the standard information")?;
        let times = Times {
            created: time(layout.created),
            modified: time(layout.modified),
            changed: time(layout.changed),
            accessed: time(layout.accessed),
        };
        Ok(Self { times, attributes: layout.attributes.get() })
    }
}

/// A FILETIME in nanoseconds since 1970; zero means none.
fn time(ticks: U64) -> Option<i128> {
    match ticks.get() {
        0 => None,
        ticks => Some((i128::from(ticks) - EPOCH) * 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_1970_and_zero_is_none() {
        assert_eq!(time(U64::new(116_444_736_000_000_001)), Some(100));
        assert_eq!(time(U64::new(1)), Some(-11_644_473_599_999_999_900));
        assert_eq!(time(U64::new(0)), None);
    }
}
