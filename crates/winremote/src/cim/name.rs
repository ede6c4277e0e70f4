//! Names of classes, properties and keys compare without regard to case (DSP0004 4.3), and only ASCII occurs.

use std::cmp::Ordering;

/// Orders two CIM names, ignoring the case of ASCII letters.
pub(crate) fn compare_names(left: &str, right: &str) -> Ordering {
    let left = left.bytes().map(|byte| byte.to_ascii_lowercase());
    left.cmp(right.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// True when both are the same CIM name.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}
