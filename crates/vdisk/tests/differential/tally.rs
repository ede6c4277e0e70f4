//! How many images each judge saw, by what the image was, so that no judge is idle unnoticed.

use std::fmt;

use crate::chain::{Format, Made};

/// What an image is, as far as judges differ in what they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vhdx,
    VhdxChain,
    DirtyVhdx,
    DirtyBase,
    DirtyChild,
    Vhd,
    VhdChain,
    MixedChain,
}

impl Kind {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Vhdx, "VHDX"),
        (Self::VhdxChain, "VHDX chain"),
        (Self::DirtyVhdx, "VHDX with changes in its log"),
        (Self::DirtyBase, "VHDX chain, log of the base"),
        (Self::DirtyChild, "VHDX chain, log of a child"),
        (Self::Vhd, "VHD"),
        (Self::VhdChain, "VHD chain"),
        (Self::MixedChain, "chain of both formats"),
    ];

    pub(crate) fn of(made: &Made) -> Self {
        let (is_chain, is_dirty) = (made.files.len() > 1, made.dirty.contains(&true));
        let root_only = made.dirty.split_last().is_some_and(|(root, rest)| *root && !rest.contains(&true));
        match made.formats.last() {
            _ if made.lower.is_some() => Self::MixedChain,
            Some(Format::Vhd) if is_chain => Self::VhdChain,
            Some(Format::Vhd) => Self::Vhd,
            _ if !is_dirty && is_chain => Self::VhdxChain,
            _ if !is_dirty => Self::Vhdx,
            _ if !is_chain => Self::DirtyVhdx,
            _ if root_only => Self::DirtyBase,
            _ => Self::DirtyChild,
        }
    }
}

/// What was done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judge {
    /// Read by this crate.
    Us,
    /// Read by wxtla; a chain of both formats in its two halves.
    Wxtla,
    /// Checked and compared by qemu-img.
    Qemu,
    /// Written anew by us, in one pass, in any format; then read by wxtla.
    Anew,
    /// The model written by qemu-img; then read by us.
    MadeByQemu,
    /// The log replayed in place by us; then read by wxtla.
    Replayed,
    /// Shown to be something else without its log.
    LogCounts,
}

impl Judge {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Us, "us"),
        (Self::Wxtla, "wxtla"),
        (Self::Qemu, "qemu"),
        (Self::Anew, "anew"),
        (Self::MadeByQemu, "by qemu"),
        (Self::Replayed, "replayed"),
        (Self::LogCounts, "log counts"),
    ];
}

/// Who must have seen how many of 1,000 images of a kind; about half of what is usual. QEMU reads no child, and
/// neither it nor wxtla a chain of both formats.
const REQUIRED: &[(Kind, &[(Judge, u64)])] = &[
    (Kind::Vhdx, &[(Judge::Wxtla, 700), (Judge::Qemu, 15), (Judge::Anew, 100), (Judge::MadeByQemu, 30)]),
    (Kind::VhdxChain, &[(Judge::Wxtla, 600), (Judge::Anew, 100)]),
    (
        Kind::DirtyVhdx,
        &[(Judge::Wxtla, 700), (Judge::Qemu, 40), (Judge::Replayed, 80), (Judge::LogCounts, 300)],
    ),
    (Kind::DirtyBase, &[(Judge::Wxtla, 400)]),
    (Kind::DirtyChild, &[(Judge::Wxtla, 500), (Judge::Replayed, 30), (Judge::LogCounts, 150)]),
    (Kind::Vhd, &[(Judge::Wxtla, 500), (Judge::Qemu, 40), (Judge::Anew, 60), (Judge::MadeByQemu, 100)]),
    (Kind::VhdChain, &[(Judge::Wxtla, 600), (Judge::Anew, 80)]),
    (Kind::MixedChain, &[(Judge::Wxtla, 500)]),
];
/// Images of each kind among 1,000.
const OF_EACH_KIND: u64 = 8;
/// Fewer images than this say nothing.
const IMAGES_THAT_COUNT: u64 = 1000;

/// How many images each judge saw.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally([[u64; Judge::ALL.len()]; Kind::ALL.len()]);

impl Tally {
    pub(crate) const fn count(&mut self, kind: Kind, judge: Judge) {
        self.0[kind as usize][judge as usize] += 1;
    }

    const fn seen(&self, kind: Kind, judge: Judge) -> u64 {
        self.0[kind as usize][judge as usize]
    }

    pub(crate) fn images(&self) -> u64 {
        Kind::ALL.iter().map(|(kind, _)| self.seen(*kind, Judge::Us)).sum()
    }

    pub(crate) fn plus(mut self, other: Self) -> Self {
        for (sums, more) in self.0.iter_mut().zip(other.0) {
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum += more;
            }
        }
        self
    }

    /// The judges that saw less of a kind than they must.
    pub(crate) fn idle(&self) -> Vec<String> {
        let images = self.images();
        if images < IMAGES_THAT_COUNT {
            return Vec::new();
        }
        let mut idle = Vec::new();
        for (kind, judges) in REQUIRED {
            let of_kind = self.seen(*kind, Judge::Us);
            if of_kind * 1000 < images * OF_EACH_KIND {
                idle.push(format!("{kind:?}: only {of_kind} images"));
            }
            for (judge, share) in *judges {
                let seen = self.seen(*kind, *judge);
                if seen * 1000 < of_kind * share || seen == 0 {
                    idle.push(format!("{judge:?} saw {seen} of {of_kind} {kind:?}"));
                }
            }
        }
        idle
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:30}", format!("{} images", self.images()))?;
        for (_, judge) in Judge::ALL {
            write!(f, "{judge:>11}")?;
        }
        for (kind, name) in Kind::ALL {
            write!(f, "\n{name:30}")?;
            for (judge, _) in Judge::ALL {
                match self.seen(kind, judge) {
                    0 => write!(f, "{:>11}", "-")?,
                    seen => write!(f, "{seen:>11}")?,
                }
            }
        }
        Ok(())
    }
}
