//! `Name`: the name of a file exactly as the guest keeps it.
//!
//! Linux names are bytes, Windows names are 16-bit units, and neither has to be valid Unicode. A name is kept as
//! it is, so that a restored file gets it back; text is made from it only for people and for comparing.

use std::fmt;

/// Whether names that differ only in case are the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseRule {
    /// `A` and `a` are two names.
    Sensitive,
    /// `A` and `a` are one name, by the simple upper-case mapping of Unicode.
    Insensitive,
}

/// A name of a file, folder, stream or link target; lossless.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Bytes, as Linux keeps them; usually UTF-8.
    Bytes(Vec<u8>),
    /// 16-bit units, as Windows keeps them; usually UTF-16.
    Wide(Vec<u16>),
}

impl Name {
    /// A name of Linux.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }

    /// A name of Windows.
    #[must_use]
    pub fn from_wide(units: &[u16]) -> Self {
        Self::Wide(units.to_vec())
    }

    /// A name of Windows from little-endian bytes; an odd last byte is left out.
    #[must_use]
    pub fn from_utf16_le(bytes: &[u8]) -> Self {
        Self::Wide(bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
    }

    /// The name as text; `None` when it is not valid Unicode.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Wide(units) => String::from_utf16(units).ok(),
        }
    }

    /// The name as text, what is not Unicode replaced by U+FFFD.
    #[must_use]
    pub fn to_text_lossy(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Wide(units) => String::from_utf16_lossy(units),
        }
    }

    /// Whether the name is exactly this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        match self {
            Self::Bytes(bytes) => bytes == text.as_bytes(),
            Self::Wide(units) => units.iter().copied().eq(text.encode_utf16()),
        }
    }

    /// Whether the name is this text in the sense of `rule`, or shows as this text although it is not Unicode.
    #[must_use]
    pub fn fits(&self, text: &str, rule: CaseRule) -> bool {
        let shown = self.to_text_lossy();
        match rule {
            CaseRule::Sensitive => shown == text,
            CaseRule::Insensitive => upper_case(&shown).eq(upper_case(text)),
        }
    }
}

/// Upper case one character at a time, as file systems do: what would become two characters stays as it is.
fn upper_case(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(one), None) => one,
            _ => c,
        }
    })
}

/// The name for people; see [`Name::to_text_lossy`].
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text_lossy())
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_unicode_are_kept_and_can_be_shown() {
        let linux = Name::from_bytes(b"caf\xe9");
        let windows = Name::from_utf16_le(&[0x61, 0, 0x00, 0xd8]);

        assert_eq!((linux.to_text(), windows.to_text()), (None, None));
        assert_eq!((linux.to_string().as_str(), windows.to_string().as_str()), ("caf\u{fffd}", "a\u{fffd}"));
        assert!(linux.fits("caf\u{fffd}", CaseRule::Sensitive) && !linux.is("caf\u{fffd}"));
    }

    #[test]
    fn case_matters_only_where_the_file_system_says_so() {
        let name = Name::from_wide(&"Größe.TXT".encode_utf16().collect::<Vec<_>>());

        assert!(name.fits("gRÖße.txt", CaseRule::Insensitive));
        assert!(!name.fits("gRÖße.txt", CaseRule::Sensitive));
        assert!(!name.fits("GRÖSSE.TXT", CaseRule::Insensitive), "one character never becomes two");
    }
}
