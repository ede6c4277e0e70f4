//! Target `changed_ranges`: set algebra against one flag per byte, at any place of the number line.

use vdisk::{ByteRange, ChangedRanges};

use super::input::Input;

/// Bytes of the model's window.
const WINDOW: u64 = 512;
const RANGES_MAX: usize = 40;

type Flags = [bool; WINDOW as usize];

pub fn body(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let base = match input.byte() % 4 {
        0 => 0,
        1 => u64::MAX - WINDOW,
        2 => (64 << 40) - 100,
        _ => input.u64().min(u64::MAX - WINDOW),
    };
    let unit = match input.byte() {
        0 => 1,
        unit => u64::from(unit),
    };
    let (one, one_flags) = any_set(&mut input, base);
    let (other, other_flags) = any_set(&mut input, base);
    check(&one, &one_flags, base);
    check(&one.union(&other), &both(&one_flags, &other_flags, |a, b| a | b), base);
    check(&one.intersect(&other), &both(&one_flags, &other_flags, |a, b| a & b), base);
    check(&one.minus(&other), &both(&one_flags, &other_flags, |a, b| a & !b), base);
    let covers = !both(&one_flags, &other_flags, |a, b| b & !a).contains(&true);
    assert_eq!(one.covers_all(&other), covers);
    let end = base + WINDOW;
    let aligned = one.align_outward(unit, end);
    assert!(
        aligned.covers_all(&one) && aligned.minus(&one).total_bytes() <= 2 * unit * one.iter().count() as u64
    );
    for range in &aligned {
        assert!(range.start % unit == 0 && (range.end % unit == 0 || range.end == end));
    }
}

fn any_set(input: &mut Input<'_>, base: u64) -> (ChangedRanges, Flags) {
    let mut flags = [false; WINDOW as usize];
    let mut ranges = Vec::new();
    for _ in 0..usize::from(input.byte()).min(RANGES_MAX) {
        let start = input.below(WINDOW);
        let end = (start + u64::from(input.byte())).min(WINDOW);
        flags[start as usize..end as usize].fill(true);
        ranges.push(ByteRange::new(base + start, base + end));
    }
    (ChangedRanges::from_ranges(ranges), flags)
}

fn both(one: &Flags, other: &Flags, rule: impl Fn(bool, bool) -> bool) -> Flags {
    std::array::from_fn(|at| rule(one[at], other[at]))
}

/// The set holds what the flags say, in its only form.
fn check(set: &ChangedRanges, flags: &Flags, base: u64) {
    let mut found = [false; WINDOW as usize];
    let mut last = None;
    for range in set {
        assert!(!range.is_empty() && last.is_none_or(|last| last < range.start), "{range:?} after {last:?}");
        last = Some(range.end);
        found[(range.start - base) as usize..(range.end - base) as usize].fill(true);
    }
    assert!(found == *flags, "the set and the flags differ");
    assert_eq!(set.total_bytes(), flags.iter().filter(|flag| **flag).count() as u64);
}
