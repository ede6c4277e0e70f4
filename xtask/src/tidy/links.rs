//! Links between pages lead somewhere: files and anchors in every `*.md`.
//!
//! Addresses of the outside are not asked; a check that needs the network fails for reasons of its own.

use super::markdown;
use crate::finding::Finding;
use crate::tree::Tree;

/// Findings about links.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in tree.ending(".md") {
        for link in markdown::links(page.text) {
            if let Err((what, remedy)) = follow(tree, page.path, &link.target) {
                findings.push(Finding::new(page.path, link.line, what, remedy));
            }
        }
    }
    findings
}

fn follow(tree: &Tree, page: &str, target: &str) -> Result<(), (String, &'static str)> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return Ok(());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if path.is_empty() { Some(page.to_owned()) } else { resolve(page, path) };
    let Some(file) = file.filter(|file| !target.is_empty() && tree.contains(file)) else {
        return Err((
            format!("the link `{target}` leads nowhere"),
            "link relative to this page, with exact letters",
        ));
    };
    if anchor.is_empty() {
        return Ok(());
    }
    let found =
        tree.text(&file).is_some_and(|text| markdown::anchors(text).iter().any(|known| known == anchor));
    if found {
        Ok(())
    } else {
        Err((format!("{file} has no heading `#{anchor}`"), "link to a heading that is there"))
    }
}

/// The path that `target` means on `page`; `None` when it leaves the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            "" => return None,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(link: &str) -> Vec<Finding> {
        let page = format!("# Top\n\n[x]({link})\n");
        check(&Tree::of(&[("docs/a.md", &page), ("docs/b.md", "## Part two\n"), ("LICENSE", "")]))
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        for link in
            ["b.md", "./b.md#part-two", "../LICENSE", "#top", "../docs/", "https://example.com/gone", ".."]
        {
            assert_eq!(findings(link), [], "{link}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found_with_their_line() {
        for link in
            ["c.md", "B.md", "b.md#part-three", "#bottom", "/docs/b.md", "../../x", "", "../LICENSE#x"]
        {
            let found = findings(link);

            assert_eq!(found.len(), 1, "{link}");
            assert_eq!((found[0].file.as_str(), found[0].line), ("docs/a.md", 3));
        }
    }
}
