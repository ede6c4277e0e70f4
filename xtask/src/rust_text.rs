//! Just enough reading of Rust: code without comments and literals, and where functions start and end.
//!
//! A full parser would be the largest dependency of the repository for two line counts. Formatted,
//! compiling code is assumed; that is checked before this runs.

/// A function with its extent in lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Name without its module or type.
    pub(crate) name: String,
    /// Line of the `fn`, counted from one.
    pub(crate) line: usize,
    /// Lines from the `fn` to the closing brace, both included.
    pub(crate) lines: usize,
}

/// The text with comments and the insides of literals blanked; lines stay where they are.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip_non_code(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none does.
fn skip_non_code(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match (chars[at], next) {
        ('/', Some('/')) => chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n),
        ('/', Some('*')) => end_of_block_comment(chars, at),
        ('"', _) => end_of_string(chars, at + 1),
        ('\'', Some(_)) => end_of_char(chars, at),
        ('r', Some('"' | '#')) if starts_word(chars, at) => end_of_raw_string(chars, at),
        _ => at,
    }
}

fn starts_word(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|n| chars[n]);
    // `br"…"` and `cr"…"` are raw strings too.
    let before = match before {
        Some('b' | 'c') => at.checked_sub(2).map(|n| chars[n]),
        other => other,
    };
    !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth <= 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], inside: usize) -> usize {
    let mut at = inside;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_char(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => chars[(at + 3).min(chars.len())..]
            .iter()
            .position(|&c| c == '\'')
            .map_or(chars.len(), |n| at + 3 + n + 1),
        (Some(_), Some('\'')) => at + 3,
        _ => at, // a lifetime
    }
}

fn end_of_raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    if chars.get(start + 1 + hashes) != Some(&'"') {
        return start; // a raw identifier
    }
    let mut at = start + 2 + hashes;
    while at < chars.len() {
        let closes =
            chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    chars.len()
}

/// The functions with a body in `code`, which must come from [`code_only`].
pub(crate) fn functions(code: &str) -> Vec<Function> {
    words(code)
        .filter(|&(_, word)| word == "fn")
        .filter_map(|(start, _)| {
            let rest = &code[start + 2..];
            let name: String = rest.trim_start().chars().take_while(|&c| is_word(c)).collect();
            let body = body_of(rest).filter(|_| !name.is_empty())?;
            let line = line_of(code, start);
            Some(Function { name, line, lines: rest[..body].matches('\n').count() + 1 })
        })
        .collect()
}

/// Offset of the closing brace of the first body in `rest`; `None` for a declaration without one.
fn body_of(rest: &str) -> Option<usize> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 && brackets == 0 => return Some(at),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// The words of `code` with their offsets.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.split(|c| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - code.as_ptr() as usize, word))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line, counted from one, that the byte `offset` is on.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a // fn\n/* fn /* x */ fn */ b \"fn \\\" {\" c\nr#\"fn \" {\"# d br\"\\\" e";

        let code = code_only(text);

        let words: Vec<_> = words(&code).map(|(_, word)| word).collect();
        assert_eq!(words, ["a", "b", "c", "d", "b", "e"]);
        assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    }

    #[test]
    fn characters_are_blanked_and_lifetimes_are_not() {
        let code = code_only(r"x '{' '\'' '\u{7b}' 'a fn<'b>(r#fn: &'b str)");

        assert!(!code.contains('{'));
        assert!(code.contains("'a fn<'b>(r#fn: &'b str)"), "{code}");
    }

    #[test]
    fn a_function_spans_from_fn_to_its_closing_brace() {
        let code = "impl X {\n    pub fn one(a: [u8; 4]) -> [u8; 2]\n    where\n        T: Y,\n    {\n        if a {}\n    }\n}\n\
                    trait T { fn two(&self); }\ntype F = fn(u8);\nfn three() { x(|| { y }); }\n";

        let found = functions(code);

        let expected = [("one", 2, 6), ("three", 11, 1)];
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, expected);
    }
}
