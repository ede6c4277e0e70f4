//! Just enough reading of Markdown: prose without code, links, headings, table rows.

/// A link target with its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Line, counted from one.
    pub(crate) line: usize,
    /// What stands between the parentheses, without a title.
    pub(crate) target: String,
}

/// The lines outside code fences with their numbers, inline code blanked.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    unfenced(text).map(|(number, line)| (number, without_inline_code(line)))
}

fn unfenced(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, None) => return Some((index + 1, line)),
            (None, Some(_)) => fence = mark,
            (Some(open), Some(close)) if open == close => fence = None,
            (Some(_), _) => {}
        }
        None
    })
}

fn without_inline_code(line: &str) -> String {
    let mut inside = false;
    let keep = |c: char| {
        inside ^= c == '`';
        if inside { ' ' } else { c }
    };
    line.chars().map(keep).collect()
}

/// Every inline link, image and reference definition.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, prose) in prose(text) {
        for (at, _) in prose.match_indices("](") {
            let rest = &prose[at + 2..];
            let Some(end) = closing(rest) else { continue };
            links.push(Link { line, target: target(&rest[..end]) });
        }
        if let Some((label, rest)) = prose.trim_start().split_once("]:")
            && label.starts_with('[')
        {
            links.push(Link { line, target: target(rest) });
        }
    }
    links
}

/// Offset of the parenthesis that closes the target.
fn closing(rest: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn target(text: &str) -> String {
    let text = text.trim().trim_start_matches('<');
    text.split([' ', '>']).next().unwrap_or_default().to_owned()
}

/// The anchors that headings and `<a id="…">` make, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in unfenced(text) {
        if let Some(heading) = heading(line) {
            let slug = slug(heading);
            let same = anchors.iter().filter(|a| **a == slug || is_numbered(a, &slug)).count();
            anchors.push(if same == 0 { slug } else { format!("{slug}-{same}") });
        }
        for mark in ["<a id=\"", "<a name=\""] {
            anchors.extend(
                line.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned),
            );
        }
    }
    anchors
}

fn is_numbered(anchor: &str, slug: &str) -> bool {
    let number = anchor.strip_prefix(slug).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// The text of a `#` heading.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim())
}

fn slug(heading: &str) -> String {
    without_link_targets(heading)
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

fn without_link_targets(heading: &str) -> String {
    let mut out = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        out.push_str(before);
        rest = closing(after).map_or("", |end| &after[end + 1..]);
    }
    out + rest
}

/// The rows of every table, as trimmed cells with their line; rulers are left out.
pub(crate) fn table_rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    unfenced(text).filter_map(|(number, line)| {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        let ruler = inner.chars().all(|c| matches!(c, '-' | ':' | '|' | ' '));
        (!ruler).then(|| (number, inner.split('|').map(str::trim).collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_code_are_found_with_their_lines() {
        let text =
            "[a](b.md) and ![c](d(1).png \"title\")\n```\n[no](x)\n```\n`[no](y)` [e]\n\n[e]: <f.md#g>\n";

        let links: Vec<_> = links(text).into_iter().map(|link| (link.line, link.target)).collect();

        let expected = [(1, "b.md"), (1, "d(1).png"), (7, "f.md#g")];
        assert_eq!(links, expected.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn headings_become_the_anchors_that_github_makes() {
        let text = "# Two commands\n## `tidy`: what, why & how_to\n## [Linked](x.md) one\n# Two commands\n\
                    ```\n# no\n```\n#no\n<a id=\"kept\"></a>\n";

        let expected = ["two-commands", "tidy-what-why--how_to", "linked-one", "two-commands-1", "kept"];
        assert_eq!(anchors(text), expected);
    }

    #[test]
    fn table_rows_are_cells_without_rulers() {
        let rows: Vec<_> = table_rows("| a | b |\n|:-:|---|\n| 1 | `2` |\ntext\n").collect();

        assert_eq!(rows, [(1, vec!["a", "b"]), (3, vec!["1", "`2`"])]);
    }
}
