//! Cylinders, heads and sectors: the geometry that old guests saw (VHD specification, appendix).
//!
//! It says nothing of where bytes lie. It matters because two programs took their disk size from it,
//! and because a new footer must carry what the specification's algorithm yields for its size.

use super::format::{Footer, SECTOR};

/// A disk geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chs {
    pub cylinders: u16,
    pub heads: u8,
    pub sectors: u8,
}

impl Chs {
    /// The largest geometry, which stands for every larger disk too.
    pub(crate) const LARGEST: Self = Self { cylinders: 65535, heads: 16, sectors: 255 };

    pub(super) fn of(footer: &Footer) -> Self {
        Self { cylinders: footer.cylinders.get(), heads: footer.heads, sectors: footer.sectors }
    }

    /// The product in bytes.
    pub(crate) fn bytes(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors) * SECTOR
    }

    /// Whether the geometry cannot express the disk's size.
    pub(crate) fn is_saturated(self) -> bool {
        self.bytes() >= Self::LARGEST.bytes()
    }

    /// The geometry for a disk size, by the specification's algorithm. Its product may be less.
    pub(crate) fn for_capacity(capacity: u64) -> Self {
        let total = (capacity / SECTOR).min(Self::LARGEST.bytes() / SECTOR);
        let (sectors, heads) = if total >= 65535 * 16 * 63 {
            (255, 16)
        } else {
            let tracks = total / 17;
            let heads = tracks.div_ceil(1024).max(4);
            if tracks < heads * 1024 && heads <= 16 {
                (17, heads)
            } else if total / 31 < 16 * 1024 {
                (31, 16)
            } else {
                (63, 16)
            }
        };
        let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        let cylinders = u16::try_from(total / sectors / heads).unwrap_or(u16::MAX);
        Self { cylinders, heads: small(heads), sectors: small(sectors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_follow_the_specification_and_saturate() {
        let of = |capacity: u64| {
            let Chs { cylinders, heads, sectors } = Chs::for_capacity(capacity);
            (cylinders, heads, sectors)
        };
        // What Hyper-V 2012 R2 and QEMU wrote for the same sizes.
        assert_eq!(of(136_365_211_648), (65278, 16, 255));
        assert_eq!(of(4_194_304), (120, 4, 17));
        assert_eq!(of(5 << 30), (10402, 16, 63));
        assert_eq!(of(2040 << 30), (65535, 16, 255));
        assert!(Chs::for_capacity(2040 << 30).is_saturated());
        assert_eq!(of(512), (0, 4, 17));
    }
}
