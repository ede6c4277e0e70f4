//! Secrets: passphrases, the recovery key's text, and keys in memory.
//!
//! They are wiped when dropped and their `Debug` never shows them, so that neither a log line nor a
//! panic message can carry one. The recovery key's text follows docs/formats/repository.md section 3:
//! Crockford's base 32, because people read it aloud and type it from paper.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Text that must not be shown: a passphrase or a printed recovery key.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself; the caller takes care of where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// 32 bytes of key material.
pub(crate) type KeyBytes = Zeroizing<[u8; 32]>;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "RP1";
const CHECK_BYTES: usize = 3;
const CHECK_CONTEXT: &str = "refpoint repository v1 recovery key check";
const TEXT_DIGITS: usize = (32 + CHECK_BYTES) * 8 / 5;

/// The root key as printable text.
pub(crate) fn recovery_text(root: &KeyBytes) -> Secret {
    let mut bytes = Zeroizing::new(root.to_vec());
    bytes.extend_from_slice(&check_of(root));
    let mut text = Zeroizing::new(String::with_capacity(80));
    text.push_str(PREFIX);
    let mut digits = 0_usize;
    for group in bytes.chunks(5) {
        let number = group.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        for shift in (0..8).rev() {
            if digits.is_multiple_of(4) {
                text.push('-');
            }
            let digit = usize::try_from((number >> (shift * 5)) & 31).unwrap_or(0);
            text.push(char::from(DIGITS[digit]));
            digits += 1;
        }
    }
    Secret(text)
}

/// Reads a recovery key as a person typed it.
pub(crate) fn parse_recovery_text(text: &str) -> Result<KeyBytes> {
    let bad = |cause: String| Error::BadRecoveryKey { cause };
    let typed: Zeroizing<Vec<u8>> = Zeroizing::new(
        text.bytes()
            .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'-')
            .take(2 * TEXT_DIGITS)
            .map(|byte| byte.to_ascii_uppercase())
            .collect(),
    );
    let Some(digits) = typed.strip_prefix(PREFIX.as_bytes()) else {
        return Err(bad(format!("it does not start with {PREFIX}")));
    };
    if digits.len() != TEXT_DIGITS {
        return Err(bad(format!("it has {} of {TEXT_DIGITS} digits", digits.len())));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(32 + CHECK_BYTES));
    for (group_number, group) in digits.chunks(8).enumerate() {
        let mut number = 0_u64;
        for (place, byte) in group.iter().enumerate() {
            let value = digit_value(*byte)
                .ok_or_else(|| bad(format!("digit {} is not one", group_number * 8 + place + 1)))?;
            number = (number << 5) | value;
        }
        bytes.extend_from_slice(&number.to_be_bytes()[3..]);
    }
    let mut root = KeyBytes::default();
    root.copy_from_slice(&bytes[..32]);
    if check_of(&root) != bytes[32..] {
        return Err(bad("its check digits do not match; a digit is mistyped".into()));
    }
    Ok(root)
}

fn check_of(root: &KeyBytes) -> [u8; CHECK_BYTES] {
    let hash = blake3::derive_key(CHECK_CONTEXT, root.as_slice());
    [hash[0], hash[1], hash[2]]
}

fn digit_value(byte: u8) -> Option<u64> {
    let byte = match byte {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    DIGITS.iter().position(|digit| *digit == byte).and_then(|value| u64::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> KeyBytes {
        KeyBytes::new(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()))
    }

    #[test]
    fn recovery_text_survives_a_persons_typing() {
        let text = recovery_text(&root());
        assert_eq!(
            text.expose(),
            "RP1-003G-W58W-4CN3-2E1Z-8S6N-8PV2-D5R7-EZM5-HJ9S-N8D8-NYVB-VH6B-TBCP-S5Y8"
        );
        let typed = text.expose().to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        let typed = typed.replacen("rpl", "rp1", 1);
        assert_eq!(*parse_recovery_text(&typed).unwrap(), *root());
    }

    #[test]
    fn every_mistyped_digit_is_noticed() {
        let text = recovery_text(&root());
        for at in 4..text.expose().len() {
            let mut typed = text.expose().as_bytes().to_vec();
            if typed[at] == b'-' {
                continue;
            }
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            let typed = String::from_utf8(typed).unwrap();
            assert_eq!(parse_recovery_text(&typed).unwrap_err().code(), "RP-008", "{typed}");
        }
        assert_eq!(parse_recovery_text("RP1-ABC").unwrap_err().code(), "RP-008");
        assert_eq!(parse_recovery_text("").unwrap_err().code(), "RP-008");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
