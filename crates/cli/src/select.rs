//! Finding what the operator meant: near names for a typing error, unique prefixes for ids. Pure functions.

/// How many near names an error lists; more would hide the sentence.
const NEAR_MAX: usize = 3;

/// Names that look like `wanted`, best first.
pub(crate) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let allowed = wanted.chars().count() / 3 + 1;
    let mut scored: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let inside = !wanted.is_empty() && (lower.contains(&wanted) || wanted.contains(&lower));
            let distance = distance(&wanted, &lower);
            (inside || distance <= allowed).then_some((distance, name))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(NEAR_MAX).map(|(_, name)| name.to_owned()).collect()
}

/// The items whose text begins with `wanted`, ignoring case; an exact match stands alone.
pub(crate) fn by_prefix<'a, T>(wanted: &str, items: &'a [T], text: impl Fn(&T) -> String) -> Vec<&'a T> {
    let wanted = wanted.to_lowercase();
    let lower = |item: &T| text(item).to_lowercase();
    if let Some(exact) = items.iter().find(|item| lower(item) == wanted) {
        return vec![exact];
    }
    items.iter().filter(|item| !wanted.is_empty() && lower(item).starts_with(&wanted)).collect()
}

/// Edit distance where a swap of neighbours counts once, since that is how people mistype.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut now = vec![row];
        for column in 1..=right.len() {
            let change = usize::from(left[row - 1] != right[column - 1]);
            let mut best = (last[column] + 1).min(now[column - 1] + 1).min(last[column - 1] + change);
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                best = best.min(before[column - 2] + 1);
            }
            now.push(best);
        }
        before = std::mem::replace(&mut last, now);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["SQL01", "SQL02", "web-front", "DC"];

    fn near_in_names(wanted: &str) -> Vec<String> {
        near(wanted, NAMES.into_iter())
    }

    #[test]
    fn typing_errors_find_the_name() {
        assert_eq!(near_in_names("slq01"), ["SQL01", "SQL02"]);
        assert_eq!(near_in_names("front"), ["web-front"]);
        assert!(near_in_names("exchange").is_empty());
    }

    #[test]
    fn a_prefix_finds_all_that_begin_with_it_and_an_exact_text_only_itself() {
        let items = ["01a", "01ab", "02"];
        let found = |wanted: &str| by_prefix(wanted, &items, |item| (*item).to_owned()).len();
        assert_eq!((found("01"), found("01A"), found("2"), found("")), (2, 1, 0, 0));
    }

    #[test]
    fn distance_counts_a_swap_once() {
        assert_eq!((distance("ab", "ba"), distance("", "abc"), distance("kitten", "sitting")), (1, 3, 3));
    }
}
