//! The text that LVM keeps its metadata in: sections, numbers, strings and arrays.
//!
//! The grammar is that of lvm.conf(5). The text comes from a guest's disk, so its length is bounded by the caller
//! and its depth here; an unknown key is kept and does no harm.

use std::collections::BTreeMap;

/// Sections inside sections at most; real metadata has four.
const DEPTH_MAX: usize = 16;

/// A value of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Section(Section),
}

/// Names and values; the order of the text does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Section(BTreeMap<String, Value>);

impl Section {
    /// Parses a whole text; `None` when it breaks the grammar.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let section = reader.section_body(0)?;
        reader.skip_blanks();
        (reader.at == text.len()).then_some(section)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.number()
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Self> {
        match self.get(name)? {
            Value::Section(section) => Some(section),
            _ => None,
        }
    }

    /// The values of a list; a single value counts as a list of one.
    pub(crate) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(list)) => list,
            Some(value) => std::slice::from_ref(value),
            None => &[],
        }
    }

    /// Whether a list of strings holds this one.
    pub(crate) fn has_flag(&self, name: &str, flag: &str) -> bool {
        self.list(name).iter().any(|value| value.text() == Some(flag))
    }

    /// The sections in this one, by name.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((name.as_str(), section)),
            _ => None,
        })
    }
}

impl Value {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Blanks, and comments to the end of their line. The text ends with a NUL.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.peek() {
            if byte == b'#' {
                while self.peek().is_some_and(|byte| byte != b'\n') {
                    self.at += 1;
                }
            } else if byte.is_ascii_whitespace() || byte == 0 {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Assignments and sections up to the closing brace or the end.
    fn section_body(&mut self, depth: usize) -> Option<Section> {
        let mut section = Section::default();
        if depth > DEPTH_MAX {
            return None;
        }
        loop {
            self.skip_blanks();
            if matches!(self.peek(), None | Some(b'}')) {
                return Some(section);
            }
            let name = self.name()?;
            let value = if self.take(b'{') {
                let inner = self.section_body(depth + 1)?;
                self.take(b'}').then_some(Value::Section(inner))?
            } else {
                self.take(b'=').then_some(())?;
                self.value(depth)?
            };
            section.0.insert(name, value);
        }
    }

    fn name(&mut self) -> Option<String> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-+.@/".contains(&byte)) {
            self.at += 1;
        }
        (self.at > start).then(|| String::from_utf8_lossy(&self.text[start..self.at]).into_owned())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_blanks();
        match self.peek()? {
            b'[' => self.array(depth).map(Value::List),
            b'"' => self.string().map(Value::Text),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Value>> {
        let mut list = Vec::new();
        if depth > DEPTH_MAX || !self.take(b'[') {
            return None;
        }
        while !self.take(b']') {
            list.push(self.value(depth + 1)?);
            self.take(b',');
        }
        Some(list)
    }

    /// A backslash takes the next byte as it is.
    fn string(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        self.at += 1;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                b'\\' => {
                    bytes.push(self.peek()?);
                    self.at += 1;
                }
                byte => bytes.push(byte),
            }
        }
    }

    /// A whole number; a fraction is cut, since nothing that we use has one.
    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        text.split('.').next()?.parse().ok().map(Value::Number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sections_values_and_comments_are_read() {
        let text =
            b"# Generated\nvg0 {\nid = \"a\\\"b\"\nseqno = 4 # later\nstatus = [\"READ\", \"WRITE\"]\n\
                     lv-1.x {\nstripes = [\n\"pv0\", 17\n]\nempty = []\n}\n}\nversion = 1\n\0";

        let section = Section::parse(text).unwrap();

        let group = section.section("vg0").unwrap();
        assert_eq!((group.text("id"), group.number("seqno")), (Some("a\"b"), Some(4)));
        assert!(group.has_flag("status", "WRITE") && !group.has_flag("status", "VISIBLE"));
        let stripes = group.section("lv-1.x").unwrap().list("stripes");
        assert_eq!((stripes[0].text(), stripes[1].number()), (Some("pv0"), Some(17)));
        assert_eq!(section.number("version"), Some(1));
    }

    #[test]
    fn broken_texts_are_refused() {
        for text in ["a = ", "a {", "a { } }", "= 1", "a = \"open", "a = [1", "a = x", "a = 1 ;"] {
            assert_eq!(Section::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Section::parse("a{".repeat(100_000).as_bytes()), None);
        assert_eq!(Section::parse(format!("a={}", "[".repeat(100_000)).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[a-z{}=\\[\\]\"# \\\\0-9,\n.-]{0,200}") {
            let _ = Section::parse(text.as_bytes());
        }
    }
}
